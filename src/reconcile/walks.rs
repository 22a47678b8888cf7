//! The walks over the root: one at a time, and one for all who want to know what is there.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;
use tokio::sync::watch;

use crate::disk::on_thread;
use crate::name::Exclude;
use crate::store::inventory::Totals;
use crate::store::{Store, StoreError};

/// What the last walk has found, and when it began.
#[derive(Debug, Clone, Copy)]
pub struct Walked {
    /// When it began: what was written before is in it.
    pub begun: Instant,
    /// What it adds up to.
    pub totals: Totals,
}

/// Walks over one root.
#[derive(Debug, Clone, Default)]
pub struct Walks {
    last: Arc<Mutex<Option<Walked>>>,
    /// Keys that the walk in progress has met.
    met: Arc<watch::Sender<u64>>,
}

/// After so many keys the number of those met is told.
const TOLD_EVERY: u64 = 1000;

impl Walks {
    /// An inventory that was begun at `not_before` or later: the last one, or that of a walk which is held now.
    ///
    /// The walk goes on when nobody waits for it any more, and whoever asks next finds it done.
    ///
    /// # Errors
    /// What the walk could not read, or that the inventory could not be written.
    pub async fn since(
        &self,
        not_before: Instant,
        store: &Arc<Store>,
        exclude: &Exclude,
    ) -> Result<Walked, StoreError> {
        let (walks, store, exclude) = (self.clone(), Arc::clone(store), exclude.clone());
        let walk = tokio::spawn(async move {
            let mut last = walks.last.lock().await;
            if let Some(walked) = last.filter(|walked| walked.begun >= not_before) {
                return Ok(walked);
            }
            let begun = Instant::now();
            let met = Arc::clone(&walks.met);
            let totals = on_thread(move || walk(&store, &exclude, &met)).await?;
            Ok(*last.insert(Walked { begun, totals }))
        });
        match walk.await {
            Ok(walked) => walked,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The last walk that ended well, unless one is in progress.
    pub fn last(&self) -> Option<Walked> {
        self.last.try_lock().ok().and_then(|last| *last)
    }
}

fn walk(store: &Store, exclude: &Exclude, met: &watch::Sender<u64>) -> Result<Totals, StoreError> {
    let mut writer = store.new_inventory()?;
    let mut count = 0;
    store.walk(exclude, &|| false, &mut |found| {
        count += 1;
        if count % TOLD_EVERY == 0 {
            met.send_replace(count);
        }
        writer.add(&found.name, &found.held)
    })?;
    writer.finish()
}
