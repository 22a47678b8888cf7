//! All algorithms on the same nodes: how evenly each places, and what each moves when the nodes change.
//!
//! A new algorithm needs an entry in [`variants`], and nothing else here.

use serde::Serialize;

use super::failure::{PASSES_OF_FAILURES, failures};
use super::{Load, Movement, Objects, Progress};
use crate::cluster::{
    ClusterMap, CrushSource, FailureDomain, Level, MapError, MapSpec, NODES_MAX, NodeSpec, NodeState,
    PlacementKind, PlacementSpec, SubClusterSpec,
};
use crate::php::PhpVersion;

/// The nodes that the algorithms are compared on: of weight 1, in sub-clusters of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fleet {
    /// How many nodes: from 1 to [`NODES_MAX`].
    pub nodes: usize,
    /// How many of them to a sub-cluster; the last has what is left.
    pub per_subcluster: usize,
    /// Copies of each object.
    pub replicas: usize,
}

/// Nodes that nothing can be compared on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// No nodes, or more than a map can have with the sub-cluster that is added.
    #[error(
        "{given} nodes cannot be compared on; with one more sub-cluster there must be from 1 to {NODES_MAX}"
    )]
    Nodes {
        /// What was asked for.
        given: usize,
    },
    /// Sub-clusters without nodes.
    #[error("a sub-cluster has at least one node")]
    EmptySubCluster,
}

/// One way to place objects on the fleet: how it is called, and what its map says besides the nodes.
struct Variant {
    label: &'static str,
    prepare: fn(&mut MapSpec),
}

/// The ways in which an algorithm is compared: usually one.
fn variants(kind: PlacementKind) -> &'static [Variant] {
    /// The PHP of most clusters of the original.
    const PHP: PhpVersion = PhpVersion::V5_2;
    match kind {
        PlacementKind::RushR => {
            &[Variant { label: "rush_r", prepare: |spec| spec.placement = PlacementSpec::RushR }]
        }
        PlacementKind::RushP => {
            &[Variant { label: "rush_p", prepare: |spec| spec.placement = PlacementSpec::RushP }]
        }
        PlacementKind::RushT => {
            &[Variant { label: "rush_t", prepare: |spec| spec.placement = PlacementSpec::RushT }]
        }
        PlacementKind::Crush => &[
            Variant {
                label: "crush (node)",
                prepare: |spec| {
                    spec.placement = PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Node));
                },
            },
            Variant { label: "crush (rack)", prepare: place_in_racks },
        ],
        PlacementKind::WebdfsRushR => &[Variant {
            label: "webdfs_rush_r",
            prepare: |spec| spec.placement = PlacementSpec::WebdfsRushR(PHP),
        }],
        PlacementKind::WebdfsRushP => &[Variant {
            label: "webdfs_rush_p",
            prepare: |spec| spec.placement = PlacementSpec::WebdfsRushP(PHP),
        }],
    }
}

/// Each sub-cluster in a rack of its own.
fn place_in_racks(spec: &mut MapSpec) {
    let rack = Level::Rack;
    spec.placement = PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(rack)));
    for subcluster in &mut spec.subclusters {
        for node in &mut subcluster.nodes {
            node.location.insert(rack.to_string(), subcluster.name.clone());
        }
    }
}

/// An algorithm with its maps of the fleet.
pub struct Contestant {
    /// The name of the algorithm, with its settings where it has any.
    pub label: &'static str,
    map: ClusterMap,
    /// None where the algorithm cannot place on such nodes.
    changes: [Option<ClusterMap>; Change::ALL.len()],
}

/// An algorithm that cannot place objects on the fleet.
#[derive(Clone, Debug)]
pub struct Unplaceable {
    /// The name of the algorithm.
    pub label: &'static str,
    /// Why its map is refused.
    pub reason: MapError,
}

/// What is done to the fleet.
#[derive(Clone, Copy)]
enum Change {
    AddSubCluster,
    DrainNewest,
    DrainMiddle,
    DrainOldest,
}

/// How one algorithm does. Each movement is a multiple of its optimum; none where the algorithm cannot place on the
/// nodes that are left.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The algorithm.
    pub algorithm: &'static str,
    /// See [`Load::spread`].
    pub load_spread: Option<f64>,
    /// How far the node furthest from its fair share is from it, as a part of that share.
    pub worst_node: f64,
    /// What moves when a sub-cluster is added.
    pub add: Option<f64>,
    /// What moves when the newest sub-cluster is drained, by giving it weight 0.
    pub drain_newest: Option<f64>,
    /// The same for the one in the middle.
    pub drain_middle: Option<f64>,
    /// The same for the oldest.
    pub drain_oldest: Option<f64>,
    /// What moves when the node in the middle is marked out, as a multiple of what it held.
    pub node_out: Option<f64>,
    /// How far the survivors are from sharing that node's copies evenly, as a multiple of what chance would do.
    pub survivors_spread: Option<f64>,
    /// What the survivor that takes over most takes, by what the one that takes least takes.
    pub survivors_most_by_least: Option<f64>,
}

/// Every algorithm there is, on `fleet`; and those that cannot place objects on it.
///
/// # Errors
/// When there can be no such fleet.
pub fn contestants(fleet: Fleet) -> Result<(Vec<Contestant>, Vec<Unplaceable>), FleetError> {
    if !(1..=NODES_MAX).contains(&fleet.nodes.saturating_add(fleet.per_subcluster)) || fleet.nodes == 0 {
        return Err(FleetError::Nodes { given: fleet.nodes });
    }
    if fleet.per_subcluster == 0 {
        return Err(FleetError::EmptySubCluster);
    }
    let (mut able, mut unable) = (Vec::new(), Vec::new());
    for variant in PlacementKind::ALL.iter().flat_map(|kind| variants(*kind)) {
        match variant.map(fleet.spec()) {
            Ok(map) => able.push(Contestant {
                label: variant.label,
                map,
                changes: Change::ALL.map(|change| variant.map(fleet.changed(change)).ok()),
            }),
            Err(reason) => unable.push(Unplaceable { label: variant.label, reason }),
        }
    }
    Ok((able, unable))
}

impl Variant {
    fn map(&self, mut spec: MapSpec) -> Result<ClusterMap, MapError> {
        (self.prepare)(&mut spec);
        ClusterMap::new(spec)
    }
}

impl Fleet {
    fn spec(&self) -> MapSpec {
        let subclusters = self.nodes.div_ceil(self.per_subcluster);
        let count = |at: usize| self.per_subcluster.min(self.nodes - at * self.per_subcluster);
        MapSpec {
            epoch: 1,
            replicas: self.replicas,
            write_quorum: 1,
            placement: PlacementSpec::default(),
            subclusters: (0..subclusters).map(|at| self.subcluster(at, count(at))).collect(),
        }
    }

    fn subcluster(&self, at: usize, count: usize) -> SubClusterSpec {
        let node = |slot: usize| made_up_node(at * self.per_subcluster + slot);
        SubClusterSpec { name: format!("s{at}"), weight: 1.0, nodes: (0..count).map(node).collect() }
    }

    fn changed(&self, change: Change) -> MapSpec {
        let mut spec = self.spec();
        let count = spec.subclusters.len();
        match change {
            Change::AddSubCluster => spec.subclusters.push(self.subcluster(count, self.per_subcluster)),
            Change::DrainNewest => spec.subclusters[count - 1].weight = 0.0,
            Change::DrainMiddle => spec.subclusters[count / 2].weight = 0.0,
            Change::DrainOldest => spec.subclusters[0].weight = 0.0,
        }
        spec
    }
}

/// A node that is nowhere: n0, n1 ...
pub(super) fn made_up_node(number: usize) -> NodeSpec {
    let name = format!("n{number}");
    NodeSpec {
        url: format!("http://{name}"),
        name,
        public_url: None,
        state: NodeState::In,
        location: Default::default(),
    }
}

impl Change {
    const ALL: [Self; 4] = [Self::AddSubCluster, Self::DrainNewest, Self::DrainMiddle, Self::DrainOldest];
}

impl Contestant {
    /// How often [`Contestant::measure`] goes through all objects, as it tells `progress`, where every change is
    /// possible.
    pub const PASSES: u64 = 1 + Change::ALL.len() as u64 + PASSES_OF_FAILURES;

    /// The map that lookups are timed on.
    pub fn map(&self) -> &ClusterMap {
        &self.map
    }

    /// Places all objects on the nodes, before and after each change.
    pub fn measure(&self, objects: Objects, progress: &impl Progress) -> Comparison {
        let load = Load::measure(&self.map, objects, progress);
        let [add, drain_newest, drain_middle, drain_oldest] = self
            .changes
            .each_ref()
            .map(|after| Movement::measure(&self.map, after.as_ref()?, objects, progress).against_optimum);
        let middle = self.map.indexed().map(|(node, _)| node).nth(self.map.nodes().len() / 2);
        let failure =
            failures(&self.map, middle.as_slice(), objects, progress).ok().and_then(|mut found| found.pop());
        Comparison {
            algorithm: self.label,
            load_spread: load.spread,
            worst_node: (load.fullest - 1.0).max(1.0 - load.emptiest),
            add,
            drain_newest,
            drain_middle,
            drain_oldest,
            node_out: failure.as_ref().and_then(|failure| failure.against_optimum),
            survivors_spread: failure.as_ref().and_then(|failure| failure.spread),
            survivors_most_by_least: failure.as_ref().and_then(|failure| failure.most_by_least),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: Objects = Objects { count: 20_000, seed: 0 };

    fn fleet(nodes: usize, per_subcluster: usize, replicas: usize) -> Fleet {
        Fleet { nodes, per_subcluster, replicas }
    }

    #[test]
    fn every_algorithm_takes_part() {
        let (able, unable) = contestants(fleet(100, 10, 3)).unwrap();
        for kind in PlacementKind::ALL {
            let named = |label: &str| label.starts_with(kind.as_str());
            let found = able.iter().any(|one| named(one.label)) || unable.iter().any(|one| named(one.label));
            assert!(found, "{kind} has no variant");
        }
        assert!(able.iter().any(|one| one.label == "rush_r"));
    }

    #[test]
    fn the_fleet_has_the_nodes_asked_for_and_grows_by_a_whole_sub_cluster() {
        let sizes = |spec: MapSpec| spec.subclusters.iter().map(|s| s.nodes.len()).collect::<Vec<_>>();
        assert_eq!(sizes(fleet(7, 3, 2).spec()), [3, 3, 1]);
        assert_eq!(sizes(fleet(7, 3, 2).changed(Change::AddSubCluster)), [3, 3, 1, 3]);
        assert_eq!(sizes(fleet(2, 3, 2).spec()), [2]);
        let weights =
            |change| fleet(8, 2, 1).changed(change).subclusters.into_iter().map(|s| s.weight).collect();
        let weights: [Vec<f64>; 3] =
            [Change::DrainNewest, Change::DrainMiddle, Change::DrainOldest].map(weights);
        assert_eq!(weights, [[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]]);
    }

    #[test]
    fn what_cannot_be_done_is_left_out_and_the_rest_is_measured() {
        // Two sub-clusters of two nodes for three copies: one node can be missed, a sub-cluster cannot.
        let (able, _) = contestants(fleet(4, 2, 3)).unwrap();
        let rush_r = able.iter().find(|one| one.label == "rush_r").unwrap();
        let found = rush_r.measure(OBJECTS, &());
        assert_eq!((found.drain_newest, found.drain_middle, found.drain_oldest), (None, None, None));
        assert!((found.add.unwrap() - 1.0).abs() < 0.05, "{found:?}");
        assert_eq!(found.node_out, Some(1.0));
        assert!(found.worst_node > 0.0 && found.worst_node < 0.1, "{found:?}");
    }

    #[test]
    fn nodes_that_cannot_be_are_refused_with_the_reason() {
        assert!(matches!(contestants(fleet(0, 10, 3)), Err(FleetError::Nodes { given: 0 })));
        assert!(matches!(contestants(fleet(NODES_MAX, 1, 3)), Err(FleetError::Nodes { .. })));
        assert!(matches!(contestants(fleet(usize::MAX, usize::MAX, 3)), Err(FleetError::Nodes { .. })));
        assert!(matches!(contestants(fleet(10, 0, 3)), Err(FleetError::EmptySubCluster)));
        let (able, unable) = contestants(fleet(4, 2, 5)).unwrap();
        assert!(able.is_empty());
        let all: usize = PlacementKind::ALL.iter().map(|kind| variants(*kind).len()).sum();
        assert_eq!(unable.len(), all);
        assert!(matches!(unable[0].reason, MapError::TooFewUsable { usable: 4, .. }));
    }
}
