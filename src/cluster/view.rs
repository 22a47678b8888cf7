//! What one node knows of the cluster's maps: the current one, and the older ones that are not settled (design section 9).
//!
//! A node has the same [`NodeIndex`] in all of them: first come the nodes of the current map, then those that only older
//! maps know, such as a node whose slot another has taken over. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ClusterMap, Epoch, Fingerprint, Node, NodeIndex, NodeName, NodeState};

/// The maps as one node knows them.
#[derive(Debug)]
pub struct View {
    own: NodeIndex,
    current: Arc<ClusterMap>,
    /// Oldest first.
    older: Vec<OlderMap>,
    nodes: Vec<Node>,
    index: HashMap<NodeName, NodeIndex>,
    is_proposal: bool,
}

/// A map that is not settled.
#[derive(Debug)]
pub struct OlderMap {
    map: Arc<ClusterMap>,
    /// For each of its nodes, its index in the view.
    places: Vec<NodeIndex>,
}

/// The node is in none of the maps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node \"{name}\" is in no map of epoch {epoch} or before that is not settled")]
pub struct NotAMember {
    /// The node.
    pub name: NodeName,
    /// The epoch of the current map.
    pub epoch: Epoch,
}

impl View {
    /// The view of the node `own`. `older` are the maps that are not settled, in any order.
    ///
    /// # Errors
    /// When the node is in none of them.
    pub fn new(
        own: &NodeName,
        current: Arc<ClusterMap>,
        mut older: Vec<Arc<ClusterMap>>,
    ) -> Result<Self, NotAMember> {
        older.sort_by_key(|map| (map.epoch(), map.fingerprint()));
        let mut nodes = current.nodes().to_vec();
        let mut index: HashMap<_, _> =
            current.indexed().map(|(index, node)| (node.name().clone(), index)).collect();
        // The newest of them knows best where a node is.
        let mut older: Vec<_> = older
            .into_iter()
            .rev()
            .map(|map| {
                let mut place = |node: &Node| {
                    *index.entry(node.name().clone()).or_insert_with(|| {
                        nodes.push(node.clone());
                        NodeIndex::new(
                            u32::try_from(nodes.len() - 1).expect("maps have at most 65,536 nodes"),
                        )
                    })
                };
                let places = map.nodes().iter().map(&mut place).collect();
                OlderMap { map, places }
            })
            .collect();
        older.reverse();
        let own = *index.get(own).ok_or_else(|| NotAMember { name: own.clone(), epoch: current.epoch() })?;
        Ok(Self { own, current, older, nodes, index, is_proposal: false })
    }

    /// The view of a node that has a map which nobody has told it is in force: it owns nothing under it yet, and says of it
    /// to nobody.
    ///
    /// # Errors
    /// When the node is not in it.
    pub fn proposed(own: &NodeName, map: Arc<ClusterMap>) -> Result<Self, NotAMember> {
        Ok(Self { is_proposal: true, ..Self::new(own, map, Vec::new())? })
    }

    /// Whether the map is not in force as far as this node knows.
    pub fn is_proposal(&self) -> bool {
        self.is_proposal
    }

    /// This node.
    pub fn own(&self) -> NodeIndex {
        self.own
    }

    /// Whether a node is in the current map.
    pub fn is_current(&self, node: NodeIndex) -> bool {
        node.get() < self.current.nodes().len()
    }

    /// The map in force.
    pub fn current(&self) -> &Arc<ClusterMap> {
        &self.current
    }

    /// The maps that are not settled, oldest first.
    pub fn older(&self) -> &[OlderMap] {
        &self.older
    }

    /// The epoch of the map in force as it stands in messages: 0 while there is none.
    pub fn epoch_in_force(&self) -> u64 {
        if self.is_proposal { 0 } else { self.epoch().get() }
    }

    /// The epoch of the current map.
    pub fn epoch(&self) -> Epoch {
        self.current.epoch()
    }

    /// The fingerprint of the current map.
    pub fn fingerprint(&self) -> Fingerprint {
        self.current.fingerprint()
    }

    /// The fingerprint of all older maps; zeros if there are none.
    pub fn older_fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(self.older.iter().map(|older| older.map.fingerprint()).collect())
    }

    /// How many nodes hold each object under the current map.
    pub fn replicas(&self) -> usize {
        self.current.replicas()
    }

    /// How many nodes must have stored a write under the current map.
    pub fn write_quorum(&self) -> usize {
        self.current.write_quorum()
    }

    /// All nodes: those of the current map, then those of older ones alone.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes with their indexes.
    pub fn indexed(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        (0..).map(NodeIndex::new).zip(&self.nodes)
    }

    /// All nodes but this one.
    pub fn others(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.indexed().map(|(node, _)| node).filter(|node| *node != self.own)
    }

    /// One node.
    ///
    /// # Panics
    /// If `index` is from another, larger view.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.get()]
    }

    /// The index of the node of that name.
    pub fn index_of(&self, name: &NodeName) -> Option<NodeIndex> {
        self.index.get(name).copied()
    }

    /// Whether a node can own something under the current map: it is in service there and has a weight.
    pub fn can_own(&self, node: NodeIndex) -> bool {
        self.is_current(node) && can_own(&self.current, node)
    }

    /// The nodes that hold up the settling of the current map until they have finished a pass under it: those that can own
    /// something under any of the maps, and are not lost.
    pub fn settlers(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.indexed().map(|(index, _)| index).filter(|index| {
            // As the newest map says that lists it.
            let lost = self.node(*index).state() == NodeState::Lost;
            !lost && (self.can_own(*index) || self.older.iter().any(|older| older.can_own(*index)))
        })
    }
}

impl OlderMap {
    /// The map. Its own indexes are not those of the view.
    pub fn map(&self) -> &Arc<ClusterMap> {
        &self.map
    }

    /// The index in the view of a node of this map.
    ///
    /// # Panics
    /// If `node` is from another, larger map.
    pub fn place(&self, node: NodeIndex) -> NodeIndex {
        self.places[node.get()]
    }

    /// Whether a node of the view could own something under this map.
    pub fn can_own(&self, node: NodeIndex) -> bool {
        let here = self.places.iter().position(|place| *place == node);
        here.is_some_and(|here| can_own(&self.map, NodeIndex::new(here as u32)))
    }
}

fn can_own(map: &ClusterMap, node: NodeIndex) -> bool {
    map.node(node).state() == NodeState::In && map.weight_of(node) > 0.0
}
