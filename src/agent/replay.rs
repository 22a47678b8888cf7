//! Bringing single keys up to date on a node that missed a write of them, as soon as it answers.
//!
//! A mark for another node means: it may lack what we hold. A mark for this node means: we may lack what they hold.
//! Either way both sides are compared and the newer one travels; a mark is forgotten once they agree.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;

use super::plan::step;
use super::transfer::TransferError;
use super::{About, Agent, Complaints};
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::failpoint::{self, Step};
use crate::name::ObjectName;
use crate::peer::message::Hello;
use crate::resolve::Route;

/// Keys replayed for one node in one round; the rest follow in the next.
const KEYS_PER_ROUND: usize = 2048;

/// The nodes that did not answer in this round: nothing more is asked of them until the next, since each question may
/// take as long as the one that was not answered.
#[derive(Debug, Default)]
struct Silent(Mutex<HashSet<NodeIndex>>);

impl Silent {
    fn contains(&self, node: NodeIndex) -> bool {
        self.0.lock().expect("no holder panics").contains(&node)
    }

    /// Remembers who did not answer.
    fn note(&self, node: NodeIndex, error: &TransferError) {
        if error.is_silence() {
            self.0.lock().expect("no holder panics").insert(node);
        }
    }
}

impl Agent {
    /// Replays what `node`, this one or another, has missed, if it answers.
    pub(super) async fn replay(&self, node: NodeIndex, complaints: &Complaints) {
        let (store, name) = (Arc::clone(&self.store), self.map.node(node).name().clone());
        match on_thread(move || store.is_dirty(&name)).await {
            Ok(true) => {}
            Ok(false) => return complaints.settle(About::Marks(node)),
            Err(error) => return complaints.raise(About::Marks(node), &error),
        }
        // Before the marks are read: there may be many, and a node may be down for long.
        if node != self.map.own() {
            if let Err(error) = self.peers.hello(&self.map, node, Hello { stamp: None }).await {
                return complaints.raise(About::Node(node), &error);
            }
            complaints.settle(About::Node(node));
        }
        let (store, name) = (Arc::clone(&self.store), self.map.node(node).name().clone());
        let dirty = match on_thread(move || store.dirty(&name, KEYS_PER_ROUND)).await {
            Ok(dirty) => dirty,
            Err(error) => return complaints.raise(About::Marks(node), &error),
        };
        complaints.settle(About::Marks(node));
        let count = dirty.len();
        let silent = &Silent::default();
        let settled = futures_util::stream::iter(dirty)
            .map(|name| async move { self.replay_key(node, &name, silent).await })
            .buffer_unordered(self.settings.concurrency.get())
            .fold(0, |settled, done| async move { settled + usize::from(done) })
            .await;
        if settled > 0 {
            log::info!(
                "{settled} of {count} keys that node {} missed are up to date",
                self.map.node(node).name()
            );
        }
    }

    /// Whether the key is settled and its mark forgotten.
    async fn replay_key(&self, node: NodeIndex, name: &ObjectName, silent: &Silent) -> bool {
        let settled = if node == self.map.own() {
            self.pull(name, silent).await
        } else {
            self.push(node, name, silent).await
        };
        if settled {
            let (store, node, name) =
                (Arc::clone(&self.store), self.map.node(node).name().clone(), name.clone());
            failpoint::step(Step::ReplaySettled);
            on_thread(move || store.clear_dirty(&node, &name)).await;
        }
        settled
    }

    /// Brings one other owner up to date. Settled too if it is no owner any more.
    async fn push(&self, node: NodeIndex, name: &ObjectName, silent: &Silent) -> bool {
        let route = Route::of(&self.map, name);
        !route.others.contains(&node) || self.agree(node, name, silent).await
    }

    /// Brings this node up to date with every other owner that answers. Settled once all have, or if this node is no
    /// owner any more.
    async fn pull(&self, name: &ObjectName, silent: &Silent) -> bool {
        let route = Route::of(&self.map, name);
        let mut all = true;
        for node in route.others.into_iter().filter(|_| route.own) {
            all &= self.agree(node, name, silent).await;
        }
        all
    }

    /// Makes this node and another hold the same of a key, unless that one is silent; whether they do.
    async fn agree(&self, node: NodeIndex, name: &ObjectName, silent: &Silent) -> bool {
        if silent.contains(node) {
            return false;
        }
        let agreed = async {
            let theirs = self.peers.ask(&self.map, node, name).await?.held;
            let ours = self.held(name).await?;
            self.take(node, name, step(&ours, &theirs)).await
        };
        match agreed.await {
            Ok(()) => true,
            Err(error) => {
                silent.note(node, &error);
                log::debug!("{name} stays marked: {error}");
                false
            }
        }
    }
}
