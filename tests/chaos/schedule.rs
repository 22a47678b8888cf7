//! What goes wrong when. The seed decides all of it, so that a run can be repeated; nothing here acts.

use std::collections::BTreeSet;
use std::fmt;

use fastrand::Rng;

/// Nodes of the cluster.
pub const NODES: usize = 5;
/// Clocks are off by at most this many seconds.
pub const CLOCK_OFF_MAX: i64 = 3600;
/// Faults that a round tries to have.
const FAULTS: std::ops::RangeInclusive<usize> = 5..=10;
/// How long a fault lasts, in milliseconds.
const LASTS: std::ops::RangeInclusive<u64> = 300..=2500;

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
    Flip,
}

impl Kind {
    pub const ALL: [Kind; 13] = [
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
        Kind::Flip,
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
    /// A bit of some replicas on a node flips.
    Flip { node: usize, replicas: u64 },
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
            Fault::Flip { .. } => Kind::Flip,
        }
    }

    /// The nodes whose processes end and start again.
    fn restarts(&self) -> Vec<usize> {
        match self {
            Fault::Kill { node }
            | Fault::KillResponder { node }
            | Fault::KillServer { node }
            | Fault::Die { node, .. }
            | Fault::Wipe { node } => vec![*node],
            Fault::KillAll => (0..NODES).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the two must not happen at the same time: each undoes what it does.
    fn excludes(&self, other: &Fault) -> bool {
        let restarts = other.restarts();
        self.restarts().iter().any(|node| restarts.contains(node))
            || (self.kind() == other.kind() && self.restarts().is_empty())
            || matches!((self.kind(), other.kind()), (Kind::Fill, Kind::Wipe) | (Kind::Wipe, Kind::Fill))
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
        // Wipes and flips of a round all befall one node: W-1 owners of any key, whatever the placement.
        let damaged = rng.usize(0..NODES);
        let kinds: Vec<_> = self.kinds.iter().copied().filter(|kind| *kind != Kind::Clock).collect();
        let mut events: Vec<Event> = Vec::new();
        let count = if kinds.is_empty() { 0 } else { rng.usize(FAULTS) };
        for _ in 0..count {
            let kind = kinds[rng.usize(0..kinds.len())];
            // It leaves little time for anything else.
            let kind = if kind == Kind::KillAll { kinds[rng.usize(0..kinds.len())] } else { kind };
            let fault = self.fault(kind, damaged, &mut rng);
            let at = rng.u64(0..self.round * 9 / 10);
            let until = (at + rng.u64(LASTS)).min(self.round);
            let clashes =
                |other: &Event| other.at <= until && at <= other.until && other.fault.excludes(&fault);
            if !events.iter().any(clashes) {
                events.push(Event { at, until, fault });
            }
        }
        events.sort_by_key(|event| event.at);
        Round { number, length: self.round, clocks, events }
    }

    fn fault(&self, kind: Kind, damaged: usize, rng: &mut Rng) -> Fault {
        let node = rng.usize(0..NODES);
        match kind {
            Kind::Kill => Fault::Kill { node },
            Kind::KillResponder => Fault::KillResponder { node },
            Kind::KillServer => Fault::KillServer { node },
            Kind::KillAll => Fault::KillAll,
            Kind::Die => {
                let step = self.steps[rng.usize(0..self.steps.len())];
                // Few at first: some steps are rare.
                Fault::Die { node, step, passes: rng.u32(0..6) * rng.u32(0..6) }
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
            Kind::Flip => Fault::Flip { node: damaged, replicas: rng.u64(1..20) },
            Kind::Clock => unreachable!("clocks are off for whole rounds"),
        }
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
    fn in_a_round_wipes_and_flips_befall_one_node() {
        for round in (0..500).map(|number| plan(3).round(number)) {
            let damaged = round.events.iter().filter_map(|event| match event.fault {
                Fault::Wipe { node } | Fault::Flip { node, .. } => Some(node),
                _ => None,
            });
            assert!(damaged.collect::<BTreeSet<_>>().len() <= 1, "{round}");
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
