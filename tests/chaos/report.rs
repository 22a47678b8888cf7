//! What a run has done, in numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::history::{Action, Op, Outcome};
use super::repairs::Counts;
use super::schedule::Kind;
use super::steps;

#[derive(Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub rounds: u64,
    pub faults: BTreeMap<Kind, u64>,
    /// Processes that came to the step at which they were to die, by step.
    pub died: BTreeMap<&'static str, u64>,
    /// Steps that any process came to.
    pub steps: BTreeSet<&'static str>,
    /// What was repaired meanwhile.
    pub repairs: Counts,
    /// Copies that were put on nodes that do not own them, and how many of them went before the last healing was over.
    pub strays: [u64; 2],
    /// Replicas whose versions were far from the real time, since the clock was of the node that wrote them.
    pub misdated: u64,
    /// Maps that were given, those of them that came before the last one had settled, and attempts that failed.
    pub maps: [u64; 3],
    /// Connections cut, broken off and changed on their way.
    pub connections: (u64, u64, u64),
    answers: BTreeMap<(&'static str, String), u64>,
    operations: u64,
    acknowledged: u64,
    acknowledged_clock_off: u64,
}

impl Report {
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub fn count(&mut self, ops: &[Op]) {
        for op in ops {
            let action = match op.action {
                Action::Put => "PUT",
                Action::Delete => "DELETE",
                Action::Get => "GET",
            };
            let answer = match &op.outcome {
                Outcome::Unknown => "unknown".to_owned(),
                Outcome::Status(status) => status.to_string(),
                Outcome::Found(_) => "200".to_owned(),
            };
            *self.answers.entry((action, answer)).or_default() += 1;
            self.operations += 1;
            self.acknowledged += u64::from(op.is_acknowledged());
            self.acknowledged_clock_off += u64::from(op.is_acknowledged() && op.clock_off);
        }
    }

    /// Writes that were acknowledged, and those of them by nodes whose clock was off.
    pub fn acknowledged(&self) -> (u64, u64) {
        (self.acknowledged, self.acknowledged_clock_off)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: u64 = self.faults.values().sum();
        writeln!(
            f,
            "seed {}: {} rounds, {faults} faults, {} operations",
            self.seed, self.rounds, self.operations
        )?;
        let kinds = self.faults.iter().map(|(kind, count)| format!("{kind:?} {count}"));
        writeln!(f, "  faults: {}", kinds.collect::<Vec<_>>().join(", "))?;
        let died = self.died.iter().map(|(step, count)| format!("{step} {count}"));
        let died = died.collect::<Vec<_>>().join(", ");
        writeln!(f, "  {} processes died at a step: {died}", self.died.values().sum::<u64>())?;
        let missed: Vec<_> = steps::names().filter(|step| !self.steps.contains(step)).collect();
        writeln!(f, "  {} steps come to, and not: {}", self.steps.len(), missed.join(", "))?;
        let [placed, gone] = self.strays;
        let repairs = self.repairs.iter();
        let repairs = repairs.map(|(what, (begun, ended))| format!("{}: {ended} of {begun}", what.join(" ")));
        let repairs = repairs.collect::<Vec<_>>().join(", ");
        writeln!(f, "  repairs meanwhile: {repairs}; {placed} copies in wrong places, {gone} gone")?;
        let [given, in_a_row, failed] = self.maps;
        writeln!(
            f,
            "  maps: {given} given, {in_a_row} before the last had settled, {failed} attempts failed"
        )?;
        let (cut, truncated, corrupted) = self.connections;
        writeln!(f, "  connections: {cut} cut, {truncated} broken off, {corrupted} bits changed")?;
        let answers =
            self.answers.iter().map(|((action, answer), count)| format!("{action} {answer}: {count}"));
        writeln!(f, "  answers: {}", answers.collect::<Vec<_>>().join(", "))?;
        let (all, clock_off) = self.acknowledged();
        write!(
            f,
            "  writes acknowledged: {all}, {clock_off} of them by nodes with a wrong clock; {} replicas have a wrong date",
            self.misdated
        )
    }
}
