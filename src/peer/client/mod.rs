//! Asking other nodes: one pool of connections, and a deadline on everything.

mod batch;
mod compare;
mod error;
mod exchange;
mod maps;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

pub use error::PeerError;

use crate::cluster::{NodeIndex, NodeName, View};
use crate::incoming::unstalled;
use crate::maps::Maps;
use crate::name::ObjectName;
use crate::peer::absent::Absent;
use crate::peer::body::PeerBody;
use crate::peer::envelope::{COMPLETE, answer_is_genuine, version_in};
use crate::peer::flow::AFTER_END;
use crate::peer::health::Health;
use crate::peer::message::{
    CommitOrder, DeleteOrder, DoneAnswer, HeldAnswer, Hello, HelloAnswer, Missed, Operation, PrepareAnswer,
};
use crate::peer::passed_on::pass_on;
use crate::peer::sign::Signer;
use crate::response::ByteStream;
use crate::store::{Outcome, SpoolId, Store};
use crate::version::Version;
use maps::CatchingUp;

/// Bytes read at once from a connection. hyper would go up to four times as many, and they wait in memory while the
/// client whom they are for is slow.
const READ_BUFFER: usize = 64 << 10;
/// A node that does not take a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A control message is answered within this time; also how long an answer's body may stall.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection on which nothing comes is probed after this time: it may lead to a machine that is gone.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How often, and how many times in vain until it counts as broken.
const KEEPALIVE_PROBES: (Duration, u32) = (Duration::from_secs(5), 2);
/// A disk slower than this makes commits of large uploads fail.
const DISK_BYTES_PER_SECOND: u64 = 20 << 20;
/// A connection that has been idle for longer is not used again: the other side may be about to close it, and a body
/// that has been streamed cannot be sent twice. Apache and lighttpd close theirs after 5 seconds by default.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
/// Idle connections kept to one node.
const IDLE_PER_NODE: usize = 64;

/// Another node's answer to a request for a copy.
pub struct ObjectAnswer {
    /// 200, 206, 304, 412 or 416.
    pub status: StatusCode,
    /// Headers as a client gets them, and the copy's version and checksum.
    pub headers: HeaderMap,
    /// The bytes.
    pub body: ByteStream,
}

/// What another node says when it is asked for a copy.
pub enum ObjectReply {
    /// Here it is, or what the client's conditionals make of it.
    Found(ObjectAnswer),
    /// It has none.
    Lacks {
        /// Whether its root is complete: only then does this count.
        complete: bool,
        /// The version of its tombstone, if it has one: older copies elsewhere are deleted ones.
        tombstone: Option<Version>,
    },
}

fn connections() -> Client<HttpConnector, PeerBody> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE_PROBES.0));
    connector.set_keepalive_retries(Some(KEEPALIVE_PROBES.1));
    Client::builder(TokioExecutor::new())
        .http1_read_buf_exact_size(READ_BUFFER)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_NODE)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// Asks other nodes.
#[derive(Clone)]
pub struct PeerClient {
    own: NodeName,
    signer: Signer,
    http: Client<HttpConnector, PeerBody>,
    health: Health,
    absent: Absent,
    /// What is brought up to date when another node turns out to have newer maps, and sent to those that have older ones.
    maps: Option<Arc<Maps>>,
    /// For each node that this was needed for, when and under which epochs, and whether it may be asked again since. The
    /// inner lock is held while it is done.
    catching_up: CatchingUp,
}

impl PeerClient {
    /// A client that speaks for the node `own`. Without `maps` it leaves other nodes' maps, and its own, as they are.
    pub fn new(own: NodeName, signer: Signer, maps: Option<Arc<Maps>>) -> Self {
        let (health, absent, catching_up) = Default::default();
        Self { own, signer, http: connections(), health, absent, maps, catching_up }
    }

    /// The same, which knows what this one does of the other nodes, but has connections of its own: each is cared for by
    /// the threads that first used it.
    pub fn with_connections_of_its_own(&self) -> Self {
        Self { http: connections(), ..self.clone() }
    }

    /// The same, which regards as down what all processes of a root do.
    pub fn minding(self, store: Arc<Store>) -> Self {
        Self { absent: Absent::of(store), ..self }
    }

    /// Nodes in the order in which to ask them: as given, those put aside after them, and those known to be down last. Not
    /// to be called for anything else: the first may be one that failed and is tried again by this caller, and for a while
    /// by nobody else.
    pub fn in_order(&self, map: &View, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        let (down, up): (Vec<_>, Vec<_>) = nodes.iter().copied().partition(|node| self.is_down(map, *node));
        [self.health.in_order(&up), down].concat()
    }

    /// Whether a node is known to be down, without having been asked: it is not to be waited for where others suffice.
    pub fn is_down(&self, map: &View, node: NodeIndex) -> bool {
        self.absent.contains(map.node(node).name())
    }

    /// Whether a node failed and has not answered since, or is known to be down.
    pub fn has_failed(&self, map: &View, node: NodeIndex) -> bool {
        self.health.has_failed(node) || self.is_down(map, node)
    }

    /// A node did not answer: it is put aside for a short, growing time.
    pub fn did_not_answer(&self, node: NodeIndex) {
        self.health.silent(node);
    }

    /// A node did not send all of a body, or not the right one: it is put aside for a short, growing time, and that it
    /// answers short questions meanwhile changes nothing.
    pub fn broke_off(&self, node: NodeIndex) {
        self.health.broke_off(node);
    }

    /// A node has sent or taken all of a body: it is well again if it had failed. A head alone does not show that, for a
    /// disk that hangs may still know the names on it.
    pub fn delivered(&self, node: NodeIndex) {
        self.health.delivered(node);
    }

    /// Are you there? With the stamp of the own root the node remembers that one from then on. Whoever of the two has older
    /// maps than the other has the same afterwards.
    ///
    /// # Errors
    /// When the node does not answer, or the url reaches another node, or it has another map of the same epoch.
    pub async fn hello(&self, map: &View, node: NodeIndex, hello: Hello) -> Result<HelloAnswer, PeerError> {
        let mut answer: HelloAnswer = self.control(map, node, &Operation::Hello, &hello).await?;
        let theirs = (answer.epoch, answer.map);
        if theirs != (map.epoch_in_force(), map.fingerprint()) && self.maps.is_some() {
            if theirs.0 == map.epoch_in_force() && theirs.0 > 0 {
                return Err(self.other_map(map, node, theirs));
            }
            if self.catch_up(map, node, theirs).await {
                (answer.epoch, answer.map) = (map.epoch_in_force(), map.fingerprint());
            }
        }
        Ok(answer)
    }

    /// What do you hold of this?
    ///
    /// # Errors
    /// When the node does not answer or refuses.
    pub async fn ask(&self, map: &View, node: NodeIndex, name: &ObjectName) -> Result<HeldAnswer, PeerError> {
        self.control(map, node, &Operation::Ask(name.clone()), &()).await
    }

    /// Make this upload the replica of its name.
    ///
    /// # Errors
    /// When the node does not answer, has no such upload, or its disk fails.
    pub async fn commit(
        &self,
        map: &View,
        node: NodeIndex,
        (id, name): (SpoolId, &ObjectName),
        order: &CommitOrder,
    ) -> Result<Outcome, PeerError> {
        let operation = Operation::Commit(id, name.clone());
        // It may have to bring all of it to the disk first.
        let patience = ANSWER_TIMEOUT + Duration::from_secs(order.length / DISK_BYTES_PER_SECOND);
        let answer: DoneAnswer = self.control_within(patience, map, node, &operation, order).await?;
        Ok(answer.outcome)
    }

    /// Write a tombstone.
    ///
    /// # Errors
    /// When the node does not answer or its disk fails.
    pub async fn delete(
        &self,
        map: &View,
        node: NodeIndex,
        name: &ObjectName,
        order: &DeleteOrder,
    ) -> Result<Outcome, PeerError> {
        let answer: DoneAnswer = self.control(map, node, &Operation::Delete(name.clone()), order).await?;
        Ok(answer.outcome)
    }

    /// What you hold of this below a version is superseded.
    ///
    /// # Errors
    /// When the node does not answer or its disk fails.
    pub async fn superseded(
        &self,
        map: &View,
        node: NodeIndex,
        name: &ObjectName,
        version: Version,
    ) -> Result<(), PeerError> {
        let order = DeleteOrder { version, missed: Vec::new() };
        self.control(map, node, &Operation::Superseded(name.clone()), &order).await
    }

    /// Drop this upload. Whether it arrives does not matter: an upload that is not committed expires.
    pub async fn drop_upload(&self, map: &View, node: NodeIndex, id: SpoolId) {
        let answer: Result<(), PeerError> = self.control(map, node, &Operation::Drop(id), &()).await;
        if let Err(error) = answer {
            log::debug!("an upload is left to expire: {error}");
        }
    }

    /// These nodes missed a write of this.
    ///
    /// # Errors
    /// When the node does not answer or its disk fails.
    pub async fn missed(
        &self,
        map: &View,
        node: NodeIndex,
        name: &ObjectName,
        nodes: Vec<NodeName>,
    ) -> Result<(), PeerError> {
        self.control(map, node, &Operation::Missed(name.clone()), &Missed { nodes }).await
    }

    /// Take in this upload of `length` bytes. Waits as long as the node takes what there is, and for a source that
    /// has nothing yet.
    ///
    /// # Errors
    /// When the node stalls, does not answer in time after the end, has no room, or the body ends early.
    pub async fn prepare(
        &self,
        map: &View,
        node: NodeIndex,
        (id, name): (SpoolId, &ObjectName),
        length: u64,
        body: ByteStream,
    ) -> Result<PrepareAnswer, PeerError> {
        let operation = Operation::Prepare(id, name.clone());
        self.streamed(AFTER_END, map, node, &operation, length, body).await
    }

    /// Your copy of this. Of the client's `headers` its range and conditions are passed on.
    ///
    /// # Errors
    /// When the node does not answer or refuses.
    pub async fn object(
        &self,
        map: &View,
        node: NodeIndex,
        name: &ObjectName,
        headers: &HeaderMap,
    ) -> Result<ObjectReply, PeerError> {
        match self.try_object(map, node, name, headers).await {
            Err(PeerError::OtherMap { epoch, map: theirs, .. })
                if self.catch_up(map, node, (epoch, theirs)).await =>
            {
                self.try_object(map, node, name, headers).await
            }
            reply => reply,
        }
    }

    async fn try_object(
        &self,
        map: &View,
        node: NodeIndex,
        name: &ObjectName,
        headers: &HeaderMap,
    ) -> Result<ObjectReply, PeerError> {
        let operation = Operation::Object(name.clone());
        let (mut request, signature) = self.request(map, node, &operation, Some(b""), PeerBody::Whole(None));
        pass_on(headers, request.headers_mut());
        let sent = timeout(ANSWER_TIMEOUT, self.http.request(request)).await;
        let answer = self.answered_in_time(map, node, sent)?;
        let (parts, body) = answer.into_parts();
        if matches!(parts.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            if !answer_is_genuine(&self.signer, &signature, parts.status, &parts.headers, None) {
                return Err(self.stranger(map, node, parts.status));
            }
            // Whether the node is well again is known when all of the body has come: see `delivered`.
            let (status, headers, body) = (parts.status, parts.headers, unstalled(body, ANSWER_TIMEOUT));
            return Ok(ObjectReply::Found(ObjectAnswer { status, headers, body }));
        }
        let (parts, body) = self.genuine(map, node, &signature, Response::from_parts(parts, body)).await?;
        match parts.status {
            StatusCode::NOT_FOUND => {
                let complete = parts.headers.get(COMPLETE).is_some_and(|value| value == "yes");
                Ok(ObjectReply::Lacks { complete, tombstone: version_in(&parts.headers) })
            }
            StatusCode::NOT_MODIFIED
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::RANGE_NOT_SATISFIABLE => {
                let body: ByteStream = Box::pin(futures_util::stream::empty());
                let (status, headers) = (parts.status, parts.headers);
                Ok(ObjectReply::Found(ObjectAnswer { status, headers, body }))
            }
            status => Err(self.refused(map, node, status, &body)),
        }
    }
}

impl std::fmt::Debug for PeerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerClient(for {})", self.own)
    }
}
