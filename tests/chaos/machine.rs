//! Rounds of traffic and faults, each followed by healing and a check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use webdfs::failpoint::Wrong;

use crate::common::{Cluster, Front, Options};

use super::checker::{Disks, Settled, Violation, check};
use super::clients::{Traffic, paths};
use super::disk;
use super::history::{Action, Content, History, Op};
use super::operator::Operator;
use super::proxy::Network;
use super::repairs::Repairs;
use super::report::Report;
use super::schedule::{FIRST, Fault, Kind, NODES, Plan, Round};
use super::steps;
use super::strays::Strays;

/// Operations that are shown for a key whose promise was not kept.
const OPS_SHOWN: usize = 40;
/// People who ask for repairs.
const REPAIRERS: u64 = 2;
/// Nanoseconds. A version that is so far from the time has not come from a right clock.
const MISDATED: i128 = 120_000_000_000;

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
    /// Whether a promise that was not kept ends the run.
    pub ends_it: fn(&Violation) -> bool,
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
    /// The nodes that run, or would but for a fault.
    pub(super) running: Vec<usize>,
    /// Those of them that are given up.
    pub(super) lost: Vec<usize>,
    pub(super) operator: Mutex<Operator>,
    /// By how many seconds the clock of each node is off.
    pub(super) clocks: [i64; NODES],
    /// Copies in wrong places.
    pub(super) strays: Arc<Strays>,
    /// The node that is to come to a certain step; [`NODES`]: none.
    pub(super) favoured: AtomicUsize,
    /// The nodes that are to die when they come to a step.
    pub(super) dying: Mutex<BTreeMap<usize, &'static str>>,
    /// How many have, by step.
    pub(super) died: Mutex<BTreeMap<&'static str, u64>>,
    history: History,
    settled: Settled,
}

/// Runs until the time is over or a promise was not kept.
pub fn run(settings: Settings) -> (Report, Vec<Violation>) {
    let began = Instant::now();
    let Settings { duration, ends_it, .. } = settings;
    let mut machine = Machine::start(settings);
    let mut violations = Vec::new();
    while !violations.iter().any(ends_it) && (machine.report.rounds == 0 || began.elapsed() < duration) {
        violations = machine.round();
    }
    machine.note_the_whole_run();
    let Machine { cluster, report, strays, .. } = machine;
    strays.stop();
    let roots: Vec<PathBuf> = (0..NODES).map(|node| cluster.root(node)).collect();
    (0..NODES).for_each(|node| cluster.kill(node));
    super::mounts::unmount(&roots);
    (report, violations)
}

impl Machine {
    fn start(settings: Settings) -> Self {
        let options = Options {
            nodes: NODES,
            members: Some(FIRST),
            absent: &[5, 6, 7],
            durability: "sync",
            detour: &[0, 1, 2, 3, 4, 5, 6, 7],
            prepare: super::mounts::prepare,
            // One does not: everything works without.
            gossip: |node| node != 3,
            ..Options::default()
        };
        let cluster = Cluster::launch(Front::Nginx, options);
        let ways: Vec<_> =
            (0..NODES).map(|node| (cluster.detour_address(node), cluster.address(node))).collect();
        let network = Network::open(&ways);
        let paths = paths(settings.keys);
        let owners = cluster.owners_of(&paths);
        let seed = settings.plan.seed;
        let (report, operator) = (Report::of_seed(seed), Mutex::new(Operator::new(seed)));
        let (history, settled) = (History::new(), Settled::default());
        let roots = (0..NODES).map(|node| cluster.root(node)).collect();
        let strays = Strays::watched(roots, &paths, &owners);
        let (clocks, favoured) = ([0; NODES], AtomicUsize::new(NODES));
        let mut machine = Self {
            cluster,
            network,
            settings,
            paths,
            owners,
            report,
            running: (0..FIRST).collect(),
            lost: Vec::new(),
            operator,
            clocks,
            strays,
            favoured,
            dying: Mutex::default(),
            died: Mutex::default(),
            history,
            settled,
        };
        machine.wait_until_ready();
        machine.restart_with_clocks([0; NODES], true);
        machine
    }

    /// Starts the nodes anew whose clocks change, or all.
    fn restart_with_clocks(&mut self, clocks: [i64; NODES], all: bool) {
        let before = std::mem::replace(&mut self.clocks, clocks);
        for node in self.running.iter().copied().filter(|node| all || clocks[*node] != before[*node]) {
            self.cluster.kill_webdfs(node);
            self.start_node(node);
        }
        self.wait_until_ready();
    }

    fn round(&mut self) -> Vec<Violation> {
        let round = self.settings.plan.round(self.report.rounds);
        eprint!("{round}");
        self.take_copies(round.number);
        self.restart_with_clocks(round.clocks, false);
        self.begin_to_grow(&round.course);
        self.break_things(&round);
        let ops = self.history.take();
        self.report.count(&ops);
        self.report.rounds += 1;
        let owners_before = self.owners.clone();
        self.heal(&round.course);
        let mut violations = self.strays.end_of_round();
        violations.extend(self.ends_of_growth(&round.course));
        let roots: Vec<PathBuf> = (0..NODES).map(|node| self.cluster.root(node)).collect();
        let have_rotted = round.events.iter().any(|event| event.fault.kind() == Kind::Flip);
        let returned = round.events.iter().find_map(|event| match event.fault {
            Fault::Return { node, .. } => Some(node),
            _ => None,
        });
        let owns = |owners: &Vec<usize>| returned.is_some_and(|node| owners.contains(&node));
        let handed_on = owners_before.iter().zip(&self.owners).enumerate();
        let handed_on = handed_on.filter(|(_, (before, now))| owns(before) || owns(now));
        let handed_on = handed_on.map(|(key, _)| key).collect();
        let disks = Disks { have_rotted, returned, handed_on, ..disk::read(&roots, &self.paths) };
        self.clear_returned();
        self.count_misdated(&ops, &disks);
        violations.extend(check(&mut self.settled, &ops, &disks, &self.owners));
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
        let counts = Mutex::new(std::mem::take(&mut self.report.repairs));
        std::thread::scope(|scope| {
            let (cluster, history, paths) = (&self.cluster, &self.history, &self.paths[..]);
            for person in 0..REPAIRERS {
                let (favoured, stop, counts) = (&self.favoured, &stop, &counts);
                let nodes = round.course.reachable();
                let repairs = Repairs { cluster, nodes, favoured, stop, counts };
                scope.spawn(move || repairs.run(seed ^ (person << 8)));
            }
            for client in 0..self.settings.clients {
                let (nodes, clocks) = (round.course.reachable(), self.clocks);
                let traffic = Traffic { cluster, nodes, history, paths, clocks, stop: &stop };
                scope.spawn(move || traffic.run(seed ^ (client << 16)));
            }
            for (at, begins, place) in moments {
                std::thread::sleep(Duration::from_millis(at).saturating_sub(began.elapsed()));
                let fault = &round.events[place].fault;
                self.turn(round.number, fault, begins);
                if let (Fault::Map(change), true) = (fault, begins) {
                    self.operator.lock().expect("no holder panics").order(change);
                    let (operator, nodes) = (&self.operator, round.course.reachable());
                    scope.spawn(move || {
                        operator.lock().expect("no holder panics").try_to_work(cluster, &nodes);
                    });
                }
            }
            std::thread::sleep(Duration::from_millis(round.length).saturating_sub(began.elapsed()));
            self.network.heal();
            stop.store(true, Ordering::SeqCst);
        });
        self.report.repairs = counts.into_inner().expect("no holder panics");
        for event in &round.events {
            *self.report.faults.entry(event.fault.kind()).or_default() += 1;
        }
        let off = round.clocks.iter().filter(|off| **off != 0).count() as u64;
        *self.report.faults.entry(Kind::Clock).or_default() += off;
    }

    /// Counts what shows that wrong clocks were the clocks of writes.
    fn count_misdated(&mut self, ops: &[Op], disks: &Disks) {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as i128;
        let by_wrong_clocks: BTreeSet<_> = ops.iter().filter(|op| op.clock_off).map(|op| op.id).collect();
        let misdated = disks.replicas.iter().flatten().filter(|replica| {
            let by_wrong_clock = matches!(replica.content, Content::Of(id) if by_wrong_clocks.contains(&id));
            by_wrong_clock && (replica.mtime - now).abs() > MISDATED
        });
        self.report.misdated += misdated.count() as u64;
    }

    fn note_the_whole_run(&mut self) {
        self.report.died = std::mem::take(&mut self.died.lock().expect("no holder panics"));
        self.report.strays =
            [&self.strays.count, &self.strays.gone].map(|count| count.load(Ordering::Relaxed));
        for node in 0..NODES {
            self.report.steps.extend(steps::noted_in(&self.cluster.log(node)));
        }
        let operator = self.operator.get_mut().expect("no holder panics");
        self.report.maps = [operator.given, operator.in_a_row, operator.failed];
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
        let done =
            Command::new("cp").arg("-a").arg(super::operator::folder(&self.cluster)).arg(&folder).status();
        eprintln!("kept in {}: {done:?}", folder.display());
    }
}
