//! Copies of which this node is no owner: removed once every owner has confirmed that it holds them, or something newer,
//! durably. Digests are no such confirmation.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Pass, add};
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::peer::reconcile::{HAVE_NAME_BYTES_MAX, HaveOrder, Item};
use crate::resolve::Route;
use crate::store::{NameHash, StoreError};

/// Keys that another node makes durable before it answers.
const KEYS_AT_ONCE: usize = 64;

/// A copy without an owner here, and who owns it.
struct Stray {
    item: Item,
    owners: Vec<NodeIndex>,
    /// Owners that hold it, or something newer.
    confirmed: usize,
}

impl Pass<'_> {
    /// Removes the strays of some buckets, as far as `peers` are their owners and have them.
    ///
    /// # Errors
    /// When this node's disk fails.
    pub(super) async fn remove_strays(
        &self,
        buckets: Range<usize>,
        peers: &[NodeIndex],
    ) -> Result<(), StoreError> {
        for bucket in buckets {
            let mut strays = self.strays(bucket).await?;
            if strays.is_empty() {
                continue;
            }
            let mut of_owner = BTreeMap::<NodeIndex, Vec<usize>>::new();
            for (place, stray) in strays.iter().enumerate() {
                for owner in stray.owners.iter().filter(|owner| peers.contains(owner)) {
                    of_owner.entry(*owner).or_default().push(place);
                }
            }
            for (owner, places) in of_owner {
                for places in places.chunks(KEYS_AT_ONCE) {
                    self.confirm(owner, places, &mut strays).await;
                }
            }
            for stray in strays {
                self.remove(stray).await?;
            }
        }
        Ok(())
    }

    async fn strays(&self, bucket: usize) -> Result<Vec<Stray>, StoreError> {
        let (store, map, own) = (Arc::clone(&self.agent.store), Arc::clone(&self.agent.map), self.agent.own);
        let inventory = Arc::clone(&self.inventory);
        on_thread(move || {
            let entries = store.bucket(&inventory, bucket)?.into_iter();
            let strays = entries
                .filter(|entry| entry.held.copy().is_some() && !entry.held.is_by_hand())
                .filter_map(|entry| {
                    let Route { own, others } = Route::of(&map, own, &entry.name);
                    let item = Item { name: entry.name, held: entry.held };
                    (!own).then_some(Stray { item, owners: others, confirmed: 0 })
                });
            Ok(strays.collect())
        })
        .await
    }

    /// Asks one owner for some of the strays.
    async fn confirm(&self, owner: NodeIndex, places: &[usize], strays: &mut [Stray]) {
        let nowhere = NameHash::default();
        let mut name_bytes = 0;
        // What has no room is asked for in the next pass: names of that length are rare.
        let places: Vec<_> = places
            .iter()
            .copied()
            .take_while(|place| {
                name_bytes += strays[*place].item.name.url_path().len();
                name_bytes <= HAVE_NAME_BYTES_MAX
            })
            .collect();
        let items = places.iter().map(|place| strays[*place].item.clone()).collect();
        let order = HaveOrder { from: nowhere, to: Some(nowhere), items, durable: true };
        match self.agent.peers.have(&self.agent.map, owner, &order).await {
            Ok(answer) => {
                let different: BTreeMap<_, _> = answer.different.into_iter().collect();
                for (place, stray) in places.iter().enumerate() {
                    let stray = &mut strays[*stray];
                    let older = different
                        .get(&place)
                        .is_some_and(|theirs| theirs.supersedes(&stray.item.held) == Ordering::Less);
                    stray.confirmed += usize::from(!older);
                }
            }
            Err(error) => log::debug!("copies that belong elsewhere stay here: {error}"),
        }
    }

    async fn remove(&self, Stray { item, owners, confirmed }: Stray) -> Result<(), StoreError> {
        if confirmed < owners.len() {
            log::debug!("{} belongs elsewhere, and not every owner has it: it stays here", item.name);
            add(&self.counts.strays, 1);
            return Ok(());
        }
        let store = Arc::clone(&self.agent.store);
        let removed = on_thread(move || store.unlink_confirmed(&item.name, &item.held)).await?;
        add(&self.counts.removed, usize::from(removed));
        Ok(())
    }
}
