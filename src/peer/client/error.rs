//! Why another node did not do as asked.

use http::StatusCode;

use crate::cluster::{Fingerprint, NodeName};

/// Why another node did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It could not be reached, or broke off. Whether it did what was asked is unknown.
    #[error("node {node} does not answer: {problem}")]
    Unreachable {
        /// The node.
        node: NodeName,
        /// What happened, in words.
        problem: String,
    },
    /// It answered in time, but not as this cluster's node of that name: something else listens at its url, or it
    /// has another secret.
    #[error(
        "what answers at {url} for node {node} is not that node, or has another secret (status {status})"
    )]
    Stranger {
        /// The node.
        node: NodeName,
        /// Where it should be.
        url: String,
        /// The status of the answer.
        status: StatusCode,
    },
    /// It works by another map.
    #[error(
        "node {node} works by map {map} of epoch {epoch}, this one by map {own_map} of epoch {own_epoch}{}",
        if epoch == own_epoch { ": apply a map of a higher epoch" } else { "" }
    )]
    OtherMap {
        /// The node.
        node: NodeName,
        /// Its epoch; 0: it waits until its map is applied.
        epoch: u64,
        /// The fingerprint of its map.
        map: Fingerprint,
        /// The epoch of this node when it asked.
        own_epoch: u64,
        /// The fingerprint of its map then.
        own_map: Fingerprint,
    },
    /// It refused.
    #[error("node {node} refuses ({status}): {reason}")]
    Refused {
        /// The node.
        node: NodeName,
        /// The status of the refusal.
        status: StatusCode,
        /// Its words.
        reason: String,
    },
}

impl PeerError {
    /// The status of a genuine refusal.
    pub fn refusal(&self) -> Option<StatusCode> {
        match self {
            PeerError::Refused { status, .. } => Some(*status),
            PeerError::Unreachable { .. } | PeerError::Stranger { .. } | PeerError::OtherMap { .. } => None,
        }
    }

    /// Whether the node did not answer: asking it something else would hardly end otherwise.
    pub fn is_silence(&self) -> bool {
        matches!(self, PeerError::Unreachable { .. } | PeerError::Stranger { .. })
    }
}
