//! Why another node did not do as asked.

use http::StatusCode;

use crate::cluster::NodeName;

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
            PeerError::Unreachable { .. } | PeerError::Stranger { .. } => None,
        }
    }

    /// Whether the node did not answer: asking it something else would hardly end otherwise.
    pub fn is_silence(&self) -> bool {
        self.refusal().is_none()
    }
}
