//! What the other nodes think of this root (design section 5): each is told its stamp, and says which one it remembers.
//! So the root learns whether it is the one they know, and, if it is new, when it is complete.
//!
//! From its start until the first of them has answered nobody can tell whether the root is an older copy, and what it holds
//! is served all the same, from the own disk, without asking an owner first. The web server reads the files without
//! asking anybody, so that asking would keep no promise; it would cost every request of every start, which is
//! nearly always that of the newest root; and a node that is cut off from all others must serve. The time is bounded by
//! the first answer, not by a clock: whoever is in touch with a co-owner hears within a round. What must not happen
//! meanwhile does not: nothing of the root is sent to a node that does not know it, and no pass takes anything from it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{About, Agent, Complaints};
use crate::cluster::{Epoch, NodeIndex, NodeState, OlderMap};
use crate::disk::on_thread;
use crate::peer::client::PeerError;
use crate::peer::message::Hello;
use crate::store::{Identity, KnownRoot, Stamp, Store, StoreError};

/// How often the stamp is raised: a copy of the root that is older than this is known as one when it is put back.
const RAISED_EVERY: Duration = Duration::from_secs(60 * 60);

/// Which nodes know this root.
#[derive(Debug, Default)]
pub struct Standing {
    known: Mutex<Known>,
    /// What tells all processes of the root as soon as a node knows it.
    known_root: Mutex<Option<KnownRoot>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The stamp that each of them has last taken for the newest, since this agent started.
    stamps: HashMap<NodeIndex, Stamp>,
    /// When the stamp is to be raised next; none: as soon as enough nodes know it.
    raise_at: Option<Instant>,
}

impl Standing {
    /// Whether a node takes this root for the newest of its name. Until then it may be an older copy, and nothing it holds
    /// is to be sent there.
    pub(super) fn is_known_to(&self, node: NodeIndex) -> bool {
        self.known().stamps.contains_key(&node)
    }

    /// Whether any node does.
    fn is_known(&self) -> bool {
        !self.known().stamps.is_empty()
    }

    fn has_told(&self, node: NodeIndex, stamp: Stamp) -> bool {
        self.known().stamps.get(&node) == Some(&stamp)
    }

    fn tell(&self, node: NodeIndex, stamp: Stamp) {
        self.known().stamps.insert(node, stamp);
    }

    /// How many of these nodes know this stamp.
    fn knowing(&self, nodes: impl Iterator<Item = NodeIndex>, stamp: Stamp) -> usize {
        let known = self.known();
        nodes.filter(|node| known.stamps.get(node) == Some(&stamp)).count()
    }

    /// Nobody knows this root any more.
    fn forget(&self) {
        *self.known() = Known::default();
        *self.known_root.lock().expect("no holder panics") = None;
    }

    fn is_to_be_raised(&self) -> bool {
        self.known().raise_at.is_none_or(|at| at <= Instant::now())
    }

    fn is_raised(&self) {
        self.known().raise_at = Some(Instant::now() + RAISED_EVERY);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().expect("no holder panics")
    }
}

/// The steps of a root that is not the one that others know: a stamp of its own, what they remember, a stamp above that.
const STEPS_MAX: usize = 4;

impl Agent {
    /// Whether keys that `node`, this one or another, has missed may be compared with what this root holds.
    pub(super) fn may_replay(&self, node: NodeIndex, standing: &Standing) -> bool {
        if node == self.map.own() {
            standing.is_known() || self.witnesses().next().is_none()
        } else {
            standing.is_known_to(node)
        }
    }

    /// One round: tells the root's stamp to those who do not know it yet, and draws the conclusions.
    pub(super) async fn keep_standing(&self, standing: &Standing, complaints: &Complaints) {
        match self.try_standing(standing, complaints).await {
            Ok(()) => complaints.settle(About::Standing),
            Err(error) => complaints.raise(About::Standing, &error),
        }
    }

    async fn try_standing(&self, standing: &Standing, complaints: &Complaints) -> Result<(), StoreError> {
        for _ in 0..STEPS_MAX {
            if self.take_stand(standing, complaints).await? {
                break;
            }
        }
        Ok(())
    }

    /// Does the next thing that is to be done about the stamp. `false`: it has changed, and is to be told at once.
    async fn take_stand(&self, standing: &Standing, complaints: &Complaints) -> Result<bool, StoreError> {
        let identity = if standing.is_known() {
            self.with_store(|store, agent| store.identify(agent.name())).await?
        } else {
            // What others are to remember must not be lost here.
            self.with_store(|store, agent| store.identify_durably(agent.name())).await?
        };
        let is_lost = self.is_lost(self.map.own());
        if is_lost && identity.returned.is_none() {
            log::warn!(
                "the map lists this node as lost: what it holds is moved out of the way, and it is incomplete"
            );
            self.with_store(|store, agent| store.begin_return_of_lost(agent.name())).await?;
            return Ok(false);
        }
        let Some(stamp) = identity.stamp.filter(|_| !identity.returning) else {
            self.prepare_to_stand(&identity, standing).await?;
            return Ok(false);
        };
        if let Some(newest) = self.introduce(stamp, standing, complaints).await {
            self.return_before(newest, standing).await?;
            return Ok(false);
        }
        if standing.is_known() && standing.known_root.lock().expect("no holder panics").is_none() {
            let known = self.with_store(|store, _| store.make_known()).await?;
            *standing.known_root.lock().expect("no holder panics") = Some(known);
        }
        let knowing = standing.knowing(self.witnesses(), stamp);
        // A root that somebody remembers otherwise is complete only when all have offered it what it should have.
        if !is_lost
            && identity.is_newborn()
            && self.may_be_born_complete()
            && knowing + 1 >= self.map.replicas()
        {
            self.become_complete(identity).await?;
        }
        // Whoever restores a copy when few nodes answer must not outgrow what the others remember.
        if standing.is_to_be_raised() && 2 * knowing >= self.witnesses().count() {
            self.with_store(|store, agent| store.raise_stamp(agent.name())).await?;
            standing.is_raised();
        }
        Ok(true)
    }

    /// Whether a root that is new lacks nothing it should have: the cluster is as new, or those that had everything before
    /// this node came answer for it, since the older maps are not settled.
    pub(super) fn may_be_born_complete(&self) -> bool {
        let name = self.name();
        let is_member = |older: &OlderMap| older.map().index_of(name).is_some();
        let older = self.map.older();
        self.map.epoch() == Epoch::FIRST || !older.is_empty() && !older.iter().any(is_member)
    }

    /// What is to be done before a stamp can be told: there is none yet, or files have to be moved out of the way first, as
    /// after a crash in the middle of that.
    async fn prepare_to_stand(&self, identity: &Identity, standing: &Standing) -> Result<(), StoreError> {
        if identity.returning {
            standing.forget();
            self.with_store(|store, agent| store.finish_return(agent.name(), &agent.exclude)).await?;
            log::warn!(
                "what the root of node {} held is in .webdfs/quarantine/returned until other nodes confirm it",
                self.name()
            );
            return Ok(());
        }
        self.with_store(|store, agent| store.raise_stamp(agent.name())).await
    }

    /// Tells the stamp to the nodes that do not know it; the newest that any of them remembers, if that contradicts it.
    async fn introduce(&self, stamp: Stamp, standing: &Standing, complaints: &Complaints) -> Option<Stamp> {
        let others =
            self.map.others().filter(|node| !self.is_lost(*node) && !standing.has_told(*node, stamp));
        let greet = |node| async move {
            let answer = self.peers.hello(&self.map, node, Hello { stamp: Some(stamp) }).await?;
            Ok::<_, PeerError>(answer.remembered)
        };
        let greeted = join_all(others.map(|node| async move { (node, greet(node).await) }));
        let (mut contradictions, mut told) = (Vec::new(), Vec::new());
        for (node, remembered) in greeted.await {
            match remembered {
                Ok(Some(remembered)) if remembered.contradicts(stamp) => contradictions.push(remembered),
                Ok(_) => told.push(node),
                Err(ref error) => {
                    complaints.raise(About::Node(node), error);
                    continue;
                }
            }
            complaints.settle(About::Node(node));
        }
        if contradictions.is_empty() {
            told.into_iter().for_each(|node| standing.tell(node, stamp));
        }
        contradictions.into_iter().max_by_key(|stamp| stamp.number())
    }

    /// Takes this root for an older copy, or for another one than the others know.
    async fn return_before(&self, newest: Stamp, standing: &Standing) -> Result<(), StoreError> {
        if self.with_store(move |store, agent| store.begin_return(agent.name(), newest)).await? {
            log::warn!(
                "the root of node {} is not the one that other nodes know, or an older copy of it: what it holds is moved \
                 out of the way, and it is incomplete",
                self.name()
            );
            let identity = self.with_store(|store, agent| store.identify(agent.name())).await?;
            self.prepare_to_stand(&identity, standing).await?;
        }
        Ok(())
    }

    /// Makes the root complete, if it is still the one that was `seen`: it lacks nothing, as a new one among new ones, or
    /// because all other nodes have offered what it should have since it was found incomplete.
    pub(super) async fn become_complete(&self, seen: Identity) -> Result<(), StoreError> {
        if self.with_store(move |store, agent| store.mark_complete(agent.name(), &seen)).await? {
            log::info!("node {} is complete", self.name());
        }
        Ok(())
    }

    /// Whether a node is given up.
    pub(super) fn is_lost(&self, node: NodeIndex) -> bool {
        self.map.node(node).state() == NodeState::Lost
    }

    /// The other nodes that are expected to know this root: those that own something, or have owned it under an older map
    /// that is not settled. Whoever owns nothing may have been switched off for good.
    fn witnesses(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.map.settlers().filter(|node| *node != self.map.own())
    }

    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, agent) = (Arc::clone(&self.store), self.clone());
        on_thread(move || work(&store, &agent)).await
    }
}
