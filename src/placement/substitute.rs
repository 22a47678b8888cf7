//! Nodes marked out: each owner that is out is replaced, in its rank, by another node (design, section 10). The same
//! for every algorithm.
//!
//! Each key has one endless sequence of candidates that depends on the sub-clusters and their weights alone, never
//! on who is out. The owners that are out are replaced, in rank order, by the first candidates that are in service
//! and no owner yet. So when a node is marked out, the objects it does not hold keep their owners, and each of its
//! own gets one new owner.
//!
//! A candidate is drawn as RUSH_R places a single replica: from the newest sub-cluster down, each takes it with the
//! chance that is its share of the weight of itself and all older ones. Looking up one number among the cumulated
//! weights would be faster, but would move nearly all substitutes when a sub-cluster is added; so, only its share
//! moves, and onto it. FROZEN, like the mixer.

use super::mixer::{Mixer, Purpose, below, unit};
use super::{Event, Replicas, Trace};
use crate::cluster::{ClusterMap, NodeIndex, NodeState, SlotTable};

/// How many candidates are drawn before all nodes are gone through in order. Each draw fails with the share of
/// nodes that are out or owners already, so this matters only where nearly the whole cluster is out.
const DRAWS_MAX: u32 = 256;

/// Replaces the owners that are out.
pub(super) fn replace_out(map: &ClusterMap, mixer: Mixer, owners: &mut Replicas, trace: &mut impl Trace) {
    let in_service = |node: NodeIndex| map.node(node).state() == NodeState::In;
    if owners.iter().all(|owner| in_service(*owner)) {
        return;
    }
    let mut candidates = candidates(map.slots(), mixer);
    for rank in 0..owners.count {
        if in_service(owners.nodes[rank]) {
            continue;
        }
        let mut passed_over = 0;
        let node = candidates
            .find(|candidate| {
                let fits = in_service(*candidate) && owners.rank_of(*candidate).is_none();
                passed_over += u32::from(!fits);
                fits
            })
            .expect("a map has at least as many nodes in service of weight above 0 as replicas");
        let out = owners.nodes[rank];
        owners.nodes[rank] = node;
        trace.note(|| Event::Substitute { rank, out: Some(out), node, passed_over });
    }
}

/// The candidates of a key: the drawn ones, then every node of weight above 0 once, from a drawn one on.
fn candidates(table: &SlotTable, mixer: Mixer) -> impl Iterator<Item = NodeIndex> {
    let drawn = (0..DRAWS_MAX).map(move |position| draw(table, mixer, position));
    let servers = table.weighted_servers();
    let start = below(mixer.bits(Purpose::SubstituteScan, 0, 0), servers);
    let all = (start..servers).chain(0..start).map(|rank| table.weighted_server(rank));
    drawn.chain(all)
}

/// The candidate at `position`: a server drawn by weight.
fn draw(table: &SlotTable, mixer: Mixer, position: u32) -> NodeIndex {
    let (oldest, newer) = table.rows().split_first().expect("a table has at least one row");
    let row = newer
        .iter()
        .rev()
        .find(|row| {
            let real = unit(mixer.bits(Purpose::SubstituteDraw, row.subcluster, position));
            real * row.weight_total < row.weight_own
        })
        .unwrap_or(oldest);
    let pick = mixer.bits(Purpose::SubstitutePick, row.subcluster, position);
    NodeIndex::new(row.first + below(pick, row.servers))
}
