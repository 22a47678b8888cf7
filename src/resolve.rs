//! Where an object should be: name and maps -> [`Route`].  Pure: it never looks at the disk.

use crate::cluster::{NodeIndex, NodeState, View};
use crate::name::ObjectName;
use crate::placement::{ObjectKey, Paired, locate};
use crate::quorum::read_quorum;

/// Where an object should be, as seen from one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whether this node is an owner. Its own disk is looked at first in any case.
    pub own: bool,
    /// The other owners, in rank order.
    pub others: Vec<NodeIndex>,
    /// The owners under older maps that are not settled, oldest map first, as far as they are not those of a newer map.
    pub former: Vec<FormerOwners>,
}

/// Who owned an object under an older map, and may hold it still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerOwners {
    /// All of them in rank order, this node among them if it was one.
    pub owners: Vec<NodeIndex>,
    /// How many of them, complete, must lack an object, or say what they hold, so that no acknowledged write is missed.
    pub read_quorum: usize,
}

impl Route {
    /// The route of a name from the node that has this view.
    pub fn of(view: &View, name: &ObjectName) -> Self {
        let (own, key) = (view.own(), ObjectKey::of(name.as_bytes()));
        let replicas = locate(view.current(), key);
        let others = replicas.iter().copied().filter(|node| *node != own).collect();
        let mut route = Self { own: replicas.contains(&own), others, former: Vec::new() };
        for older in view.older().iter().rev() {
            let map = older.map();
            let owners: Vec<_> = locate(map, key).iter().map(|node| older.place(*node)).collect();
            // What was on those that are given up is not waited for.
            let alive = owners.iter().filter(|node| view.node(**node).state() != NodeState::Lost).count();
            let read_quorum = read_quorum(map.replicas(), map.write_quorum()).min(alive);
            let former = FormerOwners { owners, read_quorum };
            if !route.covers(&former, read_quorum_of(view), own) {
                route.former.push(former);
            }
        }
        route.former.reverse();
        route
    }

    /// Whether whoever has asked a read quorum of the owners so far has asked one of these, too.
    fn covers(&self, former: &FormerOwners, read_quorum: usize, own: NodeIndex) -> bool {
        let same = |owners: &[NodeIndex], quorum: usize| {
            quorum >= former.read_quorum
                && owners.len() == former.owners.len()
                && owners.iter().all(|node| former.owners.contains(node))
        };
        same(&self.owners(own), read_quorum)
            || self.former.iter().any(|newer| same(&newer.owners, newer.read_quorum))
    }

    /// All owners, this node first if it is one.
    pub fn owners(&self, own: NodeIndex) -> Vec<NodeIndex> {
        self.own.then_some(own).into_iter().chain(self.others.iter().copied()).collect()
    }

    /// The other owners that owned the object under every unsettled map as well, in rank order: what moves does not concern
    /// them, whichever of the maps they know.
    pub fn lasting(&self) -> Vec<NodeIndex> {
        let is_lasting = |node: &&NodeIndex| self.former.iter().all(|former| former.owners.contains(node));
        self.others.iter().filter(is_lasting).copied().collect()
    }

    /// Whether a node owned the object under an older map that is not settled.
    pub fn was_owner(&self, node: NodeIndex) -> bool {
        self.former.iter().any(|former| former.owners.contains(&node))
    }

    /// Those that owned the object under older maps and do not now, this node among them if it did; newest map first, each
    /// once.
    pub fn former_only(&self, own: NodeIndex) -> Vec<NodeIndex> {
        let mut nodes = Vec::new();
        for node in self.former.iter().rev().flat_map(|former| &former.owners) {
            let is_owner = self.others.contains(node) || self.own && *node == own;
            if !is_owner && !nodes.contains(node) {
                nodes.push(*node);
            }
        }
        nodes
    }
}

/// Who brings an object to `to`, which owns it now and did not under the oldest map that is not settled: the node that gives
/// up its copy for that, or another that owned it then, if that one cannot. The rest leave it alone, so that nothing
/// travels twice. None: nobody in particular, and any node that holds it may.
///
/// The oldest map, because what was stored under it lies where it says; what is newer has been stored where the newer maps
/// say already.
pub fn mover(
    view: &View,
    name: &ObjectName,
    to: NodeIndex,
    can_move: impl Fn(NodeIndex) -> bool,
) -> Option<NodeIndex> {
    let (oldest, key) = (view.older().first()?, ObjectKey::of(name.as_bytes()));
    let before: Vec<_> = locate(oldest.map(), key).iter().map(|node| oldest.place(*node)).collect();
    let after = locate(view.current(), key);
    let (_, from) = Paired::of(&before, &after).moves().find(|(rank, _)| after[*rank] == to)?;
    let can_move = |node: &NodeIndex| view.node(*node).state() != NodeState::Lost && can_move(*node);
    let from = from.map(|rank| before[rank]).filter(&can_move);
    from.or_else(|| {
        let able: Vec<_> = before.iter().copied().filter(can_move).collect();
        // Another one for each object, or one node would send all.
        able.get(key.number() as usize % able.len().max(1)).copied()
    })
}

fn read_quorum_of(view: &View) -> usize {
    read_quorum(view.replicas(), view.write_quorum())
}
