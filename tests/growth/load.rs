//! A steady load: clients that fetch and clients that store, each over connections of its own that it keeps, and that count
//! what they get. Nothing stops them but the end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::load::OnDrop;
use crate::common::{Answer, Call, Connection, noise};

/// Bytes of each file.
const BYTES: usize = 20_000;
/// Clients that fetch.
const READERS: u64 = 4;
/// Clients that store.
const WRITERS: u64 = 2;
/// Names that each of them stores under, in turn.
const NAMES: u64 = 400;
/// Failures that are told in full.
const TOLD: usize = 10;

/// What the clients have seen so far.
#[derive(Debug, Default)]
pub struct Load {
    done: AtomicBool,
    gets: AtomicU64,
    puts: AtomicU64,
    failed_gets: AtomicU64,
    failed_puts: AtomicU64,
    told: Mutex<Vec<String>>,
    /// What was acknowledged last under each name: the seed of its bytes.
    stored: Mutex<HashMap<String, u64>>,
}

/// The counts of a stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    pub gets: u64,
    pub puts: u64,
    pub failed_gets: u64,
    pub failed_puts: u64,
    at: Instant,
}

impl Counts {
    /// What has come since, and how long that took.
    pub fn since(self, before: Counts) -> (Counts, Duration) {
        let difference = Counts {
            gets: self.gets - before.gets,
            puts: self.puts - before.puts,
            failed_gets: self.failed_gets - before.failed_gets,
            failed_puts: self.failed_puts - before.failed_puts,
            at: before.at,
        };
        (difference, self.at - before.at)
    }
}

/// The bytes of a file that nobody changes.
pub fn still(number: u64) -> (String, Vec<u8>) {
    (format!("/still/{}/{number}.jpg", number % 50), noise(number, BYTES))
}

impl Load {
    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            gets: read(&self.gets),
            puts: read(&self.puts),
            failed_gets: read(&self.failed_gets),
            failed_puts: read(&self.failed_puts),
            at: Instant::now(),
        }
    }

    /// Has clients ask the nodes at `entries`, which have so many files that nobody changes, while `act` runs.
    pub fn while_running<T>(&self, entries: &[SocketAddr], files: u64, act: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            for reader in 0..READERS {
                scope.spawn(move || self.read(reader, entries, files));
            }
            for writer in 0..WRITERS {
                scope.spawn(move || self.write(writer, entries));
            }
            let _end = OnDrop(&self.done);
            act()
        })
    }

    /// The names under which something was acknowledged, with the bytes of it.
    pub fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let stored = self.stored.lock().unwrap();
        stored.iter().map(|(name, seed)| (name.clone(), noise(*seed, BYTES))).collect()
    }

    /// What went wrong, the first of it.
    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    fn read(&self, reader: u64, entries: &[SocketAddr], files: u64) {
        let mut client = Client::new(entries);
        let mut random = reader + 1;
        while !self.done.load(Ordering::Relaxed) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (random >> 33) % files;
            let (path, bytes) = still(number);
            match client.ask((random >> 20) as usize, &Call::new("GET", &path)) {
                Ok(answer) if answer.status == 200 && answer.body == bytes => {
                    self.gets.fetch_add(1, Ordering::Relaxed);
                }
                other => self.fail(&self.failed_gets, "GET", &path, other),
            }
        }
    }

    fn write(&self, writer: u64, entries: &[SocketAddr]) {
        let mut client = Client::new(entries);
        for round in 0.. {
            if self.done.load(Ordering::Relaxed) {
                return;
            }
            let (path, seed) = (format!("/moving/{writer}/{}.jpg", round % NAMES), writer << 40 | round);
            match client.ask(round as usize, &Call::new("PUT", &path).body(noise(seed, BYTES))) {
                Ok(answer) if matches!(answer.status, 201 | 204) => {
                    self.puts.fetch_add(1, Ordering::Relaxed);
                    self.stored.lock().unwrap().insert(path, seed);
                }
                other => {
                    // It may be there or not.
                    self.stored.lock().unwrap().remove(&path);
                    self.fail(&self.failed_puts, "PUT", &path, other);
                }
            }
        }
    }

    fn fail(&self, count: &AtomicU64, method: &str, path: &str, answer: std::io::Result<Answer>) {
        count.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap();
        if told.len() < TOLD {
            let what = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
            told.push(format!("{method} {path}: {what}"));
        }
    }
}

/// A connection to each node.
struct Client<'a> {
    entries: &'a [SocketAddr],
    kept: Vec<Option<Connection>>,
}

impl<'a> Client<'a> {
    fn new(entries: &'a [SocketAddr]) -> Self {
        Self { entries, kept: entries.iter().map(|_| None).collect() }
    }

    fn ask(&mut self, turn: usize, call: &Call) -> std::io::Result<Answer> {
        let entry = turn % self.entries.len();
        let mut connection = match self.kept[entry].take() {
            Some(connection) => connection,
            None => Connection::open(self.entries[entry])?,
        };
        let answer = call.send_on(&mut connection)?;
        let closes = answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.kept[entry] = (!closes).then_some(connection);
        Ok(answer)
    }
}
