//! The background work of a storage root (design sections 3 and 8): exactly one process per root does it, elected by
//! a lock that vanishes with its holder. Everything here may be killed at any point and is done again.
//!
//! What is here: recovery after a crash, the expiry of uploads, whether the root is complete, and the replay of what
//! single nodes missed. Full reconcile passes, the scrub and gossip have their places beside `replay.rs`.

pub mod plan;
mod replay;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::{ClusterMap, Epoch, NodeIndex, NodeName};
use crate::disk::on_thread;
use crate::peer::client::PeerClient;
use crate::store::{AgentLock, Store, StoreError};

/// How often the agent looks round: a peer's return is noticed, and another agent's death, within this time.
const ROUND: Duration = Duration::from_secs(1);
/// An upload whose commit has not come after this time is dropped.
const SPOOL_PATIENCE: Duration = Duration::from_secs(10);

/// What the agent needs.
#[derive(Debug, Clone)]
pub struct Agent {
    /// This node.
    pub own: NodeIndex,
    /// The map.
    pub map: Arc<ClusterMap>,
    /// The storage root.
    pub store: Arc<Store>,
    /// The way to the other nodes.
    pub peers: PeerClient,
    /// Whether the root is complete; shared with the service.
    pub complete: Arc<AtomicBool>,
    /// Whether this process is the agent; shared with the fronts that only the agent's process opens.
    pub elected: watch::Sender<bool>,
}

impl Agent {
    /// Stands for election, and does the work once elected, until `stop` says so.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lock: Option<AgentLock> = None;
        let mut complaints = Complaints::default();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = rounds.tick() => {}
            }
            if lock.is_none() {
                lock = self.stand_for_election().await;
            }
            let work = async {
                if lock.is_some() {
                    self.round(&mut complaints).await;
                } else {
                    self.learn_completeness().await;
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = work => {}
            }
        }
        drop(lock);
    }

    async fn stand_for_election(&self) -> Option<AgentLock> {
        let store = Arc::clone(&self.store);
        let elected = on_thread(move || {
            let lock = store.try_lock_agent()?;
            if lock.is_some() {
                store.recover()?;
            }
            Ok::<_, StoreError>(lock)
        });
        match elected.await {
            Ok(lock) => {
                if lock.is_some() {
                    log::info!("this process does the background work of {}", self.store.root().display());
                    self.elected.send_replace(true);
                }
                lock
            }
            Err(error) => {
                log::error!("no background work: {error}");
                None
            }
        }
    }

    async fn round(&self, complaints: &mut Complaints) {
        self.expire_spools().await;
        if !self.complete.load(Ordering::Relaxed) {
            self.try_to_complete(complaints).await;
        }
        for (node, _) in self.map.indexed() {
            self.replay(node, complaints).await;
        }
    }

    /// Drops uploads that nobody will commit. This node may have missed them: it asks the other owners.
    async fn expire_spools(&self) {
        let (store, name) = (Arc::clone(&self.store), self.name().clone());
        let swept = on_thread(move || {
            let swept = store.sweep_spools(SPOOL_PATIENCE)?;
            for expired in &swept.expired {
                store.mark_dirty(&name, expired)?;
            }
            store.keep_ballast()?;
            Ok::<_, StoreError>(swept)
        });
        match swept.await {
            Ok(swept) if swept.expired.is_empty() && swept.abandoned == 0 => {}
            Ok(swept) => log::info!(
                "{} uploads expired without a commit, {} were cut off by the end of a process",
                swept.expired.len(),
                swept.abandoned
            ),
            Err(error) => log::error!("uploads cannot be expired: {error}"),
        }
    }

    /// A root is born complete when it starts under epoch 1 and R-1 peers or more answer. (That none of them
    /// remembers it is asked once nodes remember each other's stamps.)
    async fn try_to_complete(&self, complaints: &mut Complaints) {
        if self.map.epoch() != Epoch::FIRST {
            return;
        }
        let peers = self.map.indexed().map(|(node, _)| node).filter(|node| *node != self.own);
        let greeted =
            join_all(peers.map(|node| async move { (node, self.peers.hello(&self.map, node, false).await) }));
        let mut answered = 0;
        for (node, hello) in greeted.await {
            match hello {
                Ok(_) => {
                    answered += 1;
                    complaints.settle(node);
                }
                Err(error) => complaints.raise(node, &error),
            }
        }
        if answered + 1 < self.map.replicas() {
            return;
        }
        let (store, name) = (Arc::clone(&self.store), self.name().clone());
        match on_thread(move || store.mark_complete(&name)).await {
            Ok(()) => {
                log::info!("node {} is complete", self.name());
                self.complete.store(true, Ordering::Relaxed);
            }
            Err(error) => log::error!("node {} cannot be marked as complete: {error}", self.name()),
        }
    }

    /// Another process of this root may have found it complete.
    async fn learn_completeness(&self) {
        if self.complete.load(Ordering::Relaxed) {
            return;
        }
        let (store, name) = (Arc::clone(&self.store), self.name().clone());
        match on_thread(move || store.identify(&name)).await {
            Ok(identity) => self.complete.store(identity.complete, Ordering::Relaxed),
            Err(error) => log::error!("{error}"),
        }
    }

    fn name(&self) -> &NodeName {
        self.map.node(self.own).name()
    }
}

/// Nodes that have been complained about, so that a node that is down fills no log.
#[derive(Debug, Default)]
struct Complaints(HashSet<NodeIndex>);

impl Complaints {
    fn raise(&mut self, node: NodeIndex, error: &dyn std::error::Error) {
        if self.0.insert(node) {
            log::warn!("{error}");
        }
    }

    fn settle(&mut self, node: NodeIndex) {
        self.0.remove(&node);
    }
}
