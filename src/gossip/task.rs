//! The one task of gossip: keeps chitchat running, hands it facts and seeds, and turns what it sees into members.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, KeyChangeEvent,
    spawn_chitchat,
};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::datagram::PAYLOAD_BYTES_MAX;
use super::facts::{self, Facts};
use super::members::{Members, Sighting, Table};
use super::socket::{SignedUdp, Wire};

/// How often chitchat speaks to [`FANOUT`] other nodes.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// How often this task looks at what chitchat has seen. Two looks an interval, so that a change is not seen late.
pub(super) const ROUND: Duration = Duration::from_millis(500);

/// How many nodes are spoken to at once, by chitchat in an interval (its `GOSSIP_COUNT`) and by us when there is news.
const FANOUT: usize = 3;

/// Facts other than the map are told once in so many rounds, since they change all the time.
const SLOW_ROUNDS: u64 = 10;

/// How often the mean time between two heartbeats may pass before chitchat takes a node for dead. The mean is at most
/// half an [`INTERVAL`], since every node both begins and answers exchanges, so that this is no more than 3 s.
const PHI_MAX: f64 = 6.0;

/// Heartbeats the mean is taken over.
const HEARTBEATS: usize = 100;

/// A longer time between two heartbeats is no part of the mean: the node was away.
const HEARTBEAT_MAX: Duration = Duration::from_secs(10);

/// So long chitchat remembers a node that is dead, and tells others of it for half the time. Each life of a node takes
/// its room in every datagram, so that this also bounds how many restarts are told of.
const DEAD_REMEMBERED: Duration = Duration::from_secs(5 * 60);

/// Bytes of a datagram that a digest must leave to the rest of the message; chitchat panics below 100.
const DIGEST_LEAVES_BYTES: usize = 1000;

/// The wait before chitchat is started again should it break down.
const AFTER_BREAKDOWN: Duration = Duration::from_secs(10);

/// The same in every cluster and at every epoch: the secret is what tells clusters apart.
const CLUSTER: &str = "webdfs";

/// What the task owns.
pub(super) struct Task {
    pub(super) id: ChitchatId,
    pub(super) wire: Arc<Wire>,
    pub(super) facts: watch::Receiver<Facts>,
    pub(super) seeds: watch::Receiver<BTreeSet<SocketAddr>>,
    pub(super) members: watch::Sender<Members>,
    pub(super) stop: CancellationToken,
}

/// Why chitchat is not to go on.
enum Ended {
    Stopped,
    BrokeDown(String),
}

/// What was heard of maps since chitchat was started.
#[derive(Debug, Default)]
struct News {
    epoch: AtomicU64,
    /// Told when an epoch is heard that is higher than any before.
    risen: Notify,
}

impl Task {
    /// Runs until it is stopped. A breakdown of chitchat (a panic in it, more nodes than fit into a datagram) costs its
    /// knowledge, so that all nodes become unknown, which holds nothing up; then it is started anew.
    pub(super) async fn run(mut self) {
        loop {
            let why = match self.start().await {
                Ok(chitchat) => {
                    let ended = self.live(&chitchat).await;
                    // It ends after what it is doing; how does not matter any more.
                    let _ = chitchat.shutdown().await;
                    match ended {
                        Ended::Stopped => return,
                        Ended::BrokeDown(why) => why,
                    }
                }
                Err(error) => error.to_string(),
            };
            log::error!("gossip broke down and starts anew in {} s: {why}", AFTER_BREAKDOWN.as_secs());
            self.members.send_replace(Members::default());
            self.id.generation_id += 1;
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(AFTER_BREAKDOWN) => {}
            }
        }
    }

    async fn start(&mut self) -> anyhow::Result<ChitchatHandle> {
        let config = ChitchatConfig {
            chitchat_id: self.id.clone(),
            cluster_id: CLUSTER.to_owned(),
            gossip_interval: INTERVAL,
            listen_addr: self.id.gossip_advertise_addr,
            // Ours are a list that changes; see `greet`.
            seed_nodes: Vec::new(),
            failure_detector_config: FailureDetectorConfig::new(
                PHI_MAX,
                HEARTBEATS,
                HEARTBEAT_MAX,
                INTERVAL / 2,
                DEAD_REMEMBERED,
            ),
            // No key is ever deleted.
            marked_for_deletion_grace_period: DEAD_REMEMBERED,
            catchup_callback: None,
            extra_liveness_predicate: None,
        };
        let told = self.facts.borrow_and_update().words();
        let told = told.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        spawn_chitchat(config, told, &SignedUdp(Arc::clone(&self.wire))).await
    }

    /// One life of chitchat.
    async fn live(&mut self, chitchat: &ChitchatHandle) -> Ended {
        let stop = self.stop.clone();
        let news = Arc::new(News::default());
        let listener = Arc::clone(&news);
        let callback = move |change: KeyChangeEvent<'_>| listener.hear(change.value);
        let _subscribed = chitchat.chitchat().lock().await.subscribe_event(facts::MAP, callback);
        let mut ended = std::pin::pin!(chitchat.termination_watcher());
        let mut table = Table::default();
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0_u64;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ended::Stopped,
                ended = &mut ended => {
                    let why = ended.map_or_else(|error| error.to_string(), |()| "it ended by itself".to_owned());
                    return Ended::BrokeDown(why);
                }
                _ = rounds.tick() => {
                    round += 1;
                    let is_slow = round.is_multiple_of(SLOW_ROUNDS);
                    if is_slow {
                        self.tell(chitchat, |_| true).await;
                    }
                    if let Err(why) = fits(&*chitchat.chitchat().lock().await) {
                        return Ended::BrokeDown(why);
                    }
                    let live = self.look(chitchat, &mut table, 1).await;
                    if live.is_empty() {
                        self.greet(chitchat, &live, FANOUT);
                    } else if is_slow {
                        self.greet(chitchat, &live, 1);
                    }
                }
                () = news.risen.notified() => {
                    let live = self.look(chitchat, &mut table, 0).await;
                    speak_to(chitchat, live.into_iter(), FANOUT);
                }
                Ok(()) = self.facts.changed() => self.tell(chitchat, |key| key == facts::MAP).await,
                Ok(()) = self.seeds.changed() => {
                    let live = self.look(chitchat, &mut table, 0).await;
                    self.greet(chitchat, &live, FANOUT);
                }
            }
        }
    }

    /// Tells the others those of our facts whose key is chosen. Facts that are as before cost nothing.
    async fn tell(&mut self, chitchat: &ChitchatHandle, chosen: impl Fn(&str) -> bool) {
        let told = self.facts.borrow_and_update().words();
        let chitchat = chitchat.chitchat();
        let mut chitchat = chitchat.lock().await;
        for (key, value) in told.into_iter().filter(|(key, _)| chosen(key)) {
            chitchat.self_node_state().set(key, value);
        }
    }

    /// Shows what chitchat has seen; the addresses of the other nodes that it holds for live.
    async fn look(&self, chitchat: &ChitchatHandle, table: &mut Table, rounds: u32) -> HashSet<SocketAddr> {
        let sightings = sightings(&*chitchat.chitchat().lock().await);
        let others = sightings.iter().filter(|sighting| sighting.live && sighting.id != self.id);
        let live = others.map(|sighting| sighting.id.gossip_advertise_addr).collect();
        let members = table.update(sightings, rounds, Instant::now());
        self.members.send_if_modified(|before| {
            let is_new = *before != members;
            if is_new {
                tell_of_changes(before, &members);
                *before = members;
            }
            is_new
        });
        live
    }

    /// Speaks to some seeds that are not known to be live. This is how a node finds the others when it starts, and how
    /// two halves of a cluster find each other that were apart until they forgot each other.
    fn greet(&self, chitchat: &ChitchatHandle, live: &HashSet<SocketAddr>, count: usize) {
        let own = self.id.gossip_advertise_addr;
        let seeds = self.seeds.borrow().clone();
        let unknown = seeds.into_iter().filter(|seed| *seed != own && !live.contains(seed));
        speak_to(chitchat, unknown, count);
    }
}

impl News {
    /// Called by chitchat while it is locked.
    fn hear(&self, value: &str) {
        let Some(epoch) = facts::epoch_heard(value) else { return };
        if self.epoch.fetch_max(epoch.get(), Relaxed) < epoch.get() {
            self.risen.notify_one();
        }
    }
}

/// Begins an exchange with some of these, chosen by chance.
fn speak_to(chitchat: &ChitchatHandle, addresses: impl Iterator<Item = SocketAddr>, count: usize) {
    for address in fastrand::choose_multiple(addresses, count) {
        // It fails only once chitchat has ended, which `live` sees for itself.
        let _ = chitchat.gossip(address);
    }
}

/// Checks that what is known of all processes goes into a datagram. Were it left at that, nothing could be sent any
/// more, and everyone would be taken for dead by everyone.
fn fits(chitchat: &Chitchat) -> Result<(), String> {
    let processes = chitchat.node_states();
    let bytes: usize = processes.keys().map(digest_bytes).sum();
    if bytes <= PAYLOAD_BYTES_MAX - DIGEST_LEAVES_BYTES {
        return Ok(());
    }
    let count = processes.len();
    Err(format!("the {count} nodes known are more than fit into a datagram; run this cluster without gossip"))
}

/// What a process takes in a digest: its name with its length, start, address, heartbeat and two versions.
fn digest_bytes(id: &ChitchatId) -> usize {
    let address_bytes = if id.gossip_advertise_addr.is_ipv4() { 4 } else { 16 };
    2 + id.node_id.len() + 8 + (1 + address_bytes + 2) + 3 * 8
}

fn sightings(chitchat: &Chitchat) -> Vec<Sighting> {
    let live: HashSet<_> = chitchat.live_nodes().collect();
    let sighting = |(id, state): (&ChitchatId, &chitchat::NodeState)| Sighting {
        id: id.clone(),
        heartbeat: state.heartbeat().into(),
        live: live.contains(id),
        facts: Facts::heard(|key| state.get(key)),
    };
    chitchat.node_states().iter().map(sighting).collect()
}

/// Writes into the log who came and went.
fn tell_of_changes(before: &Members, after: &Members) {
    for (name, member) in after.iter() {
        let was_alive = before.get(name).is_some_and(|before| before.alive);
        match (was_alive, member.alive) {
            (false, true) => log::info!("gossip: {name} is up, at {}", member.address),
            (true, false) => log::warn!("gossip: {name} is down, at {}", member.address),
            _ => {}
        }
    }
}
