//! Asking all nodes of a cluster what they work by and how they are.

use futures_util::{StreamExt, stream};

use crate::cluster::{NodeIndex, View};
use crate::control::Status;
use crate::peer::client::{PeerClient, PeerError};
use crate::peer::message::{Hello, HelloAnswer};

/// Nodes that are asked at the same time. Each has a deadline.
pub(super) const AT_ONCE: usize = 64;

/// A node, and what it says.
pub(super) struct Asked {
    pub node: NodeIndex,
    pub answer: Result<HelloAnswer, PeerError>,
}

/// Asks every node, in the order of the view, whether it answers and under which map.
pub(super) async fn ask_all(peers: &PeerClient, view: &View) -> Vec<Asked> {
    let nodes: Vec<_> = view.indexed().map(|(node, _)| node).collect();
    let asked = stream::iter(nodes).map(|node| async move {
        Asked { node, answer: peers.hello(view, node, Hello { stamp: None }).await }
    });
    asked.buffered(AT_ONCE).collect().await
}

/// How every node is, in the order of the view.
pub(super) async fn statuses(peers: &PeerClient, view: &View) -> Vec<(NodeIndex, Result<Status, PeerError>)> {
    let nodes: Vec<_> = view.indexed().map(|(node, _)| node).collect();
    let asked = stream::iter(nodes).map(|node| async move { (node, peers.status(view, node).await) });
    asked.buffered(AT_ONCE).collect().await
}
