//! One connection: reads it, runs the handler, and decides when it ends.
//!
//! Here is waiting, and little else: what the bytes mean is decided in `conn`, how an answer is written in `answer`.
//!
//! One task serves one connection. The requests on it are futures of that task. An ordinary GET is one read and one
//! vectored write: its records arrive together, the handler answers without waiting, and after a short read tokio does
//! not ask the socket again before it has become readable.
//!
//! **Who may stop what.** A handler is not dropped because the web server or its client went away, for it may be in the
//! middle of something that must be finished, unless it says that it may be ([`Handler::may_be_dropped`]). It
//! notices by [`BodyError::Cut`] if the body was still arriving, runs to its end, and its answer is thrown away; a
//! stream that is being sent is dropped at once. Only the deadline after the stop signal drops every handler. A web
//! server that closes its side of a connection counts as gone: none half-closes.
//!
//! **When a connection ends.** FastCGI has no way to tell a web server that a connection which it asked to keep is about
//! to be closed. What it sends at that moment is lost, and nginx repeats it only if it has the body still. So after
//! the stop signal a connection is served on until it has been quiet for a while, or passed to the process that takes
//! this one's place, which loses nothing at all.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};

use super::answer::send;
use super::conn::{Connection, Event, ProtocolError};
use super::exchange::{Exchange, RequestBody, Wanted};
use super::pairs::Params;
use super::server::{Handler, Limits};
use super::work::Work;
use crate::response::{BodyError, Response};

/// Why a connection ended before its time. Requests that were open on it are lost.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Reading or writing failed; usually the web server has gone.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// What came in was not FastCGI.
    #[error("the web server broke the FastCGI protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// An answer had begun and could not be completed. Only a connection cut in the middle tells the web server so.
    #[error("the body of an answer ended before its end: {0}")]
    Body(#[source] BodyError),
    /// A file was shorter than the slice of it that was to be sent, or could not be read.
    #[error("a file could not be sent: {0}")]
    File(#[source] io::Error),
}

/// The buffer for a request with its parameters.
const READ_SMALL: usize = 16 << 10;
/// The buffer while a body is arriving.
const READ_LARGE: usize = 64 << 10;
/// How long the rest of a body that nobody wanted is read before the connection is closed all the same.
const LINGER: Duration = Duration::from_secs(2);
/// How long nothing may arrive on a connection after the stop signal before it is closed. A web server sends its first
/// request as soon as it has connected, and uses the connection it used last before others.
const QUIET: Duration = Duration::from_millis(500);
/// How long after the stop signal a connection that is never quiet is served on. Then it is closed after an answer.
const KEPT_AFTER_STOP: Duration = Duration::from_secs(1);

/// What sends nginx elsewhere for the rest of an answer.
const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// Returns when the signal is given, or can no longer be.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves one connection until the web server closes it, a request that came without `FCGI_KEEP_CONN` is answered, or
/// `stop` says true and nothing has come for a while.
///
/// # Errors
/// The connection could not be used to its end. Handlers that were running have been let run to theirs.
pub async fn serve_connection<S, H>(
    stream: S,
    handler: H,
    limits: Limits,
    stop: watch::Receiver<bool>,
) -> Result<(), ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handler,
{
    converse(stream, handler, limits, stop, || false).await.map(drop)
}

/// The same. If `hand_on` says true after the stop signal, the stream comes back as soon as it is between two requests.
pub(super) async fn converse<S, H>(
    stream: S,
    handler: H,
    limits: Limits,
    stop: watch::Receiver<bool>,
    hand_on: impl Fn() -> bool,
) -> Result<Option<S>, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handler,
{
    let (mut reader, writer) = tokio::io::split(stream);
    let writer = Mutex::new(writer);
    let mut stopping = pin!(stopped(stop));
    let mut connection = Connection::new(limits.of_a_connection());
    let mut input = BytesMut::new();
    let mut open = Open::new(&limits);
    let ending = Ending::default();
    let mut work = Work::default();
    // While an answer of the protocol itself is being written nothing is read, so that there is never a second.
    let mut writing = false;
    let mut stopped_at: Option<Instant> = None;

    let end = loop {
        while let Some(event) = connection.poll_event() {
            if let Some(answering) = open.handle(event) {
                ending.begin(stopped_at);
                work.begin(perform(answering, &handler, &writer, &ending));
            }
        }
        if let Some(bytes) = connection.poll_output() {
            writing = true;
            work.begin(perform(Job::Write(bytes), &handler, &writer, &ending));
        }
        if connection.is_finished() && work.is_empty() {
            break Ok(End::Finished);
        }
        let between = work.is_empty() && input.is_empty() && connection.is_between_requests();
        if between && let Some(end) = ending.between(stopped_at, &hand_on) {
            break Ok(end);
        }
        tokio::select! {
            biased;
            (done, result) = work.next(), if !work.is_empty() => {
                match done {
                    Some(answered) => open.end(&answered, &mut connection),
                    None => writing = false,
                }
                if let Err(error) = result {
                    break Err(error);
                }
            }
            taken = take_in(&mut reader, &mut input, &mut connection, &open), if !writing => match taken {
                Ok(Some(end)) => break Ok(end),
                Ok(None) => {}
                Err(error) => break Err(error),
            },
            () = &mut stopping, if stopped_at.is_none() => stopped_at = Some(Instant::now()),
            () = async { sleep(QUIET).await }, if stopped_at.is_some() && between => break Ok(End::Finished),
        }
    };
    open.wind_up(work).await;
    close(reader.unsplit(writer.into_inner()), end?, connection.is_input_owed()).await
}

/// Ends a connection, or gives it back to be left to the next process.
async fn close<S>(mut stream: S, end: End, is_input_owed: bool) -> Result<Option<S>, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match end {
        End::Left => return Ok(Some(stream)),
        End::Finished if is_input_owed => linger(&mut stream).await?,
        End::Finished | End::Gone => {}
    }
    Ok(None)
}

/// Says that nothing more will be written, and reads what is still coming. Closing at once could reset the connection
/// under the answer: the web server is still writing.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.shutdown().await?;
    let _ = timeout(LINGER, tokio::io::copy(stream, &mut tokio::io::sink())).await;
    Ok(())
}

/// How a connection ended well.
enum End {
    /// By us.
    Finished,
    /// By the web server.
    Gone,
    /// It has not: it is left to the next process.
    Left,
}

/// The requests of a connection that are open.
struct Open {
    exchanges: Vec<(u16, Arc<Exchange>)>,
    /// How much of its body may wait for the handler of each.
    body_queue_bytes: usize,
}

impl Open {
    fn new(limits: &Limits) -> Self {
        Self { exchanges: Vec::new(), body_queue_bytes: limits.body_queue_bytes }
    }

    /// What is to be done about an event: a request is to be answered. All others concern a request that is open; or was,
    /// for it may have been answered before its body was complete.
    fn handle(&mut self, event: Event) -> Option<Job> {
        match event {
            Event::Request { id, params } => {
                let exchange = Exchange::new(self.body_queue_bytes);
                self.exchanges.push((id, exchange.clone()));
                return Some(Job::Answer { id, params, exchange });
            }
            Event::Body { id, bytes } => self.tell(id, |exchange| exchange.push(bytes)),
            Event::BodyEnd { id } => self.tell(id, Exchange::complete),
            Event::Abort { id } => self.tell(id, |exchange| exchange.reduce(Wanted::EndOnly)),
        }
        None
    }

    fn tell(&self, id: u16, what: impl FnOnce(&Exchange)) {
        if let Some((_, exchange)) = self.exchanges.iter().find(|(open, _)| *open == id) {
            what(exchange);
        }
    }

    /// A request has been answered.
    fn end(&mut self, answered: &Answered, connection: &mut Connection) {
        self.forget(answered.id);
        connection.end(answered.id);
        if answered.is_last {
            connection.close();
        }
    }

    fn forget(&mut self, id: u16) {
        self.exchanges.retain(|(open, _)| *open != id);
    }

    /// Whether every request has room for more of its body.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        for (_, exchange) in &self.exchanges {
            ready!(exchange.poll_room(context));
        }
        Poll::Ready(())
    }

    /// Nobody waits for an answer any more: lets handlers run to their end. Answers of the protocol itself are of no use
    /// then, and might never be read.
    async fn wind_up<F: Future<Output = Done>>(mut self, mut work: Work<F>) {
        self.exchanges.iter().for_each(|(_, exchange)| exchange.reduce(Wanted::No));
        while !self.exchanges.is_empty() && !work.is_empty() {
            if let (Some(answered), _) = work.next().await {
                self.forget(answered.id);
            }
        }
    }
}

/// Something a connection does beside reading.
enum Job {
    /// Answers a request.
    Answer { id: u16, params: Params, exchange: Arc<Exchange> },
    /// Writes whole records.
    Write(Bytes),
}

/// How a connection is ended whose web server never leaves it quiet: with the last byte of an answer, so that nothing
/// can be sent on it in between.
#[derive(Debug, Default)]
struct Ending {
    /// Requests that are open.
    open: AtomicUsize,
    /// The stop signal is long ago: the answer to the last request that is open is the last one.
    is_due: AtomicBool,
    is_said: AtomicBool,
}

impl Ending {
    fn begin(&self, stopped_at: Option<Instant>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        if stopped_at.is_some_and(|since| since.elapsed() > KEPT_AFTER_STOP) {
            self.is_due.store(true, Ordering::Relaxed);
        }
    }

    /// A request has been answered. Whether that was the last answer.
    fn end(&self) -> bool {
        let last = self.open.fetch_sub(1, Ordering::Relaxed) == 1 && self.is_due.load(Ordering::Relaxed);
        self.is_said.fetch_or(last, Ordering::Relaxed) || last
    }

    /// Whether the connection ends now that it is between two requests.
    fn between(&self, stopped_at: Option<Instant>, hand_on: impl Fn() -> bool) -> Option<End> {
        let since = stopped_at?;
        if self.is_said.load(Ordering::Relaxed) || since.elapsed() > KEPT_AFTER_STOP {
            return Some(End::Finished);
        }
        hand_on().then_some(End::Left)
    }
}

/// A request that has ended.
struct Answered {
    id: u16,
    /// The web server will not use its connection again.
    is_last: bool,
}

/// Whether a web server drops its connection as soon as it has read this head, though it has asked to keep it: so does
/// nginx, which leaves the responder for the file or the location that it is sent to
/// (`ngx_http_upstream_process_headers`). To wait for its next request costs more than the answer did.
fn is_last(response: &Response) -> bool {
    response.headers.contains_key(X_ACCEL_REDIRECT)
}

/// What came of a job, and the request that has thereby ended.
type Done = (Option<Answered>, Result<(), ServeError>);

/// Does it.
async fn perform<W, H>(job: Job, handler: &H, writer: &Mutex<W>, ending: &Ending) -> Done
where
    W: AsyncWrite + Unpin,
    H: Handler,
{
    match job {
        Job::Answer { id, params, exchange } => {
            let body = Box::pin(RequestBody(exchange.clone()));
            let may_be_dropped = handler.may_be_dropped(&params);
            let handled = handler.handle(params, body);
            let response = if may_be_dropped {
                exchange.while_wanted(Wanted::Yes, handled).await
            } else {
                Some(handled.await)
            };
            // Of an answer that nobody wants nothing is sent but the end.
            let response = response.unwrap_or_else(|| Response::new(StatusCode::NO_CONTENT));
            let is_last = is_last(&response);
            let sending = send(id, response, &exchange, writer);
            let sent = exchange.while_wanted(Wanted::EndOnly, sending).await;
            // Without a wait since the last byte: see `Ending`.
            if ending.end() {
                let _ = writer.lock().await.shutdown().await;
            }
            (Some(Answered { id, is_last }), sent.unwrap_or(Ok(())))
        }
        Job::Write(bytes) => {
            let written = writer.lock().await.write_all(&bytes).await;
            (None, written.map_err(ServeError::Io))
        }
    }
}

/// Reads, and tells the connection what came, or that the web server has gone. Dropping the future loses nothing.
async fn take_in<R: AsyncRead + Unpin>(
    reader: &mut R,
    input: &mut BytesMut,
    connection: &mut Connection,
    open: &Open,
) -> Result<Option<End>, ServeError> {
    if read(reader, input, connection.is_body_arriving(), open).await? == 0 {
        return Ok(Some(End::Gone));
    }
    connection.handle_input(input)?;
    Ok(None)
}

/// Waits until every queue has room, then for input, and appends it to `input`. A connection that waits with an empty
/// buffer has none: thousands of idle ones cost little.
async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    input: &mut BytesMut,
    large: bool,
    open: &Open,
) -> io::Result<usize> {
    let capacity = if large { READ_LARGE } else { READ_SMALL };
    poll_fn(|context| {
        ready!(open.poll_room(context));
        if input.capacity() - input.len() < capacity / 2 {
            input.reserve(capacity);
        }
        let read = pin!(reader.read_buf(input)).poll(context);
        if read.is_pending() && input.is_empty() {
            *input = BytesMut::new();
        }
        read
    })
    .await
}
