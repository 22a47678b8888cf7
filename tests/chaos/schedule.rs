//! What goes wrong when. The seed decides all of it, so that a run can be repeated; nothing here acts.

use std::collections::BTreeSet;
use std::fmt;

use fastrand::Rng;

use super::course::{Change, Course, strays_can_be_judged};
use super::steps::{is_frequent, is_of_return};

/// Nodes of the first map.
pub const FIRST: usize = 5;
/// Those, and those that are added.
pub const NODES: usize = 8;
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
    /// The map changes: a sub-cluster more.
    Add,
    /// Another weight for a sub-cluster, or none.
    Weight,
    Out,
    In,
    Lost,
}

impl Kind {
    pub const ALL: [Kind; 20] = [
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
        Kind::Add,
        Kind::Weight,
        Kind::Out,
        Kind::In,
        Kind::Lost,
    ];

    /// Whether it is a change of the map.
    pub fn is_of_map(self) -> bool {
        matches!(self, Kind::Add | Kind::Weight | Kind::Out | Kind::In | Kind::Lost)
    }
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
    /// The map changes; a node that is given up is down meanwhile.
    Map(Change),
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
            Fault::Map(change) => change.kind(),
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
            | Fault::Return { node, .. }
            | Fault::Map(Change::Lost { node }) => vec![*node],
            Fault::KillAll => (0..NODES).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the two must not happen at the same time: each undoes what it does.
    pub(super) fn excludes(&self, other: &Fault) -> bool {
        let restarts = other.restarts();
        let empties = |kind| matches!(kind, Kind::Wipe | Kind::Return);
        let kinds = (self.kind(), other.kind());
        let is_restored = |node| matches!(self, Fault::Misplace { node: restored, .. } if *restored == node);
        self.restarts().iter().any(|node| restarts.contains(node))
            // It is to repair itself; and it may come to a step at which it dies then.
            || (kinds.1 != Kind::Die && restarts.into_iter().any(is_restored))
            || (kinds.0 == kinds.1 && self.restarts().is_empty() && !kinds.0.is_of_map())
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
    /// What becomes of the map.
    pub course: Course,
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
        // Wipes, copies put back and flips of a round all befall one node, which alone may be given up: W-1 owners of any
        // key, whatever the placement.
        let course = self.course(number);
        let is_drawn = |kind: &Kind| {
            let may_be = *kind != Kind::Misplace || strays_can_be_judged(&course);
            *kind != Kind::Clock && !kind.is_of_map() && may_be
        };
        let kinds: Vec<_> = self.kinds.iter().copied().filter(is_drawn).collect();
        let mut events = self.map_events(&course, &mut rng);
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
            let Some(fault) = self.fault(kind, (number, &course), &mut rng) else { continue };
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
        Round { number, length: self.round, clocks, events, course }
    }

    /// The changes of the map, in their order, at any times.
    fn map_events(&self, course: &Course, rng: &mut Rng) -> Vec<Event> {
        let mut times: Vec<_> = course.changes.iter().map(|_| rng.u64(0..self.round * 8 / 10)).collect();
        times.sort_unstable();
        let event = |(at, change): (u64, &Change)| {
            let until = (at + rng.u64(LASTS)).min(self.round);
            Event { at, until, fault: Fault::Map(change.clone()) }
        };
        times.into_iter().zip(&course.changes).map(event).collect()
    }

    fn fault(&self, kind: Kind, (round, course): (u64, &Course), rng: &mut Rng) -> Option<Fault> {
        let (damaged, running) = (course.damaged, course.reachable());
        let node = running[rng.usize(0..running.len())];
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
                let mut nodes = running;
                rng.shuffle(&mut nodes);
                nodes.truncate(rng.usize(1..=nodes.len() / 2));
                Fault::Cut { half: nodes.into_iter().collect(), silent: rng.bool() }
            }
            Kind::Delay => Fault::Delay { node, millis: rng.u64(5..400) },
            Kind::Truncate => Fault::Truncate { node, after: rng.u64(1..20_000) },
            Kind::Corrupt => Fault::Corrupt { node, every: rng.u64(500..20_000) },
            Kind::Fill => Fault::Fill { node },
            Kind::Wipe => Fault::Wipe { node: damaged },
            Kind::Return => {
                // A copy of a node that owned nothing then would show nothing, and there is none before the first round.
                let age = course.before.age(damaged, round).min(COPY_AGE_MAX);
                if age == 0 {
                    return None;
                }
                let dies = rng.bool() && self.kinds.contains(&Kind::Die);
                let step = if dies { self.step(is_of_return, rng) } else { None };
                Fault::Return { node: damaged, age: rng.u64(1..=age), step }
            }
            Kind::Flip => Fault::Flip { node: damaged, replicas: rng.u64(1..20) },
            Kind::Misplace => {
                let mut others = course.before.owners();
                others.retain(|node| *node != damaged);
                rng.shuffle(&mut others);
                Fault::Misplace { node: others[0], damaged, down: others[1], copies: rng.usize(4..12) }
            }
            Kind::Clock | Kind::Add | Kind::Weight | Kind::Out | Kind::In | Kind::Lost => {
                unreachable!("decided for whole rounds")
            }
        })
    }

    /// One of the steps that are such as `wanted` says, if there is any.
    fn step(&self, wanted: fn(&str) -> bool, rng: &mut Rng) -> Option<&'static str> {
        let steps: Vec<_> = self.steps.iter().copied().filter(|step| wanted(step)).collect();
        (!steps.is_empty()).then(|| steps[rng.usize(0..steps.len())])
    }
}
