//! Small maps for the tests of the simulation.

use super::compare::made_up_node;
use crate::cluster::{ClusterMap, MapSpec, PlacementSpec, SubClusterSpec};

/// Sub-clusters s0, s1 ... of so many nodes of such weight; the nodes are n0, n1 ... through all of them.
pub(crate) fn fleet(replicas: usize, groups: &[(usize, f64)]) -> MapSpec {
    let mut number = 0;
    let mut node = || {
        number += 1;
        made_up_node(number - 1)
    };
    let subclusters = groups.iter().enumerate().map(|(at, (nodes, weight))| SubClusterSpec {
        name: format!("s{at}"),
        weight: *weight,
        nodes: (0..*nodes).map(|_| node()).collect(),
    });
    MapSpec {
        epoch: 1,
        replicas,
        write_quorum: 1,
        placement: PlacementSpec::RushR,
        subclusters: subclusters.collect(),
    }
}

pub(crate) fn map(spec: MapSpec) -> ClusterMap {
    ClusterMap::new(spec).unwrap_or_else(|error| panic!("the map of a test is refused: {error}"))
}

/// The map of `groups`, changed.
pub(crate) fn changed(spec: &MapSpec, change: impl FnOnce(&mut MapSpec)) -> ClusterMap {
    let mut spec = spec.clone();
    change(&mut spec);
    map(spec)
}
