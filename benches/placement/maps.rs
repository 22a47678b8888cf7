//! The clusters that lookups are measured on.

use webdfs::cluster::{
    ClusterMap, MapSpec, NodeSpec, NodeState, PlacementKind, PlacementSpec, SubClusterSpec,
};

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
        location: Default::default(),
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
        other => panic!("{other} has no line here"),
    }
}
