//! A pass: every key that this node holds is compared with all its other owners, and the newer side travels (design
//! section 8).
//!
//! Both sides walk over their roots first. Where the digests of a range of keys are equal on two nodes, its keys are
//! taken to be equal; where they are not, the keys themselves are compared, with what the other node holds at that
//! moment. A pass may be cut off anywhere: whatever it has brought up to date stays so, and the next one finds it.

mod adopt;
mod compare;
mod leftovers;
mod settle;
mod strays;
mod survey;
mod task;
mod tombstones;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

pub use leftovers::DURABLE_KEY_BYTES;
pub use task::Reconcile;

use super::Agent;
use super::transfer::TransferError;
use crate::cluster::{NodeIndex, NodeName};
use crate::disk::on_thread;
use crate::failpoint;
use crate::peer::client::PeerError;
use crate::reconcile::{Ranges, Walked};
use crate::store::inventory::{BUCKETS, Inventory, Totals};
use crate::store::{StoreError, Unread};
use adopt::{Settling, Unadopted};
use survey::{Foreign, Owned};

/// Keys that are compared before the next ones are read, about: so few that every question is answered in time, by a slow
/// disk too, and that naming all of them needs little memory.
const KEYS_AT_ONCE: u64 = 10_000;
/// Buckets that are compared at once at most, so that progress shows.
const BUCKETS_AT_ONCE: u64 = 512;
/// How often another node is asked whether it has walked over its root.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What a pass is to do.
#[derive(Debug, Clone)]
pub struct Order {
    /// With whom: all other nodes, or those alone that lack something.
    pub peers: Vec<NodeIndex>,
    /// How old the inventories of the others may be.
    pub max_age: Duration,
    /// How old the own one may be.
    pub own_max_age: Duration,
    /// Whether this is the pass in which this node brings others what it gives up to them (`agent/movers.rs`).
    pub moves: bool,
}

/// Is told how many of all buckets ([`BUCKETS`]) are compared, and how many keys there are.
pub type Shown<'a> = dyn Fn(usize, u64) + Sync + 'a;

/// What a pass has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Keys that this node held when the pass began.
    pub keys: u64,
    /// Copies and tombstones that others were sent.
    pub sent: u64,
    /// Bytes of these copies.
    pub sent_bytes: u64,
    /// Copies and tombstones that this node fetched.
    pub fetched: u64,
    /// Copies that this node removed because it is no owner, and every owner has them.
    pub removed: u64,
    /// Files that this node moved into the quarantine because it is no owner, and some owner lacks them.
    pub quarantined: u64,
    /// Tombstones that this node has had all owners forget.
    pub forgotten: u64,
    /// Files that were put here or edited by hand, and have become copies.
    pub adopted: u64,
    /// Keys that could not be brought up to date, and files and folders that could not be read.
    pub unsettled: u64,
    /// The latter.
    pub unread: Arc<Unread>,
    /// Files of which this node is no owner, and of which not every owner could say what it holds.
    pub strays: u64,
    /// Keys that it is left to other nodes to bring to where they belong, since the map has changed.
    pub left: u64,
    /// Nodes that did not answer all the time, and why.
    pub unanswered: BTreeMap<NodeName, String>,
}

impl Report {
    /// Whether every owner has answered for every key, and nothing is left to do.
    pub fn is_finished(&self) -> bool {
        self.unanswered.is_empty() && self.unsettled == 0 && self.strays == 0 && self.left == 0
    }
}

/// What is counted while the pass runs.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    fetched: AtomicU64,
    removed: AtomicU64,
    quarantined: AtomicU64,
    forgotten: AtomicU64,
    adopted: AtomicU64,
    unsettled: AtomicU64,
    strays: AtomicU64,
    /// Orders that other nodes could not answer.
    refused: AtomicU64,
    left: AtomicU64,
}

fn add(counter: &AtomicU64, number: usize) {
    counter.fetch_add(number as u64, Ordering::Relaxed);
}

/// A pass that runs.
struct Pass<'a> {
    agent: &'a Agent,
    inventory: Arc<Inventory>,
    ranges: Ranges,
    /// As in [`Order`].
    moves: bool,
    counts: Counts,
    unadopted: Mutex<Unadopted>,
}

impl Agent {
    /// Holds a pass, as soon as passes may be held.
    ///
    /// # Errors
    /// When this node cannot walk over its own root. What goes wrong between nodes is in the report.
    pub async fn pass(&self, order: &Order, progress: &Shown<'_>) -> Result<Report, StoreError> {
        self.throttle.unpaused().await;
        let begun = Instant::now();
        let not_before = begun.checked_sub(order.own_max_age).unwrap_or(begun);
        let mut unanswered = BTreeMap::new();
        let max_age = order.max_age;
        // Whoever does not know this root may know that it is an older copy, and nothing it holds is to be sent there.
        let (known, strangers): (Vec<_>, Vec<_>) =
            order.peers.iter().copied().partition(|node| self.may_replay(*node, &self.standing));
        for node in strangers {
            let name = self.map.node(node).name();
            unanswered.insert(
                name.clone(),
                format!("node {name} has not said yet which root of this node it knows"),
            );
        }
        let theirs = known.into_iter();
        let theirs =
            theirs.map(|node| async move { (node, self.await_inventory(node, begun, max_age).await) });
        let (own, theirs) =
            tokio::join!(self.walks.since(not_before, &self.store, &self.exclude), join_all(theirs));
        let Walked { totals, unread, nameless, .. } = own?;
        let store = Arc::clone(&self.store);
        on_thread(move || store.remember_counted(totals.objects, totals.bytes, nameless)).await?;
        let mut peers = Vec::new();
        for (node, answer) in theirs {
            match answer {
                Ok(()) => peers.push(node),
                Err(error) => _ = unanswered.insert(self.map.node(node).name().clone(), error.to_string()),
            }
        }
        let store = Arc::clone(&self.store);
        let inventory = on_thread(move || store.inventory()).await?;
        // Another process that was just elected forgets it: what was walked over is not known.
        let Some(inventory) = inventory else {
            return Ok(Report { unanswered, unsettled: 1, ..Report::default() });
        };
        failpoint::step(failpoint::Step::PassWalked);
        let pass = Pass {
            agent: self,
            inventory: Arc::new(inventory),
            ranges: Ranges::among(self.map.current().nodes().len()),
            moves: order.moves,
            counts: Counts::default(),
            unadopted: Mutex::default(),
        };
        pass.compare_all(peers, &mut unanswered, progress).await?;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &pass.counts;
        Ok(Report {
            keys: totals.objects + totals.tombstones,
            sent: count(&counts.sent),
            sent_bytes: count(&counts.sent_bytes),
            fetched: count(&counts.fetched),
            removed: count(&counts.removed),
            quarantined: count(&counts.quarantined),
            forgotten: count(&counts.forgotten),
            adopted: count(&counts.adopted),
            unsettled: count(&counts.unsettled) + unread.count(),
            unread,
            strays: count(&counts.strays),
            left: count(&counts.left),
            unanswered,
        })
    }

    /// Waits until a node has walked over its root.
    async fn await_inventory(
        &self,
        node: NodeIndex,
        begun: Instant,
        max_age: Duration,
    ) -> Result<(), PeerError> {
        loop {
            let age = u64::try_from((begun.elapsed() + max_age).as_millis()).unwrap_or(u64::MAX);
            if self.peers.inventory(&self.map, node, age).await? {
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

impl Pass<'_> {
    async fn compare_all(
        &self,
        mut peers: Vec<NodeIndex>,
        unanswered: &mut BTreeMap<NodeName, String>,
        progress: &Shown<'_>,
    ) -> Result<(), StoreError> {
        let buckets_each = self.ranges.buckets(0).len();
        let Totals { objects, tombstones, .. } = self.inventory.totals();
        let keys = objects + tombstones;
        let piece = (KEYS_AT_ONCE * BUCKETS as u64 / keys.max(1)).clamp(1, BUCKETS_AT_ONCE) as usize;
        let step = piece.next_multiple_of(buckets_each);
        let steps = (0..BUCKETS).step_by(step).map(|first| first..(first + step).min(BUCKETS));
        let mut done = 0;
        for buckets in self.beginning_elsewhere(steps.collect()) {
            let ranges = buckets.start / buckets_each..buckets.end / buckets_each;
            let mut owned = Owned::by(&peers, ranges.clone());
            // In a large cluster a range holds more keys than belong in memory at once.
            for first in buckets.clone().step_by(piece) {
                self.agent.throttle.unpaused().await;
                let these = first..(first + piece).min(buckets.end);
                let (found, foreign) = self.survey(these.clone(), owned).await?;
                owned = found;
                self.bring_home(foreign, &mut peers, unanswered).await;
                done += these.len();
                progress(done, keys);
            }
            // One that is in the map no more owns nothing to compare.
            if self.agent.map.is_current(self.agent.map.own()) {
                let sums = &owned.sums;
                let compared = peers.iter().map(|node| {
                    let ranges = ranges.clone();
                    async move { (*node, self.compare(*node, ranges, &sums[node]).await) }
                });
                let compared = join_all(compared).await;
                self.note_failed(compared, &mut peers, unanswered);
            }
            // Under an older map others may hold what they hide.
            if self.agent.map.older().is_empty() {
                self.end_due(owned.tombstones, &peers).await?;
            }
        }
        self.unadopted.lock().expect("no holder panics").tell();
        Ok(())
    }

    /// Brings what others lack to its owners among `peers`: what was put here by hand, and what belongs elsewhere, which is
    /// removed once they have confirmed it.
    async fn bring_home(
        &self,
        foreign: Foreign,
        peers: &mut Vec<NodeIndex>,
        unanswered: &mut BTreeMap<NodeName, String>,
    ) {
        let Foreign { by_hand, mut strays } = foreign;
        let Settling { adopted, foreign, .. } = self.adopt(by_hand, peers).await;
        strays.extend(foreign);
        let moved = peers.iter().map(|node| {
            let mut moving = self.moving_to(&strays, *node);
            moving.extend(self.adopted_for(&adopted, *node));
            async move { (*node, self.move_to(*node, &moving).await) }
        });
        let moved = join_all(moved).await;
        self.note_failed(moved, peers, unanswered);
        self.mark_adopted(adopted, peers).await;
        strays.retain(|stray| !self.is_left_to_others(stray));
        self.remove_strays(strays, peers).await;
    }

    /// Goes on without those that failed.
    fn note_failed(
        &self,
        results: Vec<(NodeIndex, Result<(), TransferError>)>,
        peers: &mut Vec<NodeIndex>,
        unanswered: &mut BTreeMap<NodeName, String>,
    ) {
        for (node, result) in results {
            if let Err(error) = result {
                peers.retain(|peer| *peer != node);
                unanswered.insert(self.agent.map.node(node).name().clone(), error.to_string());
            }
        }
    }

    /// The steps of a pass in the order in which this node takes them. Each node begins elsewhere: several that bring the
    /// same keys to one that has lost its disk meet what the others have brought, rather than bring it at the same time.
    fn beginning_elsewhere(&self, mut steps: Vec<Range<usize>>) -> Vec<Range<usize>> {
        let map = &self.agent.map;
        let place = map.indexed().position(|(node, _)| node == self.agent.map.own()).unwrap_or(0);
        let first = place * steps.len() / map.nodes().len();
        steps.rotate_left(first);
        steps
    }
}

impl std::fmt::Display for Report {
    /// What a person wants to know.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys here, {} sent, {} fetched", self.keys, self.sent, self.fetched)?;
        for (count, what) in [
            (self.adopted, "that were put here by hand are copies now"),
            (self.removed, "removed because they belong elsewhere"),
            (self.forgotten, "deleted so long ago that all owners have forgotten them"),
            (self.quarantined, "moved to quarantine because they belong elsewhere and are not known there"),
            (self.left, "are brought where they belong by other nodes"),
            (self.strays, "that belong elsewhere stay until all owners answer"),
            (self.unsettled, "could not be brought up to date"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if !self.unread.is_empty() {
            write!(f, "; of them {}", self.unread)?;
        }
        for problem in self.unanswered.values() {
            write!(f, "; {problem}")?;
        }
        Ok(())
    }
}
