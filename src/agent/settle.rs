//! Spreading the map, and forgetting older ones once every node has finished a full pass under it (design section 9).

use std::collections::HashMap;

use futures_util::future::join_all;

use super::{About, Agent, Complaints, rounds};
use crate::chain::chain;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
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

impl Agent {
    /// Sees to it that every node has this map, and settles it when all have finished their pass.
    pub(super) async fn keep_settling(&self, complaints: &Complaints) {
        let (epoch, mut rounds, mut heard) = (self.map.epoch_in_force(), rounds(), Heard::default());
        let settlers: Vec<_> = self.map.settlers().filter(|node| *node != self.map.own()).collect();
        let moves = !self.map.older().is_empty();
        let mut next = 0;
        loop {
            rounds.tick().await;
            let is_open = |node: &NodeIndex| {
                !heard.has_map(*node, epoch)
                    || moves && settlers.contains(node) && !heard.has_passed(*node, epoch)
            };
            let open: Vec<_> = self.map.others().filter(is_open).collect();
            if open.is_empty() && !moves {
                return;
            }
            let count = open.len().min(NODES_PER_ROUND);
            let asked = open.iter().cycle().skip(next % open.len().max(1)).take(count).copied();
            next += count;
            let greeted = join_all(asked.map(|node| async move {
                (node, self.peers.hello(&self.map, node, Hello { stamp: None }).await)
            }));
            for (node, answer) in greeted.await {
                match answer {
                    Ok(answer) => {
                        complaints.settle(About::Node(node));
                        heard.0.insert(node, answer);
                    }
                    Err(error) => complaints.raise(About::Node(node), &error),
                }
            }
            let all_have_passed = settlers.iter().all(|node| heard.has_passed(*node, epoch));
            if moves && all_have_passed && self.has_passed().await && self.map.is_current(self.map.own()) {
                self.settle().await;
            }
        }
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
            let fetched = match self.peers.maps(&self.map, node).await {
                Ok(fetched) => fetched,
                Err(error) => {
                    log::debug!("whether a map is in force is not known: {error}");
                    continue;
                }
            };
            let (maps, from) = (self.maps.clone(), format!("node {}", self.map.node(node).name()));
            if let Err(error) = on_thread(move || maps.adopt(fetched.maps, &from)).await {
                log::debug!("this node is no part of the cluster yet: {}", chain(&error));
            }
        }
    }
}
