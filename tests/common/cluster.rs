//! A cluster of real processes on loopback: `webdfs serve` per node, behind a web server of its own with the shipped
//! configuration, or on the embedded front.
//!
//! Every cluster has a loopback address of its own (127.x.y.z), so that neither another cluster nor an outgoing
//! connection can take a port of it, not even while a node is down.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use webdfs::store::Store;

use super::front::Front;
use super::http::{Answer, Call};
use super::process::{Dir, Process, children};
use super::setup::Options;
use super::{servers, wait_until};

/// The port of node 0's front; node 1 has the next one, and so on.
const PORT: u16 = 8001;
/// The embedded front beside nginx: for what nginx hides.
const SIDE_PORT: u16 = 9001;
/// Where a test may listen in place of a node.
const DETOUR_PORT: u16 = 7001;
/// What a process says that has been replaced, after the new one's id.
const TAKEN_OVER: &str = "has taken over; running";
/// Lines of each log that a failing test shows.
const LOG_LINES: usize = 60;

/// A running cluster. Its nodes are numbered from 0; in the map they are called img1, img2, ...
#[derive(Debug)]
pub struct Cluster {
    pub front: Front,
    pub options: Options,
    address: Ipv4Addr,
    nodes: Vec<Mutex<Processes>>,
    dir: Dir,
}

/// What runs for one node.
#[derive(Debug, Default)]
struct Processes {
    webdfs: Option<Process>,
    server: Option<Process>,
    /// What webdfs is started with in its environment.
    environment: Vec<(String, String)>,
}

impl Cluster {
    /// Starts a cluster, and waits until it is ready: every node is complete, and knows that something is missing.
    pub fn start(front: Front, options: Options) -> Self {
        let cluster = Self::launch(front, options);
        for node in cluster.present() {
            cluster.wait_until_ready(node);
        }
        cluster
    }

    /// Starts a cluster that may never become ready.
    pub fn launch(front: Front, options: Options) -> Self {
        let nodes = (0..options.nodes).map(|_| Mutex::default()).collect();
        let cluster = Self { front, options, address: own_address(), nodes, dir: Dir::new() };
        let map = cluster.dir.join("cluster.toml");
        fs::write(map, cluster.cluster_toml()).expect("the map is written");
        for node in cluster.present() {
            cluster.configure(node);
        }
        (cluster.options.prepare)(&cluster);
        for node in cluster.present() {
            cluster.restart(node);
        }
        cluster
    }

    /// The nodes that are started.
    pub fn present(&self) -> impl Iterator<Item = usize> + use<> {
        let absent = self.options.absent;
        (0..self.options.nodes).filter(move |node| !absent.contains(node))
    }

    // ---- Where things are ----

    /// Where a node answers: its nginx, or its embedded front.
    pub fn address(&self, node: usize) -> SocketAddr {
        SocketAddr::from((self.address, PORT + node as u16))
    }

    /// The embedded front of a node: beside nginx, or the only front.
    pub fn side_address(&self, node: usize) -> SocketAddr {
        match self.front {
            Front::Embedded => self.address(node),
            _ => SocketAddr::from((self.address, SIDE_PORT + node as u16)),
        }
    }

    /// Where the others reach a node, should the cluster's options say so.
    pub fn detour_address(&self, node: usize) -> SocketAddr {
        SocketAddr::from((self.address, DETOUR_PORT + node as u16))
    }

    /// Its name in the map.
    pub fn name(&self, node: usize) -> String {
        format!("img{}", node + 1)
    }

    /// Its storage root.
    pub fn root(&self, node: usize) -> PathBuf {
        self.node_dir(node).join("root")
    }

    /// Its `node.toml`.
    pub fn config(&self, node: usize) -> PathBuf {
        self.node_dir(node).join("node.toml")
    }

    /// Its FastCGI socket.
    pub fn socket(&self, node: usize) -> PathBuf {
        self.node_dir(node).join("webdfs.sock")
    }

    /// What it has logged, its web server included.
    pub fn log(&self, node: usize) -> String {
        let read = |name: &str| fs::read(self.node_dir(node).join(name)).unwrap_or_default();
        let logs = [read("webdfs.log"), read("server.log"), read("server-error.log")].concat();
        String::from_utf8_lossy(&logs).into_owned()
    }

    /// Uploads in progress on a node.
    pub fn spools(&self, node: usize) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root(node).join(".webdfs/tmp")).expect("the root has a tmp");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Whether a file stands at this path (decoded, beginning with a slash) below a node's root.
    pub fn has_file(&self, node: usize, path: &str) -> bool {
        self.file(node, path).is_file()
    }

    /// Where the file of this path (decoded, beginning with a slash) stands on a node, if it does.
    pub fn file(&self, node: usize, path: &str) -> PathBuf {
        self.root(node).join(path.trim_start_matches('/'))
    }

    /// The owners of a path (percent-encoded) in rank order.
    pub fn owners(&self, path: &str) -> Vec<usize> {
        self.owners_of(&[path.to_owned()]).remove(0)
    }

    /// The same of many paths.
    pub fn owners_of(&self, paths: &[String]) -> Vec<Vec<usize>> {
        self.owners_by(self.present().next().expect("a node"), paths)
    }

    /// The same, as a certain node has it.
    pub fn owners_by(&self, node: usize, paths: &[String]) -> Vec<Vec<usize>> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
        command.arg("locate").arg("--config").arg(self.config(node)).arg("--json").args(paths);
        let output = command.output().expect("webdfs locate runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answers: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(answers.len(), paths.len(), "an answer for each path");
        let index = |owner: &serde_json::Value| {
            let name = owner["node"].as_str().expect("a name");
            (0..self.options.nodes).find(|node| self.name(*node) == name).expect("a node of the map")
        };
        let owners = |answer: &serde_json::Value| {
            answer["owners"].as_array().expect("a list of owners").iter().map(index).collect()
        };
        answers.iter().map(owners).collect()
    }

    /// A path below `folder` whose owners are such as `wanted` says.
    pub fn path_owned(&self, folder: &str, wanted: impl Fn(&[usize]) -> bool) -> String {
        let mut paths = (0..1000).map(|number| format!("{folder}/{number}.jpg"));
        paths.find(|path| wanted(&self.owners(path))).expect("a path with such owners")
    }

    // ---- Requests ----

    #[track_caller]
    pub fn send(&self, node: usize, call: &Call) -> Answer {
        call.send(self.address(node))
    }

    #[track_caller]
    pub fn get(&self, node: usize, target: &str) -> Answer {
        self.send(node, &Call::new("GET", target))
    }

    #[track_caller]
    pub fn head(&self, node: usize, target: &str) -> Answer {
        self.send(node, &Call::new("HEAD", target))
    }

    #[track_caller]
    pub fn put(&self, node: usize, target: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(node, &Call::new("PUT", target).body(body))
    }

    #[track_caller]
    pub fn delete(&self, node: usize, target: &str) -> Answer {
        self.send(node, &Call::new("DELETE", target))
    }

    // ---- Processes ----

    /// Starts a node, or starts it again, without waiting for anything.
    pub fn restart(&self, node: usize) {
        let dir = self.node_dir(node);
        let mut processes = self.processes(node);
        if let (None, Some(role)) = (&processes.webdfs, self.front.role()) {
            let mut webdfs = Command::new(env!("CARGO_BIN_EXE_webdfs"));
            webdfs.arg(role).arg("--config").arg(self.config(node)).env("RUST_LOG", "info,webdfs=debug");
            webdfs.envs(processes.environment.iter().cloned());
            servers::as_user(self, node, &mut webdfs);
            processes.webdfs = Some(Process::start(&mut webdfs, &dir.join("webdfs.log")));
        }
        if let (None, Some(mut server)) = (&processes.server, servers::command(self, node)) {
            servers::as_user(self, node, &mut server);
            processes.server = Some(Process::start(&mut server, &dir.join("server.log")));
        }
    }

    /// Starts a node that was absent.
    pub fn add(&self, node: usize) {
        self.configure(node);
        self.restart(node);
    }

    /// What a node's webdfs has in its environment when it is started the next time, beside what all have.
    pub fn set_environment(&self, node: usize, environment: Vec<(String, String)>) {
        self.processes(node).environment = environment;
    }

    /// SIGKILL for all of a node, as when the machine loses its power. Nothing listens at its address afterwards.
    pub fn kill(&self, node: usize) {
        if let Some(webdfs) = self.processes(node).webdfs.take() {
            webdfs.kill();
        }
        self.kill_server(node);
    }

    /// SIGKILL for a node's web server, if it has one; its webdfs goes on. Nothing listens at its address afterwards.
    pub fn kill_server(&self, node: usize) {
        if let Some(server) = self.processes(node).server.take() {
            // Its workers end with it: `kill` reaches the master alone, which cannot tell them.
            let workers = children(server.id());
            server.kill();
            for worker in workers {
                let pid = rustix::process::Pid::from_raw(u32::cast_signed(worker)).expect("a process id");
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        wait_until("the killed node's socket is closed", || TcpListener::bind(self.address(node)).is_ok());
    }

    /// SIGKILL for a node's webdfs; its web server goes on.
    pub fn kill_webdfs(&self, node: usize) {
        self.processes(node).webdfs.take().expect("the node runs").kill();
    }

    /// Does something with the webdfs process of a node.
    pub fn with_webdfs<T>(&self, node: usize, act: impl FnOnce(&mut Process) -> T) -> T {
        act(self.processes(node).webdfs.as_mut().expect("the node runs"))
    }

    /// Takes the webdfs process of a node out of the cluster's care: [`restart`](Self::restart) starts another.
    pub fn take_webdfs(&self, node: usize) -> Process {
        self.processes(node).webdfs.take().expect("the node runs")
    }

    /// SIGUSR2 for a node's webdfs: a new process takes its place. How the old one ended.
    pub fn upgrade(&self, node: usize) -> ExitStatus {
        self.begin_upgrade(node).wait()
    }

    /// The same; returns the old process as soon as the new one serves.
    pub fn begin_upgrade(&self, node: usize) -> Process {
        Process::prepare_to_adopt();
        let old = self.take_webdfs(node);
        let before = self.log(node).matches(TAKEN_OVER).count();
        old.signal(rustix::process::Signal::USR2);
        wait_until("a new process has taken over", || {
            assert!(!self.log(node).contains("this process goes on"), "it has not:\n{}", self.log(node));
            self.log(node).matches(TAKEN_OVER).count() > before
        });
        let log = self.log(node);
        let line = log.lines().rev().find(|line| line.contains(TAKEN_OVER)).expect("just seen");
        let words = line.split_once("process ").expect("process ID").1;
        let id = words.split(' ').next().and_then(|id| id.parse().ok()).expect("a process id");
        self.processes(node).webdfs = Some(Process::adopt(id));
        old
    }

    /// SIGSTOP for a node's webdfs: it takes connections and never answers.
    pub fn pause(&self, node: usize) {
        self.with_webdfs(node, Process::pause);
    }

    /// Ends a pause.
    pub fn resume(&self, node: usize) {
        self.with_webdfs(node, Process::resume);
    }

    /// Does something with the web server's (first) process of a node.
    pub fn with_server<T>(&self, node: usize, act: impl FnOnce(&mut Process) -> T) -> T {
        act(self.processes(node).server.as_mut().expect("a web server runs"))
    }

    /// Takes the web server of a node out of the cluster's care: [`restart`](Self::restart) starts another.
    pub fn take_server(&self, node: usize) -> Process {
        self.processes(node).server.take().expect("a web server runs")
    }

    /// Whether what was started for a node is what it was and runs.
    pub fn is_alive(&self, node: usize) -> bool {
        let mut processes = self.processes(node);
        let Processes { webdfs, server, .. } = &mut *processes;
        [webdfs, server].into_iter().flatten().all(|process| process.ended().is_none())
    }

    /// Waits until a node is complete and tells a missing name from one it cannot judge.
    pub fn wait_until_ready(&self, node: usize) {
        let identity = self.root(node).join(".webdfs/node.toml");
        wait_until(&format!("{} is ready", self.name(node)), || {
            assert!(self.is_alive(node), "{} has ended:\n{}", self.name(node), self.log(node));
            let complete = fs::read_to_string(&identity).is_ok_and(|text| text.contains("complete = true"));
            // A node that owns nothing of the name may send its clients elsewhere (`remote = "redirect"`).
            let judges = |address| {
                let answer = Call::new("GET", &self.missing()).try_send(address);
                answer.is_ok_and(|answer| matches!(answer.status, 404 | 307))
            };
            // What a node lacks counts only once another knows its root.
            let is_alone = self.options.members.unwrap_or(self.options.nodes) == 1;
            let is_known = || is_alone || self.store(node).known_root().is_ok_and(|known| known.is_some());
            complete
                && is_known()
                && judges(self.address(node))
                && judges(self.side_address(node))
                && servers::are_spawned_ready(self, node)
        });
    }

    /// A node's root, as another of its processes has it.
    pub fn store(&self, node: usize) -> Arc<Store> {
        let settings = webdfs::config::load(&self.config(node)).expect("the settings are good");
        Arc::new(Store::open(webdfs::node::store_settings(&settings)).expect("the root opens"))
    }

    /// The end of every log, for a person who wants to know why a test failed.
    pub fn show_logs(&self) {
        for node in (0..self.options.nodes).filter(|node| self.node_dir(*node).exists()) {
            let log = self.log(node);
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("---- {} ({:?})\n{}", self.name(node), self.front, shown.join("\n"));
        }
    }

    /// The folder of a node's files.
    pub(super) fn node_dir(&self, node: usize) -> PathBuf {
        self.dir.join(self.name(node))
    }

    fn processes(&self, node: usize) -> std::sync::MutexGuard<'_, Processes> {
        self.nodes[node].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        for processes in &self.nodes {
            let mut processes = processes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // First those that would log that the others are going.
            processes.server = None;
            processes.webdfs = None;
        }
    }
}

/// A loopback address that nobody else uses.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let octet = |number: u32| number as u8;
        let address = Ipv4Addr::new(127, octet(process >> 8), octet(process), octet(count % 254 + 1));
        if address != Ipv4Addr::LOCALHOST && TcpListener::bind((address, PORT)).is_ok() {
            return address;
        }
    }
}
