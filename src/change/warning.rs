//! What whoever changes a map should know, and what is no reason not to.

use std::fmt;

use serde::{Serialize, Serializer};

use super::difference::Names;
use super::objection::{apart, lost};
use super::pairing::Pairing;
use crate::cluster::{NodeState, PlacementKind, SubClusterName};

/// Something to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// Writes need so few copies that two of them may miss each other.
    Quorum {
        /// The copies that a write needs.
        write_quorum: usize,
        /// The copies there are.
        replicas: usize,
    },
    /// Another algorithm: the old and the new one.
    Placement(PlacementKind, PlacementKind),
    /// A sub-cluster has more or fewer nodes than it had.
    Resized {
        /// Its name, after.
        subcluster: SubClusterName,
        /// How many it had.
        before: usize,
        /// How many it has.
        after: usize,
    },
    /// A sub-cluster is drained.
    Drained(SubClusterName),
    /// Nodes whose slots others take over.
    Replaced(Names),
    /// As many nodes are lost at once as had stored a write when it was acknowledged.
    LostWrites(Names),
    /// Nodes that were lost are in service.
    Returned(Names),
}

/// All there is to know.
pub(super) fn warnings(pairing: &Pairing<'_>) -> Vec<Warning> {
    let (old, new) = (pairing.old, pairing.new);
    let mut found = Vec::new();
    if 2 * new.write_quorum() <= new.replicas() {
        found.push(Warning::Quorum { write_quorum: new.write_quorum(), replicas: new.replicas() });
    }
    if old.placement() != new.placement() {
        found.push(Warning::Placement(old.placement(), new.placement()));
    }
    for (before, after) in pairing.subclusters() {
        // CRUSH moves no more than the share of what comes and goes.
        let counts = pairing.order_counts() && new.placement() != PlacementKind::Crush;
        if counts && before.node_count() != after.node_count() {
            let subcluster = after.name().clone();
            let (before, after) = (before.node_count(), after.node_count());
            found.push(Warning::Resized { subcluster, before, after });
        }
        if before.weight() > 0.0 && after.weight() == 0.0 {
            found.push(Warning::Drained(after.name().clone()));
        }
    }
    let replacements = pairing.replacements();
    let replaced = pairing
        .gone()
        .filter(|(_, node)| node.state() != NodeState::Lost && replacements.contains_key(node.name()));
    push(&mut found, replaced.map(|(_, node)| node.name().clone()).collect(), Warning::Replaced);
    let lost = lost(pairing);
    // Were there as many as replicas, it would be more than a warning.
    if (old.write_quorum()..old.replicas()).contains(&apart(old, &lost)) {
        let names = lost.iter().map(|node| old.node(*node).name().clone()).collect();
        push(&mut found, names, Warning::LostWrites);
    }
    let returned = pairing.nodes().filter(|(before, after)| {
        old.node(*before).state() == NodeState::Lost && new.node(*after).state() == NodeState::In
    });
    push(&mut found, returned.map(|(_, node)| new.node(node).name().clone()).collect(), Warning::Returned);
    found
}

fn push(
    found: &mut Vec<Warning>,
    names: Vec<crate::cluster::NodeName>,
    warning: impl FnOnce(Names) -> Warning,
) {
    if !names.is_empty() {
        found.push(warning(Names(names)));
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quorum { write_quorum, replicas } => write!(
                f,
                "with write_quorum = {write_quorum} of {replicas} replicas, two writes of one file may not notice each \
                 other, and a deleted file can come back after a failure"
            ),
            Self::Placement(old, new) => {
                write!(f, "placement goes from {old} to {new}: nearly all files move")
            }
            Self::Resized { subcluster, before, after } => write!(
                f,
                "sub-cluster {subcluster} has {after} nodes and had {before}, which also moves files between those that \
                 stay: grow by a sub-cluster of its own, and mark nodes out to shrink"
            ),
            Self::Drained(subcluster) => write!(
                f,
                "sub-cluster {subcluster} is drained: its nodes must run until they say that they are empty, and it stays \
                 in the list"
            ),
            Self::Replaced(names) => write!(
                f,
                "{names} must run until the map is settled, since others fetch files from there; of a node that is dead, \
                 say first that it is lost"
            ),
            Self::LostWrites(names) => write!(
                f,
                "{names} {} lost at once: of the files written last, those that no other node had stored yet are gone",
                names.verb("is", "are")
            ),
            Self::Returned(names) => write!(
                f,
                "{names} {} lost and {} in service again: what {} disks hold counts once the others confirm it",
                names.verb("was", "were"),
                names.verb("is", "are"),
                names.verb("its", "their")
            ),
        }
    }
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
