//! Asking other nodes: one pool of connections, a deadline on everything, and who is put aside for a while.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::message::{
    self, BASE, COMPLETE, CONTROL_BYTES_MAX, CommitOrder, DeleteOrder, DoneAnswer, Envelope, HeldAnswer,
    Hello, HelloAnswer, Missed, Operation, PrepareAnswer, Refusal, answer_is_genuine,
};
use super::sign::Signer;
use crate::cluster::{ClusterMap, NodeIndex, NodeName};
use crate::name::ObjectName;
use crate::response::{BodyError, ByteStream};
use crate::store::{Outcome, SpoolId};

/// A node that does not take a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A control message is answered within this time; also how long an answer's body may stall.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a pooled connection may lie idle: less than web servers keep theirs, so that none is used as it closes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept to one node.
const IDLE_PER_NODE: usize = 64;
/// The first time for which a node that failed is put aside; it doubles with each failure.
const ASIDE_FIRST: Duration = Duration::from_millis(250);
/// The longest.
const ASIDE_MAX: Duration = Duration::from_secs(30);

/// Why another node did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It could not be reached, or broke off. Whether it did what was asked is unknown.
    #[error("node {node} does not answer: {problem}")]
    Unreachable {
        /// The node.
        node: NodeName,
        /// What happened, in words.
        problem: String,
    },
    /// It answered in time, but not as this cluster's node of that name: something else listens at its url, or it
    /// has another secret.
    #[error(
        "what answers at {url} for node {node} is not that node, or has another secret (status {status})"
    )]
    Stranger {
        /// The node.
        node: NodeName,
        /// Where it should be.
        url: String,
        /// The status of the answer.
        status: StatusCode,
    },
    /// It refused.
    #[error("node {node} refuses ({status}): {reason}")]
    Refused {
        /// The node.
        node: NodeName,
        /// The status of the refusal.
        status: StatusCode,
        /// Its words.
        reason: String,
    },
}

impl PeerError {
    /// The status of a genuine refusal.
    pub fn refusal(&self) -> Option<StatusCode> {
        match self {
            PeerError::Refused { status, .. } => Some(*status),
            PeerError::Unreachable { .. } | PeerError::Stranger { .. } => None,
        }
    }
}

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
    },
}

/// Asks other nodes.
#[derive(Clone)]
pub struct PeerClient {
    own: NodeName,
    signer: Signer,
    http: Client<HttpConnector, PeerBody>,
    health: Arc<Mutex<HashMap<NodeIndex, Health>>>,
}

/// How often a node failed in a row, and until when it is put aside for it.
#[derive(Debug, Clone, Copy)]
struct Health {
    failures: u32,
    until: Instant,
}

impl PeerClient {
    /// A client that speaks for the node `own`.
    pub fn new(own: NodeName, signer: Signer) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let http = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_NODE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { own, signer, http, health: Arc::default() }
    }

    /// Whether a node failed so recently that others are asked first.
    pub fn is_aside(&self, node: NodeIndex) -> bool {
        let health = self.health.lock().expect("no holder panics");
        health.get(&node).is_some_and(|health| Instant::now() < health.until)
    }

    /// Nodes in the order in which to ask them: as given, those put aside last.
    pub fn in_order(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        let (aside, ready): (Vec<_>, Vec<_>) = nodes.iter().copied().partition(|node| self.is_aside(*node));
        [ready, aside].concat()
    }

    /// Puts a node aside for a short, growing time.
    pub fn put_aside(&self, node: NodeIndex) {
        let mut health = self.health.lock().expect("no holder panics");
        let entry = health.entry(node).or_insert(Health { failures: 0, until: Instant::now() });
        let time = ASIDE_FIRST.saturating_mul(1 << entry.failures.min(16)).min(ASIDE_MAX);
        *entry = Health { failures: entry.failures.saturating_add(1), until: Instant::now() + time };
    }

    fn note_answer(&self, node: NodeIndex) {
        self.health.lock().expect("no holder panics").remove(&node);
    }

    /// Are you there?
    ///
    /// # Errors
    /// When the node does not answer, or refuses: it has another map, or the url reaches another node.
    pub async fn hello(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        complete: bool,
    ) -> Result<HelloAnswer, PeerError> {
        self.control(map, node, &Operation::Hello, &Hello { complete }).await
    }

    /// What do you hold of this?
    ///
    /// # Errors
    /// When the node does not answer or refuses.
    pub async fn ask(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        name: &ObjectName,
    ) -> Result<HeldAnswer, PeerError> {
        self.control(map, node, &Operation::Ask(name.clone()), &()).await
    }

    /// Make this upload the replica of its name.
    ///
    /// # Errors
    /// When the node does not answer, has no such upload, or its disk fails.
    pub async fn commit(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        (id, name): (SpoolId, &ObjectName),
        order: &CommitOrder,
    ) -> Result<Outcome, PeerError> {
        let answer: DoneAnswer = self.control(map, node, &Operation::Commit(id, name.clone()), order).await?;
        Ok(answer.outcome)
    }

    /// Write a tombstone.
    ///
    /// # Errors
    /// When the node does not answer or its disk fails.
    pub async fn delete(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        name: &ObjectName,
        order: &DeleteOrder,
    ) -> Result<Outcome, PeerError> {
        let answer: DoneAnswer = self.control(map, node, &Operation::Delete(name.clone()), order).await?;
        Ok(answer.outcome)
    }

    /// Drop this upload. Whether it arrives does not matter: an upload that is not committed expires.
    pub async fn drop_upload(&self, map: &ClusterMap, node: NodeIndex, id: SpoolId) {
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
        map: &ClusterMap,
        node: NodeIndex,
        name: &ObjectName,
        nodes: Vec<NodeName>,
    ) -> Result<(), PeerError> {
        self.control(map, node, &Operation::Missed(name.clone()), &Missed { nodes }).await
    }

    /// Take in this upload of `length` bytes. Waits as long as the body flows.
    ///
    /// # Errors
    /// When the node does not answer, has no room, or the body ends early.
    pub async fn prepare(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        (id, name): (SpoolId, &ObjectName),
        length: u64,
        body: ByteStream,
    ) -> Result<PrepareAnswer, PeerError> {
        let operation = Operation::Prepare(id, name.clone());
        let body = PeerBody::Stream { stream: body, remaining: length };
        let (request, signature) = self.request(map, node, &operation, None, body);
        let sent = self.http.request(request).await;
        let answer = self.answered(map, node, sent)?;
        self.control_answer(map, node, &signature, answer).await
    }

    /// Your copy of this. `headers` are the client's range and conditionals.
    ///
    /// # Errors
    /// When the node does not answer or refuses.
    pub async fn object(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        name: &ObjectName,
        headers: &HeaderMap,
    ) -> Result<ObjectReply, PeerError> {
        let operation = Operation::Object(name.clone());
        let (mut request, signature) = self.request(map, node, &operation, Some(b""), PeerBody::Whole(None));
        for (name, value) in headers {
            request.headers_mut().append(name, value.clone());
        }
        let sent = timeout(ANSWER_TIMEOUT, self.http.request(request)).await;
        let answer = self.answered_in_time(map, node, sent)?;
        let (parts, body) = answer.into_parts();
        if matches!(parts.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            if !answer_is_genuine(&self.signer, &signature, parts.status, &parts.headers, None) {
                return Err(self.stranger(map, node, parts.status));
            }
            let (status, headers, body) = (parts.status, parts.headers, unstalled(body));
            return Ok(ObjectReply::Found(ObjectAnswer { status, headers, body }));
        }
        let (parts, body) = self.genuine(map, node, &signature, Response::from_parts(parts, body)).await?;
        match parts.status {
            StatusCode::NOT_FOUND => {
                let complete = parts.headers.get(COMPLETE).is_some_and(|value| value == "yes");
                Ok(ObjectReply::Lacks { complete })
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

    async fn control<Q: Serialize, A: DeserializeOwned>(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        operation: &Operation,
        question: &Q,
    ) -> Result<A, PeerError> {
        let body = serde_json::to_vec(question).expect("our own messages are always JSON");
        let whole = PeerBody::Whole(Some(Bytes::from(body.clone())));
        let (request, signature) = self.request(map, node, operation, Some(&body), whole);
        let exchange = async {
            let answer = self.answered(map, node, self.http.request(request).await)?;
            self.control_answer(map, node, &signature, answer).await
        };
        match timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(result) => result,
            Err(_) => {
                self.put_aside(node);
                Err(self.unreachable(map, node, "no answer in time"))
            }
        }
    }

    fn request(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        operation: &Operation,
        control: Option<&[u8]>,
        body: PeerBody,
    ) -> (Request<PeerBody>, Vec<u8>) {
        let target = map.node(node);
        let envelope = Envelope {
            from: self.own.clone(),
            to: target.name().clone(),
            epoch: map.epoch(),
            map: map.fingerprint(),
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        };
        let (method, path) = (operation.method(), operation.path());
        let mut headers = envelope.seal(&self.signer, &method, &path, control);
        let signature = headers[message::SIGNATURE].as_bytes().to_vec();
        if let Some(length) = body.length() {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let uri = format!("{}{}{path}", target.url(), &BASE["/_webdfs".len()..]);
        let mut request =
            Request::builder().method(method).uri(uri).body(body).expect("urls and paths are checked");
        *request.headers_mut() = headers;
        (request, signature)
    }

    fn answered(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        sent: Result<Response<Incoming>, hyper_util::client::legacy::Error>,
    ) -> Result<Response<Incoming>, PeerError> {
        match sent {
            Ok(answer) => {
                self.note_answer(node);
                Ok(answer)
            }
            Err(error) => {
                self.put_aside(node);
                Err(self.unreachable(map, node, &innermost(&error)))
            }
        }
    }

    fn answered_in_time(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        sent: Result<
            Result<Response<Incoming>, hyper_util::client::legacy::Error>,
            tokio::time::error::Elapsed,
        >,
    ) -> Result<Response<Incoming>, PeerError> {
        let Ok(sent) = sent else {
            self.put_aside(node);
            return Err(self.unreachable(map, node, "no answer in time"));
        };
        self.answered(map, node, sent)
    }

    async fn control_answer<A: DeserializeOwned>(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        signature: &[u8],
        answer: Response<Incoming>,
    ) -> Result<A, PeerError> {
        let (parts, body) = self.genuine(map, node, signature, answer).await?;
        if !parts.status.is_success() {
            return Err(self.refused(map, node, parts.status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| self.unreachable(map, node, &error.to_string()))
    }

    /// The head and control body of an answer, if it is genuine.
    async fn genuine(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        signature: &[u8],
        answer: Response<Incoming>,
    ) -> Result<(http::response::Parts, Bytes), PeerError> {
        let (parts, body) = answer.into_parts();
        let body = timeout(ANSWER_TIMEOUT, Limited::new(body, CONTROL_BYTES_MAX).collect()).await;
        let body = body.map_err(|_| self.unreachable(map, node, "the answer stalls"))?;
        let body = body.map_err(|error| self.unreachable(map, node, &error.to_string()))?.to_bytes();
        if !answer_is_genuine(&self.signer, signature, parts.status, &parts.headers, Some(&body)) {
            return Err(self.stranger(map, node, parts.status));
        }
        Ok((parts, body))
    }

    fn refused(&self, map: &ClusterMap, node: NodeIndex, status: StatusCode, body: &[u8]) -> PeerError {
        let reason =
            serde_json::from_slice(body).map_or_else(|_| "no reason given".into(), |Refusal { error }| error);
        PeerError::Refused { node: map.node(node).name().clone(), status, reason }
    }

    fn unreachable(&self, map: &ClusterMap, node: NodeIndex, problem: &str) -> PeerError {
        PeerError::Unreachable { node: map.node(node).name().clone(), problem: problem.to_owned() }
    }

    fn stranger(&self, map: &ClusterMap, node: NodeIndex, status: StatusCode) -> PeerError {
        let node = map.node(node);
        PeerError::Stranger { node: node.name().clone(), url: node.url().to_string(), status }
    }
}

impl std::fmt::Debug for PeerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerClient(for {})", self.own)
    }
}

/// The cause at the bottom of an error: "Connection refused" rather than "client error (Connect)".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// An answer's body that fails when it stalls.
fn unstalled(body: Incoming) -> ByteStream {
    Box::pin(futures_util::stream::unfold(Some(body), |body| async {
        let mut body = body?;
        loop {
            return match timeout(ANSWER_TIMEOUT, body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Some((Ok(data), Some(body))),
                    Err(_trailers) => continue,
                },
                Ok(None) => None,
                Ok(Some(Err(_))) | Err(_) => Some((Err(BodyError::Cut), None)),
            };
        }
    }))
}

/// The body of a request to another node.
pub enum PeerBody {
    /// A control body, or none.
    Whole(Option<Bytes>),
    /// A file on its way, of known length.
    Stream {
        /// Its bytes.
        stream: ByteStream,
        /// How many are still to come.
        remaining: u64,
    },
}

impl PeerBody {
    fn length(&self) -> Option<u64> {
        match self {
            PeerBody::Whole(bytes) => bytes.as_ref().map(|bytes| bytes.len() as u64),
            PeerBody::Stream { remaining, .. } => Some(*remaining),
        }
    }
}

impl Body for PeerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            PeerBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            PeerBody::Stream { stream, remaining } => match stream.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(bytes))) => {
                    *remaining = remaining.saturating_sub(bytes.len() as u64);
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) if *remaining > 0 => Poll::Ready(Some(Err(BodyError::Cut))),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            PeerBody::Whole(bytes) => bytes.is_none(),
            PeerBody::Stream { stream, remaining } => *remaining == 0 && stream.size_hint().1 == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(|| SizeHint::with_exact(0), SizeHint::with_exact)
    }
}
