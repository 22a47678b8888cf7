//! The network between the nodes: each is reached through a proxy that can cut, delay, truncate and corrupt.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::schedule::{Fault, NODES};

/// The head of a request that says who asks, in bytes at most.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// How often a connection that is silent looks whether it may go on.
const LOOK: Duration = Duration::from_millis(20);

/// What the URLs begin with by which nodes talk to each other.
const OWN_PATH: &[u8] = b"/_webdfs/";

/// What is wrong with the network now.
#[derive(Debug, Default)]
struct Rules {
    /// A half, and whether connections fall silent instead of breaking off.
    cut: Option<(BTreeSet<usize>, bool)>,
    delay: [Option<Duration>; NODES],
    truncate: [Option<u64>; NODES],
    corrupt: [Option<u64>; NODES],
}

/// What was done to connections.
#[derive(Debug, Default)]
pub struct Harmed {
    pub cut: AtomicU64,
    pub truncated: AtomicU64,
    pub corrupted: AtomicU64,
}

/// The network, until it is dropped.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    at: Vec<SocketAddr>,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Rules>,
    closed: AtomicBool,
    harmed: Harmed,
}

impl Network {
    /// Opens a way to each node: where the others look for it, and where it is.
    pub fn open(ways: &[(SocketAddr, SocketAddr)]) -> Self {
        let shared = Arc::<Shared>::default();
        for (node, (at, to)) in ways.iter().copied().enumerate() {
            let listener =
                TcpListener::bind(at).unwrap_or_else(|error| panic!("{at} cannot be bound: {error}"));
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if shared.closed.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    if let Ok(stream) = stream {
                        thread::spawn(move || serve(&shared, stream, node, to));
                    }
                }
            });
        }
        Self { shared, at: ways.iter().map(|(at, _)| *at).collect() }
    }

    /// Begins or ends a fault of the network; whether it is one.
    pub fn set(&self, fault: &Fault, begins: bool) -> bool {
        let mut rules = self.shared.rules.lock().expect("no holder panics");
        match fault {
            Fault::Cut { half, silent } => rules.cut = begins.then(|| (half.clone(), *silent)),
            Fault::Delay { node, millis } => {
                rules.delay[*node] = begins.then(|| Duration::from_millis(*millis))
            }
            Fault::Truncate { node, after } => rules.truncate[*node] = begins.then_some(*after),
            Fault::Corrupt { node, every } => rules.corrupt[*node] = begins.then_some(*every),
            _ => return false,
        }
        true
    }

    /// Nothing is wrong any more.
    pub fn heal(&self) {
        *self.shared.rules.lock().expect("no holder panics") = Rules::default();
    }

    pub fn harmed(&self) -> &Harmed {
        &self.shared.harmed
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes those that listen.
        self.at.iter().for_each(|at| drop(TcpStream::connect(at)));
    }
}

/// A connection to a node, and who asks there: a node, or, without a signature, a web server on behalf of a client.
/// What that one says is not protected, and a checksum of TCP is all that clients have: so it is never changed.
#[derive(Debug, Clone, Copy)]
struct Link {
    from: Option<usize>,
    to: usize,
}

impl Shared {
    /// Whether the link is cut, and whether silently.
    fn cut(&self, link: Link) -> Option<bool> {
        let rules = self.rules.lock().expect("no holder panics");
        let (half, silent) = rules.cut.as_ref()?;
        let side = |node| half.contains(&node);
        // One that names no node is taken to ask from the larger half.
        (link.from.is_some_and(side) != side(link.to)).then_some(*silent)
    }

    /// Waits while the link is silent; `false` once it is broken.
    fn may_pass(&self, link: Link) -> bool {
        let Some(silent) = self.cut(link) else { return true };
        self.harmed.cut.fetch_add(1, Ordering::Relaxed);
        while silent && self.cut(link).is_some() && !self.closed.load(Ordering::SeqCst) {
            thread::sleep(LOOK);
        }
        false
    }

    /// Passes bytes on as the rules want it; `false` if that ends the connection. `passed` is how many went before.
    fn pass(&self, link: Link, to: &mut TcpStream, bytes: &mut [u8], passed: u64) -> io::Result<bool> {
        if !self.may_pass(link) {
            return Ok(false);
        }
        let (delay, truncate, corrupt) = {
            let rules = self.rules.lock().expect("no holder panics");
            (rules.delay[link.to], rules.truncate[link.to], rules.corrupt[link.to])
        };
        delay.into_iter().for_each(thread::sleep);
        let count = bytes.len() as u64;
        if link.from.is_some()
            && let Some(every) = corrupt
        {
            let at = every - 1 - passed % every;
            if at < count && !is_of_own_path(bytes, at as usize) {
                bytes[at as usize] ^= 1 << (passed % 8);
                self.harmed.corrupted.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(after) = truncate
            && passed + count > after
        {
            self.harmed.truncated.fetch_add(1, Ordering::Relaxed);
            to.write_all(&bytes[..after.saturating_sub(passed) as usize])?;
            return Ok(false);
        }
        to.write_all(bytes)?;
        Ok(true)
    }

    fn pump(&self, link: Link, from: &mut TcpStream, to: &mut TcpStream, mut passed: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                return to.shutdown(Shutdown::Write);
            }
            if !self.pass(link, to, &mut buffer[..count], passed)? {
                let _ = to.shutdown(Shutdown::Both);
                return from.shutdown(Shutdown::Both);
            }
            passed += count as u64;
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream, node: usize, to: SocketAddr) -> io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    let link = Link { from: sender(&head), to: node };
    if !shared.may_pass(link) {
        return Ok(());
    }
    let mut onward = TcpStream::connect(to)?;
    onward.set_nodelay(true)?;
    stream.set_nodelay(true)?;
    if !shared.pass(link, &mut onward, &mut head.clone(), 0)? {
        return Ok(());
    }
    let (mut back_from, mut back_to) = (onward.try_clone()?, stream.try_clone()?);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = shared.pump(link, &mut back_from, &mut back_to, 0);
            let _ = back_to.shutdown(Shutdown::Both);
        });
        let _ = shared.pump(link, &mut stream, &mut onward, head.len() as u64);
        let _ = onward.shutdown(Shutdown::Write);
    });
    Ok(())
}

/// Whether a byte is one of those by which a node's request is known as one. With another in its place it would be that
/// of a client, which a checksum of TCP alone protects.
fn is_of_own_path(bytes: &[u8], at: usize) -> bool {
    let from = at.saturating_sub(OWN_PATH.len() - 1);
    let near = &bytes[from..bytes.len().min(at + OWN_PATH.len())];
    near.windows(OWN_PATH.len()).any(|window| window == OWN_PATH)
}

/// The node that a request names as its sender.
fn sender(head: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = text.lines().find_map(|line| line.strip_prefix("webdfs-from:"))?;
    let number: usize = line.trim().strip_prefix("img")?.parse().ok()?;
    number.checked_sub(1).filter(|node| *node < NODES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(at: SocketAddr, from: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(at)?;
        write!(stream, "GET / HTTP/1.1\r\nWebdfs-From: {from}\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn what_nodes_say_to_each_other_stays_recognisable() {
        let request = b"PUT /_webdfs/v1/x HTTP/1.1";
        let spared: Vec<_> = (0..request.len()).filter(|at| is_of_own_path(request, *at)).collect();
        assert_eq!(spared, (4..13).collect::<Vec<_>>());
    }

    #[test]
    fn connections_are_cut_truncated_and_corrupted_as_told_and_healed() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 1000];
                let _ = stream.read(&mut buffer);
                let _ = stream.write_all(&[b'x'; 1000]);
            }
        });
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let network = Network::open(&[(at, to)]);
        let whole = vec![b'x'; 1000];
        assert_eq!(ask(at, "img2").unwrap(), whole);

        let cut = Fault::Cut { half: [1].into(), silent: false };
        network.set(&cut, true);
        assert!(!ask(at, "img2").is_ok_and(|answer| !answer.is_empty()));
        assert_eq!(ask(at, "img3").unwrap(), whole, "of the same half");
        network.heal();
        assert_eq!(ask(at, "img2").unwrap(), whole);

        network.set(&Fault::Truncate { node: 0, after: 600 }, true);
        assert_eq!(ask(at, "img2").unwrap(), whole[..600]);
        network.heal();

        network.set(&Fault::Corrupt { node: 0, every: 700 }, true);
        let answer = ask(at, "img2").unwrap();
        assert_eq!(answer.iter().filter(|byte| **byte != b'x').count(), 1);
        assert_eq!(ask(at, "").unwrap(), whole, "what is not protected stays as it is");
        let harmed = network.harmed();
        assert!(harmed.cut.load(Ordering::Relaxed) > 0 && harmed.truncated.load(Ordering::Relaxed) == 1);
    }
}
