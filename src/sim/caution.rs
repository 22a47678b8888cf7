//! What speaks against putting one map in the place of another, whatever the numbers say.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::cluster::{ClusterMap, Epoch, NodeName, PlacementKind, SubClusterName};

/// Something that whoever changes a map should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caution {
    /// The second map is not newer.
    Epoch {
        /// The epoch before.
        before: Epoch,
        /// The epoch after.
        after: Epoch,
    },
    /// Another algorithm.
    Placement {
        /// The one before.
        before: PlacementKind,
        /// The one after.
        after: PlacementKind,
    },
    /// Nodes have changed their slots.
    Slots {
        /// How many nodes that both maps have.
        nodes: usize,
        /// The first of them.
        first: NodeName,
    },
    /// A sub-cluster has more or fewer nodes than it had.
    Resized {
        /// Its name, after.
        subcluster: SubClusterName,
        /// How many it had.
        before: usize,
        /// How many it has.
        after: usize,
    },
}

/// All that speaks against `after` in the place of `before`, and can be seen without placing anything.
pub fn cautions(before: &ClusterMap, after: &ClusterMap) -> Vec<Caution> {
    let mut cautions = Vec::new();
    if after.epoch() <= before.epoch() {
        cautions.push(Caution::Epoch { before: before.epoch(), after: after.epoch() });
    }
    let (old, new) = (before.placement(), after.placement());
    if old != new {
        cautions.push(Caution::Placement { before: old, after: new });
    } else if new != PlacementKind::Crush {
        // CRUSH goes by locations and names, so that what moves is what the map says.
        cautions.extend(slots(before, after));
        let both = before.subclusters().iter().zip(after.subclusters());
        let resized = both.filter(|(old, new)| old.node_count() != new.node_count());
        cautions.extend(resized.map(|(old, new)| Caution::Resized {
            subcluster: new.name().clone(),
            before: old.node_count(),
            after: new.node_count(),
        }));
    }
    cautions
}

/// The nodes whose places among the slots are others than before.
fn slots(before: &ClusterMap, after: &ClusterMap) -> Option<Caution> {
    let slot = |map: &ClusterMap, name: &NodeName| {
        let index = map.index_of(name)?;
        let subcluster = map.node(index).subcluster();
        Some((subcluster, index.get() - map.subclusters()[subcluster].first_node().get()))
    };
    let has_moved = |name: &&NodeName| slot(after, name).is_some_and(|new| slot(before, name) != Some(new));
    let moved: Vec<&NodeName> = before.nodes().iter().map(|node| node.name()).filter(has_moved).collect();
    let first = (*moved.first()?).clone();
    Some(Caution::Slots { nodes: moved.len(), first })
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch { before, after } => {
                write!(f, "the epoch must rise, and goes from {before} to {after}")
            }
            Self::Placement { before, after } => {
                write!(f, "placement goes from {before} to {after}: nearly all files move")
            }
            Self::Slots { nodes, first } => {
                let (others, verb) = match nodes {
                    1 => (String::new(), "is"),
                    some => (format!(" and {} more", some - 1), "are"),
                };
                write!(
                    f,
                    "{first}{others} {verb} not in the slot of before, which moves files without need: never reorder \
                     sub-clusters or the nodes in them, and mark a node out, or let another take over its slot, rather \
                     than remove it"
                )
            }
            Self::Resized { subcluster, before, after } => {
                write!(
                    f,
                    "sub-cluster {subcluster} has {after} nodes and had {before}, which also moves files between those that \
                     stay: grow by a sub-cluster of its own, and mark nodes out to shrink"
                )
            }
        }
    }
}

impl Serialize for Caution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fleet, map};
    use super::*;
    use crate::cluster::{CrushSource, MapSpec, NodeState, PlacementSpec, SubClusterSpec};

    /// What is said of two sub-clusters of three and two nodes after `change`, which also raises the epoch.
    fn said(change: impl FnOnce(&mut MapSpec)) -> Vec<String> {
        let before = fleet(2, &[(3, 1.0), (2, 1.0)]);
        let mut after = before.clone();
        after.epoch += 1;
        change(&mut after);
        let (before, after) = (map(before), map(after));
        cautions(&before, &after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn growing_by_a_sub_cluster_draining_and_marking_out_are_as_they_should_be() {
        assert_eq!(said(|_| ()), [""; 0]);
        assert_eq!(
            said(|spec| spec.subclusters.extend(fleet(2, &[(9, 1.0)]).subclusters.drain(..).map(renamed))),
            [""; 0]
        );
        assert_eq!(said(|spec| spec.subclusters[1].weight = 0.0), [""; 0]);
        assert_eq!(said(|spec| spec.subclusters[0].nodes[0].state = NodeState::Out), [""; 0]);
        // A machine takes over a slot under a new name.
        assert_eq!(said(|spec| spec.subclusters[0].nodes[0].name = "new".to_owned()), [""; 0]);
    }

    fn renamed(mut subcluster: SubClusterSpec) -> SubClusterSpec {
        subcluster.name += "-new";
        for node in &mut subcluster.nodes {
            node.name += "-new";
            node.url += "-new";
        }
        subcluster
    }

    #[test]
    fn an_epoch_that_does_not_rise_and_another_algorithm_are_told() {
        assert_eq!(said(|spec| spec.epoch -= 1), ["the epoch must rise, and goes from 1 to 1"]);
        let expected = "placement goes from rush_r to crush: nearly all files move";
        let crush = PlacementSpec::Crush(CrushSource::Locations(Default::default()));
        assert_eq!(said(|spec| spec.placement = crush), [expected]);
    }

    #[test]
    fn slots_that_are_not_kept_are_told() {
        let reordered = said(|spec| spec.subclusters.reverse());
        assert!(reordered[0].starts_with("n0 and 4 more are not in the slot of before"), "{reordered:?}");
        assert!(reordered[1].contains("has 2 nodes and had 3"), "{reordered:?}");
        let removed = said(|spec| drop(spec.subclusters[0].nodes.remove(1)));
        assert!(removed[0].starts_with("n2 is not in the slot of before"), "{removed:?}");
        assert_eq!(removed.len(), 2, "{removed:?}");
    }
}
