//! Rounds of traffic and faults, each followed by healing and a check.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use webdfs::failpoint::Wrong;

use crate::common::{Cluster, Front, Options};

use super::checker::{Disks, Settled, Violation, check};
use super::clients::{Traffic, paths};
use super::disk;
use super::history::{Action, History, Op};
use super::proxy::Network;
use super::report::Report;
use super::schedule::{Kind, NODES, Plan, Round};

/// Operations that are shown for a key whose promise was not kept.
const OPS_SHOWN: usize = 40;

/// What a run is like.
#[derive(Debug, Clone)]
pub struct Settings {
    pub plan: Plan,
    /// No round begins later than this.
    pub duration: Duration,
    pub keys: usize,
    pub clients: u64,
    /// A promise that webdfs breaks on purpose.
    pub wrong: Option<Wrong>,
}

/// The cluster and all around it.
#[derive(Debug)]
pub struct Machine {
    pub(super) cluster: Cluster,
    pub(super) network: Network,
    pub(super) settings: Settings,
    pub(super) paths: Vec<String>,
    pub(super) owners: Vec<Vec<usize>>,
    pub(super) report: Report,
    /// By how many seconds the clock of each node is off.
    pub(super) clocks: [i64; NODES],
    history: History,
    settled: Settled,
}

/// Runs until the time is over or a promise was not kept.
pub fn run(settings: Settings) -> (Report, Vec<Violation>) {
    let began = Instant::now();
    let duration = settings.duration;
    let mut machine = Machine::start(settings);
    let mut violations = Vec::new();
    while violations.is_empty() && (machine.report.rounds == 0 || began.elapsed() < duration) {
        violations = machine.round();
    }
    machine.note_connections();
    let Machine { cluster, report, .. } = machine;
    let roots: Vec<PathBuf> = (0..NODES).map(|node| cluster.root(node)).collect();
    (0..NODES).for_each(|node| cluster.kill(node));
    super::mounts::unmount(&roots);
    (report, violations)
}

impl Machine {
    fn start(settings: Settings) -> Self {
        let options = Options {
            nodes: NODES,
            durability: "sync",
            detour: &[0, 1, 2, 3, 4],
            prepare: super::mounts::prepare,
            ..Options::default()
        };
        let cluster = Cluster::launch(Front::Nginx, options);
        let ways: Vec<_> =
            (0..NODES).map(|node| (cluster.detour_address(node), cluster.address(node))).collect();
        let network = Network::open(&ways);
        let paths = paths(settings.keys);
        let owners = cluster.owners_of(&paths);
        let report = Report::of_seed(settings.plan.seed);
        let (history, settled) = (History::new(), Settled::default());
        let mut machine =
            Self { cluster, network, settings, paths, owners, report, clocks: [0; NODES], history, settled };
        (0..NODES).for_each(|node| machine.cluster.wait_until_ready(node));
        machine.restart_with_clocks([0; NODES], machine.settings.wrong.is_some());
        machine
    }

    /// Starts the nodes anew whose clocks change, or all.
    fn restart_with_clocks(&mut self, clocks: [i64; NODES], all: bool) {
        let before = std::mem::replace(&mut self.clocks, clocks);
        for node in (0..NODES).filter(|node| all || clocks[*node] != before[*node]) {
            self.cluster.kill_webdfs(node);
            self.start_node(node);
        }
        (0..NODES).for_each(|node| self.cluster.wait_until_ready(node));
    }

    fn round(&mut self) -> Vec<Violation> {
        let round = self.settings.plan.round(self.report.rounds);
        eprint!("{round}");
        self.restart_with_clocks(round.clocks, false);
        self.break_things(&round);
        let ops = self.history.take();
        self.report.count(&ops);
        self.report.rounds += 1;
        self.heal(&ops);
        let roots: Vec<PathBuf> = (0..NODES).map(|node| self.cluster.root(node)).collect();
        let have_rotted = round.events.iter().any(|event| event.fault.kind() == Kind::Flip);
        let disks = Disks { have_rotted, ..disk::read(&roots, &self.paths) };
        let violations = check(&mut self.settled, &ops, &disks, &self.owners);
        for node in 0..NODES {
            let log = self.cluster.log(node);
            let panic = log.lines().find(|line| line.contains("panicked at"));
            assert!(panic.is_none(), "{}: {panic:?}", self.cluster.name(node));
        }
        violations.iter().for_each(|violation| self.explain(violation, &ops));
        if !violations.is_empty() && self.settings.wrong.is_none() {
            self.keep_evidence();
        }
        violations
    }

    /// Clients at work while the faults of a round come and go.
    fn break_things(&mut self, round: &Round) {
        let stop = AtomicBool::new(false);
        let began = Instant::now();
        let mut moments: Vec<(u64, bool, usize)> = Vec::new();
        for (place, event) in round.events.iter().enumerate() {
            moments.extend([(event.at, true, place), (event.until, false, place)]);
        }
        moments.sort();
        let seed = self.settings.plan.seed ^ (round.number << 32);
        let mut died = 0;
        std::thread::scope(|scope| {
            let (cluster, history, paths) = (&self.cluster, &self.history, &self.paths[..]);
            for client in 0..self.settings.clients {
                let traffic = Traffic { cluster, history, paths, clocks: self.clocks, stop: &stop };
                scope.spawn(move || traffic.run(seed ^ (client << 16)));
            }
            for (at, begins, place) in moments {
                std::thread::sleep(Duration::from_millis(at).saturating_sub(began.elapsed()));
                died += u64::from(self.turn(&round.events[place].fault, begins));
            }
            std::thread::sleep(Duration::from_millis(round.length).saturating_sub(began.elapsed()));
            self.network.heal();
            stop.store(true, Ordering::SeqCst);
        });
        self.report.died += died;
        for event in &round.events {
            *self.report.faults.entry(event.fault.kind()).or_default() += 1;
        }
        let off = round.clocks.iter().filter(|off| **off != 0).count() as u64;
        *self.report.faults.entry(Kind::Clock).or_default() += off;
    }

    fn note_connections(&mut self) {
        let harmed = self.network.harmed();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        self.report.connections = (count(&harmed.cut), count(&harmed.truncated), count(&harmed.corrupted));
    }

    /// Shows what happened to the key of a violation.
    fn explain(&self, violation: &Violation, ops: &[Op]) {
        eprintln!("VIOLATION {violation}");
        let Some(key) = violation.key() else { return };
        eprintln!("  {} on {:?}", self.paths[key], self.owners[key]);
        let mut ops: Vec<_> = ops.iter().filter(|op| op.key == key).collect();
        ops.sort_by_key(|op| op.invoked);
        let writes = ops.iter().filter(|op| op.action != Action::Get).count();
        for op in ops.iter().filter(|op| op.action != Action::Get).skip(writes.saturating_sub(OPS_SHOWN)) {
            eprintln!("  {op:?}");
        }
    }

    /// Keeps roots and logs for whoever wants to know why.
    fn keep_evidence(&self) {
        let Some(folder) = std::env::var_os("WEBDFS_CHAOS_KEEP") else {
            eprintln!("WEBDFS_CHAOS_KEEP=FOLDER keeps the roots and the logs");
            return;
        };
        let from = self.cluster.root(0).ancestors().nth(2).expect("a folder of the cluster").to_owned();
        let done = Command::new("cp").arg("-a").arg(from).arg(&folder).status();
        eprintln!("kept in {}: {done:?}", folder.display());
    }
}
