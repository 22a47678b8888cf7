//! What may stand at a node's url in place of the node: nothing that answers, something that breaks off, a way to
//! another node.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to those who come this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Their connections are taken, and nothing is ever read or answered.
    Hang,
    /// Their connections are closed after this many bytes of request.
    CloseAfter(usize),
    /// They reach `to`; its answers are cut off after `answer_bytes_max` bytes of each connection.
    Through { to: SocketAddr, answer_bytes_max: usize },
}

impl Way {
    /// The way to another address, without harm.
    pub fn to(to: SocketAddr) -> Self {
        Way::Through { to, answer_bytes_max: usize::MAX }
    }
}

/// How an answer on its way to those who asked goes wrong, on connections that go [`Way::Through`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Harm {
    /// So many bytes of the answer, its head among them, get through.
    pub after: usize,
    /// What then happens.
    pub end: End,
}

/// How an answer ends too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The connection is closed, as when a process dies.
    Close,
    /// The connection stays open and silent, as when a machine loses its power.
    Stall,
}

/// A listening socket with a [`Way`] behind it, until it is dropped.
#[derive(Debug)]
pub struct Detour {
    at: SocketAddr,
    way: Arc<Mutex<Way>>,
    open: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    heard: Arc<Heard>,
    harm: Arc<Harming>,
}

/// Counts how often a text stands in the requests that come through.
#[derive(Debug, Default)]
struct Heard {
    text: Mutex<Option<&'static [u8]>>,
    count: AtomicUsize,
}

impl Heard {
    /// Looks at what comes next on a connection; `end` is the end of what came before on it.
    fn hear(&self, end: &mut Vec<u8>, bytes: &[u8]) {
        let Some(text) = *self.text.lock().expect("no holder panics") else { return };
        end.extend(bytes);
        let found = end.windows(text.len()).filter(|window| *window == text).count();
        self.count.fetch_add(found, Ordering::SeqCst);
        end.drain(..end.len().saturating_sub(text.len() - 1));
    }
}

/// The harm that is being done, and how often it was.
#[derive(Debug, Default)]
struct Harming {
    harm: Mutex<Option<Harm>>,
    count: AtomicUsize,
}

impl Detour {
    pub fn open(at: SocketAddr, way: Way) -> Self {
        let listener = TcpListener::bind(at).unwrap_or_else(|error| panic!("{at} cannot be bound: {error}"));
        let detour = Self {
            at,
            way: Arc::new(Mutex::new(way)),
            open: Arc::new(true.into()),
            taken: Arc::default(),
            heard: Arc::default(),
            harm: Arc::default(),
        };
        let (way, open, taken) =
            (Arc::clone(&detour.way), Arc::clone(&detour.open), Arc::clone(&detour.taken));
        let (heard, harming) = (Arc::clone(&detour.heard), Arc::clone(&detour.harm));
        thread::spawn(move || {
            // Connections that hang do so until the detour ends.
            let held = Arc::<Mutex<Vec<_>>>::default();
            for stream in listener.incoming() {
                if !open.load(Ordering::SeqCst) {
                    return;
                }
                taken.fetch_add(1, Ordering::SeqCst);
                let way = *way.lock().expect("no holder panics");
                if let Ok(stream) = stream {
                    let (held, heard, harming) =
                        (Arc::clone(&held), Arc::clone(&heard), Arc::clone(&harming));
                    thread::spawn(move || serve(stream, way, &held, (&heard, &harming)));
                }
            }
        });
        detour
    }

    /// From now on connections go this way; those that are open keep to the old one.
    pub fn turn(&self, way: Way) {
        *self.way.lock().expect("no holder panics") = way;
    }

    /// From now on answers go wrong like this, or well again; also those on connections that are open.
    pub fn harm(&self, harm: Option<Harm>) {
        *self.harm.harm.lock().expect("no holder panics") = harm;
    }

    /// How many answers have gone wrong.
    pub fn harmed(&self) -> usize {
        self.harm.count.load(Ordering::SeqCst)
    }

    /// From now on counts how often this stands in requests that come through.
    pub fn listen_for(&self, text: &'static [u8]) {
        *self.heard.text.lock().expect("no holder panics") = Some(text);
        self.heard.count.store(0, Ordering::SeqCst);
    }

    /// How often that has come.
    pub fn heard(&self) -> usize {
        self.heard.count.load(Ordering::SeqCst)
    }

    /// How many connections came.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        self.open.store(false, Ordering::SeqCst);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.at);
    }
}

fn serve(stream: TcpStream, way: Way, held: &Mutex<Vec<TcpStream>>, (heard, harming): (&Heard, &Harming)) {
    match way {
        Way::Hang => held.lock().expect("no holder panics").push(stream),
        Way::CloseAfter(bytes) => {
            let mut sink = vec![0; bytes];
            let _ = (&stream).read_exact(&mut sink);
        }
        Way::Through { to, answer_bytes_max } => {
            let Ok(onward) = TcpStream::connect(to) else { return };
            let (from, back) = (stream.try_clone(), onward.try_clone());
            let (Ok(mut from), Ok(mut back)) = (from, back) else { return };
            // Bytes of answer since the last of a request: how far the answer has come. And those of all answers.
            let (come, mut total, mut end_heard) = (AtomicUsize::new(0), 0, Vec::new());
            thread::scope(|scope| {
                scope.spawn(|| {
                    pass(&mut from, &onward, |bytes| {
                        heard.hear(&mut end_heard, bytes);
                        come.store(0, Ordering::SeqCst);
                        None
                    })
                });
                let end = pass(&mut back, &stream, |bytes| {
                    let count = bytes.len();
                    let before = come.fetch_add(count, Ordering::SeqCst);
                    total += count;
                    let is_most = total >= answer_bytes_max;
                    harming
                        .end(before, count)
                        .or(is_most.then(|| (count + answer_bytes_max - total, End::Close)))
                });
                let _ = onward.shutdown(Shutdown::Both);
                // Else it stays open until the one who asked gives up.
                if end != Some(End::Stall) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        }
    }
}

impl Harming {
    /// Whether an answer of which `before` bytes have come goes wrong within the next `count`: after how many.
    fn end(&self, before: usize, count: usize) -> Option<(usize, End)> {
        let harm = *self.harm.lock().expect("no holder panics");
        let harm = harm.filter(|harm| before + count > harm.after)?;
        self.count.fetch_add(1, Ordering::SeqCst);
        Some((harm.after.saturating_sub(before), harm.end))
    }
}

/// Passes bytes on until there are no more, or until `end` says after how many of those that have just come it ends.
fn pass(
    from: &mut TcpStream,
    mut to: &TcpStream,
    mut end: impl FnMut(&[u8]) -> Option<(usize, End)>,
) -> Option<End> {
    let mut buffer = vec![0; 64 << 10];
    let mut ended = None;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let last = end(&buffer[..count]);
        let most = last.map_or(count, |(most, _)| most);
        if to.write_all(&buffer[..most]).is_err() {
            break;
        }
        if let Some((_, end)) = last {
            ended = Some(end);
            break;
        }
    }
    if ended != Some(End::Stall) {
        let _ = to.shutdown(Shutdown::Write);
    }
    ended
}
