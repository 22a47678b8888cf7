//! Clients that put, overwrite, delete and get through random nodes, and record what they were told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::common::{Call, Cluster, Connection};

use super::history::{Action, History, Key, Op, Outcome, body, content};
use super::schedule::NODES;

/// Keys that many clients use at the same time.
const HOT: usize = 48;
/// How long a client leaves a node alone that is down.
const PAUSE: Duration = Duration::from_millis(20);

/// The path of each key. Some are folders of others, which cannot both be paths on a disk.
pub fn paths(count: usize) -> Vec<String> {
    let path = |key: usize| match key {
        key if key % 12 == 5 => format!("/chaos/{}/in.jpg", key - 1),
        key if key % 12 == 4 => format!("/chaos/{key}"),
        key => format!("/chaos/{}/{key}.jpg", key % 16),
    };
    (0..count).map(path).collect()
}

/// What the clients of a round have in common.
#[derive(Debug)]
pub struct Traffic<'a> {
    pub cluster: &'a Cluster,
    /// The nodes that are asked.
    pub nodes: Vec<usize>,
    pub history: &'a History,
    pub paths: &'a [String],
    /// By how many seconds each node's clock is off.
    pub clocks: [i64; NODES],
    pub stop: &'a AtomicBool,
}

impl Traffic<'_> {
    /// One client's requests, one after the other, until it is told to stop.
    pub fn run(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        while !self.stop.load(Ordering::SeqCst) {
            self.operate(&mut rng);
        }
    }

    fn operate(&self, rng: &mut Rng) {
        let hot = self.paths.len().min(HOT);
        let key: Key = if rng.u8(0..4) > 0 { rng.usize(0..hot) } else { rng.usize(0..self.paths.len()) };
        let action = match rng.u8(0..20) {
            0..9 => Action::Put,
            9..12 => Action::Delete,
            _ => Action::Get,
        };
        let node = self.nodes[rng.usize(0..self.nodes.len())];
        // Some through the web server, some without.
        let to = if rng.bool() { self.cluster.address(node) } else { self.cluster.side_address(node) };
        let id = self.history.next_id();
        let call = match action {
            Action::Put => Call::new("PUT", &self.paths[key]).body(body(id, length(rng))),
            Action::Delete => Call::new("DELETE", &self.paths[key]),
            Action::Get => Call::new("GET", &self.paths[key]),
        };
        let invoked = self.history.now();
        // A node that is down has been asked for nothing.
        let Ok(mut connection) = Connection::open(to) else { return std::thread::sleep(PAUSE) };
        let outcome = ask(&call, &mut connection, action);
        let answered = if outcome == Outcome::Unknown { u64::MAX } else { self.history.now() };
        let clock_off = self.clocks[node] != 0;
        self.history.record(Op { id, key, action, node, clock_off, invoked, answered, outcome });
    }
}

/// A length: most small, some of many pieces.
fn length(rng: &mut Rng) -> usize {
    match rng.u8(0..20) {
        0 => rng.usize(100_000..400_000),
        1..6 => rng.usize(10_000..70_000),
        _ => rng.usize(0..4000),
    }
}

fn ask(call: &Call, to: &mut Connection, action: Action) -> Outcome {
    match call.send_on(to) {
        Err(_) => Outcome::Unknown,
        Ok(answer) if action == Action::Get && answer.status == 200 => Outcome::Found(content(&answer.body)),
        // The web server's own words when webdfs ends without an answer, or says that it does not know.
        Ok(answer) if matches!(answer.status, 500 | 502 | 504) => Outcome::Unknown,
        Ok(answer) => Outcome::Status(answer.status),
    }
}
