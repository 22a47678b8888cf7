//! What a pass has to know of some buckets, found by reading each of them once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::Pass;
use super::strays::Stray;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::reconcile::{Item, Tombstone};
use crate::reconcile::Digest;
use crate::resolve::Route;
use crate::store::StoreError;

/// What lies in some buckets.
#[derive(Default)]
pub(super) struct Survey {
    /// For each peer the digests of the ranges, over the keys that it and this node own.
    pub sums: BTreeMap<NodeIndex, Vec<Digest>>,
    /// Files that were put there or edited by hand, and where they belong.
    pub by_hand: Vec<(ObjectName, Route)>,
    /// Copies and tombstones of which this node is no owner.
    pub strays: Vec<Stray>,
    /// Tombstones of which this node is an owner, and the others.
    pub tombstones: Vec<(Tombstone, Vec<NodeIndex>)>,
}

impl Pass<'_> {
    /// Reads the buckets of some ranges.
    ///
    /// # Errors
    /// When this node's disk fails.
    pub(super) async fn survey(
        &self,
        ranges: Range<usize>,
        peers: &[NodeIndex],
    ) -> Result<Survey, StoreError> {
        let (agent, inventory, all) = (self.agent.clone(), Arc::clone(&self.inventory), self.ranges);
        let sums = peers.iter().map(|node| (*node, vec![Digest::default(); ranges.len()])).collect();
        let mut found = Survey { sums, ..Survey::default() };
        on_thread(move || {
            for (place, range) in ranges.enumerate() {
                for bucket in all.buckets(range) {
                    for entry in agent.store.bucket(&inventory, bucket)? {
                        let route = Route::of(&agent.map, &entry.name);
                        if entry.held.is_by_hand() {
                            found.by_hand.push((entry.name, route));
                        } else if route.own {
                            for node in &route.others {
                                if let Some(sums) = found.sums.get_mut(node) {
                                    sums[place].add(entry.hash, &entry.held);
                                }
                            }
                            if let Held::Tombstone { version } = entry.held {
                                let tombstone = Tombstone { name: entry.name, version };
                                found.tombstones.push((tombstone, route.others));
                            }
                        } else {
                            let moves = route.was_owner(agent.map.own());
                            let item = Item { name: entry.name, held: entry.held };
                            found.strays.push(Stray::new(item, route.others, moves));
                        }
                    }
                }
            }
            Ok(found)
        })
        .await
    }
}
