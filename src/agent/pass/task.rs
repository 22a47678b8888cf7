//! When passes are held.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use tokio::time::{sleep, timeout};

use super::{ASK_EVERY, Order, Report};
use crate::agent::Agent;
use crate::agent::tasks::{self, Occasion, Task, Unfinished};
use crate::cluster::{NodeIndex, NodeName};
use crate::control::Answer;
use crate::disk::on_thread;
use crate::peer::message::Hello;
use crate::store::StoreError;
use crate::store::inventory::BUCKETS;

/// How old an inventory may be when a pass was merely due, so that nodes whose passes are due at about the same time share
/// their walks.
const DUE_MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// A pass that could not be finished is held again after this time, or when a node answers that did not: each costs a walk
/// over the roots of all nodes, and a node may be down for days.
const REST: Duration = Duration::from_secs(60 * 60);
/// The same where all nodes answer again at once: what was wrong may be over soon.
const RETRY: Duration = Duration::from_secs(30);
/// The same while the map has changed and files move: what stays may be all that keeps older maps from being settled.
const MOVING_RETRY: Duration = Duration::from_secs(5);
/// A pass in which not all nodes that answer took part is held again after this time, but not more often than this: until
/// then others leave it to this node to bring what it gives up.
const TRY_AGAIN: Duration = Duration::from_secs(1);
const TRIES_MAX: u32 = 5;
/// Uploads that began under an older map are waited for as long as this: clients may be slow.
const OLDER_UPLOADS_PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How often it is seen whether one that did not answer does.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a pass waits for the nodes that have not said yet which root of this node they know: all that answer do, soon
/// after its start.
const INTRODUCTION: Duration = Duration::from_secs(3);
/// How long another process waits for a walk before it is told that it goes on: less than another node waits for an
/// answer.
const WALK_PATIENCE: Duration = Duration::from_secs(3);

/// The full pass of one root.
///
/// A pass that is cut off is held again from its beginning. What it has achieved is on the disks of both sides: ranges that
/// agree by now have equal digests and are skipped, so that all it costs is another walk, and no file travels twice. A
/// note of how far it was would spare the digests alone, and would have to be believed: what was compared before the
/// interruption may have been lost since, and a finished pass says that every owner has answered for every key.
#[derive(Debug)]
pub struct Reconcile {
    agent: Agent,
    last: Mutex<Attempt>,
    /// Since when passes that were due have been put off.
    put_off: Mutex<Option<Instant>>,
    /// Passes in which some node that answers did not take part, as just after the map has changed.
    incomplete: AtomicU32,
}

/// The last pass that was held.
#[derive(Debug, Clone)]
struct Attempt {
    ended: Instant,
    /// Who did not answer.
    silent: Vec<NodeIndex>,
    /// Whether this node could not read some of its files: that does not end by itself.
    unread: bool,
    /// Whether keys were left to other nodes.
    left: bool,
}

impl Attempt {
    fn ends_now(silent: Vec<NodeIndex>, report: Option<&Report>) -> Self {
        let (unread, left) =
            report.map_or((false, false), |report| (!report.unread.is_empty(), report.left > 0));
        Self { ended: Instant::now(), silent, unread, left }
    }
}

impl Task for Reconcile {
    fn run(&self, occasion: Occasion, shown: tasks::Report) -> BoxFuture<'_, Result<(), Unfinished>> {
        Box::pin(async move {
            // Where all that a node held is elsewhere, and it is in the map no more, there is nothing left to do.
            if !self.agent.map.is_current(self.agent.map.own()) && self.agent.has_passed().await {
                return Ok(());
            }
            self.introduction().await;
            if occasion == Occasion::Due && self.is_to_be_put_off().await.map_err(Unfinished::new)? {
                return Err(Unfinished::new("it is put off while other nodes bring what this root lacks"));
            }
            *self.put_off.lock().expect("no holder panics") = None;
            let held = self.hold(occasion, &shown).await;
            if self.has_tried(held.as_ref().ok()) {
                self.agent.has_moved().await;
            }
            let silent = |node: &NodeIndex| {
                let name = self.agent.map.node(*node).name();
                held.as_ref().is_ok_and(|report| report.unanswered.contains_key(name))
            };
            let attempt = Attempt::ends_now(self.others().filter(silent).collect(), held.as_ref().ok());
            *self.last.lock().expect("no holder panics") = attempt;
            let report = held.map_err(Unfinished::new)?;
            if report.is_finished() {
                log::info!("a pass is over: {report}");
                // What it took for the root's own files may have been moved out of the way meanwhile.
                return match self.agent.has_passed().await {
                    true => Ok(()),
                    false => Err(Unfinished::new("the root has returned meanwhile: the pass is held again")),
                };
            }
            Err(Unfinished { problem: report.to_string(), cause: cause(&report) })
        })
    }

    fn recovery(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let was_put_off = self.put_off.lock().expect("no holder panics").is_some();
            if was_put_off {
                while self.is_to_be_put_off().await.unwrap_or(false) {
                    sleep(ASK_EVERY).await;
                }
                return;
            }
            let Attempt { ended, silent, unread, left } = self.last.lock().expect("no holder panics").clone();
            if self.agent.movers.is_at_it(self.agent.map.own()) && !self.agent.map.older().is_empty() {
                return sleep(TRY_AGAIN).await;
            }
            while left && self.agent.are_movers_at_it() && ended.elapsed() < REST {
                sleep(ASK_EVERY).await;
            }
            if left {
                return;
            }
            let mut down = self.down(&silent).await;
            loop {
                sleep(LOOK_EVERY).await;
                let down_before = std::mem::replace(&mut down, self.down(&silent).await);
                let moves = !self.agent.map.older().is_empty();
                let rest = match (down.is_empty(), silent.is_empty()) {
                    (true, _) if moves && !unread => MOVING_RETRY,
                    (true, false) => RETRY,
                    _ => REST,
                };
                if !down_before.is_subset(&down) || ended.elapsed() >= rest {
                    return;
                }
            }
        })
    }
}

/// What of a report stays the same while the same nodes do not answer, and the same kinds of things are left to do.
fn cause(report: &Report) -> String {
    let names: Vec<_> = report.unanswered.keys().map(NodeName::as_str).collect();
    let Report { unsettled, strays, left, unread, .. } = report;
    let [unsettled, strays, left] = [*unsettled > 0, *strays > 0, *left > 0];
    format!("{names:?}, unsettled: {unsettled}, strays: {strays}, left: {left}, unread: {unread}")
}

impl Reconcile {
    /// The pass of this agent's root.
    pub fn of(agent: Agent) -> Self {
        Self {
            agent,
            last: Mutex::new(Attempt::ends_now(Vec::new(), None)),
            put_off: Mutex::default(),
            incomplete: AtomicU32::new(0),
        }
    }

    /// Whether a pass was an earnest try to bring the others what this node gives up: all who answer took part. What it
    /// cannot bring for good must not wait for it.
    fn has_tried(&self, report: Option<&Report>) -> bool {
        let map = &self.agent.map;
        let takes_part = |node: &NodeIndex, report: &Report| {
            !report.unanswered.contains_key(map.node(*node).name()) || self.agent.movers.is_silent(*node)
        };
        report.is_some_and(|report| self.others().all(|node| takes_part(&node, report)))
            || self.incomplete.fetch_add(1, Relaxed) + 1 >= TRIES_MAX
    }

    fn others(&self) -> impl Iterator<Item = NodeIndex> {
        let map = &self.agent.map;
        map.others().filter(|node| map.can_own(*node))
    }

    /// Which of some nodes do not answer now.
    async fn down(&self, nodes: &[NodeIndex]) -> BTreeSet<NodeIndex> {
        let agent = &self.agent;
        let greet = |node: &NodeIndex| agent.peers.hello(&agent.map, *node, Hello { stamp: None });
        let greeted = join_all(nodes.iter().map(greet)).await;
        nodes
            .iter()
            .copied()
            .zip(greeted)
            .filter(|(_, answer)| answer.is_err())
            .map(|(node, _)| node)
            .collect()
    }

    /// Waits until all others have said which root of this node they know, but not for long.
    async fn introduction(&self) {
        let agent = &self.agent;
        let all = async {
            while !self.others().all(|node| agent.may_replay(node, &agent.standing)) {
                sleep(ASK_EVERY).await;
            }
        };
        let _ = timeout(INTRODUCTION, all).await;
    }

    /// Whether a pass that is due waits until the others have brought what this root lacks: it would fetch the same files,
    /// one by one. One that cannot bring them may say for long that it will.
    async fn is_to_be_put_off(&self) -> Result<bool, StoreError> {
        let is_being_filled = self.agent.is_being_filled().await?;
        let since = *self.put_off.lock().expect("no holder panics").get_or_insert_with(Instant::now);
        Ok(is_being_filled && since.elapsed() < REST)
    }

    async fn hold(&self, occasion: Occasion, shown: &tasks::Report) -> Result<Report, StoreError> {
        let (agent, epoch) = (&self.agent, self.agent.map.epoch_in_force());
        let (store, name) = (Arc::clone(&agent.store), agent.name().clone());
        let seen = on_thread(move || store.identify(&name)).await?;
        let has_passed = seen.passed == epoch;
        if !has_passed {
            shown.doing("waiting for uploads that began under an older map");
            self.older_uploads(epoch).await?;
        }
        let max_age = if occasion == Occasion::Due { DUE_MAX_AGE } else { Duration::ZERO };
        let own_max_age = if has_passed { max_age } else { Duration::ZERO };
        let order = Order { peers: self.others().collect(), max_age, own_max_age, moves: true };
        let report = self.pass_shown(&order, shown).await?;
        if report.is_finished() && !has_passed {
            let (store, name) = (Arc::clone(&agent.store), agent.name().clone());
            on_thread(move || store.mark_passed(&name, &seen, epoch)).await?;
        }
        Ok(report)
    }

    /// Waits until all uploads that were let in under an older epoch have ended: what becomes of them belongs to this pass.
    /// Those of slow clients are broken off in the end.
    async fn older_uploads(&self, epoch: u64) -> Result<(), StoreError> {
        let begun = Instant::now();
        let store = Arc::clone(&self.agent.store);
        let mut left = on_thread(move || store.uploads_before(epoch)).await?;
        while !left.is_empty() {
            sleep(ASK_EVERY).await;
            let store = Arc::clone(&self.agent.store);
            let is_over = begun.elapsed() >= OLDER_UPLOADS_PATIENCE;
            left = on_thread(move || {
                left.retain(|upload| {
                    let goes_on =
                        if is_over { store.break_off(upload).map(|()| false) } else { store.goes_on(upload) };
                    goes_on.unwrap_or_else(|error| {
                        log::warn!("an upload that began under an older map is waited for: {error}");
                        true
                    })
                });
                left
            })
            .await;
        }
        Ok(())
    }

    async fn pass_shown(&self, order: &Order, shown: &tasks::Report) -> Result<Report, StoreError> {
        shown.doing("walking over the roots");
        let progress = |buckets: usize, keys: u64| {
            shown.doing("comparing");
            shown.set(keys * buckets as u64 / BUCKETS as u64, Some(keys));
        };
        self.agent.pass(order, &progress).await
    }
}

impl Agent {
    /// Walks over the root for another process of it, unless that has begun within the last `max_age`.
    pub(in crate::agent) async fn walk_for(&self, max_age: Duration) -> Answer {
        // It may turn out to be an older copy, and nothing of it is to be fetched from here until that is known.
        if !self.may_replay(self.map.own(), &self.standing) {
            return Answer::Refused("no other node has said yet that this root is the one it knows".into());
        }
        let now = Instant::now();
        let not_before = now.checked_sub(max_age).unwrap_or(now);
        let walk = self.walks.since(not_before, &self.store, &self.exclude);
        match tokio::time::timeout(WALK_PATIENCE, walk).await {
            Ok(Ok(_)) => Answer::Ready(true),
            Ok(Err(error)) => Answer::Refused(error.to_string()),
            Err(_elapsed) => Answer::Ready(false),
        }
    }
}
