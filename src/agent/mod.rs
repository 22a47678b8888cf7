//! The background work of a storage root (design sections 3 and 8): exactly one process per root does it, elected by
//! a lock that vanishes with its holder. Everything here may be killed at any point and is done again.
//!
//! What is here: recovery after a crash, the expiry of uploads, whether the root is what the others know and whether it is
//! complete (`standing.rs`, `offers.rs`), the replay of what single nodes missed, full passes (`pass`), the scrub, and gossip.
//! Each goes on by itself, the replay for each node too, so that a node or a disk that hangs holds up nothing else.

mod cluster;
pub mod count;
mod doubts;
mod gossip;
mod hearsay;
mod movers;
pub mod offers;
mod orders;
mod pass;
pub mod plan;
mod replay;
mod scrub;
mod settle;
mod socket;
mod standing;
mod status;
pub mod tasks;
pub mod throttle;
pub mod traffic;
mod transfer;

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::clock;
use crate::cluster::{NodeIndex, NodeName, View};
use crate::config::Agent as AgentSettings;
use crate::control::Work;
use crate::disk::on_thread;
use crate::gossip::Gossip;
use crate::maps::Maps;
use crate::name::Exclude;
use crate::peer::client::PeerClient;
use crate::reconcile::Walks;
use crate::store::{AgentLock, SPOOL_PATIENCE, Store, StoreError};
use count::Counting;
pub use gossip::GossipSettings;
pub use hearsay::Hearsay;
pub use movers::Movers;
use offers::Offers;
pub use pass::DURABLE_KEY_BYTES as CONFIRMED_KEY_BYTES;
use socket::ControlSocket;
pub use standing::Standing;
use tasks::{Task, Tasks};
use throttle::Throttle;
use traffic::Traffic;

/// How often the agent looks round: a peer's return is noticed, and another agent's death, within this time. Half of the
/// second within which the one gets what it missed, and the other has a successor.
const ROUND: Duration = Duration::from_millis(500);

/// What the agent needs.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The maps in force while it works: when they change, another takes its place.
    pub map: Arc<View>,
    /// Those that are in force now.
    pub maps: Arc<Maps>,
    /// The storage root.
    pub store: Arc<Store>,
    /// The way to the other nodes.
    pub peers: PeerClient,
    /// Names that are left alone: neither spread nor moved.
    pub exclude: Exclude,
    /// The walks over the root.
    pub walks: Walks,
    /// Whether this process is the agent; shared with the fronts that only the agent's process opens.
    pub elected: watch::Sender<bool>,
    /// The work over the whole root that is due, asked for and done; shared with the generations of this process.
    pub tasks: Tasks,
    /// That work itself.
    pub works: Works,
    /// How fast files are read and transferred.
    pub throttle: Throttle,
    /// How the work goes.
    pub settings: AgentSettings,
    /// Which nodes know this root.
    pub standing: Arc<Standing>,
    /// What other nodes that lack something have asked for; shared with the generations of this process.
    pub offers: Offers,
    /// What gossip needs.
    pub gossip: GossipSettings,
    /// What gossip hears; shared with the generations of this process.
    pub hearsay: Hearsay,
    /// How far the nodes are that give files up.
    pub movers: Arc<Movers>,
    /// What a map would move; shared with the generations of this process.
    pub counting: Counting,
    /// What was carried to and from other nodes; shared with the generations of this process.
    pub traffic: Traffic,
}

/// The work over the whole root that this agent can do.
#[derive(Debug, Clone, Default)]
pub struct Works {
    /// The full pass.
    pub reconcile: Option<Arc<dyn Task>>,
    /// The scrub.
    pub scrub: Option<Arc<dyn Task>>,
}

impl Works {
    /// What an agent can do.
    pub fn of(agent: &Agent) -> Self {
        Self {
            reconcile: Some(Arc::new(pass::Reconcile::of(agent.clone()))),
            scrub: Some(Arc::new(scrub::Scrub::of(agent.clone()))),
        }
    }

    /// This kind, if there is such work.
    pub fn get(&self, work: Work) -> Option<&Arc<dyn Task>> {
        match work {
            Work::Reconcile => self.reconcile.as_ref(),
            Work::Scrub => self.scrub.as_ref(),
        }
    }
}

/// The right to do a root's background work. It outlives the agent that won it, so that a process which reads its
/// configuration again stays elected.
#[derive(Debug)]
pub struct Mandate {
    /// Where this process can be talked to; none: not yet. It goes before the lock does.
    pub socket: Option<ControlSocket>,
    /// Gossip that runs; none: not yet, or it is off. It ends before another process is to have its port.
    pub gossip: Option<Gossip>,
    /// What keeps other processes from being elected. Passed to the next process with the mandate.
    pub lock: AgentLock,
    /// Whether recovery is done: nobody else has worked here since.
    pub recovered: bool,
}

impl Agent {
    /// The same under other maps. Nothing is known of how it stands with other nodes.
    pub fn with(&self, map: Arc<View>) -> Self {
        let mut agent = Self { map, works: Works::default(), ..self.clone() };
        (agent.standing, agent.movers) = Default::default();
        agent.works = Works::of(&agent);
        agent
    }

    /// Stands for election unless it has the mandate already, and does the work once elected, until `stop` says so.
    /// Hands the mandate back.
    pub async fn run(self, mandate: Option<Mandate>, mut stop: watch::Receiver<bool>) -> Option<Mandate> {
        let (standing, complaints) = (Arc::clone(&self.standing), Complaints::default());
        let mut mandate = match mandate {
            Some(mandate) => mandate,
            None => tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return None,
                mandate = self.election(&complaints) => mandate,
            },
        };
        self.recall_orders().await;
        self.recall_moved().await;
        self.elected.send_replace(true);
        let stopped = stop.clone();
        // What a node has missed is brought to it though an operator has the rest of the work wait.
        let urgent = Self { throttle: self.throttle.urgent(), ..self.clone() };
        let Mandate { socket, gossip, lock, recovered } = &mut mandate;
        let work = async {
            if self.map.is_proposal() {
                tokio::join!(
                    self.keep_joining(),
                    self.keep_gossiping(gossip, &complaints),
                    self.can_be_talked_to(socket, lock, &complaints),
                );
                return;
            }
            tokio::join!(
                self.keep_settling(&complaints),
                self.keep_gossiping(gossip, &complaints),
                self.every_round(async || _ = self.maps.view()),
                self.every_round(async || self.expire_spools(&complaints).await),
                self.every_round(async || self.keep_standing(&standing, &complaints).await),
                join_all(self.map.indexed().map(|(node, _)| urgent.replays(node, &standing, &complaints))),
                self.can_be_talked_to(socket, lock, &complaints),
                join_all(Work::ALL.map(|work| self.keep_doing(work))),
                self.serve_offers(),
                self.ask_for_offers(),
            );
        };
        let recovery = self.recover(recovered, stopped);
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
                    return Mandate { socket: None, gossip: None, lock, recovered: false };
                }
                Ok(None) => complaints.settle(About::Election),
                Err(error) => complaints.raise(About::Election, &error),
            }
        }
    }

    /// Ends what a crash left behind, once per election. It may take long, and nothing waits for it.
    async fn recover(&self, recovered: &mut bool, stop: watch::Receiver<bool>) {
        if *recovered {
            return;
        }
        let (store, stopped) = (Arc::clone(&self.store), stop.clone());
        let recovery = move || {
            store.forget_inventory()?;
            store.recover_until(|| *stopped.borrow())
        };
        let result = on_thread(recovery).await;
        match result {
            Ok(()) => *recovered = !*stop.borrow(),
            Err(error) => log::error!("what a crash may have left behind stays in places: {error}"),
        }
    }

    /// Opens the socket, unless a former generation of this process has, and sees to it that this one answers.
    async fn can_be_talked_to(
        &self,
        socket: &mut Option<ControlSocket>,
        lock: &AgentLock,
        complaints: &Complaints,
    ) {
        if let Some(socket) = socket {
            return socket.hand_to(self.clone());
        }
        let mut rounds = rounds();
        while socket.is_none() {
            rounds.tick().await;
            match ControlSocket::open(self.clone(), lock) {
                Ok(opened) => *socket = Some(opened),
                Err(error) => complaints.raise(About::Socket, &error),
            }
        }
    }

    /// Does some work over the whole root whenever it is due or asked for.
    async fn keep_doing(&self, work: Work) {
        let Some(task) = self.works.get(work) else { return };
        let store = Arc::clone(&self.store);
        let record = on_thread(move || store.agent_record()).await;
        let every = self.every(work);
        let last = status::last_finished(&record, work).filter(|_| !status::is_cut_off(&record, work));
        let passed = last.map(|last| Duration::from_secs(clock::seconds().abs_diff(last)));
        // A clock that was wrong then, or is now, is no reason to wait for long.
        // Files move, and older maps are kept until this has finished.
        let moves = work == Work::Reconcile && !self.map.older().is_empty() && !self.has_passed().await;
        let first = match (passed, every) {
            _ if moves => Duration::ZERO,
            (Some(passed), Some(every)) => every.saturating_sub(passed),
            _ => Duration::ZERO,
        };
        self.tasks.keep_doing(work, &**task, (first, every), || self.remember_finished(work)).await;
    }

    fn every(&self, work: Work) -> Option<Duration> {
        match work {
            Work::Reconcile => Some(self.settings.pass_every),
            Work::Scrub => self.settings.scrub_every,
        }
    }

    async fn remember_finished(&self, work: Work) {
        let store = Arc::clone(&self.store);
        let now = clock::seconds();
        let remembered = on_thread(move || store.remember(|record| status::note_finished(record, work, now)));
        if let Err(error) = remembered.await {
            log::warn!("it is not remembered that {work} is finished: {error}");
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
        self.map.node(self.map.own()).name()
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
    Socket,
    Gossip,
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
