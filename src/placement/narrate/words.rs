//! A sentence for each step of the RUSH family, and for substitutes; how numbers are shown in it.

use super::section::Step;
use super::values::Values;
use crate::cluster::{ClusterMap, NodeIndex, NodeState, PlacementKind};

/// What there is to know of a sub-cluster.
pub(super) fn subcluster_heading(map: &ClusterMap, position: u32) -> String {
    let subcluster = &map.subclusters()[position as usize];
    let nodes = count(subcluster.node_count(), "node");
    let own = format!("{}: {nodes} of weight {}", subcluster.name(), subcluster.weight());
    let rows = map.slots().rows();
    match rows.binary_search_by_key(&position, |row| row.subcluster).map(|at| &rows[at]) {
        Ok(row) if row.servers_before > 0 => {
            let (share, all) = (weight(row.weight_own), weight(row.weight_total));
            format!("{own}, together {share} of the {all} that it and the older ones weigh")
        }
        Ok(_) => format!("{own}, the oldest with any weight"),
        Err(_) => own,
    }
}

/// The number that the draws of the original start from.
pub(super) fn seeds(seed: u32) -> Step {
    let words = format!("15 bits of the hash, {seed}: names that share them share their nodes");
    Step::new(Values::Seed { seed }, words, false)
}

/// A draw at a sub-cluster. `before` are the steps before it in its section.
pub(super) fn draws(
    map: &ClusterMap,
    before: &[Step],
    (subcluster, replica): (u32, u32),
    (draw, chance, hit): (f64, f64, bool),
) -> Step {
    let kind = map.placement();
    let is_for_one = matches!(kind, PlacementKind::RushP | PlacementKind::WebdfsRushP);
    let hits = before.iter().filter(|step| matches!(step.values, Values::Draw { hit: true, .. })).count();
    let is_full = !is_for_one && hits >= map.subclusters()[subcluster as usize].node_count();
    // Where the draws have used up all older weight the quotient is no chance any more, but the hit is sure.
    let is_sure = hit && (chance.is_nan() || draw > chance);
    let chance = match chance {
        _ if is_sure => 1.0,
        chance if chance > 0.0 => chance.min(1.0),
        _ => 0.0,
    };
    let (drawn, share) = apart(draw, chance);
    let is_oldest = map.slots().rows().first().is_some_and(|row| row.subcluster == subcluster);
    let receives = if is_for_one { "it falls here" } else { "a replica" };
    let outcome = match hit {
        _ if is_full => "does not count, each node has a replica".to_owned(),
        true if is_for_one && is_oldest => format!("{receives}, for the oldest takes what is left"),
        true if is_sure => format!("{receives} whatever was drawn, no other weight is left"),
        true if draw == chance => format!("exactly its share: {receives}"),
        true => format!("below its share, {share}: {receives}"),
        false if draw == chance => "exactly its share, so not below it".to_owned(),
        false if draw < chance => format!("below its share, {share}, but it has no node for this replica"),
        false => format!("not below its share, {share}"),
    };
    let of = match kind {
        PlacementKind::RushP => format!("replica {}", replica + 1),
        PlacementKind::WebdfsRushP => subcluster_name(map, subcluster),
        _ => format!("draw {}", replica + 1),
    };
    let values = Values::Draw { subcluster: subcluster_name(map, subcluster), replica, draw, chance, hit };
    Step::new(values, format!("{of}: {drawn}, {outcome}"), !hit)
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
    Step::new(values, words, false)
}

/// A node of a sub-cluster is chosen.
pub(super) fn picks(map: &ClusterMap, subcluster: u32, replica: u32, node: NodeIndex) -> Step {
    let owner = &map.subclusters()[subcluster as usize];
    let slot = node.get() - owner.first_node().get() + 1;
    let (name, nodes, number) = (node_name(map, node), owner.node_count(), replica + 1);
    let words = match map.placement() {
        // The section is that of the replica.
        PlacementKind::RushT | PlacementKind::WebdfsRushP => {
            format!("takes {name}, node {slot} of the {nodes} of {}", owner.name())
        }
        // Not in the order of the replicas.
        PlacementKind::RushP => format!("replica {number} takes {name}, node {slot} of its {nodes}"),
        PlacementKind::RushR | PlacementKind::WebdfsRushR | PlacementKind::Crush => {
            format!("picks {name}, node {slot} of its {nodes}")
        }
    };
    Step::new(Values::Pick { subcluster: owner.name().to_string(), replica, node: name }, words, false)
}

/// An owner is replaced.
pub(super) fn substitutes(
    map: &ClusterMap,
    rank: usize,
    (out, node): (Option<NodeIndex>, NodeIndex),
    passed_over: u32,
) -> Step {
    let is_lost = out.is_some_and(|out| map.node(out).state() == NodeState::Lost);
    let state = if is_lost { "lost" } else { "out" };
    let (out, node) = (out.map(|out| node_name(map, out)), node_name(map, node));
    let reason = match &out {
        Some(out) => format!("{out} is {state}; in its place as owner {} a second draw by weight", rank + 1),
        None => format!("no node was found as owner {}; a second draw by weight", rank + 1),
    };
    let is_crush = map.placement() == PlacementKind::Crush;
    let after = match (passed_over, is_crush) {
        (0, _) => String::new(),
        (1, false) => ", after 1 candidate that is out or an owner already".to_owned(),
        (some, false) => format!(", after {some} candidates that are out or owners already"),
        (1, true) => ", after 1 candidate that is out or whose failure domain holds an owner".to_owned(),
        (some, true) => {
            format!(", after {some} candidates that are out or whose failure domain holds an owner")
        }
    };
    let words = format!("{reason} gives {node}{after}");
    Step::new(Values::Substitute { owner: rank + 1, out, node, passed_over }, words, false)
}

/// The name of the sub-cluster at a position.
pub(super) fn subcluster_name(map: &ClusterMap, position: u32) -> String {
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
    let tells = |decimals: &usize| {
        let (drawn, share) = shown(*decimals);
        drawn != share || draw == chance
    };
    let decimals = DECIMALS.clone().find(tells).unwrap_or(*DECIMALS.end());
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
        assert_eq!(pair(0.5, 0.5), "0.500 0.500", "equal");
    }

    #[test]
    fn sums_of_weights_have_no_tail() {
        assert_eq!(
            (weight(0.1 + 0.2).as_str(), weight(12.0).as_str(), weight(200.0).as_str()),
            ("0.3", "12", "200")
        );
    }
}
