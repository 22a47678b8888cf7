//! A replica's way down a tree of sub-clusters, a sentence for each branching.

use super::section::Step;
use super::values::{Branch, Values};
use super::words::{subcluster_name, weight};
use crate::cluster::ClusterMap;
use crate::placement::Event;

/// The branching that `events` begin with, on the way of `replica`, and how many of them belong to it.
pub(super) fn branches(map: &ClusterMap, replica: u32, events: &[Event]) -> (Step, usize) {
    let mut branches: Vec<Branch> = Vec::new();
    let mut newest_before = None;
    for event in events {
        let Event::Wait { replica: other, label, oldest, newest, weight, wait, shortest } = *event else {
            break;
        };
        // Branches go from the oldest to the newest; what lies below one of them starts over.
        if other != replica || newest_before.is_some_and(|before| oldest <= before) {
            break;
        }
        newest_before = Some(newest);
        let (oldest, newest) = (subcluster_name(map, oldest), subcluster_name(map, newest));
        branches.push(Branch { label, oldest, newest, weight, wait, shortest });
    }
    let told = branches.len();
    let decimals = decimals(&branches);
    let details = branches.iter().map(|branch| in_words(branch, decimals)).collect();
    let words = sum_up(&branches, decimals);
    (Step { values: Values::Branching { replica, branches }, words, details, is_quiet: false }, told)
}

/// Where the replica goes, and which branch was the next best.
fn sum_up(branches: &[Branch], decimals: usize) -> String {
    let all: f64 = branches.iter().map(|branch| branch.weight).sum();
    let Some(first) = branches.iter().find(|branch| branch.shortest) else { return String::new() };
    let (own, all, wait) = (weight(first.weight), weight(all), first.wait);
    let next = match next(branches) {
        Some(next) => format!(", then {}: {:.decimals$}", extent(next), next.wait),
        None => String::new(),
    };
    let extent = extent(first);
    format!(
        "of {} branches {extent}, with {own} of the weight of {all}, waits least: {wait:.decimals$}{next}",
        branches.len()
    )
}

fn in_words(branch: &Branch, decimals: usize) -> String {
    let outcome = if branch.shortest { ": the replica goes there" } else { "" };
    format!(
        "{}, of weight {}, waits {:.decimals$}{outcome}",
        extent(branch),
        weight(branch.weight),
        branch.wait
    )
}

fn extent(branch: &Branch) -> String {
    let Branch { oldest, newest, .. } = branch;
    if oldest == newest { oldest.clone() } else { format!("{oldest} to {newest}") }
}

/// The branch with the shortest wait but one.
fn next(branches: &[Branch]) -> Option<&Branch> {
    branches.iter().filter(|branch| !branch.shortest).min_by(|one, other| one.wait.total_cmp(&other.wait))
}

/// How many decimals tell the two shortest waits apart, and show something of the shortest.
fn decimals(branches: &[Branch]) -> usize {
    /// The fewest, and the most: waits are not known any better.
    const DECIMALS: std::ops::RangeInclusive<usize> = 3..=17;
    let (first, next) = (branches.iter().find(|branch| branch.shortest), next(branches));
    let shown = |branch: Option<&Branch>, decimals: usize| {
        branch.map(|branch| format!("{:.decimals$}", branch.wait)).unwrap_or_default()
    };
    let nothing = |decimals: usize| format!("{:.decimals$}", 0.0);
    let enough = |decimals: &usize| {
        let first = shown(first, *decimals);
        first != shown(next, *decimals) && first != nothing(*decimals)
    };
    DECIMALS.clone().find(enough).unwrap_or(*DECIMALS.end())
}
