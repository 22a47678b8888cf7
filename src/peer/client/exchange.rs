//! One question to another node and its answer: sent, signed, waited for and checked.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{ANSWER_TIMEOUT, PeerClient, PeerError};
use crate::clock;
use crate::cluster::{NodeIndex, View};
use crate::peer::body::PeerBody;
use crate::peer::envelope::{Envelope, SIGNATURE, answer_is_genuine};
use crate::peer::flow::watched;
use crate::peer::message::{ANSWER_BYTES_MAX, BASE, Operation, Refusal};
use crate::response::ByteStream;

impl PeerClient {
    pub(super) async fn control<Q: Serialize, A: DeserializeOwned>(
        &self,
        map: &View,
        node: NodeIndex,
        operation: &Operation,
        question: &Q,
    ) -> Result<A, PeerError> {
        self.control_within(ANSWER_TIMEOUT, map, node, operation, question).await
    }

    /// Asks again if all that stood in the way was that the node had older maps.
    pub(super) async fn control_within<Q: Serialize, A: DeserializeOwned>(
        &self,
        patience: Duration,
        map: &View,
        node: NodeIndex,
        operation: &Operation,
        question: &Q,
    ) -> Result<A, PeerError> {
        match self.control_once(patience, map, node, operation, question).await {
            Err(PeerError::OtherMap { epoch, map: theirs, .. })
                if self.catch_up(map, node, (epoch, theirs)).await =>
            {
                self.control_once(patience, map, node, operation, question).await
            }
            answer => answer,
        }
    }

    pub(super) async fn control_once<Q: Serialize, A: DeserializeOwned>(
        &self,
        patience: Duration,
        map: &View,
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
        match timeout(patience, exchange).await {
            Ok(result) => result,
            Err(_) => {
                self.did_not_answer(node);
                Err(self.unreachable(map, node, "no answer in time"))
            }
        }
    }

    /// Sends a body of `length` bytes. Waits as long as the node takes what there is, for a source that has nothing yet,
    /// and `after_end` for the answer when all is sent.
    pub(super) async fn streamed<A: DeserializeOwned>(
        &self,
        after_end: Duration,
        map: &View,
        node: NodeIndex,
        operation: &Operation,
        length: u64,
        body: ByteStream,
    ) -> Result<A, PeerError> {
        let (body, flow) = watched(body, length);
        let body = PeerBody::Stream { stream: body, remaining: length };
        let (request, signature) = self.request(map, node, operation, None, body);
        let exchange = async {
            let answer = self.answered(map, node, self.http.request(request).await)?;
            self.control_answer(map, node, &signature, answer).await
        };
        let result = tokio::select! {
            result = exchange => result.inspect(|_| self.delivered(node)),
            problem = flow.stalled(after_end) => {
                self.did_not_answer(node);
                Err(self.unreachable(map, node, problem))
            }
        };
        if let Err(PeerError::OtherMap { epoch, map: theirs, .. }) = &result {
            // The body is gone, so that whoever sent it has to begin anew.
            self.catch_up(map, node, (*epoch, *theirs)).await;
        }
        result
    }

    pub(super) fn request(
        &self,
        map: &View,
        node: NodeIndex,
        operation: &Operation,
        control: Option<&[u8]>,
        body: PeerBody,
    ) -> (Request<PeerBody>, Vec<u8>) {
        self.health.begin(map.epoch_in_force());
        let target = map.node(node);
        let envelope = Envelope {
            from: self.own.clone(),
            to: target.name().clone(),
            epoch: map.epoch_in_force(),
            map: map.fingerprint(),
            time: clock::seconds(),
        };
        let (method, path) = (operation.method(), operation.path());
        let mut headers = envelope.seal(&self.signer, &method, &path, control);
        let signature = headers[SIGNATURE].as_bytes().to_vec();
        if let Some(length) = body.length() {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let uri = format!("{}{}{path}", target.url(), &BASE["/_webdfs".len()..]);
        let mut request =
            Request::builder().method(method).uri(uri).body(body).expect("urls and paths are checked");
        *request.headers_mut() = headers;
        (request, signature)
    }

    pub(super) fn answered(
        &self,
        map: &View,
        node: NodeIndex,
        sent: Result<Response<Incoming>, hyper_util::client::legacy::Error>,
    ) -> Result<Response<Incoming>, PeerError> {
        sent.map_err(|error| {
            self.did_not_answer(node);
            self.unreachable(map, node, &innermost(&error))
        })
    }

    pub(super) fn answered_in_time(
        &self,
        map: &View,
        node: NodeIndex,
        sent: Result<
            Result<Response<Incoming>, hyper_util::client::legacy::Error>,
            tokio::time::error::Elapsed,
        >,
    ) -> Result<Response<Incoming>, PeerError> {
        let Ok(sent) = sent else {
            self.did_not_answer(node);
            return Err(self.unreachable(map, node, "no answer in time"));
        };
        self.answered(map, node, sent)
    }

    pub(super) async fn control_answer<A: DeserializeOwned>(
        &self,
        map: &View,
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
    pub(super) async fn genuine(
        &self,
        map: &View,
        node: NodeIndex,
        signature: &[u8],
        answer: Response<Incoming>,
    ) -> Result<(http::response::Parts, Bytes), PeerError> {
        let (parts, body) = answer.into_parts();
        let body = timeout(ANSWER_TIMEOUT, Limited::new(body, ANSWER_BYTES_MAX).collect()).await;
        let body = match body {
            Ok(Ok(body)) => body.to_bytes(),
            broken => {
                self.did_not_answer(node);
                let problem = match broken {
                    Ok(Err(error)) => error.to_string(),
                    _ => "the answer stalls".into(),
                };
                return Err(self.unreachable(map, node, &problem));
            }
        };
        if !answer_is_genuine(&self.signer, signature, parts.status, &parts.headers, Some(&body)) {
            return Err(self.stranger(map, node, parts.status));
        }
        self.health.answered(node);
        Ok((parts, body))
    }

    pub(super) fn refused(&self, map: &View, node: NodeIndex, status: StatusCode, body: &[u8]) -> PeerError {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        if let Some(theirs) = refusal.other_map {
            return self.other_map(map, node, theirs);
        }
        let reason = if refusal.error.is_empty() { "no reason given".into() } else { refusal.error };
        PeerError::Refused { node: map.node(node).name().clone(), status, reason }
    }

    pub(super) fn unreachable(&self, map: &View, node: NodeIndex, problem: &str) -> PeerError {
        PeerError::Unreachable { node: map.node(node).name().clone(), problem: problem.to_owned() }
    }

    /// Something else answers, for example the web server of a node that is down: not a node to ask first.
    pub(super) fn stranger(&self, map: &View, node: NodeIndex, status: StatusCode) -> PeerError {
        self.did_not_answer(node);
        let node = map.node(node);
        PeerError::Stranger { node: node.name().clone(), url: node.url().to_string(), status }
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
