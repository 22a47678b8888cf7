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
use crate::store::inventory::Entry;

/// What lies in some ranges and belongs here.
pub(super) struct Owned {
    first: usize,
    /// For each peer the digests of the ranges, over the keys that it and this node own.
    pub sums: BTreeMap<NodeIndex, Vec<Digest>>,
    /// Tombstones, and the other owners.
    pub tombstones: Vec<(Tombstone, Vec<NodeIndex>)>,
}

impl Owned {
    /// Nothing yet.
    pub fn by(peers: &[NodeIndex], ranges: Range<usize>) -> Self {
        let sums = peers.iter().map(|node| (*node, vec![Digest::default(); ranges.len()])).collect();
        Self { first: ranges.start, sums, tombstones: Vec::new() }
    }

    fn add(&mut self, range: usize, entry: Entry, others: Vec<NodeIndex>) {
        for node in &others {
            if let Some(sums) = self.sums.get_mut(node) {
                sums[range - self.first].add(entry.hash, &entry.held);
            }
        }
        if let Held::Tombstone { version } = entry.held {
            self.tombstones.push((Tombstone { name: entry.name, version }, others));
        }
    }
}

/// What lies in some buckets and perhaps does not belong here.
#[derive(Default)]
pub(super) struct Foreign {
    /// Files that were put there or edited by hand, and where they belong.
    pub by_hand: Vec<(ObjectName, Route)>,
    /// Copies and tombstones of which this node is no owner.
    pub strays: Vec<Stray>,
}

impl Pass<'_> {
    /// Reads some buckets, and adds what belongs here to what was found in others of the same ranges.
    ///
    /// # Errors
    /// When this node's disk fails.
    pub(super) async fn survey(
        &self,
        buckets: Range<usize>,
        mut owned: Owned,
    ) -> Result<(Owned, Foreign), StoreError> {
        let (agent, inventory, ranges) = (self.agent.clone(), Arc::clone(&self.inventory), self.ranges);
        on_thread(move || {
            let mut foreign = Foreign::default();
            for bucket in buckets {
                for entry in agent.store.bucket(&inventory, bucket)? {
                    let route = Route::of(&agent.map, &entry.name);
                    if entry.held.is_by_hand() {
                        foreign.by_hand.push((entry.name, route));
                    } else if route.own {
                        owned.add(ranges.of_bucket(bucket), entry, route.others);
                    } else {
                        let moves = route.was_owner(agent.map.own());
                        let item = Item { name: entry.name, held: entry.held };
                        foreign.strays.push(Stray::new(item, route.others, moves));
                    }
                }
            }
            Ok((owned, foreign))
        })
        .await
    }
}
