//! What an operator orders of the background work while it runs: it outlives the process that is told, since the next one
//! recalls it when it is elected.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::Agent;
use crate::control::Background;
use crate::disk::on_thread;
use crate::store::{Orders, StoreError};

/// Held while orders are changed or recalled, so that this process obeys those that were written last.
static ORDERING: Mutex<()> = Mutex::const_new(());

impl Agent {
    /// Obeys what was ordered before, of this process or of another one.
    pub(super) async fn recall_orders(&self) {
        let _alone = ORDERING.lock().await;
        self.obey().await;
    }

    /// Changes what is ordered; how the background work goes by now.
    ///
    /// # Errors
    /// When the order cannot be written down: then nothing has changed.
    pub(super) async fn order(
        &self,
        change: impl FnOnce(&mut Orders) + Send + 'static,
    ) -> Result<Background, StoreError> {
        let _alone = ORDERING.lock().await;
        let store = Arc::clone(&self.store);
        on_thread(move || store.remember(|record| change(&mut record.orders))).await?;
        self.obey().await;
        Ok(self.throttle.background())
    }

    async fn obey(&self) {
        let store = Arc::clone(&self.store);
        let ordered = on_thread(move || store.agent_record()).await.orders;
        let before = self.tasks.orders().send_replace(ordered);
        if ordered == before {
            return;
        }
        if ordered.paused != before.paused {
            let what = if ordered.paused { "is paused" } else { "goes on" };
            log::info!("by an operator's order the background work {what}");
        }
        if let Some(rate) = ordered.rate {
            log::info!("by an operator's order the background work has this rate: {rate}");
        }
    }
}
