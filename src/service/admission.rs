//! Asking whether a client may do something: the settings, the tokens as they are now, and the limits.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};

use super::refusal::text;
use super::{Service, is_cross_site};
use crate::access::limits::{LimitSettings, Limits, OverLimit, Permit};
use crate::access::right::Operation;
use crate::access::signed::is_signed;
use crate::access::token::Tokens;
use crate::access::{Access, Admitted, By, Question};
use crate::chain::chain;
use crate::clock;
use crate::config::{ConfigError, load_tokens};
use crate::deliver;
use crate::disk::on_thread;
use crate::name::{ObjectName, Target, encoded_path, query};
use crate::peer::sign;
use crate::request::Request;
use crate::response::{ByteStream, Response};

/// How long a change of tokens.toml may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who may do what here, and how much of it.
pub struct Gate {
    access: Access,
    tokens: LiveTokens,
    limits: Arc<Limits>,
}

impl Gate {
    /// The gate of a node with these settings and this file of tokens, if it has one.
    ///
    /// # Errors
    /// When the tokens cannot be read, or are refused.
    pub fn new(access: Access, tokens: Option<&Path>, limits: LimitSettings) -> Result<Self, ConfigError> {
        Ok(Self { access, tokens: LiveTokens::open(tokens)?, limits: Arc::new(Limits::new(limits)) })
    }
}

/// The tokens of a file, which is read again when it has changed.
struct LiveTokens {
    path: Option<PathBuf>,
    state: Mutex<TokensState>,
}

struct TokensState {
    tokens: Arc<Tokens>,
    seen: Option<Stamp>,
    looked: Instant,
}

/// What changes whenever a file does that is replaced or written by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    inode: u64,
    size: u64,
}

impl Stamp {
    /// That of a file; `None` if there is none.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        match path.metadata() {
            Ok(found) => {
                Ok(Some(Self { modified: found.modified()?, inode: found.ino(), size: found.len() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl LiveTokens {
    fn open(path: Option<&Path>) -> Result<Self, ConfigError> {
        // Before it is read: what is written in between is noticed as a change.
        let seen = path.and_then(|path| Stamp::of(path).ok()).flatten();
        let tokens = path.map(load_tokens).transpose()?.flatten().unwrap_or_default();
        let state = TokensState { tokens: Arc::new(tokens), seen, looked: Instant::now() };
        Ok(Self { path: path.map(Path::to_owned), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, TokensState> {
        self.state.lock().expect("no holder panics")
    }

    /// The tokens as they are now, or were a moment ago. A file that is wrong changes nothing; one that is gone takes its
    /// tokens with it.
    async fn current(&self) -> Arc<Tokens> {
        let Some(path) = self.path.clone() else { return Arc::default() };
        let seen = {
            let mut state = self.state();
            if state.looked.elapsed() < LOOK_EVERY {
                return Arc::clone(&state.tokens);
            }
            state.looked = Instant::now();
            state.seen
        };
        let looked = on_thread(move || {
            let stamp = Stamp::of(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if stamp == seen {
                return Ok(None);
            }
            let tokens = load_tokens(&path).map_err(|error| chain(&error));
            Ok::<_, String>(Some((stamp, tokens, path)))
        });
        let found = looked.await;
        let mut state = self.state();
        match found {
            Ok(None) => {}
            Ok(Some((stamp, tokens, path))) => {
                // A file that is wrong is told of once.
                state.seen = stamp;
                match tokens {
                    Ok(tokens) => {
                        state.tokens = Arc::new(tokens.unwrap_or_default());
                        log::info!("{} was read again: {} tokens", path.display(), state.tokens.0.len());
                    }
                    Err(error) => log::error!("the old tokens stay: {error}"),
                }
            }
            Err(error) => log::error!("the old tokens stay: {error}"),
        }
        Arc::clone(&state.tokens)
    }
}

impl Service {
    /// The decoded URL path that a request means.
    pub(super) fn path_of(&self, target: &Target) -> Vec<u8> {
        target.url_path(&self.settings.deliver.prefix)
    }

    /// The decoded URL path of an object.
    pub(super) fn path_of_object(&self, name: &ObjectName) -> Vec<u8> {
        [self.settings.deliver.prefix.as_bytes(), name.as_bytes()].concat()
    }

    /// Whether reading what a request means needs a right.
    pub(super) fn is_private(&self, target: &Target) -> bool {
        !self.gate.access.private.is_empty() && self.gate.access.is_private(&self.path_of(target))
    }

    /// Whether another node's web server sent this request here on behalf of a client whom that node has admitted.
    pub(super) fn is_hop(&self, request: &Request) -> bool {
        let mark = request.headers.get(deliver::HOP);
        mark.is_some_and(|mark| {
            sign::is_hop(&self.signer, &request.target, mark.as_bytes(), clock::seconds())
        })
    }

    /// Whether the node to which a client is sent decides as this one has: it sees the URL, and none of what else the client
    /// has shown here.
    pub(super) fn is_admitted_anywhere(&self, request: &Request, name: &ObjectName) -> bool {
        !self.gate.access.is_private(&self.path_of_object(name))
            || query(&request.target).is_some_and(is_signed)
    }

    /// Whether a client may do something at a decoded URL path; else the answer, which says nothing of the reason.
    pub(super) async fn admit(
        &self,
        request: &Request,
        operation: Operation,
        path: &[u8],
    ) -> Result<Admitted, Response> {
        let authorization = request.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let tokens = match authorization {
            Some(_) => self.gate.tokens.current().await,
            None => Arc::default(),
        };
        let question = Question {
            operation,
            method: request.method.as_str(),
            path,
            query: query(&request.target),
            authorization,
            address: request.address,
            user: request.user.as_deref(),
            now: clock::seconds(),
        };
        let method = &request.method;
        match self.gate.access.decide(&tokens, &question) {
            Ok(admitted) => {
                let level = match &admitted.by {
                    By::Everybody | By::AllowList => log::Level::Debug,
                    _ if operation == Operation::Get => log::Level::Debug,
                    _ => log::Level::Info,
                };
                log::log!(level, "{method} {} is allowed by {}", encoded_path(path), admitted.by);
                Ok(admitted)
            }
            Err(refused) => {
                let from =
                    request.address.map_or_else(|| "an unknown address".to_owned(), |ip| ip.to_string());
                log::warn!("403: {method} {} from {from}: {operation}: {refused}", encoded_path(path));
                Err(bare(StatusCode::FORBIDDEN))
            }
        }
    }

    /// The same of something that changes what is stored: a page of another site must not make a browser do it.
    pub(super) async fn admit_write(
        &self,
        request: &Request,
        operation: Operation,
        path: &[u8],
    ) -> Result<Admitted, Response> {
        let admitted = self.admit(request, operation, path).await?;
        if admitted.is_ambient() && is_cross_site(&request.headers) {
            return Err(text(StatusCode::FORBIDDEN, "a page of another site may not write here"));
        }
        Ok(admitted)
    }

    /// Counts a request that writes, and its body as it comes.
    ///
    /// # Errors
    /// When its client is over a limit; [`too_many`] is the answer.
    pub(super) fn within_limits(
        &self,
        request: &Request,
        body: ByteStream,
    ) -> Result<(Option<Arc<Permit>>, ByteStream), OverLimit> {
        if self.gate.limits.are_none() {
            return Ok((None, body));
        }
        let is_upload = matches!(request.method.as_str(), "PUT" | "POST");
        let admitted = self.gate.limits.admit(request.address, is_upload, Instant::now());
        let permit = Arc::new(admitted.inspect_err(|over| {
            log::debug!("429: {:?} is over [limits] {}", request.address, over.limit);
        })?);
        let counter = Arc::clone(&permit);
        let counted = body.inspect(move |piece| {
            if let Ok(piece) = piece {
                counter.count(piece.len(), Instant::now());
            }
        });
        Ok((Some(permit), Box::pin(counted)))
    }
}

/// The answer to a client that is over a limit.
pub(super) fn too_many(over: OverLimit) -> Response {
    let mut response = bare(StatusCode::TOO_MANY_REQUESTS);
    let seconds = over.retry_after.as_secs_f64().ceil().max(1.0) as u64;
    response.headers.insert(header::RETRY_AFTER, seconds.into());
    response
}

/// A status and no more than its own words.
fn bare(status: StatusCode) -> Response {
    text(status, status.canonical_reason().unwrap_or_default())
}
