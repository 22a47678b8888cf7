//! Lookups under small maps, told word for word.

mod crush;
mod rush_p_t;
mod rush_r;
mod webdfs;

use super::*;
use crate::cluster::{ClusterMap, MapSpec, NodeSpec, NodeState, PlacementSpec, SubClusterSpec};
use crate::placement::{ObjectKey, locate_traced};

/// Sub-clusters of these names, nodes and weights, of which the nodes `out` are out; the nodes are img1, img2, ...
fn spec(placement: PlacementSpec, groups: &[(&str, usize, f64)], replicas: usize, out: &[&str]) -> MapSpec {
    let mut number = 0;
    let mut node = || {
        number += 1;
        let name = format!("img{number}");
        let state = if out.contains(&name.as_str()) { NodeState::Out } else { NodeState::In };
        let url = format!("http://{name}");
        NodeSpec { url, name, public_url: None, state, location: Default::default() }
    };
    let subcluster = |&(name, nodes, weight): &(&str, usize, f64)| SubClusterSpec {
        name: name.to_owned(),
        weight,
        nodes: (0..nodes).map(|_| node()).collect(),
    };
    let subclusters = groups.iter().map(subcluster).collect();
    MapSpec { epoch: 7, replicas, write_quorum: 1, placement, subclusters }
}

fn map(placement: PlacementSpec, groups: &[(&str, usize, f64)], replicas: usize, out: &[&str]) -> ClusterMap {
    ClusterMap::new(spec(placement, groups, replicas, out)).unwrap()
}

/// Three sub-clusters, of 4, 3 and 4 nodes, the second of twice the weight.
const THREE: &[(&str, usize, f64)] = &[("first", 4, 1.0), ("second", 3, 2.0), ("third", 4, 1.0)];

fn events(map: &ClusterMap, name: &str) -> Vec<Event> {
    let mut events = Vec::new();
    locate_traced(map, ObjectKey::of(name.as_bytes()), &mut events);
    events
}

/// All that there is to tell.
fn told(map: &ClusterMap, name: &str) -> Vec<String> {
    lines(&narrate(map, &events(map, name)), true)
}

/// The same without what nothing came of.
fn brief(map: &ClusterMap, name: &str) -> Vec<String> {
    lines(&narrate(map, &events(map, name)), false)
}

/// Twenty sub-clusters of two nodes.
fn twenty() -> Vec<(String, usize, f64)> {
    (1..=20).map(|number| (format!("s{number}"), 2, 1.0)).collect()
}

fn named(groups: &[(String, usize, f64)]) -> Vec<(&str, usize, f64)> {
    groups.iter().map(|(name, nodes, weight)| (name.as_str(), *nodes, *weight)).collect()
}
