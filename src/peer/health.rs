//! Which nodes failed lately: they are asked last for a short, growing time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::cluster::NodeIndex;

/// The first time for which a node that failed is put aside; it doubles with each failure.
const ASIDE_FIRST: Duration = Duration::from_millis(250);
/// The longest.
const ASIDE_MAX: Duration = Duration::from_secs(30);

/// The nodes that failed and have not answered since.
#[derive(Debug, Clone, Default)]
pub(super) struct Health(Arc<Mutex<HashMap<NodeIndex, Failures>>>);

/// How often a node failed in a row, and until when it is put aside for it.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    until: Instant,
}

impl Health {
    /// Nodes in the order in which to ask them: as given, those put aside last.
    pub fn in_order(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        self.in_order_at(nodes, Instant::now())
    }

    /// A node failed.
    pub fn failed(&self, node: NodeIndex) {
        self.failed_at(node, Instant::now());
    }

    /// A node answered, whatever it said.
    pub fn answered(&self, node: NodeIndex) {
        self.0.lock().expect("no holder panics").remove(&node);
    }

    fn in_order_at(&self, nodes: &[NodeIndex], now: Instant) -> Vec<NodeIndex> {
        let failures = self.0.lock().expect("no holder panics");
        let is_aside = |node: &NodeIndex| failures.get(node).is_some_and(|failures| now < failures.until);
        let (aside, ready): (Vec<_>, Vec<_>) = nodes.iter().copied().partition(is_aside);
        [ready, aside].concat()
    }

    fn failed_at(&self, node: NodeIndex, now: Instant) {
        let mut failures = self.0.lock().expect("no holder panics");
        let count = failures.get(&node).map_or(0, |failures| failures.count);
        let time = ASIDE_FIRST.saturating_mul(1 << count.min(16)).min(ASIDE_MAX);
        failures.insert(node, Failures { count: count.saturating_add(1), until: now + time });
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
        health.failed_at(nodes[0], now);
        assert_eq!(health.in_order_at(&nodes, now), [nodes[1], nodes[2], nodes[0]]);
        assert_eq!(first_after(ASIDE_FIRST), nodes[0]);
        health.failed_at(nodes[0], now);
        assert_eq!(first_after(ASIDE_FIRST), nodes[1]);
        assert_eq!(first_after(ASIDE_FIRST * 2), nodes[0]);
        for _ in 0..100 {
            health.failed_at(nodes[0], now);
        }
        assert_eq!(first_after(ASIDE_MAX), nodes[0], "never longer than the longest time");
        health.answered(nodes[0]);
        assert_eq!(first_after(Duration::ZERO), nodes[0]);
    }
}
