//! How the nodes of a cluster are, as one of them knows it: what `webdfs status --cluster` shows.

use serde::{Deserialize, Serialize};

use crate::cluster::Fingerprint;
use crate::store::Space;

/// How the nodes of a cluster are. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The node that says so.
    pub node: String,
    /// The epoch of its map.
    pub epoch: u64,
    /// The fingerprint of that map.
    pub map: Fingerprint,
    /// Whether it hears the others by gossip. If not, it has asked each.
    pub gossip: bool,
    /// All nodes, itself among them, in the order of the map; then those that only older maps list.
    pub nodes: Vec<NodeStatus>,
}

/// How one node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// What the map says of it: `in`, `out`, `lost`; or `left` if the map does not list it any more.
    pub state: String,
    /// Whether it is up.
    pub up: bool,
    /// Since when it is up or down; none: not known without gossip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Whether it has told this by gossip; if not, it was asked.
    pub gossip: bool,
    /// Why nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it said last; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The epoch of its map; 0: it waits until its map is applied.
    pub epoch: u64,
    /// The fingerprint of that map.
    pub map: Fingerprint,
    /// The epoch under which it has last finished a full pass; 0: under none.
    pub passed: u64,
    /// Whether its root lacks nothing it should have.
    pub complete: bool,
    /// Objects it holds; none: not counted yet.
    pub objects: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
    /// The space of its disk.
    pub space: Option<Space>,
    /// The pass that runs now.
    pub moving: Option<MovingStatus>,
    /// Whether an operator has paused its background work.
    pub paused: bool,
    /// Whether it owns nothing any more and has finished its pass with nothing left: it may be switched off.
    pub drained: bool,
}

/// How far a pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovingStatus {
    /// Keys that are left; none: not known yet.
    pub keys_left: Option<u64>,
    /// Bytes read, sent and fetched for it in a second, lately; none: not known without gossip.
    pub bytes_per_second: Option<u64>,
}
