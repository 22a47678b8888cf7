//! The UDP socket under chitchat: signs what goes out, drops and counts what is not to be heard.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable, Serializable};
use tokio::net::UdpSocket;

use super::datagram::{self, DATAGRAM_BYTES_MAX, Refused};
use crate::clock;
use crate::peer::sign::Signer;

/// No more often than this is it logged that datagrams are dropped.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// The wait after the socket failed, before it is read again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What has gone through the socket since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes, without the headers of IP and UDP.
    pub sent_bytes: u64,
    /// Datagrams that could not be sent: the system refused, or they would have been too long.
    pub unsent: u64,
    /// Datagrams heard.
    pub heard: u64,
    /// Their bytes, without the headers of IP and UDP.
    pub heard_bytes: u64,
    /// Datagrams dropped unheard.
    pub dropped: Dropped,
}

/// Datagrams dropped unheard, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Longer than [`DATAGRAM_BYTES_MAX`].
    pub oversized: u64,
    /// Too short, or not in the form of this release.
    pub malformed: u64,
    /// Not signed with a secret of this cluster, or changed on the way.
    pub forged: u64,
    /// Genuine, but from another time: recorded and sent again, or from a node whose clock is wrong.
    pub late: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.oversized + self.malformed + self.forged + self.late
    }
}

/// A bound socket with what signs and counts.
#[derive(Debug)]
pub(super) struct Wire {
    socket: UdpSocket,
    signer: RwLock<Signer>,
    traffic: Counters,
    dropping: Mutex<Complaint>,
    failing: Mutex<Complaint>,
}

/// [`Traffic`], as it grows.
#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    unsent: AtomicU64,
    heard: AtomicU64,
    heard_bytes: AtomicU64,
    oversized: AtomicU64,
    malformed: AtomicU64,
    forged: AtomicU64,
    late: AtomicU64,
}

/// When was last complained, and how often there was reason since.
#[derive(Debug, Default)]
struct Complaint {
    last: Option<Instant>,
    withheld: u64,
}

impl Complaint {
    /// How many there were since the last that was logged, this one among them; none: not to be logged yet.
    fn is_due(&mut self, now: Instant) -> Option<u64> {
        self.withheld += 1;
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= COMPLAINT_EVERY);
        due.then(|| {
            self.last = Some(now);
            std::mem::take(&mut self.withheld)
        })
    }
}

impl Wire {
    pub(super) fn new(socket: UdpSocket, signer: Signer) -> Self {
        let (traffic, dropping, failing) = Default::default();
        Self { socket, signer: RwLock::new(signer), traffic, dropping, failing }
    }

    /// From now on these secrets count.
    pub(super) fn sign_with(&self, signer: Signer) {
        *self.signer.write().unwrap_or_else(PoisonError::into_inner) = signer;
    }

    pub(super) fn traffic(&self) -> Traffic {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let Counters { sent, sent_bytes, unsent, heard, heard_bytes, .. } = &self.traffic;
        let Counters { oversized, malformed, forged, late, .. } = &self.traffic;
        Traffic {
            sent: of(sent),
            sent_bytes: of(sent_bytes),
            unsent: of(unsent),
            heard: of(heard),
            heard_bytes: of(heard_bytes),
            dropped: Dropped {
                oversized: of(oversized),
                malformed: of(malformed),
                forged: of(forged),
                late: of(late),
            },
        }
    }

    async fn send(&self, to: SocketAddr, payload: &[u8]) {
        let sealed = {
            let signer = self.signer.read().unwrap_or_else(PoisonError::into_inner);
            datagram::seal(&signer, clock::seconds(), payload)
        };
        let why = match sealed {
            None => {
                format!("it would have more than {DATAGRAM_BYTES_MAX} bytes: gossip knows too many nodes")
            }
            Some(datagram) => match self.socket.send_to(&datagram, to).await {
                Ok(bytes) => {
                    self.traffic.sent.fetch_add(1, Relaxed);
                    self.traffic.sent_bytes.fetch_add(bytes as u64, Relaxed);
                    return;
                }
                Err(error) => error.to_string(),
            },
        };
        self.traffic.unsent.fetch_add(1, Relaxed);
        complain(&self.failing, |count| format!("could not send {count}, the last to {to}: {why}"));
    }

    fn open(&self, datagram: &[u8]) -> Result<ChitchatMessage, Refused> {
        let signer = self.signer.read().unwrap_or_else(PoisonError::into_inner);
        let mut payload = datagram::open(&signer, clock::seconds(), datagram)?;
        ChitchatMessage::deserialize(&mut payload).map_err(|_| Refused::Malformed)
    }

    fn drop_it(&self, from: SocketAddr, why: Refused) {
        let counter = match why {
            Refused::Oversized => &self.traffic.oversized,
            Refused::Malformed => &self.traffic.malformed,
            Refused::Forged => &self.traffic.forged,
            Refused::Late => &self.traffic.late,
        };
        counter.fetch_add(1, Relaxed);
        complain(&self.dropping, |count| format!("dropped {count}, the last from {from}: {why}"));
    }
}

fn complain(about: &Mutex<Complaint>, text: impl FnOnce(&str) -> String) {
    let due = about.lock().unwrap_or_else(PoisonError::into_inner).is_due(Instant::now());
    match due {
        None => {}
        Some(1) => log::warn!("gossip: {}", text("a datagram")),
        Some(count) => log::warn!("gossip: {}", text(&format!("{count} datagrams"))),
    }
}

/// Lends a wire to chitchat.
pub(super) struct SignedUdp(pub(super) Arc<Wire>);

struct SignedSocket {
    wire: Arc<Wire>,
    /// One byte longer than any datagram may be, so that a longer one shows.
    buffer: Vec<u8>,
}

#[async_trait]
impl Transport for SignedUdp {
    /// The address is that of the wire already.
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(SignedSocket { wire: Arc::clone(&self.0), buffer: vec![0; DATAGRAM_BYTES_MAX + 1] }))
    }
}

#[async_trait]
impl Socket for SignedSocket {
    /// Never fails: what cannot be sent now may be sent in the next round.
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        self.wire.send(to, &message.serialize_to_vec()).await;
        Ok(())
    }

    /// Never fails. May be dropped while it waits.
    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            match self.wire.socket.recv_from(&mut self.buffer).await {
                Ok((bytes, from)) => match self.wire.open(&self.buffer[..bytes]) {
                    Ok(message) => {
                        self.wire.traffic.heard.fetch_add(1, Relaxed);
                        self.wire.traffic.heard_bytes.fetch_add(bytes as u64, Relaxed);
                        return Ok((from, message));
                    }
                    Err(why) => self.wire.drop_it(from, why),
                },
                Err(error) => {
                    complain(&self.wire.failing, |_| format!("could not receive: {error}"));
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_come_at_most_once_a_minute_and_count_what_was_withheld() {
        let (mut complaint, start) = (Complaint::default(), Instant::now());
        assert_eq!(complaint.is_due(start), Some(1));
        for second in 1..60 {
            assert_eq!(complaint.is_due(start + Duration::from_secs(second)), None);
        }
        assert_eq!(complaint.is_due(start + COMPLAINT_EVERY), Some(60));
        assert_eq!(complaint.is_due(start + COMPLAINT_EVERY), None);
    }
}
