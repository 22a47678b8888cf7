//! Counting what moves between two maps, object by object. Nodes are told apart by name, so that a slot under a new
//! name is another machine, which has to get its copies from somewhere.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fair::fair_copies;
use super::load::add;
use super::movement::PairsOf;
use crate::cluster::{ClusterMap, REPLICAS_MAX};
use crate::placement::{Paired, Replicas};

/// The most pairs that are counted: 8 bytes each.
const PAIRS_MAX: usize = 1 << 20;

/// Shares that differ by less have not changed but were rounded.
const ROUNDING: f64 = 1e-9;

/// A change of the map, prepared for counting. Everything below is counted by *places*: the nodes of the map before,
/// as they are numbered there, then those that only the map after has.
pub(super) struct Plan<'a> {
    pub(super) after: &'a ClusterMap,
    /// The place of each node of the map after.
    pub(super) place_after: Vec<u32>,
    /// For each place that only the map after has, its node there.
    pub(super) added: Vec<u32>,
    /// The copies of each object that each place should have before, at most 1.
    pub(super) fair_before: Vec<f64>,
    /// The same after.
    pub(super) fair_after: Vec<f64>,
    /// None where nobody asked for them, or there are too many.
    pub(super) pairs: Option<PairTable>,
}

/// What was counted.
pub(super) struct Tally {
    /// Objects of which any copy moved, came or went.
    pub(super) objects_changed: u64,
    /// Copies that came to a place without need.
    pub(super) astray: u64,
    /// Copies on each place after.
    pub(super) after: Vec<u64>,
    /// Copies that came to each place.
    pub(super) arrived: Vec<u64>,
    /// Copies that left each place.
    pub(super) left: Vec<u64>,
}

/// From where to where. Shared between threads: sums do not depend on their order, and few copies move.
pub(super) struct PairTable {
    pub(super) of: PairsOf,
    /// Nodes or sub-clusters.
    pub(super) names: Vec<String>,
    /// For each place, the name its copies leave from; arrive at.
    leaving: Vec<u32>,
    arriving: Vec<u32>,
    /// One row for each name copies leave from, and a last one for copies that left nowhere.
    cells: Vec<AtomicU64>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(before: &ClusterMap, after: &'a ClusterMap, with_pairs: bool) -> Self {
        let names =
            |map: &'_ ClusterMap| map.nodes().iter().map(|node| node.name().clone()).collect::<Vec<_>>();
        let (names, place_after) = union(names(before), names(after));
        let mut fair_before = fair_copies(before);
        fair_before.resize(names.len(), 0.0);
        let mut fair_after = vec![0.0; names.len()];
        for (place, fair) in place_after.iter().zip(fair_copies(after)) {
            fair_after[*place as usize] = fair;
        }
        let is_added = |node: &u32| place_after[*node as usize] as usize >= before.nodes().len();
        let added = (0..place_after.len() as u32).filter(is_added).collect();
        let mut plan = Self { after, place_after, added, fair_before, fair_after, pairs: None };
        if with_pairs {
            let names = names.iter().map(ToString::to_string).collect();
            plan.pairs = PairTable::of_nodes(names)
                .or_else(|| PairTable::of_subclusters(before, after, &plan.place_after));
        }
        plan
    }

    pub(super) fn places(&self) -> usize {
        self.fair_before.len()
    }

    /// The copies of each object that have to move at least: what the shares that grow, grow by.
    pub(super) fn optimum(&self) -> f64 {
        self.fair_before.iter().zip(&self.fair_after).map(|(before, after)| (after - before).max(0.0)).sum()
    }

    fn gains(&self, place: u32) -> bool {
        self.fair_after[place as usize] > self.fair_before[place as usize] + ROUNDING
    }

    fn loses(&self, place: u32) -> bool {
        self.fair_after[place as usize] < self.fair_before[place as usize] - ROUNDING
    }
}

impl Tally {
    pub(super) fn new(places: usize) -> Self {
        let zero = || vec![0; places];
        Self { objects_changed: 0, astray: 0, after: zero(), arrived: zero(), left: zero() }
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self {
            objects_changed: self.objects_changed + other.objects_changed,
            astray: self.astray + other.astray,
            after: add(self.after, other.after),
            arrived: add(self.arrived, other.arrived),
            left: add(self.left, other.left),
        }
    }

    /// Counts one object.
    pub(super) fn count(&mut self, plan: &Plan<'_>, before: &Replicas, after: &Replicas) {
        let mut places = [[0; REPLICAS_MAX]; 2];
        let [places_before, places_after] = &mut places;
        let places_before = filled(places_before, before.iter().map(|node| node.get() as u32));
        let places_after = filled(places_after, after.iter().map(|node| plan.place_after[node.get()]));
        places_after.iter().for_each(|place| self.after[*place as usize] += 1);
        let paired = Paired::of(places_before, places_after);
        if paired.is_nothing() {
            return;
        }
        self.objects_changed += 1;
        paired.went().for_each(|rank| self.left[places_before[rank] as usize] += 1);
        for (to, from) in paired.moves() {
            let (to, from) = (places_after[to], from.map(|rank| places_before[rank]));
            self.arrived[to as usize] += 1;
            self.astray += u64::from(!plan.gains(to) || from.is_some_and(|from| !plan.loses(from)));
            if let Some(pairs) = &plan.pairs {
                pairs.count(from, to);
            }
        }
    }
}

/// The front of `room` with these in it.
fn filled(room: &mut [u32; REPLICAS_MAX], places: impl Iterator<Item = u32>) -> &[u32] {
    let mut count = 0;
    for place in places {
        room[count] = place;
        count += 1;
    }
    &room[..count]
}

impl PairTable {
    fn of_nodes(names: Vec<String>) -> Option<Self> {
        let places: Vec<u32> = (0..names.len() as u32).collect();
        Self::new(PairsOf::Nodes, names, places.clone(), places)
    }

    fn of_subclusters(before: &ClusterMap, after: &ClusterMap, place_after: &[u32]) -> Option<Self> {
        let names = |map: &ClusterMap| map.subclusters().iter().map(|s| s.name().clone()).collect::<Vec<_>>();
        let (names, group_after) = union(names(before), names(after));
        let places = place_after.iter().map(|place| *place as usize + 1).max().unwrap_or(0);
        // A place that is in one map only has copies leave or arrive there only; the other entry is never read.
        let mut leaving = vec![0; places.max(before.nodes().len())];
        let mut arriving = leaving.clone();
        for (place, node) in before.nodes().iter().enumerate() {
            leaving[place] = node.subcluster() as u32;
        }
        for (place, node) in place_after.iter().zip(after.nodes()) {
            arriving[*place as usize] = group_after[node.subcluster()];
        }
        Self::new(PairsOf::SubClusters, names.iter().map(ToString::to_string).collect(), leaving, arriving)
    }

    fn new(of: PairsOf, names: Vec<String>, leaving: Vec<u32>, arriving: Vec<u32>) -> Option<Self> {
        let cells = names.len().checked_mul(names.len() + 1)?;
        let cell = |_| AtomicU64::new(0);
        (cells <= PAIRS_MAX).then(|| Self {
            of,
            names,
            leaving,
            arriving,
            cells: (0..cells).map(cell).collect(),
        })
    }

    fn count(&self, from: Option<u32>, to: u32) {
        let row = from.map_or(self.names.len(), |from| self.leaving[from as usize] as usize);
        let cell = row * self.names.len() + self.arriving[to as usize] as usize;
        self.cells[cell].fetch_add(1, Ordering::Relaxed);
    }

    /// Every pair that anything moved between: from (none: a copy more than before), to, and how many copies.
    pub(super) fn counted(&self) -> impl Iterator<Item = (Option<&String>, &String, u64)> {
        self.cells.iter().enumerate().filter_map(|(cell, copies)| {
            let copies = copies.load(Ordering::Relaxed);
            let (from, to) = (cell / self.names.len(), cell % self.names.len());
            (copies > 0).then(|| (self.names.get(from), &self.names[to], copies))
        })
    }
}

/// The names of both lists, each once, those of the first in front; and where in it those of the second are.
fn union<N: Clone + Eq + Hash>(first: Vec<N>, second: Vec<N>) -> (Vec<N>, Vec<u32>) {
    let mut places: HashMap<N, u32> = first.iter().cloned().zip(0..).collect();
    let mut names = first;
    let second = second.into_iter().map(|name| {
        *places.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            names.len() as u32 - 1
        })
    });
    let second = second.collect();
    (names, second)
}
