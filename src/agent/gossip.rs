//! Gossip with the agents of the other nodes, if the settings want it: tells how this node is, has newer maps fetched at once,
//! and tells all processes of the root which nodes are down.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::doubts::Doubts;
use super::{About, Agent, Complaints, rounds};
use crate::clock;
use crate::cluster::{Epoch, NodeIndex, NodeName};
use crate::control::{Progress, State, Work};
use crate::disk::on_thread;
use crate::gossip::{Facts, Fill, Gossip, GossipError, MapFacts, Members, Moving, Settings, place};
use crate::peer::message::Hello;
use crate::peer::sign::Signer;
use crate::store::StoreError;

/// How often it is looked whether there is something new to tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A node that gossip takes for down, and that does not answer a question within this time, is down.
const UNTIL_ANSWERED: Duration = Duration::from_secs(1);

/// What gossip needs of the settings.
#[derive(Debug, Clone)]
pub struct GossipSettings {
    /// `[listen] gossip`: `HOST:PORT`; none: it is off.
    pub listen: Option<String>,
    /// The cluster's secrets.
    pub signer: Signer,
}

/// What became of a question to another node.
enum Asked {
    /// Whether a node that is taken for down has answered.
    Doubted(NodeIndex, bool),
    /// One that has a newer map was asked for it.
    Ahead,
}

impl Agent {
    /// Gossips, with what a former agent of this process has left `running`.
    pub(super) async fn keep_gossiping(&self, running: &mut Option<Gossip>, complaints: &Complaints) {
        self.hearsay.keep_to(&self.map);
        if running.is_none() {
            // What the agent of another process has told, which may have had gossip.
            self.hearsay.hear(None);
            self.tell_down(BTreeSet::new()).await;
        }
        let Some(listen) = &self.gossip.listen else { return };
        let mut rounds = rounds();
        while running.is_none() {
            // The port is free as soon as the process whose place this one has taken has left it.
            rounds.tick().await;
            match self.start_gossip(listen).await {
                Ok(gossip) => {
                    complaints.settle(About::Gossip);
                    *running = Some(gossip);
                }
                Err(error) => complaints.raise(About::Gossip, &error),
            }
        }
        let Some(gossip) = running else { return };
        gossip.sign_with(self.gossip.signer.clone());
        tokio::join!(self.keep_telling(gossip), self.keep_listening(gossip.cluster()));
    }

    async fn start_gossip(&self, listen: &str) -> Result<Gossip, GossipError> {
        let own = self.map.node(self.map.own());
        let settings = Settings {
            listen: listen.to_owned(),
            advertise: reached_by(listen, &place(listen, own.url())).await,
            name: own.name().clone(),
            generation: clock::now().nanos() / 1_000_000,
            seeds: self.hearsay.seeds(),
        };
        let facts = self.facts(None).await.unwrap_or_default();
        Gossip::start(settings, self.gossip.signer.clone(), facts).await
    }

    async fn keep_telling(&self, gossip: &Gossip) {
        let mut pace = Pace::default();
        loop {
            let progress = self.tasks.progress(Work::Reconcile);
            match self.facts(pace.of(&progress, Instant::now())).await {
                Ok(facts) => gossip.publish(facts),
                Err(error) => log::debug!("nothing new is told by gossip: {error}"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What this node tells of itself.
    async fn facts(&self, moving: Option<Moving>) -> Result<Facts, StoreError> {
        let store = self.store.clone();
        let looked = on_thread(move || {
            let counted = store.agent_record().counted;
            Ok::<_, StoreError>((counted, store.space()?, store.passed()?, store.is_complete()?))
        });
        let (counted, space, passed, complete) = looked.await?;
        let map = MapFacts {
            epoch: self.map.epoch(),
            fingerprint: self.map.fingerprint(),
            passed: Epoch::new(passed),
            complete,
        };
        Ok(Facts {
            map: (!self.map.is_proposal()).then_some(map),
            fill: Fill {
                objects: counted.map(|counted| counted.objects),
                bytes: counted.map(|counted| counted.bytes),
                free_bytes: space.free,
                capacity_bytes: space.capacity,
            },
            moving,
            paused: self.throttle.background().paused,
            release: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    async fn keep_listening(&self, mut cluster: watch::Receiver<Members>) {
        let store = self.store.clone();
        let mut told = on_thread(move || store.nodes_down()).await.unwrap_or_default();
        let mut doubts = Doubts::of(&self.map, &told);
        let mut questions: FuturesUnordered<BoxFuture<'_, Asked>> = FuturesUnordered::new();
        let (mut rounds, mut is_catching_up) = (rounds(), false);
        loop {
            tokio::select! {
                _ = rounds.tick() => {}
                Ok(()) = cluster.changed() => {}
                Some(asked) = questions.next() => match asked {
                    Asked::Doubted(node, answered) => {
                        if doubts.note(node, answered) {
                            let name = self.map.node(node).name();
                            log::warn!("node {name} answers, yet its gossip is not heard: is something holding it back?");
                        }
                    }
                    Asked::Ahead => is_catching_up = false,
                },
            }
            let members = cluster.borrow_and_update().clone();
            self.hearsay.hear(Some(members.clone()));
            for node in doubts.whom_to_ask(&self.map, &members, Instant::now()) {
                questions.push(Box::pin(self.ask_whether_there(node)));
            }
            if !is_catching_up && let Some(node) = self.one_ahead(&members) {
                is_catching_up = true;
                questions.push(Box::pin(self.catch_up_with(node)));
            }
            let down = doubts.down(&self.map, &members);
            if down != told {
                self.tell_down(down.clone()).await;
                told = down;
            }
        }
    }

    async fn ask_whether_there(&self, node: NodeIndex) -> Asked {
        let hello = self.peers.hello(&self.map, node, Hello { stamp: None });
        Asked::Doubted(node, matches!(timeout(UNTIL_ANSWERED, hello).await, Ok(Ok(_))))
    }

    /// Another node that works by a newer map: one of them, by chance.
    fn one_ahead(&self, members: &Members) -> Option<NodeIndex> {
        let is_ahead = |node: &NodeIndex| {
            let member = members.get(self.map.node(*node).name()).filter(|member| member.alive);
            let map = member.and_then(|member| member.facts.as_ref()?.map);
            map.is_some_and(|map| map.epoch.get() > self.map.epoch_in_force())
        };
        fastrand::choice(self.map.others().filter(is_ahead).collect::<Vec<_>>())
    }

    /// Whoever says hello to a node with a newer map fetches that.
    async fn catch_up_with(&self, node: NodeIndex) -> Asked {
        if let Err(error) = self.peers.hello(&self.map, node, Hello { stamp: None }).await {
            log::debug!("a newer map is not known here yet: {error}");
        }
        Asked::Ahead
    }

    /// Lets all processes of the root know which nodes are down.
    async fn tell_down(&self, down: BTreeSet<NodeName>) {
        let store = self.store.clone();
        if let Err(error) = on_thread(move || store.tell_nodes_down(&down)).await {
            log::warn!("other processes do not know which nodes are down: {error}");
        }
    }
}

/// The address by which others reach gossip that listens at every address: none if it listens at one.
async fn reached_by(listen: &str, place: &str) -> Option<IpAddr> {
    if place == listen {
        return None;
    }
    let is_v4 = listen.starts_with("0.");
    let mut found = lookup_host(place).await.ok()?.map(|address: SocketAddr| address.ip());
    found.find(|address| address.is_ipv4() || !is_v4)
}

/// How fast a pass goes.
#[derive(Debug, Default)]
struct Pace(Option<(Instant, u64)>);

impl Pace {
    /// How far the pass is; none: none is running.
    fn of(&mut self, progress: &Progress, now: Instant) -> Option<Moving> {
        if progress.state != State::Running {
            self.0 = None;
            return None;
        }
        let before = self.0.replace((now, progress.bytes));
        let (then, bytes) =
            before.filter(|(_, bytes)| *bytes <= progress.bytes).unwrap_or((now, progress.bytes));
        let seconds = now.saturating_duration_since(then).as_secs_f64().max(0.001);
        Some(Moving {
            keys_left: progress.of.map(|of| of.saturating_sub(progress.done)),
            bytes_per_second: ((progress.bytes - bytes) as f64 / seconds) as u64,
        })
    }
}
