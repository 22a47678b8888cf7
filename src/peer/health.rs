//! Which nodes failed lately: they are asked last for a short, growing time. After it a single request tries such a
//! node, while the others still ask it last: should it hang, it holds up only one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::cluster::NodeIndex;

/// The first time for which a node that failed is put aside; it doubles with each failure.
const ASIDE_FIRST: Duration = Duration::from_millis(250);
/// The longest.
const ASIDE_MAX: Duration = Duration::from_secs(30);
/// How long the one request that tries a node again may take to say how it went, before another tries.
const TRIAL: Duration = Duration::from_secs(6);

/// The nodes that failed and have not answered since.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    failed: Arc<Mutex<HashMap<NodeIndex, Failures>>>,
    /// The epoch in which the nodes have these indexes.
    epoch: Arc<AtomicU64>,
}

/// How often a node failed in a row, and until when it is put aside for it.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    until: Instant,
    /// Whether a body was among what it failed in: to answer a short question does not make up for that.
    in_body: bool,
}

impl Health {
    /// Nodes are asked under this epoch from now on. Under another one they may have other indexes, and nothing is known.
    pub fn begin(&self, epoch: u64) {
        if self.epoch.fetch_max(epoch, Ordering::Relaxed) < epoch {
            self.failed.lock().expect("no holder panics").clear();
        }
    }

    /// Nodes in the order in which to ask them: as given, those that failed last. One whose time aside is over comes
    /// before those whose time is not, and should it come first, then for this caller alone.
    pub fn in_order(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        self.in_order_at(nodes, Instant::now())
    }

    /// Whether a node failed and has not answered since.
    pub fn has_failed(&self, node: NodeIndex) -> bool {
        self.failed.lock().expect("no holder panics").contains_key(&node)
    }

    /// A node did not answer, or not as that node.
    pub fn silent(&self, node: NodeIndex) {
        self.failed_at(node, false, Instant::now());
    }

    /// A node answered, but did not send all of a body, or not the right one.
    pub fn broke_off(&self, node: NodeIndex) {
        self.failed_at(node, true, Instant::now());
    }

    /// A node answered, whatever it said, and it was that node. If it broke off bodies lately it stays known as failing:
    /// the background work asks every node now and then, and those that have trouble with their disks answer that.
    pub fn answered(&self, node: NodeIndex) {
        self.answered_at(node, Instant::now());
    }

    /// A node sent all of a body, or took one.
    pub fn delivered(&self, node: NodeIndex) {
        self.failed.lock().expect("no holder panics").remove(&node);
    }

    fn answered_at(&self, node: NodeIndex, now: Instant) {
        let mut failures = self.failed.lock().expect("no holder panics");
        if failures.get(&node).is_some_and(|failures| !failures.in_body || now > failures.until + ASIDE_MAX) {
            failures.remove(&node);
        }
    }

    fn in_order_at(&self, nodes: &[NodeIndex], now: Instant) -> Vec<NodeIndex> {
        let mut failures = self.failed.lock().expect("no holder panics");
        if failures.is_empty() {
            return nodes.to_vec();
        }
        let is_aside = |node: &NodeIndex| failures.get(node).is_some_and(|failures| now < failures.until);
        let (aside, open): (Vec<_>, Vec<_>) = nodes.iter().copied().partition(is_aside);
        let (failed, ready): (Vec<_>, Vec<_>) = open.iter().partition(|node| failures.contains_key(node));
        let Some(first) = open.first() else { return aside };
        let Some(tried) = failures.get_mut(first) else { return [ready, failed, aside].concat() };
        tried.until = now + TRIAL;
        let failed = failed.into_iter().filter(|node| node != first).collect();
        [vec![*first], ready, failed, aside].concat()
    }

    fn failed_at(&self, node: NodeIndex, in_body: bool, now: Instant) {
        let mut failures = self.failed.lock().expect("no holder panics");
        let before = failures.get(&node).copied();
        let count = before.map_or(0, |before| before.count);
        let in_body = in_body || before.is_some_and(|before| before.in_body);
        let time = ASIDE_FIRST.saturating_mul(1 << count.min(16)).min(ASIDE_MAX);
        failures.insert(node, Failures { count: count.saturating_add(1), until: now + time, in_body });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_failed_is_asked_last_for_a_growing_time_until_it_answers() {
        let (health, now) = (Health::default(), Instant::now());
        let nodes: Vec<_> = (0..3).map(NodeIndex::new).collect();
        let first_after = |time| health.in_order_at(&nodes, now + time)[0];
        assert_eq!(first_after(Duration::ZERO), nodes[0]);
        health.failed_at(nodes[0], false, now);
        assert_eq!(health.in_order_at(&nodes, now), [nodes[1], nodes[2], nodes[0]]);
        assert_eq!(first_after(ASIDE_FIRST), nodes[0]);
        health.failed_at(nodes[0], false, now);
        assert_eq!(first_after(ASIDE_FIRST), nodes[1]);
        assert_eq!(first_after(ASIDE_FIRST * 2), nodes[0]);
        for _ in 0..100 {
            health.failed_at(nodes[0], false, now);
        }
        assert_eq!(first_after(ASIDE_MAX), nodes[0], "never longer than the longest time");
        health.answered(nodes[0]);
        assert_eq!(first_after(Duration::ZERO), nodes[0]);
    }

    #[test]
    fn after_its_time_aside_one_request_at_a_time_tries_a_node() {
        let (health, now) = (Health::default(), Instant::now());
        let nodes: Vec<_> = (0..3).map(NodeIndex::new).collect();
        health.failed_at(nodes[0], false, now);
        let over = now + ASIDE_FIRST;
        assert_eq!(health.in_order_at(&nodes, over), nodes, "the one that tries it");
        for _ in 0..3 {
            assert_eq!(health.in_order_at(&nodes, over), [nodes[1], nodes[2], nodes[0]], "the others");
        }
        assert_eq!(health.in_order_at(&nodes, over + TRIAL), nodes, "nothing was heard of the first");
        health.answered(nodes[0]);
        assert_eq!(health.in_order_at(&nodes, over), nodes);
        assert_eq!(health.in_order_at(&nodes, over), nodes, "it has answered");
    }

    #[test]
    fn a_node_that_broke_off_a_body_counts_as_failing_until_it_has_sent_one_or_a_while_is_over() {
        let (health, now) = (Health::default(), Instant::now());
        let node = NodeIndex::new(0);
        health.failed_at(node, true, now);
        health.failed_at(node, false, now);
        health.answered_at(node, now + ASIDE_FIRST * 3);
        assert!(health.has_failed(node), "a short answer says nothing about bodies");
        health.delivered(node);
        assert!(!health.has_failed(node));
        health.failed_at(node, true, now);
        health.answered_at(node, now + ASIDE_FIRST + ASIDE_MAX * 2);
        assert!(!health.has_failed(node), "it failed long ago");
    }

    #[test]
    fn a_node_that_would_not_be_asked_first_anyway_is_not_tried_but_asked_before_those_put_aside() {
        let (health, now) = (Health::default(), Instant::now());
        let nodes: Vec<_> = (0..3).map(NodeIndex::new).collect();
        health.failed_at(nodes[1], false, now);
        let over = now + ASIDE_FIRST;
        assert_eq!(health.in_order_at(&nodes, over), [nodes[0], nodes[2], nodes[1]]);
        health.failed_at(nodes[0], false, over);
        assert_eq!(health.in_order_at(&nodes, over), [nodes[1], nodes[2], nodes[0]], "now it is tried");
        assert_eq!(health.in_order_at(&nodes, over), [nodes[2], nodes[0], nodes[1]]);
    }
}
