//! Where an object should be: name and map -> [`Route`].  Pure: it never looks at the disk.
//!
//! The route is a list of candidates in the order in which to try them. Owners under older maps that are not settled
//! will follow the current ones here when maps can change.

use crate::cluster::{ClusterMap, NodeIndex};
use crate::name::ObjectName;
use crate::placement::{ObjectKey, locate};

/// Where an object should be, as seen from one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whether this node is an owner. Its own disk is looked at first in any case.
    pub own: bool,
    /// The other owners, in rank order.
    pub others: Vec<NodeIndex>,
}

impl Route {
    /// The route of a name from the node `own`.
    pub fn of(map: &ClusterMap, own: NodeIndex, name: &ObjectName) -> Self {
        let replicas = locate(map, ObjectKey::of(name.as_bytes()));
        let others = replicas.iter().copied().filter(|node| *node != own).collect();
        Self { own: replicas.contains(&own), others }
    }

    /// All owners, this node first if it is one.
    pub fn owners(&self, own: NodeIndex) -> Vec<NodeIndex> {
        self.own.then_some(own).into_iter().chain(self.others.iter().copied()).collect()
    }
}
