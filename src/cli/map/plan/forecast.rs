//! What the counts of all nodes add up to.  Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::gather::Answer;
use crate::agent::CONFIRMED_KEY_BYTES;
use crate::change::{Names, Objection};
use crate::cluster::{NodeIndex, NodeName, View};
use crate::control::{Amount, Counts};
use crate::sim::optimum;

/// What moves, and what each node holds afterwards.
#[derive(Debug, Serialize)]
pub(super) struct Forecast {
    /// All objects, each once.
    pub(super) objects: Amount,
    /// Copies that travel.
    pub(super) moves: Amount,
    /// The least that has to travel for every node to hold its fair share.
    pub(super) optimum: Amount,
    /// Objects that travel as a multiple of that; none where nothing has to.
    pub(super) against_optimum: Option<f64>,
    /// From where to where, the most bytes first.
    pub(super) pairs: Vec<Flow>,
    /// Every node, in the order of the new map, then those that only the map in force has.
    pub(super) nodes: Vec<NodeForecast>,
    /// The seconds that the slowest node takes at its rate, at least; none: some node that sends has no limit.
    pub(super) seconds: Option<u64>,
    /// Nodes that hold files and have not counted.
    pub(super) missing: usize,
}

/// Copies that travel from one node to another.
#[derive(Debug, Serialize)]
pub(super) struct Flow {
    pub(super) from: NodeName,
    pub(super) to: NodeName,
    #[serde(flatten)]
    pub(super) amount: Amount,
}

/// What becomes of one node.
#[derive(Debug, Serialize)]
pub(super) struct NodeForecast {
    pub(super) node: NodeName,
    /// What it holds now; none: it has not counted.
    pub(super) before: Option<Amount>,
    /// What it brings to others.
    pub(super) brings: Amount,
    /// What it is brought.
    pub(super) gets: Amount,
    /// What it owns no more.
    pub(super) gives_up: Amount,
    /// What it holds afterwards; none: that is not known.
    pub(super) after: Option<Amount>,
    /// Bytes free on its file system, and all of them; none: not known.
    pub(super) free: Option<u64>,
    pub(super) total: Option<u64>,
    /// Files whose names nobody knows.
    pub(super) nameless: u64,
    /// Files and folders that it could not read, and has not counted.
    pub(super) unread: u64,
    /// Bytes per second of its background work; none: no limit, or not known.
    pub(super) bytes_per_second: Option<u64>,
    /// Why it has not counted.
    pub(super) problem: Option<String>,
}

impl Forecast {
    /// Of the answers of all nodes; `view` is what is in force, and `all` what would be.
    pub(super) fn of(view: &View, all: &View, answers: BTreeMap<NodeIndex, Answer>) -> Self {
        let mut gets: BTreeMap<NodeName, Amount> = BTreeMap::new();
        let (mut objects, mut moves, mut pairs) = (Amount::default(), Amount::default(), Vec::new());
        let (mut missing, mut seconds) = (0, Some(0));
        for (node, answer) in &answers {
            let from = all.node(*node).name();
            let Ok(counts) = answer else {
                let can_hold = view.index_of(from).is_some_and(|node| {
                    view.can_own(node) || view.older().iter().any(|older| older.can_own(node))
                });
                missing += usize::from(can_hold);
                continue;
            };
            objects += counts.first;
            for (to, amount) in &counts.brings {
                *gets.entry(to.clone()).or_default() += *amount;
                moves += *amount;
                pairs.push(Flow { from: from.clone(), to: to.clone(), amount: *amount });
            }
            seconds = match (seconds, time_of(counts, all.replicas())) {
                (Some(longest), Some(time)) => Some(u64::max(longest, time)),
                _ => None,
            };
        }
        pairs.sort_by_key(|flow: &Flow| std::cmp::Reverse(flow.amount.bytes));
        let share = optimum(view.current(), all.current());
        let part = |number: u64| (number as f64 * share).round() as u64;
        let optimum = Amount { objects: part(objects.objects), bytes: part(objects.bytes) };
        let nodes = answers.into_iter().map(|(node, answer)| {
            let name = all.node(node).name();
            NodeForecast::of(name.clone(), gets.get(name).copied().unwrap_or_default(), answer)
        });
        Self {
            objects,
            moves,
            optimum,
            against_optimum: (optimum.objects > 0).then(|| moves.objects as f64 / optimum.objects as f64),
            pairs,
            nodes: nodes.collect(),
            seconds,
            missing,
        }
    }

    /// What speaks against the change besides what the maps say.
    pub(super) fn objections(&self) -> Vec<Objection> {
        let full = self.nodes.iter().filter_map(|node| {
            let free = node.free.filter(|free| node.gets.bytes > *free)?;
            Some(Objection::Space(node.node.clone(), node.gets.bytes, free))
        });
        let mut found: Vec<_> = full.collect();
        let nameless = self.nodes.iter().filter(|node| node.nameless > 0);
        let (names, counts): (Vec<_>, Vec<_>) =
            nameless.map(|node| (node.node.clone(), node.nameless)).unzip();
        if !names.is_empty() {
            found.push(Objection::Nameless(Names(names), counts.iter().sum()));
        }
        found
    }
}

impl NodeForecast {
    fn of(node: NodeName, gets: Amount, answer: Answer) -> Self {
        let (counts, problem) = match answer {
            Ok(counts) => (Some(counts), None),
            Err(problem) => (None, Some(problem)),
        };
        let of = counts.as_ref();
        let mut brings = Amount::default();
        of.into_iter().flat_map(|counts| counts.brings.values()).for_each(|amount| brings += *amount);
        let gives_up = of.map(|counts| counts.leaving).unwrap_or_default();
        let before = of.map(|counts| counts.holds);
        let after = before.map(|before| Amount {
            objects: (before.objects + gets.objects).saturating_sub(gives_up.objects),
            bytes: (before.bytes + gets.bytes).saturating_sub(gives_up.bytes),
        });
        Self {
            node,
            before,
            brings,
            gets,
            gives_up,
            after,
            free: of.map(|counts| counts.free),
            total: of.map(|counts| counts.total),
            nameless: of.map_or(0, |counts| counts.nameless),
            unread: of.map_or(0, |counts| counts.unread),
            bytes_per_second: of.and_then(|counts| counts.bytes_per_second),
            problem,
        }
    }
}

/// The seconds that a node is at work at its rate, at least: it sends what it brings, and has what it gives up confirmed by
/// every owner. None: it has no limit.
fn time_of(counts: &Counts, replicas: usize) -> Option<u64> {
    let sent: u64 = counts.brings.values().map(|amount| amount.bytes).sum();
    let confirmed = counts.leaving.objects * replicas as u64 * CONFIRMED_KEY_BYTES;
    match (sent + confirmed, counts.bytes_per_second) {
        (0, _) => Some(0),
        (bytes, rate) => rate.map(|rate| bytes.div_ceil(rate.max(1))),
    }
}
