//! What a node says of a map that is to be put in force: what of its own files would move. The answer to
//! [`Request::Plan`](super::Request::Plan), and between nodes.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::cluster::{Fingerprint, NodeName};
use crate::config::MapText;

/// Count what a map would move, or say how far that is. Whoever asks goes on asking, every few seconds, or the node ends
/// its count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOrder {
    /// The fingerprint of the map.
    pub map: Fingerprint,
    /// Who asks: another one gets a count that had not ended when he asked first.
    pub token: u64,
    /// The map, if the node does not have it yet.
    pub text: Option<MapText>,
}

/// How far a node is with that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Planned {
    /// The epoch of the map that it works by; 0: by none yet.
    pub epoch: u64,
    /// The fingerprint of that map.
    pub in_force: Fingerprint,
    /// Whether it has to be sent the map first.
    pub needs_map: bool,
    /// Copies looked at.
    pub done: u64,
    /// Of about how many, as it last counted them.
    pub of: Option<u64>,
    /// What it has found; none: it goes on.
    pub counts: Option<Counts>,
    /// Why it counts nothing.
    pub problem: Option<String>,
}

/// What a node has counted among its own files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All copies that it holds.
    pub holds: Amount,
    /// Those of them of which it is the first owner now: over all nodes, every object once.
    pub first: Amount,
    /// Those that it owns no more under the new map.
    pub leaving: Amount,
    /// Those that it would bring to each other node.
    pub brings: BTreeMap<NodeName, Amount>,
    /// Files in folders of an original webDFS whose names are not known, so that they belong nowhere.
    pub nameless: u64,
    /// Files and folders that it could not read: they are not counted.
    pub unread: u64,
    /// Bytes that its file system has room for, of those that webdfs may use.
    pub free: u64,
    /// Bytes of its file system.
    pub total: u64,
    /// Bytes per second that its background work is limited to; none: no limit.
    pub bytes_per_second: Option<u64>,
}

/// Some copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Amount {
    /// One copy of so many bytes.
    pub fn one(bytes: u64) -> Self {
        Self { objects: 1, bytes }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}
