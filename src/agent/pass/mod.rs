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

pub use task::Reconcile;

use super::Agent;
use crate::cluster::{NodeIndex, NodeName};
use crate::disk::on_thread;
use crate::failpoint;
use crate::peer::client::PeerError;
use crate::reconcile::{Ranges, Walked};
use crate::store::StoreError;
use crate::store::inventory::{BUCKETS, Inventory, Totals};
use adopt::Unadopted;
use strays::moving_to;
use survey::Survey;

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
    /// Keys that could not be brought up to date.
    pub unsettled: u64,
    /// Files of which this node is no owner, and of which not every owner could say what it holds.
    pub strays: u64,
    /// Nodes that did not answer all the time, and why.
    pub unanswered: BTreeMap<NodeName, String>,
}

impl Report {
    /// Whether every owner has answered for every key, and nothing is left to do.
    pub fn is_finished(&self) -> bool {
        self.unanswered.is_empty() && self.unsettled == 0 && self.strays == 0
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
    unsettled: AtomicU64,
    strays: AtomicU64,
}

fn add(counter: &AtomicU64, number: usize) {
    counter.fetch_add(number as u64, Ordering::Relaxed);
}

/// A pass that runs.
struct Pass<'a> {
    agent: &'a Agent,
    inventory: Arc<Inventory>,
    ranges: Ranges,
    counts: Counts,
    unadopted: Mutex<Unadopted>,
}

impl Agent {
    /// Holds a pass.
    ///
    /// # Errors
    /// When this node cannot walk over its own root. What goes wrong between nodes is in the report.
    pub async fn pass(&self, order: &Order, progress: &Shown<'_>) -> Result<Report, StoreError> {
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
        let Walked { totals, .. } = own?;
        let store = Arc::clone(&self.store);
        on_thread(move || store.remember_counted(totals.objects, totals.bytes)).await?;
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
            unsettled: count(&counts.unsettled),
            strays: count(&counts.strays),
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
        let step = (KEYS_AT_ONCE * BUCKETS as u64 / keys.max(1)).clamp(1, BUCKETS_AT_ONCE);
        let step = (step as usize).next_multiple_of(buckets_each);
        let steps = (0..BUCKETS).step_by(step).map(|first| first..(first + step).min(BUCKETS));
        let mut done = 0;
        for buckets in self.beginning_elsewhere(steps.collect()) {
            let ranges = buckets.start / buckets_each..buckets.end / buckets_each;
            let Survey { sums, by_hand, mut strays, tombstones } =
                self.survey(ranges.clone(), &peers).await?;
            strays.extend(self.adopt(by_hand, &peers).await);
            let sums = Arc::new(sums);
            let compared = peers.clone().into_iter().map(|node| {
                let (ranges, sums, moving) = (ranges.clone(), Arc::clone(&sums), moving_to(&strays, node));
                let settled = async move {
                    self.move_to(node, &moving).await?;
                    // One that is in the map no more owns nothing to compare.
                    if !self.agent.map.is_current(self.agent.map.own()) {
                        return Ok(());
                    }
                    self.compare(node, ranges, &sums[&node]).await
                };
                async move { (node, settled.await) }
            });
            for (node, result) in join_all(compared).await {
                if let Err(error) = result {
                    peers.retain(|peer| *peer != node);
                    unanswered.insert(self.agent.map.node(node).name().clone(), error.to_string());
                }
            }
            self.remove_strays(strays, &peers).await;
            // Under an older map others may hold what they hide.
            if self.agent.map.older().is_empty() {
                self.end_due(tombstones, &peers).await?;
            }
            done += buckets.len();
            progress(done, keys);
        }
        self.unadopted.lock().expect("no holder panics").tell();
        Ok(())
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
            (self.removed, "removed because they belong elsewhere"),
            (self.forgotten, "deleted so long ago that all owners have forgotten them"),
            (self.quarantined, "moved to quarantine because they belong elsewhere and are not known there"),
            (self.strays, "that belong elsewhere stay until all owners answer"),
            (self.unsettled, "could not be brought up to date"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for problem in self.unanswered.values() {
            write!(f, "; {problem}")?;
        }
        Ok(())
    }
}
