//! Gossip: each node's view of all the others, spread by the nodes themselves, with the crate `chitchat`.
//!
//! Each node tells [`Facts`] of itself, and each sees the [`Members`] of the cluster: who is up, and what it told last.
//! It is there to show and to save time. Nothing depends on it: a node that gossip knows nothing of is treated as
//! if there were no gossip, and everything is checked again by the messages of [`crate::peer`]. Here is no word of
//! what webdfs does with the facts.
//!
//! # How it spreads
//!
//! Scuttlebutt reconciliation (van Renesse, Dumitriu, Gough and Thomas 2008), as `chitchat` has it: every second a
//! node chooses three others and sends each a *digest* (for each process it knows: its name, address, start,
//! heartbeat, version); the other answers with its digest and what it has newer, and gets in return what it lacks. A
//! new epoch does not wait for that: whoever hears of one for the first time begins an exchange with three others at
//! once. Fill and progress are told every 5 s.
//!
//! A node finds the others by its *seeds*, a list that may change while it runs. It needs one that is up; the rest it
//! hears from that one.
//!
//! # Who is down
//!
//! See `members.rs`. A node that is killed is seen as down by the others about 5 s later. Such a node is told of for
//! 150 s, and remembered for a day by those who saw it. A node that starts anew is one node: its latest life counts.
//!
//! # Who is heard
//!
//! `chitchat` itself believes everyone. So every datagram is signed with the cluster's secret and bears its time
//! (`datagram.rs`); what is not genuine is dropped and counted, and logged at most once a minute. A cluster with
//! another secret is another cluster, whatever its epoch.
//!
//! # What it costs
//!
//! In a digest a node takes 41 bytes and its name (12 bytes more by IPv6), and each node sends 6 digests a second: 3 to
//! begin exchanges and, on average, 3 to answer. So with `n` nodes whose names have `l` bytes, each sends about
//! `6 n (41 + l) + 500` bytes a second and hears as many; UDP and IP add 28 for each of the 9 datagrams. Facts that
//! change come on top: a change of fill and progress goes once to each node, in at most 110 bytes, and so all of them
//! together cost each node no more than `22 n` bytes a second. Compression makes that less.
//!
//! | nodes | at rest, measured | all fills changing, measured | formula |
//! |---|---|---|---|
//! | 20 | 6.1 kB/s | 6.2 kB/s | 6.0 to 6.4 kB/s |
//! | 40 | 11.5 kB/s | 12.1 kB/s | 11.5 to 12.4 kB/s |
//! | 1,000, names of 8 bytes | | | 295 to 317 kB/s |
//!
//! (`cargo test --test gossip -- --ignored --nocapture`)
//!
//! `chitchat` does not divide a digest, so it must fit into one datagram ([`DATAGRAM_BYTES_MAX`]): 1,315 nodes with
//! names of 8 bytes, and each restart counts as one more for 150 s. With more, gossip is off: it says so in the log, all
//! nodes are unknown, and it tries again. A digest of more than 28 such nodes is longer than an Ethernet frame and
//! goes as IP fragments, 34 with 1,000 nodes; one lost fragment loses the datagram, and the next round makes up for
//! it.

mod datagram;
mod facts;
mod members;
mod socket;
mod task;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use chitchat::ChitchatId;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use datagram::DATAGRAM_BYTES_MAX;
pub use facts::{Facts, Fill, MapFacts, Moving};
pub use members::{Member, Members};
pub use socket::{Dropped, Traffic};

use crate::cluster::{NodeName, NodeUrl};
use crate::peer::sign::Signer;
use socket::Wire;
use task::Task;

/// What gossip needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen, as `[listen] gossip` has it: `HOST:PORT`. Port 0 means any free one.
    pub listen: String,
    /// The address that the other nodes reach this one by. None: the one it listens at, which must not be that of
    /// every address (`0.0.0.0`, `::`) then.
    pub advertise: Option<IpAddr>,
    /// This node's name.
    pub name: NodeName,
    /// Which life of the node this is: higher than that of the one before. The time of the start in milliseconds since
    /// 1970 will do; should the clock have gone back, the life that is up counts all the same.
    pub generation: u64,
    /// Where other nodes may be found; this node's own address among them does no harm. May change at any time.
    pub seeds: watch::Receiver<BTreeSet<SocketAddr>>,
}

/// Why gossip cannot start. The node can do without.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// The host is not known.
    #[error("[listen] gossip = \"{listen}\": no address of this host was found")]
    Resolve {
        /// `HOST:PORT`.
        listen: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The address is not this machine's, or its port is taken.
    #[error("[listen] gossip = \"{listen}\": could not listen there")]
    Bind {
        /// `HOST:PORT`.
        listen: String,
        /// What the system said.
        source: io::Error,
    },
    /// The others would not know where to send.
    #[error(
        "[listen] gossip = \"{listen}\" is every address of this machine, and it is not known by which the other nodes reach it: name that one"
    )]
    Everywhere {
        /// `HOST:PORT`.
        listen: String,
    },
}

/// Gossip that is running. Dropping it ends it, without waiting.
#[derive(Debug)]
pub struct Gossip {
    address: SocketAddr,
    wire: Arc<Wire>,
    facts: watch::Sender<Facts>,
    members: watch::Receiver<Members>,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Gossip {
    /// Listens, and begins to tell these facts.
    ///
    /// # Errors
    /// When it cannot listen, or the others could not reach it.
    pub async fn start(settings: Settings, signer: Signer, facts: Facts) -> Result<Self, GossipError> {
        let Settings { listen, advertise, name, generation, seeds } = settings;
        let (socket, address) = bind(listen, advertise).await?;
        let wire = Arc::new(Wire::new(socket, signer));
        let (facts, told) = watch::channel(facts);
        let (seen, members) = watch::channel(Members::default());
        let stop = CancellationToken::new();
        let task = Task {
            id: ChitchatId::new(name.as_str(), generation, address),
            wire: Arc::clone(&wire),
            facts: told,
            seeds,
            members: seen,
            stop: stop.clone(),
        };
        let task = tokio::spawn(task.run());
        Ok(Self { address, wire, facts, members, stop: stop.drop_guard(), task })
    }

    /// Where the others reach this node's gossip.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells these facts from now on. Costs nothing when they are as before, and never waits.
    pub fn publish(&self, facts: Facts) {
        self.facts.send_if_modified(|before| {
            let is_new = *before != facts;
            *before = facts;
            is_new
        });
    }

    /// What is known of the cluster, this node included, always up to date. Empty in the first moment.
    pub fn cluster(&self) -> watch::Receiver<Members> {
        self.members.clone()
    }

    /// Signs and checks with these secrets from now on.
    pub fn sign_with(&self, signer: Signer) {
        self.wire.sign_with(signer);
    }

    /// What has been sent, heard and dropped since the start.
    pub fn traffic(&self) -> Traffic {
        self.wire.traffic()
    }

    /// Ends it; its port is free when this returns.
    pub async fn stop(self) {
        let Self { stop, task, wire, .. } = self;
        drop((stop, wire));
        // A task that panicked has ended as well.
        let _ = task.await;
    }
}

/// Where the others reach the gossip of a node that listens at `listen`, as `HOST:PORT`: there or, if that is every address of
/// its machine, at the host of its url.
pub fn place(listen: &str, url: &NodeUrl) -> String {
    let Some((host, port)) = listen.rsplit_once(':') else { return listen.to_owned() };
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    if address.is_ok_and(|address| address.is_unspecified()) {
        format!("{}:{port}", url.host())
    } else {
        listen.to_owned()
    }
}

/// A socket at the first of the host's addresses that will do, and the address that others reach it by.
async fn bind(listen: String, advertise: Option<IpAddr>) -> Result<(UdpSocket, SocketAddr), GossipError> {
    let found = lookup_host(&listen).await.map(Iterator::collect::<Vec<_>>);
    let addresses = match found {
        Ok(addresses) => addresses,
        Err(source) => return Err(GossipError::Resolve { listen, source }),
    };
    let bound = UdpSocket::bind(&addresses[..]).await;
    let (socket, bound) = match bound.and_then(|socket| socket.local_addr().map(|address| (socket, address)))
    {
        Ok(bound) => bound,
        Err(source) => return Err(GossipError::Bind { listen, source }),
    };
    match advertise.unwrap_or(bound.ip()) {
        ip if ip.is_unspecified() => Err(GossipError::Everywhere { listen }),
        ip => Ok((socket, SocketAddr::new(ip, bound.port()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_reached_where_it_listens_or_at_the_host_of_its_url() {
        let url = |text: &str| NodeUrl::between_nodes(text).unwrap();
        let by_name = url("http://img1.example.com:8080/_webdfs");
        assert_eq!(place("10.0.0.1:7071", &by_name), "10.0.0.1:7071");
        assert_eq!(place("img1:7071", &by_name), "img1:7071");
        assert_eq!(place("0.0.0.0:7071", &by_name), "img1.example.com:7071");
        assert_eq!(place("[::]:7071", &url("http://[2001:db8::1]/_webdfs")), "[2001:db8::1]:7071");
    }
}
