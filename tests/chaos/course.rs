//! How the map changes in the course of a run: all of it is decided beforehand, and nothing here acts. The limits within
//! which the promises hold are the functions below [`Standing::permits`], each with its reason.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::schedule::{FIRST, Kind, NODES, Plan};

/// Copies of every object.
pub const REPLICAS: usize = 3;
/// The names of the sub-clusters: that of the first nodes, and that of those which are added.
pub const SUBCLUSTERS: [&str; 2] = ["first", "second"];
/// The weights that a sub-cluster may get, in tenths; 0 drains it.
const WEIGHTS: [u32; 4] = [0, 5, 10, 20];
/// Changes of one round at most: the next comes before the last has settled, often.
const CHANGES_MAX: usize = 3;

/// A change of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A sub-cluster more.
    Add { subcluster: usize, nodes: Vec<usize> },
    /// Another weight, in tenths.
    Weight { subcluster: usize, tenths: u32 },
    /// A node is taken out of service.
    Out { node: usize },
    /// A node that was out or lost is in service again.
    In { node: usize },
    /// A node is given up. It comes back while it counts as lost.
    Lost { node: usize },
}

impl Change {
    pub fn kind(&self) -> Kind {
        match self {
            Change::Add { .. } => Kind::Add,
            Change::Weight { .. } => Kind::Weight,
            Change::Out { .. } => Kind::Out,
            Change::In { .. } => Kind::In,
            Change::Lost { .. } => Kind::Lost,
        }
    }
}

/// A node, as the map has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    In,
    Out,
    Lost,
}

/// The map, and who runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub epoch: u64,
    /// The weight of each sub-cluster in tenths; none: it is not there yet.
    weights: [Option<u32>; 2],
    states: [State; NODES],
    /// Nodes that were drained and switched off.
    pub off: BTreeSet<usize>,
    /// Since which round each node can own something.
    since: [u64; NODES],
}

/// What becomes of the map in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    pub before: Standing,
    /// The node whose disk may suffer in this round.
    pub damaged: usize,
    pub changes: Vec<Change>,
    /// Nodes that are started before the round, for a map that is not in force yet.
    pub joining: Vec<usize>,
    /// Once everything has settled, and what is drained is switched off if that is the plan.
    pub after: Standing,
}

impl Course {
    /// The nodes that run in this round, but for those that were given up before.
    pub fn reachable(&self) -> Vec<usize> {
        let mut nodes = self.before.running();
        nodes.retain(|node| !self.before.is_lost(*node));
        nodes.extend(&self.joining);
        nodes
    }

    /// The nodes that run in this round.
    pub fn running(&self) -> Vec<usize> {
        let mut nodes = self.before.running();
        nodes.extend(&self.joining);
        nodes
    }
}

impl Standing {
    pub fn first() -> Self {
        Self {
            epoch: 1,
            weights: [Some(10), None],
            states: [State::In; NODES],
            off: BTreeSet::new(),
            since: [0; NODES],
        }
    }

    fn subcluster_of(node: usize) -> usize {
        usize::from(node >= FIRST)
    }

    fn nodes_of(subcluster: usize) -> std::ops::Range<usize> {
        if subcluster == 0 { 0..FIRST } else { FIRST..NODES }
    }

    /// The nodes of the map that are not switched off.
    pub fn running(&self) -> Vec<usize> {
        let is_there = |node: &usize| self.weights[Self::subcluster_of(*node)].is_some();
        (0..NODES).filter(|node| is_there(node) && !self.off.contains(node)).collect()
    }

    pub fn is_lost(&self, node: usize) -> bool {
        self.states[node] == State::Lost
    }

    /// Whether a node owns something.
    pub fn owns(&self, node: usize) -> bool {
        let weight = self.weights[Self::subcluster_of(node)];
        self.states[node] == State::In && weight.is_some_and(|tenths| tenths > 0)
    }

    /// The nodes that own something.
    pub fn owners(&self) -> Vec<usize> {
        (0..NODES).filter(|node| self.owns(*node)).collect()
    }

    /// For how many rounds a node has owned something without a break.
    pub fn age(&self, node: usize, round: u64) -> u64 {
        if self.owns(node) { round.saturating_sub(self.since[node]) } else { 0 }
    }

    fn apply(&mut self, change: &Change, round: u64) {
        let owned = self.owners();
        match change {
            Change::Add { subcluster, .. } => self.weights[*subcluster] = Some(10),
            Change::Weight { subcluster, tenths } => {
                self.weights[*subcluster] = Some(*tenths);
                // They are switched on for it, and stay on for this round.
                self.off.retain(|node| Self::subcluster_of(*node) != *subcluster);
            }
            Change::Out { node } => self.states[*node] = State::Out,
            Change::In { node } => self.states[*node] = State::In,
            Change::Lost { node } => self.states[*node] = State::Lost,
        }
        self.epoch += 1;
        for node in 0..NODES {
            if self.owns(node) && !owned.contains(&node) {
                self.since[node] = round + 1;
            }
        }
    }

    /// All changes there are from here.
    fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (subcluster, weight) in self.weights.iter().enumerate() {
            match weight {
                None => {
                    changes.push(Change::Add { subcluster, nodes: Self::nodes_of(subcluster).collect() });
                }
                Some(weight) => {
                    let others = WEIGHTS.into_iter().filter(|tenths| tenths != weight);
                    changes.extend(others.map(|tenths| Change::Weight { subcluster, tenths }));
                }
            }
        }
        for node in self.running() {
            match self.states[node] {
                State::In => changes.extend([Change::Out { node }, Change::Lost { node }]),
                State::Out => changes.extend([Change::In { node }, Change::Lost { node }]),
                State::Lost => changes.push(Change::In { node }),
            }
        }
        changes
    }

    /// Whether the promises hold through this change, `before` being how the round began.
    fn permits(&self, change: &Change, before: &Self, damaged: usize, round: u64) -> bool {
        let mut next = self.clone();
        next.apply(change, round);
        has_enough_owners(&next)
            && gives_up_only_what_may_be_lost(change, damaged)
            && takes_back_only_what_has_returned(change, before, self)
    }
}

/// Objects have R owners, and one of them may be without its disk: as many as R must be left then, since a write that W
/// have must reach a substitute.
fn has_enough_owners(next: &Standing) -> bool {
    next.owners().len() >= REPLICAS
}

/// W-1 owners of any key may lose what they have confirmed, and no more before everything is reconciled: a node that is given
/// up must be the one whose disk may suffer anyhow. One that holds the only acknowledged copy would take that with it.
fn gives_up_only_what_may_be_lost(change: &Change, damaged: usize) -> bool {
    !matches!(change, Change::Lost { node } if *node != damaged)
}

/// A node that is given up comes back as lost first: until then it does not know what it has missed, and goes on serving it.
fn takes_back_only_what_has_returned(change: &Change, before: &Standing, now: &Standing) -> bool {
    match change {
        Change::In { node } => !now.is_lost(*node) || before.is_lost(*node),
        _ => true,
    }
}

/// Copies on a node that does not own them are watched: as long as the map changes, who owns them is not one thing.
pub fn strays_can_be_judged(course: &Course) -> bool {
    course.changes.is_empty()
}

impl Plan {
    /// The course of the map in the round of this number.
    pub fn course(&self, number: u64) -> Course {
        let mut standing = Standing::first();
        for earlier in 0..number {
            standing = self.next(earlier, standing).after;
        }
        self.next(number, standing)
    }

    fn next(&self, number: u64, before: Standing) -> Course {
        let mut rng = Rng::with_seed(self.seed.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ number);
        let owners = before.owners();
        let damaged = owners[rng.usize(0..owners.len())];
        let (mut after, mut changes) = (before.clone(), Vec::new());
        // Copies in wrong places have their rounds, too; and the first round is one that grows.
        let is_spared = self.kinds.contains(&Kind::Misplace) && rng.bool() && number > 0;
        let count = if is_spared { 0 } else { rng.usize(1..=CHANGES_MAX) };
        for _ in 0..count {
            let possible: Vec<_> = after
                .changes()
                .into_iter()
                .filter(|change| self.kinds.contains(&change.kind()))
                .filter(|change| after.permits(change, &before, damaged, number))
                .collect();
            let kinds: BTreeSet<_> = possible.iter().map(Change::kind).collect();
            let Some(kind) = kinds.iter().copied().nth(rng.usize(0..kinds.len().max(1))) else { break };
            // There is little to do before there are more nodes; and draining moves most.
            let kind = if kinds.contains(&Kind::Add) { Kind::Add } else { kind };
            let mut of_kind: Vec<_> = possible.into_iter().filter(|change| change.kind() == kind).collect();
            let drains = |change: &Change| matches!(change, Change::Weight { tenths: 0, .. });
            if of_kind.iter().any(drains) && rng.bool() {
                of_kind.retain(drains);
            }
            let change = of_kind[rng.usize(0..of_kind.len())].clone();
            after.apply(&change, number);
            changes.push(change);
        }
        let earlier = before.running();
        let joining: Vec<_> = after.running().into_iter().filter(|node| !earlier.contains(node)).collect();
        for subcluster in 0..SUBCLUSTERS.len() {
            let nodes = Standing::nodes_of(subcluster);
            if after.weights[subcluster] == Some(0)
                && !nodes.clone().any(|node| after.is_lost(node))
                && rng.bool()
            {
                after.off.extend(nodes);
            }
        }
        Course { before, damaged, changes, joining, after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan { seed, kinds: Kind::ALL.into(), steps: Vec::new(), round: 6000 }
    }

    #[test]
    fn every_kind_of_change_happens_and_two_in_one_round_too() {
        let courses: Vec<_> = (0..60).map(|number| plan(1).course(number)).collect();
        let kinds: BTreeSet<_> =
            courses.iter().flat_map(|course| &course.changes).map(Change::kind).collect();
        assert_eq!(kinds, Kind::ALL.into_iter().filter(|kind| kind.is_of_map()).collect());
        assert!(courses.iter().any(|course| course.changes.len() > 1));
        assert!(courses.iter().any(|course| !course.after.off.is_empty()), "none is ever switched off");
        let again = |course: &&Course| !course.before.off.is_empty() && !course.joining.is_empty();
        assert!(courses.iter().any(|course| again(&course)), "none is ever switched on again");
    }

    #[test]
    fn no_round_takes_more_disks_than_the_promise_allows() {
        for (seed, number) in (0..5).flat_map(|seed| (0..40).map(move |number| (seed, number))) {
            let Course { before, damaged, changes, after, .. } = plan(seed).course(number);
            assert!(before.owns(damaged));
            assert!(after.owners().len() >= REPLICAS, "{after:?}");
            let lost =
                changes.iter().filter(|change| matches!(change, Change::Lost { node } if *node == damaged));
            let all = changes.iter().filter(|change| change.kind() == Kind::Lost);
            assert_eq!(lost.count(), all.count(), "{changes:?}");
            assert_eq!(after.epoch, before.epoch + changes.len() as u64);
            // Who is off owns nothing.
            assert!(after.off.iter().all(|node| !after.owns(*node)), "{after:?}");
        }
    }

    #[test]
    fn a_node_that_joins_is_not_one_that_runs_already() {
        for number in 0..60 {
            let course = plan(2).course(number);
            let running = course.before.running();
            assert!(course.joining.iter().all(|node| !running.contains(node)), "{course:?}");
            let needed = course.after.owners();
            assert!(needed.iter().all(|node| running.contains(node) || course.joining.contains(node)));
        }
    }
}
