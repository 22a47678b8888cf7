//! Spreading the map, and forgetting older ones once every node has finished a full pass under it (design section 9).

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{About, Agent, Complaints, rounds};
use crate::chain::chain;
use crate::cluster::{Fingerprint, NodeIndex};
use crate::disk::on_thread;
use crate::peer::client::PeerError;
use crate::peer::message::{Hello, HelloAnswer};

/// Nodes that are asked in one round: all of them are, one after the other, however many there are.
const NODES_PER_ROUND: usize = 16;

/// What other nodes have said while this agent works.
#[derive(Default)]
struct Heard(HashMap<NodeIndex, HelloAnswer>);

impl Heard {
    fn has_map(&self, node: NodeIndex, epoch: u64) -> bool {
        self.0.get(&node).is_some_and(|said| said.epoch == epoch)
    }

    fn has_passed(&self, node: NodeIndex, epoch: u64) -> bool {
        self.0.get(&node).is_some_and(|said| said.passed == epoch)
    }
}

/// The fingerprints of older maps that were looked at.
#[derive(Default)]
struct Compared(Mutex<HashSet<Fingerprint>>);

impl Compared {
    fn contains(&self, older: Fingerprint) -> bool {
        self.0.lock().expect("no holder panics").contains(&older)
    }

    fn insert(&self, older: Fingerprint) {
        self.0.lock().expect("no holder panics").insert(older);
    }
}

impl Agent {
    /// Sees to it that every node has this map, and settles it when all have finished their pass. A node that hangs holds up
    /// no other.
    pub(super) async fn keep_settling(&self, complaints: &Complaints) {
        let (epoch, mut rounds, mut heard) = (self.map.epoch_in_force(), rounds(), Heard::default());
        let settlers: Vec<_> = self.map.settlers().filter(|node| *node != self.map.own()).collect();
        let moves = !self.map.older().is_empty();
        let compared = Compared::default();
        let (mut next, mut asking, mut asked) = (0, FuturesUnordered::new(), HashSet::new());
        loop {
            tokio::select! {
                _ = rounds.tick() => {}
                Some((node, answer)) = asking.next() => {
                    asked.remove(&node);
                    self.note_greeted(node, answer, &mut heard, complaints);
                    continue;
                }
            }
            let is_open = |node: &NodeIndex| {
                !heard.has_map(*node, epoch)
                    || moves && settlers.contains(node) && !heard.has_passed(*node, epoch)
            };
            let open: Vec<_> = self.map.others().filter(is_open).collect();
            if open.is_empty() && !moves {
                return;
            }
            let count = open.len().min(NODES_PER_ROUND);
            for node in open.iter().cycle().skip(next % open.len().max(1)).take(count).copied() {
                if asked.insert(node) {
                    asking.push(self.greet(node, &compared));
                }
            }
            next += count;
            let all_have_passed = settlers.iter().all(|node| heard.has_passed(*node, epoch));
            if moves && all_have_passed && self.has_passed().await && self.map.is_current(self.map.own()) {
                self.settle().await;
            }
        }
    }

    async fn greet(
        &self,
        node: NodeIndex,
        compared: &Compared,
    ) -> (NodeIndex, Result<HelloAnswer, PeerError>) {
        let answer = self.peers.hello(&self.map, node, Hello { stamp: None }).await;
        if let Ok(answer) = &answer {
            self.learn_older(node, answer, compared).await;
        }
        (node, answer)
    }

    fn note_greeted(
        &self,
        node: NodeIndex,
        answer: Result<HelloAnswer, PeerError>,
        heard: &mut Heard,
        complaints: &Complaints,
    ) {
        match answer {
            Ok(mut answer) => {
                complaints.settle(About::Node(node));
                if let Some(place) = answer.gossip.take() {
                    self.hearsay.learn(self.map.node(node).name(), place);
                }
                self.movers.hear(node, &answer, self.map.epoch_in_force());
                heard.0.insert(node, answer);
            }
            Err(error) => {
                self.movers.miss(node);
                complaints.raise(About::Node(node), &error);
            }
        }
    }

    /// Takes over what another node of this map remembers of older ones: nodes that met two maps of one epoch were told of only
    /// one of them, and something was perhaps written under the other.
    async fn learn_older(&self, node: NodeIndex, said: &HelloAnswer, compared: &Compared) {
        let is_same = (said.epoch, said.map) == (self.map.epoch_in_force(), self.map.fingerprint());
        let is_known = said.older == Fingerprint::default() || said.older == self.map.older_fingerprint();
        if !is_same || is_known || self.map.older().is_empty() || compared.contains(said.older) {
            return;
        }
        match self.adopt_from(node).await {
            Ok(()) => compared.insert(said.older),
            Err(problem) => log::warn!("which older maps there are is not known yet: {problem}"),
        }
    }

    /// Takes over the maps of another node.
    async fn adopt_from(&self, node: NodeIndex) -> Result<(), String> {
        let fetched = self.peers.maps(&self.map, node).await.map_err(|error| error.to_string())?;
        let (maps, from) = (self.maps.clone(), format!("node {}", self.map.node(node).name()));
        let adopted = on_thread(move || maps.adopt(fetched.maps, &from)).await;
        adopted.map(|_| ()).map_err(|error| chain(&error))
    }

    /// Whether this root has finished a full pass under the current map.
    pub(super) async fn has_passed(&self) -> bool {
        let (store, epoch) = (self.store.clone(), self.map.epoch_in_force());
        let passed = on_thread(move || store.passed()).await;
        passed.is_ok_and(|passed| passed == epoch)
    }

    async fn settle(&self) {
        let (maps, epoch) = (self.maps.clone(), self.map.epoch());
        match on_thread(move || maps.settle(epoch)).await {
            Ok(true) => log::info!("the map of epoch {epoch} is settled: older maps are forgotten"),
            Ok(false) => {}
            Err(error) => log::warn!("older maps are not forgotten yet: {}", chain(&error)),
        }
    }

    /// Asks the nodes of a map that is not in force whether they have one that is, until this node is a part of it.
    pub(super) async fn keep_joining(&self) {
        let (mut rounds, others) = (rounds(), self.map.others().collect::<Vec<_>>());
        log::info!(
            "map {} of epoch {} is not in force yet: this node waits until it is applied",
            self.map.fingerprint(),
            self.map.epoch()
        );
        let mut turn = 0;
        while !others.is_empty() {
            rounds.tick().await;
            let node = others[turn % others.len()];
            turn += 1;
            if let Err(problem) = self.adopt_from(node).await {
                log::debug!("this node is no part of the cluster yet: {problem}");
            }
        }
    }
}
