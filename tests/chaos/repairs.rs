//! Passes and scrubs that people ask for while things go wrong, so that they are cut off anywhere.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::common::Cluster;
use crate::common::process::Process;

use super::schedule::NODES;

/// Between two requests of one person.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether one is done.
const LOOK: Duration = Duration::from_millis(20);

/// A command of webdfs that has a node repair something.
pub type Repair = &'static [&'static str];
/// Everything is compared.
pub const PASS: Repair = &["reconcile", "--once"];
/// Everything is read.
pub const SCRUB: Repair = &["scrub"];

/// How often something was begun, and how often it reached its end.
pub type Counts = BTreeMap<Repair, (u64, u64)>;

/// What people ask for in a round.
#[derive(Debug)]
pub struct Repairs<'a> {
    pub cluster: &'a Cluster,
    /// The nodes that are asked.
    pub nodes: Vec<usize>,
    /// The node that is asked most of all, if it is one: it is to come to a certain step.
    pub favoured: &'a AtomicUsize,
    pub stop: &'a AtomicBool,
    pub counts: &'a Mutex<Counts>,
}

impl Repairs<'_> {
    /// One person's requests, until told to stop. The last one is broken off.
    pub fn run(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        while !self.stop.load(Ordering::SeqCst) {
            let favoured = Some(self.favoured.load(Ordering::SeqCst)).filter(|node| *node < NODES);
            let node = favoured
                .filter(|_| rng.u8(0..4) > 0)
                .unwrap_or_else(|| self.nodes[rng.usize(0..self.nodes.len())]);
            let repair = if rng.u8(0..3) == 0 { SCRUB } else { PASS };
            let stopped = || self.stop.load(Ordering::SeqCst);
            let finished = self::repair(self.cluster, node, repair, stopped);
            let mut counts = self.counts.lock().expect("no holder panics");
            let (begun, ended) = counts.entry(repair).or_default();
            (*begun, *ended) = (*begun + 1, *ended + u64::from(finished));
            drop(counts);
            std::thread::sleep(PAUSE);
        }
    }
}

/// Has a node repair something, unless `broken_off` says to give up; whether it reached the end.
pub fn repair(cluster: &Cluster, node: usize, repair: Repair, broken_off: impl Fn() -> bool) -> bool {
    let config = cluster.config(node);
    let mut webdfs = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    webdfs.args(repair).arg("--config").arg(&config);
    let mut process = Process::start(&mut webdfs, &config.with_file_name("repairs.log"));
    loop {
        match process.ended() {
            Some(ended) => return ended.success(),
            None if broken_off() => {
                process.kill();
                return false;
            }
            None => std::thread::sleep(LOOK),
        }
    }
}
