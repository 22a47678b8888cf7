//! What differs between two maps, in sentences.

use std::collections::HashSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::pairing::Pairing;
use crate::cluster::{
    Algorithm, ClusterMap, CrushSource, NodeName, NodeState, PlacementKind, PlacementSpec, SubClusterName,
};
use crate::placement::narrate::count;

/// How many names a sentence lists before it counts the rest.
const NAMES_SHOWN: usize = 4;

/// Names of nodes, in the order of the map; at least one. Shown as "a, b and 3 more".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(pub Vec<NodeName>);

/// Something that the two maps say differently.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// The copies of each file.
    Replicas(usize, usize),
    /// The copies that a write needs.
    WriteQuorum(usize, usize),
    /// The algorithm.
    Placement(PlacementKind, PlacementKind),
    /// What the algorithm goes by besides the nodes: the PHP, the failure domain, the CRUSH map or its rule.
    PlacementSettings(PlacementKind),
    /// A sub-cluster that only the new map has: its name, how many nodes it has and their weight.
    SubClusterAdded(SubClusterName, usize, f64),
    /// A sub-cluster that only the old map has.
    SubClusterRemoved(SubClusterName, usize),
    /// A sub-cluster has another name.
    SubClusterRenamed(SubClusterName, SubClusterName),
    /// Sub-clusters that are in another position.
    SubClustersMoved(Vec<SubClusterName>),
    /// The weight of the nodes of a sub-cluster.
    Weight(SubClusterName, f64, f64),
    /// Nodes that an old sub-cluster has more.
    Added(Names, SubClusterName),
    /// Nodes that are in the new map no more, while their sub-cluster is.
    Removed(Names),
    /// A slot has a new name: the old one, and the new one.
    Replaced(NodeName, NodeName),
    /// Nodes whose state changes.
    State(Names, StateChange),
    /// Nodes that are listed in another sub-cluster, or in another place of it.
    Moved(Names),
    /// Nodes that others reach elsewhere.
    Urls(Names),
    /// Nodes that clients reach elsewhere, or no more.
    PublicUrls(Names),
    /// Nodes that stand elsewhere.
    Locations(Names),
}

/// What becomes of a node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// It was in service or lost, and is out.
    Out,
    /// It was in service or out, and is lost.
    Lost,
    /// It was out or lost, and is in service.
    In,
}

/// What differs.
pub(super) fn differences(pairing: &Pairing<'_>) -> Vec<Difference> {
    let (old, new) = (pairing.old, pairing.new);
    let mut found = Vec::new();
    if old.replicas() != new.replicas() {
        found.push(Difference::Replicas(old.replicas(), new.replicas()));
    }
    if old.write_quorum() != new.write_quorum() {
        found.push(Difference::WriteQuorum(old.write_quorum(), new.write_quorum()));
    }
    if old.placement() != new.placement() {
        found.push(Difference::Placement(old.placement(), new.placement()));
    } else if !same_settings(old, new) {
        found.push(Difference::PlacementSettings(new.placement()));
    }
    of_subclusters(pairing, &mut found);
    of_membership(pairing, &mut found);
    of_nodes(pairing, &mut found);
    found
}

/// Whether the algorithm goes by the same, when it is the same.
fn same_settings(old: &ClusterMap, new: &ClusterMap) -> bool {
    settings(old) == settings(new)
}

fn settings(map: &ClusterMap) -> PlacementSpec {
    let mut placement = map.to_spec().placement;
    if let (PlacementSpec::Crush(CrushSource::Map { rule, .. }), Algorithm::Crush(table)) =
        (&mut placement, map.algorithm())
    {
        *rule = Some(table.rule().name().to_owned());
    }
    placement
}

fn of_subclusters(pairing: &Pairing<'_>, found: &mut Vec<Difference>) {
    for (one, at) in pairing.old.subclusters().iter().zip(&pairing.new_of_old) {
        match at.map(|at| &pairing.new.subclusters()[at]) {
            None => found.push(Difference::SubClusterRemoved(one.name().clone(), one.node_count())),
            Some(other) => {
                if other.name() != one.name() {
                    found.push(Difference::SubClusterRenamed(one.name().clone(), other.name().clone()));
                }
                if other.weight() != one.weight() {
                    found.push(Difference::Weight(other.name().clone(), one.weight(), other.weight()));
                }
            }
        }
    }
    let moved: Vec<_> = pairing.moved_subclusters().map(|one| one.name().clone()).collect();
    if !moved.is_empty() {
        found.push(Difference::SubClustersMoved(moved));
    }
    for (one, at) in pairing.new.subclusters().iter().zip(&pairing.old_of_new) {
        if at.is_none() {
            found.push(Difference::SubClusterAdded(one.name().clone(), one.node_count(), one.weight()));
        }
    }
}

/// Nodes that come and go in sub-clusters that both maps have.
fn of_membership(pairing: &Pairing<'_>, found: &mut Vec<Difference>) {
    let replacements = pairing.replacements();
    let mut removed = Vec::new();
    for (_, node) in pairing.gone() {
        match replacements.get(node.name()) {
            Some(taker) => found.push(Difference::Replaced(node.name().clone(), (*taker).clone())),
            None if pairing.new_of_old[node.subcluster()].is_some() => removed.push(node.name().clone()),
            None => {}
        }
    }
    push(found, removed, Difference::Removed);
    let takers: HashSet<&NodeName> = replacements.values().copied().collect();
    for (at, subcluster) in pairing.new.subclusters().iter().enumerate() {
        if pairing.old_of_new[at].is_some() {
            let come =
                pairing.come().filter(|(_, node)| node.subcluster() == at && !takers.contains(node.name()));
            let names = come.map(|(_, node)| node.name().clone()).collect();
            push(found, names, |names| Difference::Added(names, subcluster.name().clone()));
        }
    }
}

/// Nodes that both maps have.
fn of_nodes(pairing: &Pairing<'_>, found: &mut Vec<Difference>) {
    let (mut moved, mut urls, mut public_urls, mut locations) = (vec![], vec![], vec![], vec![]);
    let [mut out, mut lost, mut back] = [vec![], vec![], vec![]];
    for (old_index, new_index) in pairing.nodes() {
        let (old, new) = (pairing.old.node(old_index), pairing.new.node(new_index));
        let name = || new.name().clone();
        if old.state() != new.state() {
            let list = match new.state() {
                NodeState::In => &mut back,
                NodeState::Out => &mut out,
                NodeState::Lost => &mut lost,
            };
            list.push(name());
        }
        if pairing.listed_old(old_index) != pairing.listed_new(new_index) {
            moved.push(name());
        }
        if old.url() != new.url() {
            urls.push(name());
        }
        if old.public_url() != new.public_url() {
            public_urls.push(name());
        }
        if old.location() != new.location() {
            locations.push(name());
        }
    }
    push(found, back, |names| Difference::State(names, StateChange::In));
    push(found, out, |names| Difference::State(names, StateChange::Out));
    push(found, lost, |names| Difference::State(names, StateChange::Lost));
    push(found, moved, Difference::Moved);
    push(found, urls, Difference::Urls);
    push(found, public_urls, Difference::PublicUrls);
    push(found, locations, Difference::Locations);
}

fn push(found: &mut Vec<Difference>, names: Vec<NodeName>, difference: impl FnOnce(Names) -> Difference) {
    if !names.is_empty() {
        found.push(difference(Names(names)));
    }
}

impl Names {
    /// `one` where it is one name, else `several`.
    pub(super) fn verb(&self, one: &'static str, several: &'static str) -> &'static str {
        if self.0.len() == 1 { one } else { several }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.0.len() <= NAMES_SHOWN + 1 { self.0.len() } else { NAMES_SHOWN };
        let names = self.0[..shown].iter().map(NodeName::as_str).collect::<Vec<_>>();
        match (&names[..], self.0.len() - shown) {
            ([one], 0) => f.write_str(one),
            ([first @ .., last], 0) => write!(f, "{} and {last}", first.join(", ")),
            (names, more) => write!(f, "{} and {more} more", names.join(", ")),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicas(old, new) => write!(f, "replicas goes from {old} to {new}"),
            Self::WriteQuorum(old, new) => write!(f, "write_quorum goes from {old} to {new}"),
            Self::Placement(old, new) => write!(f, "placement goes from {old} to {new}"),
            Self::PlacementSettings(kind) => {
                write!(f, "{kind} goes by other settings, or by another CRUSH map")
            }
            Self::SubClusterAdded(name, nodes, weight) => {
                write!(f, "sub-cluster {name} is added: {} of weight {weight}", count(*nodes, "node"))
            }
            Self::SubClusterRemoved(name, nodes) => {
                write!(f, "sub-cluster {name} is removed, with its {}", count(*nodes, "node"))
            }
            Self::SubClusterRenamed(old, new) => write!(f, "sub-cluster {old} is called {new} now"),
            Self::SubClustersMoved(names) => {
                let names: Vec<_> = names.iter().map(SubClusterName::as_str).collect();
                write!(f, "another position in the list: {}", names.join(", "))
            }
            Self::Weight(name, old, 0.0) => write!(f, "sub-cluster {name}, of weight {old}, is drained"),
            Self::Weight(name, old, new) => write!(f, "sub-cluster {name}: weight goes from {old} to {new}"),
            Self::Added(names, subcluster) => {
                write!(f, "{names} {} added to sub-cluster {subcluster}", names.verb("is", "are"))
            }
            Self::Removed(names) => write!(f, "{names} {} removed", names.verb("is", "are")),
            Self::Replaced(old, new) => write!(f, "{new} takes over the slot of {old}"),
            Self::State(names, StateChange::In) => {
                write!(f, "{names} {} in service again", names.verb("is", "are"))
            }
            Self::State(names, StateChange::Out) => {
                write!(f, "{names} {} out of service", names.verb("goes", "go"))
            }
            Self::State(names, StateChange::Lost) => write!(f, "{names} {} lost", names.verb("is", "are")),
            Self::Moved(names) => write!(f, "{names} {} elsewhere in the list", names.verb("is", "are")),
            Self::Urls(names) => write!(f, "{names}: another url"),
            Self::PublicUrls(names) => write!(f, "{names}: another public_url"),
            Self::Locations(names) => write!(f, "{names}: another location"),
        }
    }
}

impl Serialize for Difference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
