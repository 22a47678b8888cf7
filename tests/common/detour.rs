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

/// A listening socket with a [`Way`] behind it, until it is dropped.
#[derive(Debug)]
pub struct Detour {
    at: SocketAddr,
    way: Arc<Mutex<Way>>,
    open: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
}

impl Detour {
    pub fn open(at: SocketAddr, way: Way) -> Self {
        let listener = TcpListener::bind(at).unwrap_or_else(|error| panic!("{at} cannot be bound: {error}"));
        let detour =
            Self { at, way: Arc::new(Mutex::new(way)), open: Arc::new(true.into()), taken: Arc::default() };
        let (way, open, taken) =
            (Arc::clone(&detour.way), Arc::clone(&detour.open), Arc::clone(&detour.taken));
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
                    let held = Arc::clone(&held);
                    thread::spawn(move || serve(stream, way, &held));
                }
            }
        });
        detour
    }

    /// From now on connections go this way; those that are open keep to the old one.
    pub fn turn(&self, way: Way) {
        *self.way.lock().expect("no holder panics") = way;
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

fn serve(stream: TcpStream, way: Way, held: &Mutex<Vec<TcpStream>>) {
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
            thread::scope(|scope| {
                scope.spawn(|| pass(&mut from, &onward, usize::MAX));
                pass(&mut back, &stream, answer_bytes_max);
                let _ = stream.shutdown(Shutdown::Both);
                let _ = onward.shutdown(Shutdown::Both);
            });
        }
    }
}

fn pass(from: &mut TcpStream, mut to: &TcpStream, mut most: usize) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let count = count.min(most);
        most -= count;
        if to.write_all(&buffer[..count]).is_err() || most == 0 {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
