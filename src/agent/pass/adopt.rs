//! Files that were put into the root or edited there by hand: once they have come to rest they become copies like any
//! other, and the other owners are told.

use std::ops::Range;
use std::sync::Arc;

use super::{Pass, add};
use crate::clock;
use crate::disk::on_thread;
use crate::failpoint::{Step, step};
use crate::resolve::Route;
use crate::store::{Settled, StoreError};

impl Pass<'_> {
    /// Makes copies of the files by hand among some buckets, as far as this node owns them. They are sent by the marks that
    /// are made for the other owners, since the inventory knows them without a checksum.
    ///
    /// # Errors
    /// When this node's disk fails. A single file that cannot be read keeps no other from it.
    pub(super) async fn adopt(&self, buckets: Range<usize>) -> Result<(), StoreError> {
        for bucket in buckets {
            let (agent, inventory) = (self.agent.clone(), Arc::clone(&self.inventory));
            let failed = on_thread(move || {
                let mut failed = 0;
                for entry in agent.store.bucket(&inventory, bucket)? {
                    let route =
                        entry.held.is_by_hand().then(|| Route::of(&agent.map, agent.own, &entry.name));
                    let Some(route) = route.filter(|route| route.own) else { continue };
                    let pace = &mut agent.throttle.pace(|| agent.walks.has_stopped());
                    match agent.store.settle_by_hand(&entry.name, clock::now(), pace) {
                        Ok(Settled::Adopted(_) | Settled::Restored(_)) => {
                            step(Step::ByHandAdopted);
                            log::info!("{} was put here by hand and is spread from now on", entry.name);
                            for node in &route.others {
                                agent.store.mark_dirty(agent.map.node(*node).name(), &entry.name)?;
                            }
                        }
                        Ok(Settled::Nothing | Settled::Restless | Settled::Quarantined) => {}
                        Err(error) => {
                            log::warn!("{} was put here by hand and stays as it is: {error}", entry.name);
                            failed += 1;
                        }
                    }
                }
                Ok::<_, StoreError>(failed)
            });
            add(&self.counts.unsettled, failed.await?);
        }
        Ok(())
    }
}
