//! Which sub-cluster, slot and node of one map is which of another.

use std::collections::HashMap;

use crate::cluster::{
    Algorithm, ClusterMap, Node, NodeIndex, NodeName, PlacementKind, SubCluster, SubClusterName,
};

/// Two maps, and what of the one is what of the other.
pub(super) struct Pairing<'a> {
    pub(super) old: &'a ClusterMap,
    pub(super) new: &'a ClusterMap,
    /// For each sub-cluster of the old map, its position in the new one: that of its name, or else its own if one of a new
    /// name stands there, since names are no part of a placement.
    pub(super) new_of_old: Vec<Option<usize>>,
    /// The reverse.
    pub(super) old_of_new: Vec<Option<usize>>,
}

/// What a placement knows a node by, besides its weight and location. Files lie by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    /// A place in a sub-cluster: the position of that in the new map, none if only the old one has it, and that of the
    /// node in it.
    OfSubCluster(Option<usize>, usize),
    /// A device of a CRUSH map.
    Device(i32),
}

impl<'a> Pairing<'a> {
    pub(super) fn of(old: &'a ClusterMap, new: &'a ClusterMap) -> Self {
        let positions = |map: &'a ClusterMap| -> HashMap<&'a SubClusterName, usize> {
            map.subclusters().iter().map(SubCluster::name).zip(0..).collect()
        };
        let (old_names, new_names) = (positions(old), positions(new));
        let renamed = |at: usize| {
            let other = new.subclusters().get(at)?;
            (!old_names.contains_key(other.name())).then_some(at)
        };
        let paired = old.subclusters().iter().enumerate();
        let new_of_old: Vec<Option<usize>> =
            paired.map(|(at, one)| new_names.get(one.name()).copied().or_else(|| renamed(at))).collect();
        let mut old_of_new = vec![None; new.subclusters().len()];
        for (at, other) in new_of_old.iter().enumerate() {
            if let Some(other) = other {
                old_of_new[*other] = Some(at);
            }
        }
        Self { old, new, new_of_old, old_of_new }
    }

    /// The sub-clusters that both have, the old one and the new one.
    pub(super) fn subclusters(&self) -> impl Iterator<Item = (&'a SubCluster, &'a SubCluster)> {
        let pairs = self.new_of_old.iter().zip(self.old.subclusters());
        pairs.filter_map(|(new, old)| Some((old, &self.new.subclusters()[(*new)?])))
    }

    /// The sub-clusters that both have in different positions: the new ones.
    pub(super) fn moved_subclusters(&self) -> impl Iterator<Item = &'a SubCluster> {
        let pairs = self.new_of_old.iter().enumerate();
        let moved = pairs.filter_map(|(old, new)| new.filter(|new| *new != old));
        moved.map(|at| &self.new.subclusters()[at])
    }

    /// The nodes that both have, the old one and the new one.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex)> {
        self.old.indexed().filter_map(|(index, node)| Some((index, self.new.index_of(node.name())?)))
    }

    /// The nodes that only the old map has.
    pub(super) fn gone(&self) -> impl Iterator<Item = (NodeIndex, &'a Node)> {
        self.old.indexed().filter(|(_, node)| self.new.index_of(node.name()).is_none())
    }

    /// The nodes that only the new map has.
    pub(super) fn come(&self) -> impl Iterator<Item = (NodeIndex, &'a Node)> {
        self.new.indexed().filter(|(_, node)| self.old.index_of(node.name()).is_none())
    }

    /// For nodes that only the old map has, the new node in their slot, if one that it did not have takes it over.
    pub(super) fn replacements(&self) -> HashMap<&'a NodeName, &'a NodeName> {
        let by_slot: HashMap<Slot, &NodeName> =
            self.come().filter_map(|(index, node)| Some((self.slot_new(index)?, node.name()))).collect();
        let taken = self.gone().filter_map(|(index, node)| {
            let taker = by_slot.get(&self.slot_old(index)?)?;
            Some((node.name(), *taker))
        });
        taken.collect()
    }

    /// Whether a node that both have is in another slot than it was.
    pub(super) fn has_moved(&self, old: NodeIndex, new: NodeIndex) -> bool {
        match (self.slot_old(old), self.slot_new(new)) {
            (Some(old), Some(new)) => self.same_placement() && old != new,
            _ => false,
        }
    }

    /// Whether a node of both has another number in a placement that numbers the nodes through all sub-clusters.
    pub(super) fn is_renumbered(&self, old: NodeIndex, new: NodeIndex) -> bool {
        self.order_counts() && self.new.placement() == PlacementKind::Crush && old != new
    }

    /// Whether both are placed alike, so that slots mean the same.
    pub(super) fn same_placement(&self) -> bool {
        self.old.placement() == self.new.placement() && has_devices(self.old) == has_devices(self.new)
    }

    /// Whether the order of sub-clusters is a part of the placement of both.
    pub(super) fn order_counts(&self) -> bool {
        self.same_placement() && !has_devices(self.new)
    }

    /// The slot of a node of the old map; none where no replica falls on it.
    pub(super) fn slot_old(&self, index: NodeIndex) -> Option<Slot> {
        device(self.old, index).unwrap_or_else(|| Some(self.listed_old(index)))
    }

    /// The slot of a node of the new map; the same.
    pub(super) fn slot_new(&self, index: NodeIndex) -> Option<Slot> {
        device(self.new, index).unwrap_or_else(|| Some(self.listed_new(index)))
    }

    /// Where a node stands in the old map.
    pub(super) fn listed_old(&self, index: NodeIndex) -> Slot {
        let (subcluster, at) = place(self.old, index);
        Slot::OfSubCluster(self.new_of_old[subcluster], at)
    }

    /// Where a node stands in the new map.
    pub(super) fn listed_new(&self, index: NodeIndex) -> Slot {
        let (subcluster, at) = place(self.new, index);
        Slot::OfSubCluster(Some(subcluster), at)
    }
}

/// Whether the nodes are devices of a CRUSH map of its own.
fn has_devices(map: &ClusterMap) -> bool {
    matches!(map.algorithm(), Algorithm::Crush(table) if table.made_from().is_none())
}

/// The device that a node is, if the nodes are devices; none for one that no replica falls on.
fn device(map: &ClusterMap, index: NodeIndex) -> Option<Option<Slot>> {
    match map.algorithm() {
        Algorithm::Crush(table) if table.made_from().is_none() => {
            Some(table.seat_of(index).map(|seat| Slot::Device(seat.device)))
        }
        _ => None,
    }
}

/// The sub-cluster of a node, and its place in that.
fn place(map: &ClusterMap, index: NodeIndex) -> (usize, usize) {
    let subcluster = map.node(index).subcluster();
    (subcluster, index.get() - map.subclusters()[subcluster].first_node().get())
}
