//! Clients that store and fetch without a pause, and do not forgive a single wrong answer.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Answer, Call, Connection, noise};

/// Clients at once; every other one keeps its connection.
const CLIENTS: u64 = 6;
/// Names that each of them uses in turn.
const NAMES: u64 = 8;

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Load {
    requests: AtomicU64,
    /// Requests that the web server closed a kept connection under, without a byte of an answer, and that were sent
    /// again, as any client does (RFC 9112 section 9.3.1).
    again: AtomicU64,
}

impl Load {
    /// Requests that were answered as they must be.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Stores and fetches below `folder` while `act` runs. Every request has to be answered, with what was stored last.
///
/// # Panics
/// When one is not.
pub fn under_load(to: SocketAddr, folder: &str, act: impl FnOnce(&Load)) -> Load {
    let (load, done) = (Load::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (load, done) = (&load, &done);
            scope.spawn(move || {
                let mut client = Client { to, number: client, folder, kept: None, load, done };
                client.run();
            });
        }
        let _end = OnDrop(&done);
        act(&load);
    });
    let (requests, again) = (load.requests(), load.again.load(Ordering::Relaxed));
    println!("{folder}: {requests} requests, {again} of them sent again on a new connection");
    load
}

/// Sets a flag when it goes, also in a panic.
pub struct OnDrop<'a>(pub &'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Client<'a> {
    to: SocketAddr,
    number: u64,
    folder: &'a str,
    kept: Option<Connection>,
    load: &'a Load,
    done: &'a AtomicBool,
}

impl Client<'_> {
    fn run(&mut self) {
        for round in 0.. {
            if self.done.load(Ordering::Relaxed) {
                return;
            }
            let target = format!("{}/{}/{}.jpg", self.folder, self.number, round % NAMES);
            let body = noise(self.number << 32 | round, (round * 7919 % 40_000) as usize);
            let put = self.request(&Call::new("PUT", &target).body(body.clone()));
            let stored = if round < NAMES { 201 } else { 204 };
            let again = put.1 && put.0.status == 204;
            assert!(put.0.status == stored || again, "PUT {target} in round {round}: {}", put.0);
            let got = self.request(&Call::new("GET", &target)).0.expect(200);
            assert!(got.body == body, "GET {target} in round {round}: other bytes");
        }
    }

    /// The answer, and whether the request had to be sent twice.
    fn request(&mut self, call: &Call) -> (Answer, bool) {
        let keeps = self.number.is_multiple_of(2);
        let mut again = false;
        if let Some(mut kept) = self.kept.take() {
            match call.send_on(&mut kept) {
                Ok(answer) => return (self.answered(answer, kept), false),
                Err(error) if is_closed(&error) => {
                    self.load.again.fetch_add(1, Ordering::Relaxed);
                    again = true;
                }
                Err(error) => panic!("{} on a kept connection: {error}", call.target()),
            }
        }
        let mut connection = Connection::open(self.to).expect("a connection");
        let call = if keeps { call.clone() } else { call.clone().header("Connection", "close") };
        let answer = call.send_on(&mut connection);
        let answer = answer.unwrap_or_else(|error| panic!("{} on a new connection: {error}", call.target()));
        if keeps {
            return (self.answered(answer, connection), again);
        }
        self.load.requests.fetch_add(1, Ordering::Relaxed);
        (answer, again)
    }

    fn answered(&mut self, answer: Answer, connection: Connection) -> Answer {
        self.load.requests.fetch_add(1, Ordering::Relaxed);
        let closes = answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.kept = (!closes).then_some(connection);
        answer
    }
}

/// Whether a connection was closed rather than answered on.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}
