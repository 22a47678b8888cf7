//! How a node that lacks something gets it (design section 8): it asks every other node for a pass restricted to its keys,
//! and is complete when all have finished one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::Agent;
use super::pass::Order;
use crate::cluster::{NodeIndex, NodeName};
use crate::disk::on_thread;
use crate::failpoint::{Step, step};
use crate::store::{Identity, StoreError};

/// How long an incomplete node waits until it asks how far the others are: half as long as it has asked already, within
/// these bounds.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(1);
/// After a pass that failed for another reason than the other node's silence, none is held for this time: it would fail
/// again, as for want of room, and each costs a walk.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// What other nodes that lack something have asked this one for. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Offers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: Mutex<BTreeMap<NodeName, Offer>>,
    changed: Notify,
    /// Whether every node that this one has asked, when it last did, was neither at work on it nor about to be.
    nobody_comes: AtomicBool,
}

/// One node's last request.
#[derive(Debug, Clone, Copy)]
struct Offer {
    token: u64,
    finished: bool,
    /// Whether something was left to the nodes that move files: it goes on when they are through.
    waits: bool,
}

impl Offer {
    fn new(token: u64) -> Self {
        Self { token, finished: false, waits: false }
    }
}

impl Offers {
    /// Asks for a pass for a node, unless this is a repeat of its last request. Whether that pass is finished.
    pub fn ask(&self, node: &NodeName, token: u64) -> bool {
        let mut asked = self.0.asked.lock().expect("no holder panics");
        let offer = asked.entry(node.clone()).or_insert(Offer::new(token));
        if offer.token != token {
            *offer = Offer::new(token);
        }
        let finished = offer.finished;
        drop(asked);
        self.0.changed.notify_one();
        finished
    }

    /// Whether others bring what this root lacks, or are about to be asked for it.
    fn are_coming(&self) -> bool {
        !self.0.nobody_comes.load(Ordering::Relaxed)
    }

    fn set_coming(&self, coming: bool) {
        self.0.nobody_comes.store(!coming, Ordering::Relaxed);
    }

    /// A node whose pass is not finished and need not wait, as `waits` says of one who asks for the first time.
    fn next(&self, waits: impl Fn(&NodeName, bool) -> bool) -> Option<(NodeName, u64)> {
        let asked = self.0.asked.lock().expect("no holder panics");
        let mut open = asked.iter().filter(|(_, offer)| !offer.finished);
        let next = open.find(|(node, offer)| !waits(node, offer.waits));
        next.map(|(node, offer)| (node.clone(), offer.token))
    }

    /// A node's pass is to go on when files have moved.
    fn wait(&self, node: &NodeName, token: u64) {
        let mut asked = self.0.asked.lock().expect("no holder panics");
        if let Some(offer) = asked.get_mut(node).filter(|offer| offer.token == token) {
            offer.waits = true;
        }
    }

    /// A pass for a node is finished, unless that has asked anew since.
    fn finish(&self, node: &NodeName, token: u64) {
        let mut asked = self.0.asked.lock().expect("no holder panics");
        if let Some(offer) = asked.get_mut(node).filter(|offer| offer.token == token) {
            offer.finished = true;
        }
    }

    /// Forgets a node's request: it asks again as long as it needs something.
    fn forget(&self, node: &NodeName, token: u64) {
        let mut asked = self.0.asked.lock().expect("no holder panics");
        if asked.get(node).is_some_and(|offer| offer.token == token) {
            asked.remove(node);
        }
    }
}

impl Agent {
    /// Holds the passes that other nodes ask for.
    pub(super) async fn serve_offers(&self) {
        loop {
            let Some((name, token)) = self.offers.next(|node, waits| self.is_brought_files(node, waits))
            else {
                // Nobody says when those that move files are through.
                let _ = timeout(AGAIN_MAX, self.offers.0.changed.notified()).await;
                continue;
            };
            let name = &name;
            let Some(node) = self.map.index_of(name) else {
                self.offers.forget(name, token);
                continue;
            };
            let now = Duration::ZERO;
            let order = Order { peers: vec![node], max_age: now, own_max_age: now, moves: false };
            match self.pass(&order, &|_, _| {}).await {
                Ok(report) if report.left > 0 => self.offers.wait(name, token),
                // Copies that belong to others than this node are none of its business.
                Ok(report) if report.unanswered.is_empty() && report.unsettled == 0 => {
                    log::info!(
                        "node {name} was offered all that this node has for it: it took {} keys",
                        report.sent
                    );
                    self.offers.finish(name, token);
                }
                Ok(report) => {
                    log::debug!("node {name} is not offered everything yet: {report:?}");
                    self.offers.forget(name, token);
                    if report.unsettled > 0 {
                        sleep(AFTER_FAILURE).await;
                    }
                }
                Err(error) => {
                    log::warn!("node {name} cannot be offered what this node has: {error}");
                    self.offers.forget(name, token);
                    sleep(AFTER_FAILURE).await;
                }
            }
        }
    }

    /// Whether a node need not be offered anything yet, since others are bringing what it gets: all of it, or what was left
    /// the last time.
    fn is_brought_files(&self, node: &NodeName, was_left: bool) -> bool {
        let Some(oldest) = self.map.older().first() else { return false };
        let is_new = || self.map.index_of(node).is_some_and(|node| !oldest.can_own(node));
        self.are_movers_at_it() && (was_left || is_new())
    }

    /// As long as this root lacks something: asks all others for it.
    pub(super) async fn ask_for_offers(&self) {
        let mut asked: Option<(Identity, u64, BTreeSet<NodeIndex>)> = None;
        let mut wait = AGAIN_FIRST;
        loop {
            sleep(wait).await;
            wait = (wait * 3 / 2).min(AGAIN_MAX);
            let identity = match self.lacking().await {
                Ok(Some(identity)) => identity,
                Ok(None) => {
                    asked = None;
                    self.offers.set_coming(true);
                    continue;
                }
                Err(error) => {
                    log::debug!("whether this root is complete is not known: {error}");
                    continue;
                }
            };
            // Another root than when the others were asked: it may lack more.
            let same = asked.as_ref().is_some_and(|(seen, ..)| seen.returned == identity.returned);
            if !same {
                wait = AGAIN_FIRST;
                asked = Some((identity, fastrand::u64(..), BTreeSet::new()));
            }
            let Some((seen, token, finished)) = &mut asked else { continue };
            let others = self.map.settlers().filter(|node| *node != self.map.own());
            let (mut all, mut coming) = (true, false);
            for node in others {
                if !finished.contains(&node) {
                    match self.peers.offer(&self.map, node, *token).await {
                        Ok(true) => _ = finished.insert(node),
                        Ok(false) => (all, coming) = (false, true),
                        Err(error) => {
                            log::debug!("not everything is offered yet: {error}");
                            all = false;
                        }
                    }
                }
            }
            self.offers.set_coming(coming);
            if all {
                step(Step::OfferedAll);
                if let Err(error) = self.become_complete(seen.clone()).await {
                    log::warn!("the root does not become complete: {error}");
                }
            }
        }
    }

    /// Whether others bring, in batches, what this root lacks, or are about to.
    pub(super) async fn is_being_filled(&self) -> Result<bool, StoreError> {
        Ok(self.offers.are_coming() && self.lacking().await?.is_some())
    }

    /// The identity of a root that is incomplete and not a new one among new ones, once others know which root it is.
    async fn lacking(&self) -> Result<Option<Identity>, StoreError> {
        // One that is lost owns nothing, and is not to be complete before it is taken back.
        if self.is_lost(self.map.own()) || !self.may_replay(self.map.own(), &self.standing) {
            return Ok(None);
        }
        let (store, name) = (Arc::clone(&self.store), self.name().clone());
        let identity = on_thread(move || store.identify(&name)).await?;
        let is_born_complete = |identity: &Identity| identity.is_newborn() && self.may_be_born_complete();
        Ok(Some(identity)
            .filter(|identity| !identity.complete && !identity.returning && !is_born_complete(identity)))
    }
}
