//! The clusters that lookups are measured on.

use std::collections::BTreeMap;

use webdfs::cluster::{
    ClusterMap, CrushSource, FailureDomain, Level, MapSpec, NodeSpec, NodeState, PlacementKind,
    PlacementSpec, SubClusterSpec,
};
use webdfs::php::PhpVersion;

/// How many replicas a lookup finds.
pub const REPLICAS: usize = 3;
/// How many nodes a sub-cluster has.
pub const SUBCLUSTER_NODES: usize = 10;

/// A map of `node_count` nodes of weight 1, the first `out` of them marked out.
pub fn map(kind: PlacementKind, node_count: usize, out: usize) -> ClusterMap {
    let node = |number: usize| NodeSpec {
        name: format!("n{number}"),
        url: format!("http://n{number}"),
        public_url: None,
        state: if number < out { NodeState::Out } else { NodeState::In },
        location: if kind == PlacementKind::Crush { location(number, node_count) } else { BTreeMap::new() },
    };
    let subcluster = |number: usize| SubClusterSpec {
        name: format!("s{number}"),
        weight: 1.0,
        nodes: (0..SUBCLUSTER_NODES).map(|i| node(number * SUBCLUSTER_NODES + i)).collect(),
    };
    ClusterMap::new(MapSpec {
        epoch: 1,
        replicas: REPLICAS,
        write_quorum: 2,
        placement: placement(kind),
        subclusters: (0..node_count / SUBCLUSTER_NODES).map(subcluster).collect(),
    })
    .expect("the map is right")
}

/// How an algorithm is asked for. Every one has a line here.
fn placement(kind: PlacementKind) -> PlacementSpec {
    match kind {
        PlacementKind::RushR => PlacementSpec::RushR,
        PlacementKind::RushP => PlacementSpec::RushP,
        PlacementKind::RushT => PlacementSpec::RushT,
        PlacementKind::WebdfsRushR => PlacementSpec::WebdfsRushR(PhpVersion::V5_2),
        PlacementKind::WebdfsRushP => PlacementSpec::WebdfsRushP(PhpVersion::V5_2),
        PlacementKind::Crush => {
            PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(Level::Rack)))
        }
        other => panic!("{other} has no line here"),
    }
}

/// How many racks a CRUSH hierarchy of `nodes` hosts of one node each has: about as many as a rack has hosts.
pub fn racks(nodes: usize) -> usize {
    let fits = |racks: &usize| nodes.is_multiple_of(*racks) && racks * racks >= nodes;
    (1..).find(fits).expect("as many racks as nodes fit")
}

fn location(node: usize, nodes: usize) -> BTreeMap<String, String> {
    let rack = node / (nodes / racks(nodes));
    let place = |level: Level, name: String| (level.to_string(), name);
    [place(Level::Rack, format!("r{rack}")), place(Level::Host, format!("h{node}"))].into()
}
