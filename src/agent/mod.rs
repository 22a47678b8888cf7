//! The background work of a storage root (design sections 3 and 8): exactly one process per root does it, elected by
//! a lock that vanishes with its holder. Everything here may be killed at any point and is done again.
//!
//! What is here: recovery after a crash, the expiry of uploads, whether the root is what the others know and whether it is
//! complete (`standing.rs`), and the replay of what single nodes missed. Each goes on by itself, the replay for each node too, so that a node or a disk that hangs
//! holds up nothing else. Full reconcile passes, the scrub and gossip have their places beside `replay.rs`.

pub mod plan;
mod replay;
mod standing;

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::cluster::{ClusterMap, NodeIndex, NodeName};
use crate::disk::on_thread;
use crate::name::Exclude;
use crate::peer::client::PeerClient;
use crate::store::{AgentLock, SPOOL_PATIENCE, Store, StoreError};
use standing::Standing;

/// How often the agent looks round: a peer's return is noticed, and another agent's death, within this time.
const ROUND: Duration = Duration::from_secs(1);

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
    /// Names that are left alone.
    pub exclude: Exclude,
    /// Whether this process is the agent; shared with the fronts that only the agent's process opens.
    pub elected: watch::Sender<bool>,
}

/// The right to do a root's background work. It outlives the agent that won it, so that a process which reads its
/// configuration again stays elected.
#[derive(Debug)]
pub struct Mandate {
    /// What keeps other processes from being elected. Passed to the next process with the mandate.
    pub lock: AgentLock,
    /// Whether recovery is done: nobody else has worked here since.
    pub recovered: bool,
}

impl Agent {
    /// Stands for election unless it has the mandate already, and does the work once elected, until `stop` says so.
    /// Hands the mandate back.
    pub async fn run(self, mandate: Option<Mandate>, mut stop: watch::Receiver<bool>) -> Option<Mandate> {
        let (standing, complaints) = (Standing::default(), Complaints::default());
        let mut mandate = match mandate {
            Some(mandate) => mandate,
            None => tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return None,
                mandate = self.election(&complaints) => mandate,
            },
        };
        self.elected.send_replace(true);
        let stopped = stop.clone();
        let work = async {
            tokio::join!(
                self.every_round(async || self.expire_spools(&complaints).await),
                self.every_round(async || self.keep_standing(&standing, &complaints).await),
                join_all(self.map.indexed().map(|(node, _)| self.replays(node, &standing, &complaints))),
            )
        };
        let recovery = self.recover(&mut mandate, stopped);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            _ = async { tokio::join!(work, recovery) } => {}
        }
        Some(mandate)
    }

    /// Waits until this process is the root's agent.
    async fn election(&self, complaints: &Complaints) -> Mandate {
        let mut rounds = rounds();
        loop {
            rounds.tick().await;
            let store = Arc::clone(&self.store);
            match on_thread(move || store.try_lock_agent()).await {
                Ok(Some(lock)) => {
                    log::info!("this process does the background work of {}", self.store.root().display());
                    return Mandate { lock, recovered: false };
                }
                Ok(None) => complaints.settle(About::Election),
                Err(error) => complaints.raise(About::Election, &error),
            }
        }
    }

    /// Ends what a crash left behind, once per election. It may take long, and nothing waits for it.
    async fn recover(&self, mandate: &mut Mandate, stop: watch::Receiver<bool>) {
        if mandate.recovered {
            return;
        }
        let (store, stopped) = (Arc::clone(&self.store), stop.clone());
        let result = on_thread(move || store.recover_until(|| *stopped.borrow())).await;
        match result {
            Ok(()) => mandate.recovered = !*stop.borrow(),
            Err(error) => log::error!("what a crash may have left behind stays in places: {error}"),
        }
    }

    async fn every_round<F: Future<Output = ()>>(&self, mut work: impl FnMut() -> F) {
        let mut rounds = rounds();
        loop {
            rounds.tick().await;
            work().await;
        }
    }

    async fn replays(&self, node: NodeIndex, standing: &Standing, complaints: &Complaints) {
        self.every_round(async || {
            // What an older copy of this root has to say would bring back what is deleted.
            if self.may_replay(node, standing) {
                self.replay(node, complaints).await;
            }
        })
        .await;
    }

    /// Drops uploads that nobody will commit. This node may have missed them: it asks the other owners.
    async fn expire_spools(&self, complaints: &Complaints) {
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
            Ok(swept) => {
                complaints.settle(About::Uploads);
                if !swept.expired.is_empty() || swept.abandoned > 0 {
                    log::info!(
                        "{} uploads expired without a commit, {} were cut off by the end of a process",
                        swept.expired.len(),
                        swept.abandoned
                    );
                }
            }
            Err(error) => complaints.raise(About::Uploads, &error),
        }
    }

    fn name(&self) -> &NodeName {
        self.map.node(self.own).name()
    }
}

/// A tick for every round; one that is late is not made up for.
fn rounds() -> Interval {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rounds
}

/// What may go wrong in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum About {
    Node(NodeIndex),
    Election,
    Uploads,
    Standing,
    Marks(NodeIndex),
}

/// What has been complained about, so that a node that is down, or a disk, fills no log.
#[derive(Debug, Default)]
struct Complaints(Mutex<HashSet<About>>);

impl Complaints {
    fn raise(&self, about: About, error: &dyn std::error::Error) {
        if self.0.lock().expect("no holder panics").insert(about) {
            log::warn!("{error}");
        }
    }

    fn settle(&self, about: About) {
        self.0.lock().expect("no holder panics").remove(&about);
    }
}
