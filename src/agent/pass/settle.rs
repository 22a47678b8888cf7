//! Settling the keys in which another node differs: the newer side travels.

use std::sync::atomic::Ordering;

use futures_util::{TryStreamExt, stream};

use super::{Pass, add};
use crate::agent::plan::{Step, step};
use crate::agent::transfer::TransferError;
use crate::cluster::NodeIndex;
use crate::peer::reconcile::Item;

/// Keys that travel at the same time.
const AT_ONCE: usize = 16;

impl Pass<'_> {
    /// Settles keys of which `node` holds something else.
    ///
    /// # Errors
    /// When the node does not answer any more. What cannot be settled for another reason is counted.
    pub(super) async fn settle(&self, node: NodeIndex, theirs: Vec<Item>) -> Result<(), TransferError> {
        let keys = stream::iter(theirs.into_iter().map(Ok));
        keys.try_for_each_concurrent(AT_ONCE, |item| async move {
            match self.settle_key(node, &item).await {
                Err(error) if error.is_silence() => Err(error),
                Err(error) => {
                    log::warn!("{} is not up to date yet: {error}", item.name);
                    add(&self.counts.unsettled, 1);
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        })
        .await
    }

    async fn settle_key(&self, node: NodeIndex, Item { name, held }: &Item) -> Result<(), TransferError> {
        let ours = self.agent.held(name).await?;
        let step = step(&ours, held);
        self.agent.take(node, name, step).await?;
        match step {
            Step::Nothing => {}
            Step::SendCopy => {
                add(&self.counts.sent, 1);
                let bytes = ours.copy().map_or(0, |copy| copy.size);
                self.counts.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Step::SendTombstone(_) => add(&self.counts.sent, 1),
            Step::FetchCopy | Step::TakeTombstone(_) => add(&self.counts.fetched, 1),
        }
        Ok(())
    }
}
