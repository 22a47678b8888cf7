//! A sentence for each kind of event, and how numbers are shown in it.

use super::{Step, Values};
use crate::cluster::{ClusterMap, NodeIndex, PlacementKind};

/// The number that the draws of the original start from.
pub(super) fn seeds(seed: u32) -> Step {
    let words = format!("15 bits of the hash, {seed}: names that share them share their nodes");
    Step { values: Values::Seed { seed }, words, is_quiet: false }
}

/// A draw at a sub-cluster. `before` are the steps before it there.
pub(super) fn draws(
    map: &ClusterMap,
    before: &[Step],
    (subcluster, replica): (u32, u32),
    (draw, chance, hit): (f64, f64, bool),
) -> Step {
    let hits = before.iter().filter(|step| matches!(step.values, Values::Draw { hit: true, .. })).count();
    let is_full = hits >= map.subclusters()[subcluster as usize].node_count();
    // Where the draws have used up all older weight the quotient is no chance any more, but the hit is sure.
    let is_sure = hit && (chance.is_nan() || draw > chance);
    let chance = match chance {
        _ if is_sure => 1.0,
        chance if chance > 0.0 => chance.min(1.0),
        _ => 0.0,
    };
    let (drawn, share) = apart(draw, chance);
    let outcome = match (hit, draw < chance) {
        _ if is_full => "does not count, each node has a replica".to_owned(),
        _ if is_sure => "a replica whatever was drawn, no other weight is left".to_owned(),
        (true, true) => format!("below its share, {share}: a replica"),
        (true, false) => format!("no more than its share, {share}: a replica"),
        (false, false) => format!("not below its share, {share}"),
        (false, true) => format!("below its share, {share}, but it has no node for this replica"),
    };
    let values = Values::Draw { subcluster: subcluster_name(map, subcluster), replica, draw, chance, hit };
    Step { values, words: format!("draw {}: {drawn}, {outcome}", replica + 1), is_quiet: !hit }
}

/// How many replicas a sub-cluster receives. `before` are the steps before it there.
pub(super) fn takes(map: &ClusterMap, before: &[Step], subcluster: u32, (taken, forced): (u32, u32)) -> Step {
    let replicas = count(taken as usize, "replica");
    let words = match forced {
        0 => format!("receives {replicas}"),
        _ if before.is_empty() => format!("receives {replicas}: what is left"),
        _ if forced == taken => format!("receives {replicas}, since the older ones have too few nodes"),
        _ => format!("receives {replicas}, {forced} of them because the older ones have too few nodes"),
    };
    let values = Values::Take { subcluster: subcluster_name(map, subcluster), count: taken, forced };
    Step { values, words, is_quiet: false }
}

/// A subtree waits to receive a replica.
pub(super) fn waits(
    map: &ClusterMap,
    (replica, label): (u32, u32),
    (oldest, newest): (u32, u32),
    (sum, wait, shortest): (f64, f64, bool),
) -> Step {
    let (oldest, newest) = (subcluster_name(map, oldest), subcluster_name(map, newest));
    let subtree = if oldest == newest { oldest.clone() } else { format!("{oldest} to {newest}") };
    let outcome = if shortest { ", the shortest: the replica goes there" } else { "" };
    let words = format!("{subtree}, of weight {}, waits {wait:.6}{outcome}", weight(sum));
    let values = Values::Wait { replica, label, oldest, newest, weight: sum, wait, shortest };
    Step { values, words, is_quiet: !shortest }
}

/// A node of a sub-cluster is chosen.
pub(super) fn picks(map: &ClusterMap, subcluster: u32, node: NodeIndex) -> Step {
    let owner = &map.subclusters()[subcluster as usize];
    let slot = node.get() - owner.first_node().get() + 1;
    let name = node_name(map, node);
    let words = format!("picks {name}, node {slot} of its {}", owner.node_count());
    Step { values: Values::Pick { subcluster: owner.name().to_string(), node: name }, words, is_quiet: false }
}

/// An owner is replaced.
pub(super) fn substitutes(
    map: &ClusterMap,
    rank: usize,
    (out, node): (Option<NodeIndex>, NodeIndex),
    passed_over: u32,
) -> Step {
    let (out, node) = (out.map(|out| node_name(map, out)), node_name(map, node));
    let reason = match &out {
        Some(out) => format!("{out} is out; in its place as owner {} a second draw by weight", rank + 1),
        None => format!("no node was found as owner {}; a second draw by weight", rank + 1),
    };
    let after = match passed_over {
        0 => String::new(),
        some if map.placement() == PlacementKind::Crush => {
            let candidates = count(some as usize, "candidate");
            format!(", after {candidates} out or in a failure domain that holds an owner")
        }
        some => format!(", after {} that are out or owners already", count(some as usize, "candidate")),
    };
    let words = format!("{reason} gives {node}{after}");
    Step { values: Values::Substitute { owner: rank + 1, out, node, passed_over }, words, is_quiet: false }
}

fn subcluster_name(map: &ClusterMap, position: u32) -> String {
    map.subclusters()[position as usize].name().to_string()
}

fn node_name(map: &ClusterMap, node: NodeIndex) -> String {
    map.node(node).name().to_string()
}

/// A number of things.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A sum of weights, without the tail that adding doubles leaves.
pub(super) fn weight(sum: f64) -> String {
    let text = format!("{sum:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A draw and what it is compared with, in as many digits as it takes to see which is smaller.
fn apart(draw: f64, chance: f64) -> (String, String) {
    /// The fewest decimals shown, and the most: then a double from 0 to 1 has nothing more to tell.
    const DECIMALS: std::ops::RangeInclusive<usize> = 3..=17;
    let shown = |decimals: usize| (format!("{draw:.decimals$}"), format!("{chance:.decimals$}"));
    let differ = |decimals: &usize| {
        let (draw, chance) = shown(*decimals);
        draw != chance
    };
    let decimals = DECIMALS.clone().find(differ).unwrap_or(*DECIMALS.end());
    shown(decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_and_shares_are_shown_in_as_many_digits_as_tell_them_apart() {
        let pair = |draw, chance| {
            let (draw, chance) = apart(draw, chance);
            format!("{draw} {chance}")
        };
        assert_eq!(pair(0.5, 0.25), "0.500 0.250");
        assert_eq!(pair(0.333_31, 1.0 / 3.0), "0.33331 0.33333");
        assert_eq!(pair(0.000_04, 0.000_1), "0.0000 0.0001");
        assert_eq!(pair(0.5, 0.5), "0.50000000000000000 0.50000000000000000");
    }

    #[test]
    fn sums_of_weights_have_no_tail() {
        assert_eq!(
            (weight(0.1 + 0.2).as_str(), weight(12.0).as_str(), weight(200.0).as_str()),
            ("0.3", "12", "200")
        );
    }
}
