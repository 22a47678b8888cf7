//! Faults as they are done, and what heals them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use webdfs::name::ObjectName;

use crate::common::{PATIENCE, clock_off_by};

use super::disk::files;
use super::history::{Key, Op};
use super::machine::Machine;
use super::schedule::{Fault, NODES};

/// What fills a disk.
const FILL: &str = ".fill";
/// How often it is looked whether something has drained.
const LOOK: Duration = Duration::from_millis(50);

impl Machine {
    /// Begins or ends a fault. Whether a process has died at a step as it should have.
    pub(super) fn turn(&self, fault: &Fault, begins: bool) -> bool {
        if self.network.set(fault, begins) {
            return false;
        }
        let cluster = &self.cluster;
        match (fault, begins) {
            (Fault::Kill { node }, true) => cluster.kill(*node),
            (Fault::KillResponder { node }, true) => cluster.kill_webdfs(*node),
            (Fault::KillServer { node }, true) => cluster.kill_server(*node),
            (Fault::KillAll, true) => (0..NODES).for_each(|node| cluster.kill(node)),
            (
                Fault::Kill { node }
                | Fault::KillResponder { node }
                | Fault::KillServer { node }
                | Fault::Wipe { node },
                false,
            ) => self.start_node(*node),
            (Fault::KillAll, false) => (0..NODES).for_each(|node| self.start_node(node)),
            (Fault::Die { node, step, passes }, true) => {
                cluster.kill_webdfs(*node);
                let environment = self.environment(*node, Some(format!("{step}={passes}*off->return")));
                cluster.set_environment(*node, environment);
                cluster.restart(*node);
            }
            (Fault::Die { node, .. }, false) => {
                let died = cluster.with_webdfs(*node, |process| process.ended().is_some());
                cluster.kill_webdfs(*node);
                self.start_node(*node);
                return died;
            }
            (Fault::Fill { node }, true) => {
                let mut file = File::create(cluster.root(*node).join(FILL)).expect("a file");
                while file.write_all(&[0; 64 << 10]).is_ok() {}
                while file.write_all(&[0; 512]).is_ok() {}
            }
            (Fault::Fill { node }, false) => _ = fs::remove_file(cluster.root(*node).join(FILL)),
            (Fault::Wipe { node }, true) => {
                cluster.kill(*node);
                for entry in fs::read_dir(cluster.root(*node)).expect("a root").flatten() {
                    let path = entry.path();
                    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                    done.expect("nobody else is there");
                }
            }
            (Fault::Flip { node, replicas }, true) => self.flip(*node, *replicas),
            _ => {}
        }
        false
    }

    /// Starts a node's processes that do not run, with its clock.
    pub(super) fn start_node(&self, node: usize) {
        self.cluster.set_environment(node, self.environment(node, None));
        self.cluster.restart(node);
    }

    fn environment(&self, node: usize, failpoint: Option<String>) -> Vec<(String, String)> {
        let wrong = self.settings.wrong.map(|wrong| format!("{}=return", wrong.name()));
        let failpoints: Vec<String> = wrong.into_iter().chain(failpoint).collect();
        let mut environment = vec![("FAILPOINTS".to_owned(), failpoints.join(";"))];
        environment.extend(clock_off_by(self.clocks[node]));
        environment
    }

    /// Flips a bit in some replicas of a node, and leaves their times as they are.
    fn flip(&self, node: usize, replicas: u64) {
        let root = self.cluster.root(node);
        let all: Vec<_> =
            files(&root).into_iter().filter(|path| !path.starts_with(root.join(".webdfs"))).collect();
        for path in all.iter().step_by(all.len() / replicas as usize + 1) {
            let opened = File::options().read(true).write(true).open(path);
            let Ok((file, metadata)) = opened.and_then(|file| file.metadata().map(|known| (file, known)))
            else {
                continue;
            };
            let mut byte = [0];
            let at = metadata.len() / 2;
            if file.read_exact_at(&mut byte, at).is_ok() {
                file.write_all_at(&[byte[0] ^ 1], at).expect("a byte is written");
                file.set_modified(metadata.modified().expect("a time")).expect("its time is set");
            }
        }
    }

    /// Mends everything, and waits until nothing is left to do.
    pub(super) fn heal(&mut self, ops: &[Op]) {
        self.network.heal();
        // The files' own times come from the system's clock, which is right: with another the nodes cannot tell how
        // long an upload has waited.
        let clocks = std::mem::take(&mut self.clocks);
        for (node, off) in clocks.into_iter().enumerate() {
            if off != 0 || !self.cluster.is_alive(node) {
                self.cluster.kill(node);
            }
            self.start_node(node);
        }
        (0..NODES).for_each(|node| self.cluster.wait_until_ready(node));
        self.wait_until_drained();
        // First what is rotten goes, then it is fetched again.
        if has_command("scrub") {
            self.on_every_node("scrub", &[]);
        }
        if has_command("reconcile") {
            self.on_every_node("reconcile", &["--once"]);
        } else {
            self.compare_owners(ops);
        }
        self.wait_until_drained();
    }

    /// Runs a command of webdfs for every node at once.
    fn on_every_node(&self, command: &str, arguments: &[&str]) {
        let started = (0..NODES).map(|node| {
            let mut webdfs = Command::new(env!("CARGO_BIN_EXE_webdfs"));
            webdfs.arg(command).args(arguments).arg("--config").arg(self.cluster.config(node));
            webdfs.spawn().expect("webdfs runs")
        });
        for (node, mut child) in started.collect::<Vec<_>>().into_iter().enumerate() {
            let ended = child.wait().expect("it is ours");
            assert!(ended.success(), "webdfs {command} of {}: {ended}", self.cluster.name(node));
        }
    }

    /// Waits until no upload and no mark is left; the check says what is wrong with those that stay.
    fn wait_until_drained(&self) {
        let deadline = Instant::now() + PATIENCE;
        let is_drained = |node| {
            let private = self.cluster.root(node).join(".webdfs");
            files(&private.join("tmp")).is_empty() && files(&private.join("dirty")).is_empty()
        };
        while !(0..NODES).all(is_drained) {
            if Instant::now() > deadline {
                eprintln!("uploads or marks are left over");
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// In place of a full reconcile: every owner compares each key that was written with the others.
    fn compare_owners(&self, ops: &[Op]) {
        let keys: std::collections::BTreeSet<Key> =
            ops.iter().filter(|op| op.is_write()).map(|op| op.key).collect();
        for node in 0..NODES {
            let store = self.cluster.store(node);
            let name = self.cluster.name(node).parse().expect("a node's name");
            for key in keys.iter().filter(|key| self.owners[**key].contains(&node)) {
                let key = ObjectName::from_bytes(&self.paths[*key].as_bytes()[1..]).expect("a good name");
                store.mark_dirty(&name, &key).expect("a mark is made");
            }
        }
    }
}

/// Whether webdfs has a command.
pub fn has_command(command: &str) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_webdfs")).arg("--help").output().expect("webdfs runs");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    help.lines().any(|line| line.split_whitespace().next() == Some(command))
}
