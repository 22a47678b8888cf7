//! Who takes over when a node fails and is marked out, and who holds its objects besides.

use serde::Serialize;

use super::fair::{ratio, spread, weight_in_service};
use super::load::add;
use super::movement::tallies;
use super::tally::{Plan, Tally};
use super::{Objects, Progress};
use crate::cluster::{ClusterMap, MapError, NodeIndex, NodeName, NodeState};
use crate::placement::locate;

/// How often [`failures`] goes through all objects, as it tells `progress`.
pub const PASSES_OF_FAILURES: u64 = 2;

/// What happens when one node is marked out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The node.
    pub node: NodeName,
    /// The copies it held.
    pub held: u64,
    /// Copies that others must receive: its own, if the algorithm is right.
    pub moved: u64,
    /// `moved` as a multiple of `held`, which has to move in any case; none where that is 0.
    pub against_optimum: Option<f64>,
    /// Copies that moved without need: not off it, or onto a node that may hold nothing.
    pub astray: u64,
    /// How far the survivors are from taking over by their weights, as a multiple of what chance would do.
    pub spread: Option<f64>,
    /// What the survivor that takes over most takes, as a multiple of its fair part.
    pub most: f64,
    /// What the survivor that takes over least takes, as a multiple of its fair part.
    pub least: f64,
    /// The first by the second; none where one takes nothing.
    pub most_by_least: Option<f64>,
    /// How many nodes held any of its objects besides it.
    pub co_holders: usize,
    /// The nodes that stay in service with weight, in the order of the map.
    pub survivors: Vec<Survivor>,
}

/// A node that stays.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survivor {
    /// Its name.
    pub node: NodeName,
    /// The copies it takes over.
    pub took: u64,
    /// The copies it should take over, by its weight.
    pub fair: f64,
    /// How many of the failed node's objects it held all along.
    pub co_holds: u64,
}

/// A node that cannot fail without leaving too few.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("node {node} cannot be taken out")]
pub struct FailureError {
    /// The node.
    pub node: NodeName,
    /// Why the map without it is refused.
    pub source: Box<MapError>,
}

/// Some of the nodes that hold anything: all, or `count` of them, evenly from the first to the last; of those, the
/// ones that can be missed.
pub fn nodes_to_fail(map: &ClusterMap, count: usize) -> Vec<NodeIndex> {
    let usable: Vec<NodeIndex> =
        map.indexed().map(|(node, _)| node).filter(|node| is_usable(map, *node)).collect();
    let count = count.min(usable.len());
    let gaps = count.saturating_sub(1).max(1);
    let chosen = (0..count).map(|at| usable[at * (usable.len() - 1) / gaps]);
    chosen.filter(|node| without(map, *node).is_ok()).collect()
}

/// Marks each of `nodes` out, one at a time, and places all objects anew.
///
/// # Errors
/// When a node is the last that can be missed: no map without it is accepted.
pub fn failures(
    map: &ClusterMap,
    nodes: &[NodeIndex],
    objects: Objects,
    progress: &impl Progress,
) -> Result<Vec<Failure>, FailureError> {
    let afters = nodes.iter().map(|node| without(map, *node)).collect::<Result<Vec<_>, _>>()?;
    let plans: Vec<Plan<'_>> = afters.iter().map(|after| Plan::new(map, after, false)).collect();
    let (held, tallies) = tallies(map, &plans, objects, progress);
    let co_held = co_held(map, nodes, objects, progress);
    let found = nodes.iter().zip(&co_held).zip(plans.iter().zip(&tallies));
    Ok(found
        .map(|((node, co_held), (plan, tally))| failure(map, *node, held[node.get()], co_held, plan, tally))
        .collect())
}

/// How many of the objects have all their owners among `nodes`.
pub fn held_only_by(map: &ClusterMap, nodes: &[NodeIndex], objects: Objects) -> u64 {
    let mut among = vec![false; map.nodes().len()];
    nodes.iter().for_each(|node| among[node.get()] = true);
    let count =
        |sum: &mut u64, key| *sum += u64::from(locate(map, key).iter().all(|owner| among[owner.get()]));
    objects.fold(&(), || 0, count, |sum, more| sum + more)
}

/// The map with one node more out.
fn without(map: &ClusterMap, node: NodeIndex) -> Result<ClusterMap, FailureError> {
    let name = map.node(node).name();
    let mut spec = map.to_spec();
    if let Some(node) = spec.node_mut(name.as_str()) {
        node.state = NodeState::Out;
    }
    ClusterMap::new(spec).map_err(|source| FailureError { node: name.clone(), source: Box::new(source) })
}

fn is_usable(map: &ClusterMap, node: NodeIndex) -> bool {
    weight_in_service(map, node) > 0.0
}

/// For each of `nodes`, how many of its objects each node of the map holds.
fn co_held(
    map: &ClusterMap,
    nodes: &[NodeIndex],
    objects: Objects,
    progress: &impl Progress,
) -> Vec<Vec<u64>> {
    let all = map.nodes().len();
    let mut row_of = vec![None; all];
    nodes.iter().enumerate().for_each(|(row, node)| row_of[node.get()] = Some(row));
    let count = |counts: &mut Vec<u64>, key| {
        let owners = locate(map, key);
        for row in owners.iter().filter_map(|owner| row_of[owner.get()]) {
            owners.iter().for_each(|owner| counts[row * all + owner.get()] += 1);
        }
    };
    let counts = objects.fold(progress, || vec![0; all * nodes.len()], count, add);
    // A node that is asked for twice has its counts in its last row.
    let row = |node: &NodeIndex| row_of[node.get()].map(|row| counts[row * all..][..all].to_vec());
    nodes.iter().filter_map(row).collect()
}

fn failure(
    map: &ClusterMap,
    failed: NodeIndex,
    held: u64,
    co_held: &[u64],
    plan: &Plan<'_>,
    tally: &Tally,
) -> Failure {
    let moved: u64 = tally.arrived.iter().sum();
    let gain = |node: usize| (plan.fair_after[node] - plan.fair_before[node]).max(0.0);
    let gains: Vec<f64> = (0..plan.places()).map(gain).collect();
    let scale = moved as f64 / gains.iter().sum::<f64>();
    let survivors: Vec<Survivor> = map
        .indexed()
        .filter(|(node, _)| *node != failed && is_usable(map, *node))
        .map(|(index, node)| Survivor {
            node: node.name().clone(),
            took: tally.arrived[index.get()],
            fair: if gains[index.get()] > 0.0 { gains[index.get()] * scale } else { 0.0 },
            co_holds: co_held[index.get()],
        })
        .collect();
    let relative = || survivors.iter().filter_map(|node| ratio(node.took as f64, node.fair));
    let (most, least) = (relative().fold(0.0, f64::max), relative().reduce(f64::min).unwrap_or(0.0));
    Failure {
        node: map.node(failed).name().clone(),
        held,
        moved,
        against_optimum: ratio(moved as f64, held as f64),
        astray: tally.astray,
        spread: spread(&tally.arrived, &gains),
        most,
        least,
        most_by_least: ratio(most, least),
        co_holders: survivors.iter().filter(|node| node.co_holds > 0).count(),
        survivors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::testing::{changed, fleet, map};

    const OBJECTS: Objects = Objects { count: 20_000, seed: 0 };

    fn numbers(nodes: &[NodeIndex]) -> Vec<usize> {
        nodes.iter().map(|node| node.get()).collect()
    }

    #[test]
    fn the_one_node_to_spare_takes_everything() {
        let map = changed(&fleet(2, &[(3, 1.0)]), |_| ());
        let failures = failures(&map, &[NodeIndex::new(1)], OBJECTS, &()).unwrap();
        let failure = &failures[0];
        assert_eq!((failure.node.as_str(), failure.moved, failure.astray), ("n1", failure.held, 0));
        assert_eq!(failure.against_optimum, Some(1.0));
        let [first, last] = &failure.survivors[..] else { panic!("{failure:?}") };
        // An object of two copies on n1 and n0 goes from n1 to n2, and the other way round.
        assert_eq!((first.took, last.took), (last.co_holds, first.co_holds));
        assert_eq!(first.co_holds + last.co_holds, failure.held);
        assert_eq!(failure.co_holders, 2);
    }

    #[test]
    fn survivors_share_by_weight_what_the_node_held() {
        let map = map(fleet(2, &[(6, 1.0), (1, 0.0), (6, 2.0)]));
        let nodes = [3, 10].map(NodeIndex::new);
        for failure in failures(&map, &nodes, OBJECTS, &()).unwrap() {
            assert_eq!(failure.survivors.iter().map(|node| node.took).sum::<u64>(), failure.held);
            assert_eq!(failure.survivors.iter().map(|node| node.co_holds).sum::<u64>(), failure.held);
            let fair: f64 = failure.survivors.iter().map(|node| node.fair).sum();
            assert!((fair - failure.held as f64).abs() < 1e-6, "{fair}");
            assert_eq!((failure.survivors.len(), failure.co_holders), (11, 11));
            assert!((failure.survivors[0].fair * 2.0 - failure.survivors[10].fair).abs() < 1e-6);
            assert!(failure.least > 0.7 && failure.most < 1.3, "{failure:?}");
        }
    }

    #[test]
    fn a_node_that_cannot_be_missed_is_refused_by_name() {
        let map = map(fleet(3, &[(3, 1.0)]));
        let error = failures(&map, &[NodeIndex::new(2)], OBJECTS, &()).unwrap_err();
        assert_eq!(error.to_string(), "node n2 cannot be taken out");
        assert!(matches!(*error.source, MapError::TooFewUsable { usable: 2, .. }));
    }

    #[test]
    fn some_nodes_are_chosen_evenly_among_those_that_hold_anything() {
        let spec = fleet(2, &[(4, 1.0), (2, 0.0), (5, 1.0)]);
        let map = changed(&spec, |spec| spec.node_mut("n1").unwrap().state = NodeState::Out);
        assert_eq!(numbers(&nodes_to_fail(&map, 99)), [0, 2, 3, 6, 7, 8, 9, 10]);
        assert_eq!(numbers(&nodes_to_fail(&map, 3)), [0, 6, 10]);
        assert_eq!(numbers(&nodes_to_fail(&map, 1)), [0]);
        assert!(nodes_to_fail(&map, 0).is_empty());
        let needed = changed(&fleet(3, &[(3, 1.0)]), |_| ());
        assert!(nodes_to_fail(&needed, 9).is_empty(), "none can be missed");
    }

    #[test]
    fn objects_are_held_by_all_nodes_and_by_fewer_than_replicas_none_is() {
        let map = map(fleet(2, &[(3, 1.0)]));
        let held = |nodes: &[u32]| {
            held_only_by(&map, &nodes.iter().map(|node| NodeIndex::new(*node)).collect::<Vec<_>>(), OBJECTS)
        };
        assert_eq!((held(&[]), held(&[1]), held(&[0, 1, 2])), (0, 0, OBJECTS.count));
        let pairs = held(&[0, 1]) + held(&[1, 2]) + held(&[0, 2]);
        assert_eq!(pairs, OBJECTS.count, "each is held by one pair");
    }

    #[test]
    fn a_node_named_twice_is_told_of_twice() {
        let map = map(fleet(2, &[(5, 1.0)]));
        let twice = failures(&map, &[NodeIndex::new(1); 2], OBJECTS, &()).unwrap();
        assert_eq!(twice[0], twice[1]);
    }
}
