//! Bringing one file to the cluster: until it is there, or it is clear that it cannot be.
//!
//! A file that is there already with the same bytes is left as it is: what has the same length is fetched and compared,
//! since an ETag says nothing about bytes. One with other bytes is left as it is, too, unless it may be replaced: it may
//! have been written by someone who came after the source.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use futures_util::TryStreamExt;

use super::content::Content;
use super::http::{Http, Trouble, read, refusal};
use super::targets::Targets;

/// RFC 9530.
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// A connection slower than this is given up.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// The first pause before another attempt, and the longest.
pub(super) const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// The longest pause that an answer may ask for.
const AFTER_MAX: Duration = Duration::from_secs(30);

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It was stored.
    Stored,
    /// It was there.
    Same,
}

/// Why a file is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotBrought {
    #[error("{0}")]
    Refused(String),
    #[error("given up after {attempts} attempts: {why}")]
    GivenUp { attempts: u32, why: String },
    #[error("changes while it is read")]
    Changes,
}

/// Brings files to the targets.
#[derive(Debug)]
pub(super) struct Uploader {
    pub(super) http: Http,
    pub(super) targets: Targets,
    /// How often a file is tried again.
    pub(super) retries: u32,
    /// Whether a file with other bytes is replaced.
    pub(super) overwrite: bool,
    /// Whether a file with the same bytes is written once more.
    pub(super) again: bool,
}

/// How far one file is.
#[derive(Debug, Default)]
struct Progress {
    /// Whether what is there is looked at before anything is sent.
    look_first: bool,
    /// Whether it was sent before, so that what is there may be that.
    was_sent: bool,
}

impl Uploader {
    /// Brings it to that URL path.
    pub(super) async fn bring(&self, path: &str, content: &Content) -> Result<Done, NotBrought> {
        let mut progress = Progress {
            look_first: self.overwrite || self.again || !content.is_small(),
            ..Progress::default()
        };
        let mut attempt = 0;
        loop {
            let target = self.targets.next().await;
            let url = format!("{}{path}", self.targets.url(target));
            let trouble = match self.once(&url, content, &mut progress).await {
                Ok(done) => {
                    self.targets.answered(target);
                    return Ok(done);
                }
                Err(trouble) => trouble,
            };
            match trouble.is_down {
                true => self.targets.failed(target),
                false => self.targets.answered(target),
            }
            // The receiver has noticed that these are not the bytes that were read first, and stored nothing.
            if !content.is_current() {
                return Err(NotBrought::Changes);
            }
            if !trouble.may_pass {
                return Err(NotBrought::Refused(trouble.why));
            }
            if attempt == self.retries {
                return Err(NotBrought::GivenUp { attempts: attempt + 1, why: trouble.why });
            }
            log::debug!("attempt {} of {path}: {}", attempt + 1, trouble.why);
            sleep(pause(attempt).max(trouble.after.min(AFTER_MAX))).await;
            attempt += 1;
        }
    }

    async fn once(&self, url: &str, content: &Content, progress: &mut Progress) -> Result<Done, Trouble> {
        let mut is_missing = !self.overwrite;
        if progress.look_first {
            match self.is_there(url, content).await? {
                Some(true) if progress.was_sent => return Ok(Done::Stored),
                Some(true) if !self.again => return Ok(Done::Same),
                Some(true) => is_missing = false,
                Some(false) if !self.overwrite => {
                    return Err(Trouble::lasting(
                        "there is another file of this name; it was left as it is (--overwrite replaces it)",
                    ));
                }
                Some(false) | None => {}
            }
        }
        let answer = self.http.send(self.put(url, content, is_missing)?, sending(content)).await;
        progress.was_sent = true;
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => {
                progress.look_first = true;
                return Err(trouble);
            }
        };
        match answer.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(Done::Stored),
            StatusCode::PRECONDITION_FAILED if !progress.look_first => {
                // Something is there; what, is seen in the next attempt, at once.
                (progress.look_first, progress.was_sent) = (true, false);
                Box::pin(self.once(url, content, progress)).await
            }
            StatusCode::PRECONDITION_FAILED => Err(Trouble {
                may_pass: true,
                ..Trouble::lasting(format!("{url}: someone else writes this file, too"))
            }),
            _ => {
                progress.look_first = true;
                Err(refusal(url, answer).await)
            }
        }
    }

    fn put(
        &self,
        url: &str,
        content: &Content,
        is_missing: bool,
    ) -> Result<Request<super::http::RequestBody>, Trouble> {
        let body = StreamBody::new(content.pieces().map_ok(Frame::data));
        let mut request = Request::builder()
            .method(Method::PUT)
            .uri(url)
            .header(header::CONTENT_LENGTH, content.length)
            .header(REPR_DIGEST, format!("sha-256=:{}:", STANDARD.encode(content.sha256)));
        if is_missing {
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        let request = request.body(body.boxed_unsync());
        request.map_err(|error| Trouble::lasting(format!("{url:?} is no URL: {error}")))
    }

    /// Whether the same bytes are there; `None` if nothing is.
    async fn is_there(&self, url: &str, content: &Content) -> Result<Option<bool>, Trouble> {
        let answer = self.http.look(Method::HEAD, url).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            _ => return Err(refusal(url, answer).await),
        }
        let length = answer.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length != content.length) {
            return Ok(Some(false));
        }
        let answer = self.http.look(Method::GET, url).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            _ => return Err(refusal(url, answer).await),
        }
        if answer.body().size_hint().exact().is_some_and(|length| length != content.length) {
            return Ok(Some(false));
        }
        let mut sha256 = Sha256::new();
        read(answer.into_body(), |piece| {
            sha256.update(piece);
            Ok::<_, io::Error>(())
        })
        .await
        .map_err(|error| Trouble::down(format!("{url}: the answer broke off: {error}")))?;
        Ok(Some(sha256.finalize().as_slice() == content.sha256))
    }
}

/// How long sending may take.
fn sending(content: &Content) -> Duration {
    Duration::from_secs(content.length / BYTES_PER_SECOND_MIN)
}

/// How long to wait after that attempt, from 0: longer each time, and not the same for all.
pub(super) fn pause(attempt: u32) -> Duration {
    PAUSE.0.saturating_mul(1 << attempt.min(10)).min(PAUSE.1).mul_f64(0.5 + fastrand::f64() / 2.0)
}
