//! What speaks against a change while older maps are not settled: files lie by these, too, until all have moved.

use std::collections::BTreeSet;

use super::difference::Names;
use super::objection::{Objection, apart, holds, share_held_by};
use super::pairing::Pairing;
use crate::cluster::{ClusterMap, NodeName, NodeState};

/// What speaks against `new` in the place of `current`, since files lie by `older` still. What was said of an earlier change
/// is not said again.
pub(super) fn objections(older: &ClusterMap, current: &ClusterMap, new: &ClusterMap) -> Vec<Objection> {
    let pairing = Pairing::of(older, new);
    let mut found = Vec::new();
    found.extend(dropped(&pairing, current));
    found.extend(renamed(&pairing, current));
    found.extend(reused(&pairing, current));
    found.extend(copies(&pairing, current));
    found
}

/// Nodes that are taken out of the list before their files have moved elsewhere.
fn dropped(pairing: &Pairing<'_>, current: &ClusterMap) -> Option<Objection> {
    let replacements = pairing.replacements();
    let gone = pairing.gone().filter(|(index, node)| {
        let is_dropped_now = current.index_of(node.name()).is_some();
        is_dropped_now && holds(pairing.old, *index) && !replacements.contains_key(node.name())
    });
    let names: Vec<_> = gone.map(|(_, node)| node.name().clone()).collect();
    (!names.is_empty()).then_some(Objection::Dropped(Names(names)))
}

/// Nodes whose url another name gets before their files have moved elsewhere.
fn renamed(pairing: &Pairing<'_>, current: &ClusterMap) -> Vec<Objection> {
    let gone = pairing.gone().filter(|(index, _)| holds(pairing.old, *index));
    let renamed = gone.filter_map(|(_, node)| {
        let other = pairing.new.nodes().iter().find(|other| other.url() == node.url())?;
        let is_new = current.index_of(other.name()).is_none_or(|at| current.node(at).url() != other.url());
        is_new.then(|| Objection::Renamed(node.name().clone(), other.name().clone()))
    });
    renamed.collect()
}

/// Names that came out of use, and come back for another machine before the files of the first have moved elsewhere.
fn reused(pairing: &Pairing<'_>, current: &ClusterMap) -> Vec<Objection> {
    let back = pairing.nodes().filter(|(old, new)| {
        let (before, after) = (pairing.old.node(*old), pairing.new.node(*new));
        let is_back = current.index_of(before.name()).is_none();
        is_back && holds(pairing.old, *old) && before.url() != after.url()
    });
    back.map(|(old, _)| Objection::Reused(pairing.old.node(old).name().clone(), pairing.old.epoch()))
        .collect()
}

/// Nodes that are lost now, and with those that were lost before hold all copies of a file that has not moved.
fn copies(pairing: &Pairing<'_>, current: &ClusterMap) -> Option<Objection> {
    let is_lost = |map: &ClusterMap, name: &NodeName| {
        map.index_of(name).is_some_and(|node| map.node(node).state() == NodeState::Lost)
    };
    let held = pairing.old.indexed().filter(|(index, _)| holds(pairing.old, *index));
    let lost: Vec<_> = held.filter(|(_, node)| is_lost(pairing.new, node.name())).collect();
    let is_new = lost.iter().any(|(_, node)| !is_lost(current, node.name()));
    let lost: Vec<_> = lost.into_iter().map(|(index, _)| index).collect();
    let replicas = pairing.old.replicas();
    if !is_new || apart(pairing.old, &lost) < replicas {
        return None;
    }
    let names: BTreeSet<_> = lost.iter().map(|node| pairing.old.node(*node).name().clone()).collect();
    let share = share_held_by(pairing.old, &lost);
    Some(Objection::Copies { lost: Names(names.into_iter().collect()), replicas, share })
}
