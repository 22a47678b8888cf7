//! Ranks without an owner: each owner that is marked out, or that the algorithm did not find, is replaced in its rank
//! by another node (design, section 10). The same for every algorithm.
//!
//! Each key has one sequence of candidates that depends on the shape of the map and its weights alone, never on who
//! is out. The ranks without an owner are filled, in rank order, with the first candidates that are in service and
//! whose failure domain holds no owner yet. An owner that is out holds no domain. So when a node is marked out, the
//! objects it does not hold keep their owners, and each of its own gets one new owner: the greedy choice of a basis
//! in a partition matroid, from which taking one element away exchanges one.
//!
//! For the RUSH family a node is a failure domain of its own, and a candidate is drawn as RUSH_R places a single
//! replica: from the newest sub-cluster down, each takes it with the chance that is its share of the weight of itself
//! and all older ones. Looking up one number among the cumulated weights would be faster, but would move nearly all
//! substitutes when a sub-cluster is added; so, only its share moves, and onto it. FROZEN, like the mixer.

use super::mixer::{Mixer, Purpose, below, unit};
use super::{Event, Replicas, Trace};
use crate::cluster::{ClusterMap, NodeIndex, REPLICAS_MAX, SlotTable};

/// How many candidates are drawn before all nodes are gone through in order. Each draw fails with the share of
/// nodes that are out or in a domain that holds an owner, so this matters only where few others are left.
const DRAWS_MAX: u32 = 256;

/// The candidates of one key.
pub(super) trait Candidates {
    /// The candidate at that position, drawn by weight from the nodes of weight above 0. None where the draw finds
    /// no such node.
    fn drawn(&self, position: u32) -> Option<NodeIndex>;

    /// Of all nodes of weight above 0, in an order of the key's own, the first that fits.
    fn first_fit(&self, fits: impl FnMut(NodeIndex) -> bool) -> Option<NodeIndex>;

    /// The failure domain of a node of weight above 0.
    fn domain(&self, node: NodeIndex) -> u32;
}

/// Replaces the owners that are out, under an algorithm that always finds as many as it should and whose failure
/// domains are the nodes.
pub(super) fn replace_out(map: &ClusterMap, mixer: Mixer, owners: &mut Replicas, trace: &mut impl Trace) {
    if owners.iter().all(|owner| in_service(map, *owner)) {
        return;
    }
    let mut ranks = [None; REPLICAS_MAX];
    ranks.iter_mut().zip(owners.iter()).for_each(|(rank, owner)| *rank = Some(*owner));
    let candidates = SlotCandidates { table: map.slots(), mixer };
    let ranks = &ranks[..owners.len()];
    fill(map, ranks, &candidates, owners, trace);
}

/// Makes `owners` those found in each rank, with substitutes for those that are out and in the ranks that have none. No
/// node may be found twice, and all must be of weight above 0.
///
/// # Panics
/// If there are fewer failure domains with a node in service of weight above 0 than ranks: a map is not accepted then.
pub(super) fn fill(
    map: &ClusterMap,
    found: &[Option<NodeIndex>],
    candidates: &impl Candidates,
    owners: &mut Replicas,
    trace: &mut impl Trace,
) {
    let mut ranks = [None; REPLICAS_MAX];
    let ranks = &mut ranks[..found.len()];
    for (rank, owner) in ranks.iter_mut().zip(found) {
        *rank = owner.filter(|owner| in_service(map, *owner));
    }
    *owners = Replicas::new();
    let mut position = 0;
    for rank in 0..ranks.len() {
        if let Some(owner) = ranks[rank] {
            owners.extend(&[owner]);
            continue;
        }
        let mut passed_over = 0;
        let mut fits = |candidate: NodeIndex| {
            let domain = candidates.domain(candidate);
            let is_held = ranks.iter().flatten().any(|owner| candidates.domain(*owner) == domain);
            let fits = in_service(map, candidate) && !is_held;
            passed_over += u32::from(!fits);
            fits
        };
        let drawn = (position..DRAWS_MAX).find_map(|at| {
            position = at + 1;
            candidates.drawn(at).filter(|candidate| fits(*candidate))
        });
        let node = drawn
            .or_else(|| candidates.first_fit(fits))
            .expect("a map has at least as many usable failure domains as replicas");
        ranks[rank] = Some(node);
        owners.extend(&[node]);
        trace.note(|| Event::Substitute { rank, out: found[rank], node, passed_over });
    }
}

fn in_service(map: &ClusterMap, node: NodeIndex) -> bool {
    map.node(node).state().is_in_service()
}

/// The candidates among the slots of sub-clusters.
struct SlotCandidates<'a> {
    table: &'a SlotTable,
    mixer: Mixer,
}

impl Candidates for SlotCandidates<'_> {
    fn drawn(&self, position: u32) -> Option<NodeIndex> {
        let (oldest, newer) = self.table.rows().split_first()?;
        let row = newer
            .iter()
            .rev()
            .find(|row| {
                let real = unit(self.mixer.bits(Purpose::SubstituteDraw, row.subcluster, position));
                real * row.weight_total < row.weight_own
            })
            .unwrap_or(oldest);
        let pick = self.mixer.bits(Purpose::SubstitutePick, row.subcluster, position);
        Some(NodeIndex::new(row.first + below(pick, row.servers)))
    }

    /// Each once, from a drawn one on.
    fn first_fit(&self, mut fits: impl FnMut(NodeIndex) -> bool) -> Option<NodeIndex> {
        let servers = self.table.weighted_servers();
        let start = below(self.mixer.bits(Purpose::SubstituteScan, 0, 0), servers);
        let mut all = (start..servers).chain(0..start).map(|rank| self.table.weighted_server(rank));
        all.find(|node| fits(*node))
    }

    fn domain(&self, node: NodeIndex) -> u32 {
        node.get() as u32
    }
}
