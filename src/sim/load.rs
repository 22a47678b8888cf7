//! How many copies each node and sub-cluster holds, against what its weight asks for.

use serde::Serialize;

use super::fair::{fair_copies, ratio, spread};
use super::{Objects, Progress};
use crate::cluster::{ClusterMap, NodeName, NodeState, SubClusterName};
use crate::placement::locate;

/// Who holds how much under one map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// The objects placed.
    pub objects: u64,
    /// Copies of each.
    pub replicas: usize,
    /// Copies altogether: the product of the two, and the sum over the nodes.
    pub copies: u64,
    /// How far the nodes are from their fair shares, as a multiple of what chance would do; none with fewer than two
    /// nodes to place on.
    pub spread: Option<f64>,
    /// Copies on the fullest node, as a multiple of its fair share.
    pub fullest: f64,
    /// Copies on the emptiest node, as a multiple of its fair share.
    pub emptiest: f64,
    /// In the order of the map.
    pub subclusters: Vec<SubClusterLoad>,
    /// In the order of the map.
    pub nodes: Vec<NodeLoad>,
}

/// What one node holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeLoad {
    /// Its name.
    pub node: NodeName,
    /// Its sub-cluster.
    pub subcluster: SubClusterName,
    /// Its weight.
    pub weight: f64,
    /// Whether it is marked out or lost.
    pub out: bool,
    /// Whether it is lost.
    pub lost: bool,
    /// The copies it holds.
    pub copies: u64,
    /// Its part of all copies: 0 to 1.
    pub share: f64,
    /// The part its weight asks for, if it is in service.
    pub fair_share: f64,
    /// `share` as a multiple of `fair_share`; none where that is 0.
    pub against_fair: Option<f64>,
}

/// What one sub-cluster holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubClusterLoad {
    /// Its name.
    pub subcluster: SubClusterName,
    /// Its nodes.
    pub nodes: usize,
    /// The weight of each.
    pub weight: f64,
    /// The copies they hold together.
    pub copies: u64,
    /// Their part of all copies.
    pub share: f64,
    /// The part their weights ask for.
    pub fair_share: f64,
    /// `share` as a multiple of `fair_share`; none where that is 0.
    pub against_fair: Option<f64>,
    /// How far its nodes are from having equal parts of its copies, as a multiple of what chance would do.
    pub spread: Option<f64>,
}

impl Load {
    /// Places all objects.
    pub fn measure(map: &ClusterMap, objects: Objects, progress: &impl Progress) -> Self {
        let start = || vec![0; map.nodes().len()];
        let count =
            |counts: &mut Vec<u64>, key| locate(map, key).iter().for_each(|node| counts[node.get()] += 1);
        Self::of_counts(map, objects, &objects.fold(progress, start, count, add))
    }

    /// What the copies on each node amount to.
    pub(super) fn of_counts(map: &ClusterMap, objects: Objects, counts: &[u64]) -> Self {
        let fair = fair_copies(map);
        let copies: u64 = counts.iter().sum();
        let nodes: Vec<NodeLoad> = map
            .indexed()
            .zip(counts.iter().zip(&fair))
            .map(|((index, node), (count, fair))| {
                let subcluster = &map.subclusters()[node.subcluster()];
                let (share, fair_share) = (*count as f64 / copies as f64, fair / map.replicas() as f64);
                NodeLoad {
                    node: node.name().clone(),
                    subcluster: subcluster.name().clone(),
                    weight: map.weight_of(index),
                    out: !node.state().is_in_service(),
                    lost: node.state() == NodeState::Lost,
                    copies: *count,
                    share,
                    fair_share,
                    against_fair: ratio(share, fair_share),
                }
            })
            .collect();
        let against_fair = || nodes.iter().filter_map(|node| node.against_fair);
        Self {
            objects: objects.count,
            replicas: map.replicas(),
            copies,
            spread: spread(counts, &fair),
            fullest: against_fair().fold(0.0, f64::max),
            emptiest: against_fair().fold(f64::INFINITY, f64::min),
            subclusters: subclusters(map, counts, &fair, copies),
            nodes,
        }
    }
}

fn subclusters(map: &ClusterMap, counts: &[u64], fair: &[f64], copies: u64) -> Vec<SubClusterLoad> {
    let one = |subcluster: &crate::cluster::SubCluster| {
        let first = subcluster.first_node().get();
        let nodes = first..first + subcluster.node_count();
        let (counts, fair) = (&counts[nodes.clone()], &fair[nodes]);
        let held: u64 = counts.iter().sum();
        let share = held as f64 / copies as f64;
        let fair_share = fair.iter().sum::<f64>() / map.replicas() as f64;
        SubClusterLoad {
            subcluster: subcluster.name().clone(),
            nodes: subcluster.node_count(),
            weight: subcluster.weight(),
            copies: held,
            share,
            fair_share,
            against_fair: ratio(share, fair_share),
            spread: spread(counts, fair),
        }
    };
    map.subclusters().iter().map(one).collect()
}

/// Adds two lists of counts of one length.
pub(super) fn add(mut counts: Vec<u64>, more: Vec<u64>) -> Vec<u64> {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::testing::{changed, fleet, map};

    const OBJECTS: Objects = Objects { count: 20_000, seed: 0 };

    #[test]
    fn as_many_replicas_as_nodes_fill_every_node() {
        let load = Load::measure(&map(fleet(3, &[(2, 1.0), (1, 7.0)])), OBJECTS, &());
        assert_eq!((load.copies, load.spread), (60_000, Some(0.0)));
        assert_eq!((load.fullest, load.emptiest), (1.0, 1.0));
        assert!(load.nodes.iter().all(|node| node.copies == 20_000 && node.against_fair == Some(1.0)));
        let subclusters: Vec<_> = load.subclusters.iter().map(|s| (s.nodes, s.copies, s.spread)).collect();
        assert_eq!(subclusters, [(2, 40_000, Some(0.0)), (1, 20_000, None)]);
    }

    #[test]
    fn the_copies_add_up_and_follow_the_weights() {
        let spec = fleet(3, &[(4, 1.0), (3, 0.0), (5, 2.0), (4, 1.0)]);
        let load = Load::measure(
            &changed(&spec, |s| s.node_mut("n8").unwrap().state = NodeState::Out),
            OBJECTS,
            &(),
        );
        assert_eq!(load.nodes.iter().map(|node| node.copies).sum::<u64>(), 60_000);
        assert_eq!(load.subclusters.iter().map(|subcluster| subcluster.copies).sum::<u64>(), 60_000);
        assert!((load.nodes.iter().map(|node| node.fair_share).sum::<f64>() - 1.0).abs() < 1e-12);
        for node in &load.nodes {
            if node.out || node.weight == 0.0 {
                assert_eq!((node.copies, node.against_fair), (0, None), "{node:?}");
            } else {
                assert!((node.against_fair.unwrap() - 1.0).abs() < 0.15, "{node:?}");
            }
        }
        assert_eq!((load.nodes[8].out, load.nodes[8].subcluster.as_str()), (true, "s2"));
    }

    #[test]
    fn loads_do_not_depend_on_the_number_of_threads() {
        let map = map(fleet(2, &[(5, 1.0), (5, 3.0)]));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Load::measure(&map, OBJECTS, &()))
        };
        assert_eq!(with(1), with(3));
    }
}
