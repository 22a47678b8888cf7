//! The maps in force, from any node: one that is new, or has lost its disk, knows of none, and asks the others.

use futures_util::{StreamExt, stream};

use super::apply::ApplyError;
use super::ask::AT_ONCE;
use crate::cluster::{Epoch, NodeIndex, View};
use crate::config::{MapText, Settings};
use crate::maps::{MapsError, remembered_texts, view_at_rest, view_of};
use crate::peer::client::{PeerClient, PeerError};

/// The maps in force: the current one, and those that are not settled.
pub(super) struct InForce {
    /// As this node sees them; where it is in none of them, as one of their nodes does.
    pub view: View,
    /// As they are sent to other nodes.
    pub texts: Vec<MapText>,
}

/// Finds them: in the node's root, or else at the other nodes of the map in its settings, or else that map is the first of
/// its cluster.
///
/// # Errors
/// When maps are refused, or nobody who answers knows any and somebody does not answer.
pub(super) async fn in_force(settings: &Settings, peers: &PeerClient) -> Result<InForce, ApplyError> {
    let (name, root, file) = (&settings.name, &settings.root, &settings.map);
    let own = view_at_rest(name, root, file)?;
    let texts = remembered_texts(root)?;
    if !texts.is_empty() {
        return Ok(InForce { view: own, texts });
    }
    let mut missing = None;
    let mut found: Option<InForce> = None;
    for (node, answer) in told_by(peers, &own).await {
        match answer {
            Ok(texts) if texts.is_empty() => {}
            Ok(texts) => {
                let view = view_of(name, &texts, &format!("node {}", own.node(node).name()))?;
                if found.as_ref().is_none_or(|found| found.view.epoch() < view.epoch()) {
                    found = Some(InForce { view, texts });
                }
            }
            Err(error) => missing = missing.or(Some(error)),
        }
    }
    match (found, missing) {
        (Some(found), _) => Ok(found),
        (None, Some(error)) if own.epoch() != Epoch::FIRST => Err(ApplyError::NoneKnown(error)),
        (None, _) => Ok(InForce { texts: vec![MapText::load(file).map_err(MapsError::from)?.0], view: own }),
    }
}

/// The maps that the other nodes say are in force.
async fn told_by(peers: &PeerClient, view: &View) -> Vec<(NodeIndex, Result<Vec<MapText>, PeerError>)> {
    let told = stream::iter(view.others().collect::<Vec<_>>())
        .map(|node| async move { (node, peers.maps(view, node).await.map(|body| body.maps)) });
    told.buffered(AT_ONCE).collect().await
}
