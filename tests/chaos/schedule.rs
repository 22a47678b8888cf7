//! What goes wrong when. The seed decides all of it, so that a run can be repeated; nothing here acts.

use std::collections::BTreeSet;
use std::fmt;

use fastrand::Rng;

use super::steps::{is_frequent, is_of_return};

/// Nodes of the cluster.
pub const NODES: usize = 5;
/// Clocks are off by at most this many seconds.
pub const CLOCK_OFF_MAX: i64 = 3600;
/// Faults that a round tries to have.
const FAULTS: std::ops::RangeInclusive<usize> = 8..=16;
/// Rounds that a copy of a root is old at most when it is put back.
pub const COPY_AGE_MAX: u64 = 3;
/// How long a fault lasts, in milliseconds.
const LASTS: std::ops::RangeInclusive<u64> = 300..=2500;
/// An owner is down for so many milliseconds before copies come to a wrong place.
const DOWN_BEFORE: u64 = 1500;
/// How long it is waited for a process to come to a step, in milliseconds.
const COMES: std::ops::RangeInclusive<u64> = 2000..=4000;

/// A kind of fault, as it is switched on and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Kill,
    KillResponder,
    KillServer,
    KillAll,
    Die,
    Cut,
    Delay,
    Truncate,
    Corrupt,
    Clock,
    Fill,
    Wipe,
    Return,
    Flip,
    Misplace,
}

impl Kind {
    pub const ALL: [Kind; 15] = [
        Kind::Kill,
        Kind::KillResponder,
        Kind::KillServer,
        Kind::KillAll,
        Kind::Die,
        Kind::Cut,
        Kind::Delay,
        Kind::Truncate,
        Kind::Corrupt,
        Kind::Clock,
        Kind::Fill,
        Kind::Wipe,
        Kind::Return,
        Kind::Flip,
        Kind::Misplace,
    ];
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL for a node's webdfs and its web server.
    Kill { node: usize },
    /// SIGKILL for its webdfs; the web server goes on.
    KillResponder { node: usize },
    /// SIGKILL for its web server; its webdfs goes on.
    KillServer { node: usize },
    /// SIGKILL for every process at once.
    KillAll,
    /// The node's webdfs kills itself when it comes to a step after having passed it so often.
    Die { node: usize, step: &'static str, passes: u32 },
    /// The nodes in `half` and the others cannot reach each other: connections break off, or fall silent.
    Cut { half: BTreeSet<usize>, silent: bool },
    /// All that goes to a node and comes from it there takes longer.
    Delay { node: usize, millis: u64 },
    /// Connections of other nodes to a node break off after so many bytes.
    Truncate { node: usize, after: u64 },
    /// One bit in so many bytes of what nodes say to a node, and it answers, is another.
    Corrupt { node: usize, every: u64 },
    /// The disk of a node is full.
    Fill { node: usize },
    /// The root of a node is lost; it starts again with an empty one.
    Wipe { node: usize },
    /// The root of a node is lost; it starts again with a copy that is so many rounds old, and dies when it comes to a step.
    Return { node: usize, age: u64, step: Option<&'static str> },
    /// A bit of some replicas on a node flips.
    Flip { node: usize, replicas: u64 },
    /// Copies come to a node that does not own them. Neither does `damaged`, which may lose what it has confirmed. One of
    /// the owners is `down`.
    Misplace { node: usize, damaged: usize, down: usize, copies: usize },
}

impl Fault {
    pub fn kind(&self) -> Kind {
        match self {
            Fault::Kill { .. } => Kind::Kill,
            Fault::KillResponder { .. } => Kind::KillResponder,
            Fault::KillServer { .. } => Kind::KillServer,
            Fault::KillAll => Kind::KillAll,
            Fault::Die { .. } => Kind::Die,
            Fault::Cut { .. } => Kind::Cut,
            Fault::Delay { .. } => Kind::Delay,
            Fault::Truncate { .. } => Kind::Truncate,
            Fault::Corrupt { .. } => Kind::Corrupt,
            Fault::Fill { .. } => Kind::Fill,
            Fault::Wipe { .. } => Kind::Wipe,
            Fault::Return { .. } => Kind::Return,
            Fault::Flip { .. } => Kind::Flip,
            Fault::Misplace { .. } => Kind::Misplace,
        }
    }

    /// The nodes whose processes end and start again.
    pub fn restarts(&self) -> Vec<usize> {
        match self {
            Fault::Kill { node }
            | Fault::KillResponder { node }
            | Fault::KillServer { node }
            | Fault::Die { node, .. }
            | Fault::Wipe { node }
            | Fault::Return { node, .. } => vec![*node],
            Fault::KillAll => (0..NODES).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the two must not happen at the same time: each undoes what it does.
    fn excludes(&self, other: &Fault) -> bool {
        let restarts = other.restarts();
        let empties = |kind| matches!(kind, Kind::Wipe | Kind::Return);
        let kinds = (self.kind(), other.kind());
        let is_restored = |node| matches!(self, Fault::Misplace { node: restored, .. } if *restored == node);
        self.restarts().iter().any(|node| restarts.contains(node))
            // It is to repair itself; and it may come to a step at which it dies then.
            || (kinds.1 != Kind::Die && restarts.into_iter().any(is_restored))
            || (kinds.0 == kinds.1 && self.restarts().is_empty())
            || (kinds.0 == Kind::Fill && empties(kinds.1))
            || (kinds.1 == Kind::Fill && empties(kinds.0))
    }

    /// Whether one round has no place for both, at whatever time: a copy is put back once.
    fn happens_once_with(&self, other: &Fault) -> bool {
        (self.kind(), other.kind()) == (Kind::Return, Kind::Return)
    }
}

/// A fault and its time, in milliseconds since the round began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: u64,
    pub until: u64,
    pub fault: Fault,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}..{:>5} ms  {:?}", self.at, self.until, self.fault)
    }
}

/// Faults between two healings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    pub number: u64,
    /// Milliseconds.
    pub length: u64,
    /// By how many seconds each node's clock is off.
    pub clocks: [i64; NODES],
    /// In the order of their begin.
    pub events: Vec<Event>,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "round {}: {} ms, clocks off by {:?} s", self.number, self.length, self.clocks)?;
        self.events.iter().try_for_each(|event| writeln!(f, "  {event}"))
    }
}

/// Adds an event unless there is no place for it beside the others.
fn add(events: &mut Vec<Event>, event: Event) {
    let clashes = |other: &Event| {
        let overlap = other.at <= event.until && event.at <= other.until;
        let excludes = other.fault.excludes(&event.fault) || event.fault.excludes(&other.fault);
        (overlap && excludes) || other.fault.happens_once_with(&event.fault)
    };
    if !events.iter().any(clashes) {
        events.push(event);
    }
}

/// What a schedule is drawn from.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// The faults that happen.
    pub kinds: BTreeSet<Kind>,
    /// Where a process may die.
    pub steps: Vec<&'static str>,
    /// The length of a round in milliseconds.
    pub round: u64,
}

impl Plan {
    /// The round of this number.
    pub fn round(&self, number: u64) -> Round {
        let mut rng = Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let has_clocks = self.kinds.contains(&Kind::Clock);
        let clocks = std::array::from_fn(|_| match rng.bool() && has_clocks {
            true => rng.i64(-CLOCK_OFF_MAX..=CLOCK_OFF_MAX),
            false => 0,
        });
        // Wipes, copies put back and flips of a round all befall one node: W-1 owners of any key, whatever the placement.
        let damaged = rng.usize(0..NODES);
        let kinds: Vec<_> = self.kinds.iter().copied().filter(|kind| *kind != Kind::Clock).collect();
        let mut events: Vec<Event> = Vec::new();
        let count = if kinds.is_empty() { 0 } else { rng.usize(FAULTS) };
        for _ in 0..count {
            let kind = kinds[rng.usize(0..kinds.len())];
            let kind = match kind {
                // It leaves little time for anything else.
                Kind::KillAll => kinds[rng.usize(0..kinds.len())],
                // There are many steps.
                _ if rng.u8(0..6) == 0 && self.kinds.contains(&Kind::Die) => Kind::Die,
                kind => kind,
            };
            let Some(fault) = self.fault(kind, (number, damaged), &mut rng) else { continue };
            let at = rng.u64(0..self.round * 9 / 10);
            let lasts = if kind == Kind::Die { COMES } else { LASTS };
            let until = (at + rng.u64(lasts)).min(self.round);
            // What is written while an owner is down is what it has not got when copies of it come to a wrong place.
            if let Fault::Misplace { down, .. } = fault {
                let fault = Fault::Kill { node: down };
                add(&mut events, Event { at: at.saturating_sub(DOWN_BEFORE), until, fault });
            }
            add(&mut events, Event { at, until, fault });
        }
        events.sort_by_key(|event| event.at);
        Round { number, length: self.round, clocks, events }
    }

    fn fault(&self, kind: Kind, (round, damaged): (u64, usize), rng: &mut Rng) -> Option<Fault> {
        let node = rng.usize(0..NODES);
        Some(match kind {
            Kind::Kill => Fault::Kill { node },
            Kind::KillResponder => Fault::KillResponder { node },
            Kind::KillServer => Fault::KillServer { node },
            Kind::KillAll => Fault::KillAll,
            Kind::Die => {
                let step = self.step(|step| !is_of_return(step), rng)?;
                let passes = if is_frequent(step) { rng.u32(0..6) * rng.u32(0..6) } else { rng.u32(0..2) };
                Fault::Die { node, step, passes }
            }
            Kind::Cut => {
                let mut nodes: Vec<_> = (0..NODES).collect();
                rng.shuffle(&mut nodes);
                nodes.truncate(rng.usize(1..=NODES / 2));
                Fault::Cut { half: nodes.into_iter().collect(), silent: rng.bool() }
            }
            Kind::Delay => Fault::Delay { node, millis: rng.u64(5..400) },
            Kind::Truncate => Fault::Truncate { node, after: rng.u64(1..20_000) },
            Kind::Corrupt => Fault::Corrupt { node, every: rng.u64(500..20_000) },
            Kind::Fill => Fault::Fill { node },
            Kind::Wipe => Fault::Wipe { node: damaged },
            // There is no older copy in the first round.
            Kind::Return if round == 0 => return None,
            Kind::Return => {
                let dies = rng.bool() && self.kinds.contains(&Kind::Die);
                let step = if dies { self.step(is_of_return, rng) } else { None };
                Fault::Return { node: damaged, age: rng.u64(1..=COPY_AGE_MAX.min(round)), step }
            }
            Kind::Flip => Fault::Flip { node: damaged, replicas: rng.u64(1..20) },
            Kind::Misplace => {
                let mut others: Vec<_> = (0..NODES).filter(|node| *node != damaged).collect();
                rng.shuffle(&mut others);
                Fault::Misplace { node: others[0], damaged, down: others[1], copies: rng.usize(4..12) }
            }
            Kind::Clock => unreachable!("clocks are off for whole rounds"),
        })
    }

    /// One of the steps that are such as `wanted` says, if there is any.
    fn step(&self, wanted: fn(&str) -> bool, rng: &mut Rng) -> Option<&'static str> {
        let steps: Vec<_> = self.steps.iter().copied().filter(|step| wanted(step)).collect();
        (!steps.is_empty()).then(|| steps[rng.usize(0..steps.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan { seed, kinds: Kind::ALL.into(), steps: vec!["store.rename", "store.write"], round: 6000 }
    }

    #[test]
    fn the_seed_decides_the_whole_schedule() {
        let rounds = |seed| (0..20).map(|number| plan(seed).round(number)).collect::<Vec<_>>();
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
        assert_ne!(rounds(7)[0].events, rounds(7)[1].events);
    }

    #[test]
    fn every_kind_of_fault_happens_and_only_those_that_are_wanted() {
        let kinds = |plan: Plan| -> BTreeSet<Kind> {
            let rounds: Vec<_> = (0..100).map(|number| plan.round(number)).collect();
            let clocks = rounds.iter().flat_map(|round| round.clocks).any(|off| off != 0);
            let events = rounds.iter().flat_map(|round| &round.events).map(|event| event.fault.kind());
            events.chain(clocks.then_some(Kind::Clock)).collect()
        };
        assert_eq!(kinds(plan(1)), Kind::ALL.into());
        let few = BTreeSet::from([Kind::Cut, Kind::Die]);
        assert_eq!(kinds(Plan { kinds: few.clone(), ..plan(1) }), few);
        assert!(kinds(Plan { kinds: BTreeSet::new(), ..plan(1) }).is_empty());
    }

    #[test]
    fn in_a_round_wipes_flips_and_older_copies_befall_one_node_and_spare_the_owners_of_misplaced_copies() {
        for round in (0..500).map(|number| plan(3).round(number)) {
            let damaged = round.events.iter().filter_map(|event| match event.fault {
                Fault::Wipe { node } | Fault::Flip { node, .. } | Fault::Return { node, .. } => Some(node),
                Fault::Misplace { node, damaged, .. } => {
                    assert_ne!(node, damaged, "{round}");
                    Some(damaged)
                }
                _ => None,
            });
            assert!(damaged.collect::<BTreeSet<_>>().len() <= 1, "{round}");
        }
    }

    #[test]
    fn an_older_copy_was_taken_before_an_earlier_round_and_is_put_back_once() {
        for round in (0..500).map(|number| plan(5).round(number)) {
            let ages = round.events.iter().filter_map(|event| match event.fault {
                Fault::Return { age, .. } => Some(age),
                _ => None,
            });
            let ages: Vec<_> = ages.collect();
            assert!(ages.len() <= 1 && ages.iter().all(|age| (1..=round.number).contains(age)), "{round}");
        }
    }

    #[test]
    fn faults_that_undo_each_other_do_not_overlap_and_none_outlasts_its_round() {
        for round in (0..500).map(|number| plan(4).round(number)) {
            for (place, event) in round.events.iter().enumerate() {
                assert!(event.at <= event.until && event.until <= round.length, "{round}");
                for other in round.events[place + 1..].iter().filter(|other| other.at <= event.until) {
                    assert!(!event.fault.excludes(&other.fault), "{round}");
                }
            }
            assert!(round.clocks.iter().all(|off| off.abs() <= CLOCK_OFF_MAX));
        }
    }
}
