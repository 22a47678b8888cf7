//! HTTP as the importer speaks it, to sources and to targets.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::content::{Content, MEMORY_MAX};

/// Who does not take a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer begins within this time, and none of its pieces takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Idle connections are closed before the other side does: web servers begin at 5 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a redirect is followed.
const REDIRECTS_MAX: usize = 4;
/// How much of an answer in plain text is shown.
const WORDS_MAX: usize = 300;

pub(super) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// Sends requests; keeps connections open between them.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client<HttpConnector, RequestBody>,
}

/// Why there is no answer, or not the one that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// Whether the same request may do better later.
    pub(super) may_pass: bool,
    /// Whether the other side could not be reached, or broke off.
    pub(super) is_down: bool,
    /// When to come back, if the other side said so.
    pub(super) after: Duration,
}

impl Trouble {
    /// It will be so the next time, too.
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), may_pass: false, is_down: false, after: Duration::ZERO }
    }

    /// The other side could not be reached, or broke off.
    pub(super) fn down(why: impl Into<String>) -> Self {
        Self { why: why.into(), may_pass: true, is_down: true, after: Duration::ZERO }
    }
}

impl Http {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client }
    }

    /// Sends a request, which may take as long as sending it takes and `patience` more.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        sending: Duration,
    ) -> Result<Response<Incoming>, Trouble> {
        let to = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        match timeout(sending + PATIENCE, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                Err(Trouble::down(format!("{to} does not answer: {}", crate::chain::chain(&error))))
            }
            Err(_) => Err(Trouble::down(format!("{to} did not answer in time"))),
        }
    }

    /// GET or HEAD, following redirects.
    pub(super) async fn look(&self, method: Method, url: &str) -> Result<Response<Incoming>, Trouble> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let request = Request::builder().method(method.clone()).uri(&url).body(empty());
            let request = request.map_err(|error| Trouble::lasting(format!("{url:?} is no URL: {error}")))?;
            let answer = self.send(request, Duration::ZERO).await?;
            if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let location = answer.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            match location.filter(|location| location.starts_with("http://")) {
                Some(location) => url = location.to_owned(),
                None => return Err(Trouble::lasting(format!("{url} leads elsewhere: {location:?}"))),
            }
        }
        Err(Trouble::lasting(format!("{url}: too many redirects")))
    }

    /// All of what a web server has there. What may be a part is an error.
    pub(super) async fn fetch(&self, url: &str) -> Result<Content, Trouble> {
        let answer = self.look(Method::GET, url).await?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(url, answer).await);
        }
        let is_chunked = answer.headers().contains_key(header::TRANSFER_ENCODING);
        let length = answer.body().size_hint().exact();
        if length.is_none() && !is_chunked {
            let why = format!("{url}: the answer has no length, so nobody knows whether it is whole");
            return Err(Trouble::lasting(why));
        }
        let mut taker = Taker::new(length);
        read(answer.into_body(), |piece| taker.take(piece))
            .await
            .map_err(|error| Trouble::down(format!("{url}: cut off: {error}")))?;
        let content = taker.end();
        if length.is_some_and(|length| length != content.length) {
            return Err(Trouble::down(format!("{url}: cut off after {} bytes", content.length)));
        }
        Ok(content)
    }
}

/// Takes in bytes: in memory, if they are few.
struct Taker {
    length: u64,
    sha256: Sha256,
    memory: Vec<u8>,
    file: Option<std::fs::File>,
}

impl Taker {
    fn new(length: Option<u64>) -> Self {
        let room = length.unwrap_or_default().min(MEMORY_MAX) as usize;
        Self { length: 0, sha256: Sha256::new(), memory: Vec::with_capacity(room), file: None }
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.length += piece.len() as u64;
        self.sha256.update(piece);
        if let Some(file) = &mut self.file {
            return file.write_all(piece);
        }
        self.memory.extend_from_slice(piece);
        if self.memory.len() as u64 > MEMORY_MAX {
            let mut file = tempfile::tempfile()?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        Ok(())
    }

    fn end(self) -> Content {
        match self.file {
            Some(file) => Content::in_file(file, self.length, self.sha256.finalize().into()),
            None => Content::in_memory(self.memory.into()),
        }
    }
}

/// Reads a body to its end.
pub(super) async fn read(
    mut body: Incoming,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        match timeout(PATIENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    take(&data)?;
                }
            }
            Ok(Some(Err(error))) => return Err(io::Error::other(error)),
            Ok(None) => return Ok(()),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// What an answer that is no success says.
pub(super) async fn refusal(url: &str, answer: Response<Incoming>) -> Trouble {
    let (parts, body) = answer.into_parts();
    let status = parts.status;
    let after = parts.headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let words = match timeout(PATIENCE, Limited::new(body, 1 << 20).collect()).await {
        Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        _ => String::new(),
    };
    // A page in HTML tells nothing that its status does not.
    let words = words.trim();
    let words = if words.starts_with('<') { "" } else { words.lines().next().unwrap_or_default() };
    let words: String = words.chars().take(WORDS_MAX).flat_map(char::escape_debug).collect();
    let colon = if words.is_empty() { "" } else { ": " };
    let is_down = matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
    let may_pass = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::INSUFFICIENT_STORAGE => {
            true
        }
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    };
    Trouble {
        why: format!("{url}: {}{colon}{words}", status.as_u16()),
        may_pass,
        is_down,
        after: Duration::from_secs(after.unwrap_or_default()),
    }
}

pub(super) fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}
