//! Bringing maps to where older ones are found: to another node, or here (design section 9). It is always the one who asks
//! that does so, since whoever answers may have no process left to be asked by a third.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{ANSWER_TIMEOUT, PeerClient, PeerError};
use crate::chain::chain;
use crate::cluster::{Fingerprint, NodeIndex, NodeName, View};
use crate::control::{PlanOrder, Planned, Status};
use crate::disk::on_thread;
use crate::maps::Maps;
use crate::peer::message::{AdoptAnswer, MapsBody, Operation};

/// How long a node may take to check and store maps: those of a very large cluster have megabytes.
const PATIENCE: Duration = ANSWER_TIMEOUT.saturating_mul(4);

/// What has been tried for a node is not tried again within this time.
const AGAIN: Duration = Duration::from_secs(1);

/// What has been done for each node.
#[derive(Debug, Clone, Default)]
pub(super) struct CatchingUp(Arc<Mutex<HashMap<NodeName, Turn>>>);

/// Whose turn it is, and how it went the last time.
type Turn = Arc<tokio::sync::Mutex<Option<Attempt>>>;

/// How it went.
#[derive(Debug)]
struct Attempt {
    /// The epochs that met: the own one, and that of the node.
    epochs: (u64, u64),
    ended: Instant,
    may_ask: bool,
}

impl CatchingUp {
    fn of(&self, node: &NodeName) -> Turn {
        Arc::clone(self.0.lock().expect("no holder panics").entry(node.clone()).or_default())
    }
}

impl PeerClient {
    /// Your maps: the one in force and those that are not settled.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn maps(&self, map: &View, node: NodeIndex) -> Result<MapsBody, PeerError> {
        self.control_once(PATIENCE, map, node, &Operation::Maps, &()).await
    }

    /// How are you?
    ///
    /// # Errors
    /// When the node does not answer, or none of its processes does the background work.
    pub async fn status(&self, map: &View, node: NodeIndex) -> Result<Status, PeerError> {
        self.control_once(ANSWER_TIMEOUT, map, node, &Operation::Status, &()).await
    }

    /// What would this map move from you, or how far are you with counting that?
    ///
    /// # Errors
    /// When the node does not answer, or none of its processes does the background work.
    pub async fn plan(&self, map: &View, node: NodeIndex, order: &PlanOrder) -> Result<Planned, PeerError> {
        self.control_once(PATIENCE, map, node, &Operation::Plan, order).await
    }

    /// Take these maps over, unless you have newer ones. What the node has then.
    ///
    /// # Errors
    /// When the node does not answer or refuses them.
    pub async fn adopt(
        &self,
        map: &View,
        node: NodeIndex,
        maps: &MapsBody,
    ) -> Result<AdoptAnswer, PeerError> {
        self.control_once(PATIENCE, map, node, &Operation::Adopt, maps).await
    }

    /// Brings maps to whichever side has older ones, after a node has said that it works by `theirs` while this one asked
    /// under `map`. Whether that node may be asked again under `map`.
    pub(super) async fn catch_up(&self, map: &View, node: NodeIndex, theirs: (u64, Fingerprint)) -> bool {
        let Some(maps) = &self.maps else { return false };
        let turn = self.catching_up.of(map.node(node).name());
        let mut last = turn.lock().await;
        let epochs = (map.epoch_in_force(), theirs.0);
        // Whoever waited for somebody who did the same.
        if let Some(last) = last.as_ref().filter(|last| last.epochs == epochs && last.ended.elapsed() < AGAIN)
        {
            return last.may_ask;
        }
        let may_ask = self.bring_maps(maps, map, node, theirs).await;
        *last = Some(Attempt { epochs, ended: Instant::now(), may_ask });
        may_ask
    }

    async fn bring_maps(
        &self,
        maps: &Arc<Maps>,
        map: &View,
        node: NodeIndex,
        theirs: (u64, Fingerprint),
    ) -> bool {
        let now = maps.view();
        if theirs.0 > now.epoch_in_force() {
            let name = map.node(node).name();
            let fetched = match self.maps(map, node).await {
                Ok(fetched) => fetched,
                Err(error) => {
                    log::warn!("a newer map is not known here yet: {error}");
                    return false;
                }
            };
            let (maps, from) = (Arc::clone(maps), format!("node {name}"));
            if let Err(error) = on_thread(move || maps.adopt(fetched.maps, &from)).await {
                log::error!("the maps of node {name} are refused here: {}", chain(&error));
            }
            return false;
        }
        if theirs.0 >= now.epoch_in_force() {
            return false;
        }
        let sent = async {
            let maps = Arc::clone(maps);
            let texts = on_thread(move || maps.texts()).await.map_err(|error| chain(&error))?;
            let body = MapsBody { maps: texts };
            self.adopt(map, node, &body).await.map_err(|error| error.to_string())
        };
        match sent.await {
            Ok(answer) => (answer.epoch, answer.map) == (map.epoch_in_force(), map.fingerprint()),
            Err(problem) => {
                log::warn!("node {} has older maps: {problem}", map.node(node).name());
                false
            }
        }
    }

    pub(super) fn other_map(&self, map: &View, node: NodeIndex, theirs: (u64, Fingerprint)) -> PeerError {
        PeerError::OtherMap {
            node: map.node(node).name().clone(),
            epoch: theirs.0,
            map: theirs.1,
            own_epoch: map.epoch_in_force(),
            own_map: map.fingerprint(),
        }
    }
}
