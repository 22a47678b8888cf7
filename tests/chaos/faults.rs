//! Faults as they are done, and what heals them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, clock_off_by};

use super::course::{Change, Course};
use super::disk::files;
use super::machine::Machine;
use super::repairs::{PASS, Repair, SCRUB, repair};
use super::schedule::{Fault, Kind, NODES};
use super::steps;

/// What fills a disk.
const FILL: &str = ".fill";
/// How often it is looked whether something has drained.
const LOOK: Duration = Duration::from_millis(50);
/// How long a person waits for a pass who has restored files.
const REPAIR_PATIENCE: Duration = Duration::from_secs(10);

impl Machine {
    /// Begins or ends a fault of this round.
    pub(super) fn turn(&self, round: u64, fault: &Fault, begins: bool) {
        if self.network.set(fault, begins) {
            return;
        }
        if begins && fault.kind() != Kind::KillServer {
            for node in fault.restarts() {
                self.note_death(node);
            }
        }
        let cluster = &self.cluster;
        match (fault, begins) {
            (Fault::Kill { node } | Fault::Map(Change::Lost { node }), true) => cluster.kill(*node),
            (Fault::KillResponder { node }, true) => cluster.kill_webdfs(*node),
            (Fault::KillServer { node }, true) => cluster.kill_server(*node),
            (Fault::KillAll, true) => self.running.iter().for_each(|node| cluster.kill(*node)),
            (
                Fault::Kill { node }
                | Fault::KillResponder { node }
                | Fault::KillServer { node }
                | Fault::Wipe { node }
                | Fault::Map(Change::Lost { node }),
                false,
            ) => self.start_node(*node),
            (Fault::KillAll, false) => self.running.iter().for_each(|node| self.start_node(*node)),
            (Fault::Die { node, step, passes }, true) => {
                cluster.kill_webdfs(*node);
                self.start_dying(*node, step, *passes);
                self.favoured.store(*node, Ordering::SeqCst);
            }
            (Fault::Die { node, .. }, false) => {
                self.favoured.store(NODES, Ordering::SeqCst);
                self.note_death(*node);
                cluster.kill_webdfs(*node);
                self.start_node(*node);
            }
            (Fault::Fill { node }, true) => {
                let mut file = File::create(cluster.root(*node).join(FILL)).expect("a file");
                while file.write_all(&[0; 64 << 10]).is_ok() {}
                while file.write_all(&[0; 512]).is_ok() {}
            }
            (Fault::Fill { node }, false) => _ = fs::remove_file(cluster.root(*node).join(FILL)),
            (Fault::Wipe { node }, true) => self.wipe(*node),
            (Fault::Return { node, .. }, true) => {
                self.wipe(*node);
                self.put_back(*node, round);
            }
            (Fault::Return { node, step: Some(step), .. }, false) => self.start_dying(*node, step, 0),
            (Fault::Return { node, step: None, .. }, false) => self.start_node(*node),
            (Fault::Misplace { node, damaged, copies, .. }, true) => {
                self.strays.put(*node, *damaged, *copies);
                // All the same whether it reaches its end: some owner may be down.
                let deadline = Instant::now() + REPAIR_PATIENCE;
                repair(cluster, *node, PASS, || Instant::now() > deadline);
            }
            (Fault::Flip { node, replicas }, true) => self.flip(*node, *replicas),
            _ => {}
        }
    }

    /// Starts a node's processes that do not run, with its clock.
    pub(super) fn start_node(&self, node: usize) {
        self.cluster.set_environment(node, self.environment(node, None));
        self.cluster.restart(node);
    }

    /// Starts a node whose webdfs dies when it comes to a step after having passed it so often.
    fn start_dying(&self, node: usize, step: &'static str, passes: u32) {
        self.cluster.set_environment(node, self.environment(node, Some((step, passes))));
        self.cluster.restart(node);
        self.dying.lock().expect("no holder panics").insert(node, step);
    }

    /// Whether a node was to die at a step; if it has, that is counted. It is to be started anew.
    fn note_death(&self, node: usize) -> bool {
        let step = self.dying.lock().expect("no holder panics").remove(&node);
        if let Some(step) = step
            && self.cluster.with_webdfs(node, |process| process.ended().is_some())
        {
            *self.died.lock().expect("no holder panics").entry(step).or_default() += 1;
        }
        step.is_some()
    }

    /// Kills a node, and removes all that lies on its disk.
    fn wipe(&self, node: usize) {
        self.cluster.kill(node);
        for entry in fs::read_dir(self.cluster.root(node)).expect("a root").flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let done = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            done.expect("nobody else is there");
        }
    }

    /// What a node is started with: it dies when it comes to a step after having passed it so often.
    fn environment(&self, node: usize, dies: Option<(&str, u32)>) -> Vec<(String, String)> {
        let wrong = self.settings.wrong.map(|wrong| format!("{}=return", wrong.name()));
        let death = dies.map(|(step, passes)| format!("{step}={passes}*off->return"));
        let noted = steps::noting(dies.map(|(step, _)| step));
        let failpoints: Vec<String> = [wrong, death, Some(noted)].into_iter().flatten().collect();
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

    /// Mends everything, has the map be what it is to be, and waits until nothing is left to do.
    pub(super) fn heal(&mut self, course: &Course) {
        self.network.heal();
        // The files' own times come from the system's clock, which is right: with another the nodes cannot tell how
        // long an upload has waited.
        let clocks = std::mem::take(&mut self.clocks);
        for node in self.running.clone() {
            if self.note_death(node) || clocks[node] != 0 || !self.cluster.is_alive(node) {
                self.cluster.kill(node);
            }
            self.start_node(node);
        }
        let began = Instant::now();
        let took = |what: &str| eprintln!("  {what} after {:.1} s", began.elapsed().as_secs_f32());
        let operator = self.operator.get_mut().expect("no holder panics");
        operator.finish(&self.cluster, &course.reachable());
        self.lost = self.running.iter().copied().filter(|node| course.after.is_lost(*node)).collect();
        self.wait_until_ready();
        took("ready");
        self.wait_until_settled();
        took("settled");
        self.wait_until_drained();
        took("drained");
        // First what is rotten goes, then it is fetched again.
        self.repair_all(SCRUB);
        took("scrubbed");
        self.repair_all(PASS);
        took("compared");
        self.wait_until_drained();
        took("healed");
    }

    /// Has every node repair something, all at once, until all have reached the end. A copy that belongs elsewhere may
    /// have to wait for the passes of its owners, and with it the pass of the node where it lies.
    fn repair_all(&self, repair: Repair) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let started = self.in_use().map(|node| {
                let mut webdfs = Command::new(env!("CARGO_BIN_EXE_webdfs"));
                webdfs.args(repair).arg("--config").arg(self.cluster.config(node));
                let piped = webdfs.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
                piped.expect("webdfs runs")
            });
            let ended: Vec<_> =
                started.collect::<Vec<_>>().into_iter().map(Child::wait_with_output).collect();
            let failed = ended.into_iter().flatten().find(|output| !output.status.success());
            let Some(failed) = failed else { return };
            let said = String::from_utf8_lossy(&failed.stderr).into_owned();
            assert!(Instant::now() < deadline, "webdfs {repair:?} does not reach its end: {said}");
        }
    }

    /// Waits until no upload and no mark is left; the check says what is wrong with those that stay.
    fn wait_until_drained(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left: Vec<_> = self.in_use().flat_map(|node| self.left_over(node)).collect();
            if left.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                eprintln!("uploads or marks are left over: {left:?}");
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Uploads on a node, and its marks for other nodes. Those for a node that is given up wait until it is taken back.
    fn left_over(&self, node: usize) -> Vec<PathBuf> {
        let private = self.cluster.root(node).join(".webdfs");
        let marked_for =
            (0..NODES).filter(|node| !self.lost.contains(node)).map(|node| self.cluster.name(node));
        let marks = marked_for.flat_map(|name| files(&private.join("dirty").join(name)));
        files(&private.join("tmp")).into_iter().chain(marks).collect()
    }
}
