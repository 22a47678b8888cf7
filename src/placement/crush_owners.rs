//! What CRUSH finds as owners: devices become nodes, and ranks that are left without one get a substitute.
//!
//! CRUSH may find too few (it gives up after some attempts), leave holes, find in one part of a rule a device or a
//! failure domain that it found in another, or a device of weight 0 in a bucket that does not mind weights: such ranks
//! count as not found. Nodes that are out play no part in the search, so that marking one out changes nothing for the
//! others.
//!
//! The candidates for substitutes come from the same hierarchy: each is found by a descent from what the rule takes
//! down to a device, every bucket choosing as it always does, by an attempt number that no rule gets to. So they follow
//! the weights of all levels, and a new rack takes over its share of them and moves no others. Where so many candidates
//! do not fit that this leads to nothing, all nodes take part in one draw by weight, as if they were in one straw2
//! bucket. FROZEN.

use super::crush::{self, choose, distance, hash3};
use super::substitute::{self, Candidates};
use super::{Event, ObjectKey, Replicas, Trace};
use crate::cluster::{ClusterMap, CrushTable, NodeIndex, REPLICAS_MAX};

/// The attempt number of the first candidate; each has one of its own.
const CANDIDATE_ATTEMPT: u32 = 1 << 30;

/// The attempt number of the draw of all nodes.
const FINAL_ATTEMPT: u32 = CANDIDATE_ATTEMPT - 1;

/// The attempt number by which one of several roots is drawn.
const ROOT_ATTEMPT: u32 = 1 << 31;

/// Adds the owners of the object of that key under a map placed by CRUSH to `owners`, which is empty.
#[inline(never)]
pub(super) fn locate_into(
    map: &ClusterMap,
    table: &CrushTable,
    key: ObjectKey,
    owners: &mut Replicas,
    trace: &mut impl Trace,
) {
    let x = key.number();
    let found = crush::run(table.map(), table.rule(), x, table.replicas(), table.reweight(), trace);
    let mut ranks = [None; REPLICAS_MAX];
    let ranks = &mut ranks[..table.replicas()];
    for (rank, device) in found.iter().enumerate().take(ranks.len()) {
        let is_held = |domain| ranks.iter().flatten().any(|owner| table.domain_of(*owner) == domain);
        let node = table.node_of(*device).filter(|node| !is_held(table.domain_of(*node)));
        trace.note(|| Event::CrushOwner { rank, device: *device, node });
        ranks[rank] = node;
    }
    if !map.any_out() && ranks.iter().all(Option::is_some) {
        ranks.iter().flatten().for_each(|node| owners.extend(&[*node]));
        return;
    }
    substitute::fill(map, ranks, &TreeCandidates { table, x }, owners, trace);
}

/// The candidates among the devices of a hierarchy.
struct TreeCandidates<'a> {
    table: &'a CrushTable,
    x: u32,
}

impl TreeCandidates<'_> {
    /// What the rule takes; of several, one drawn by weight.
    fn root(&self, position: u32) -> Option<i32> {
        match self.table.roots() {
            [(only, _)] => Some(*only),
            several => {
                let attempt = ROOT_ATTEMPT + position;
                several
                    .iter()
                    .min_by_key(|(root, weight)| self.draw(*root, *weight, attempt))
                    .map(|(root, _)| *root)
            }
        }
    }

    /// A draw for an item as a straw2 bucket makes it, the lowest being the best, and what decides between equal ones.
    fn draw(&self, item: i32, weight: u32, attempt: u32) -> (u64, u32) {
        let hash = hash3(self.x, item as u32, attempt);
        (distance(hash) / u64::from(weight.max(1)), hash)
    }
}

impl Candidates for TreeCandidates<'_> {
    fn drawn(&self, position: u32) -> Option<NodeIndex> {
        let mut item = self.root(position)?;
        while let Some(bucket) = self.table.map().bucket(item) {
            item = choose(bucket, self.x, CANDIDATE_ATTEMPT + position)?;
        }
        self.table.node_of(item)
    }

    /// In the order of one draw for each.
    fn first_fit(&self, mut fits: impl FnMut(NodeIndex) -> bool) -> Option<NodeIndex> {
        let fitting = self.table.seats().iter().filter(|seat| fits(seat.node));
        let best = fitting.min_by_key(|seat| self.draw(seat.device, seat.weight, FINAL_ATTEMPT));
        best.map(|seat| seat.node)
    }

    fn domain(&self, node: NodeIndex) -> u32 {
        self.table.domain_of(node).expect("only nodes that can hold a replica are owners and candidates")
    }
}
