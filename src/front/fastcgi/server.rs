//! The tokio shell: accepts connections, and ends them.
//!
//! What happens on one is in `connection`. It begins at once, on the thread that has accepted it, and gets a task of its
//! own when it has to wait.
//!
//! When the process stops, connections that the web server keeps are treated with care: it may be sending a request on
//! one at this very moment, and it cannot always repeat it.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::poll_immediate;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::conn::ConnectionLimits;
use super::connection::{ServeError, converse, stopped};
use super::pairs::Params;
use crate::front::listen::{Bell, Listener, Stream, attend};
use crate::response::{ByteStream, Response};

/// What answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request. `body` ends without an error only if the web server said that it was complete; a handler
    /// that does not want it drops it. The future runs to its end even if the web server goes away meanwhile, unless
    /// [`may_be_dropped`](Self::may_be_dropped) says otherwise.
    fn handle(&self, params: Params, body: ByteStream) -> impl Future<Output = Response> + Send;

    /// Whether the answer to this request may be given up at any point once nobody waits for it: what it does by then
    /// has no need of an end.
    fn may_be_dropped(&self, _params: &Params) -> bool {
        false
    }
}

/// What web servers may ask for, each and all together.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once, 1 or more; others wait in the socket's backlog. Each takes a file descriptor.
    pub connections_max: usize,
    /// Requests at once on one connection, 1 or more. More are refused as the protocol provides.
    pub requests_max: usize,
    /// Parameter bytes of one request; nginx sends at most 65,535. One with more is answered with status 431.
    pub params_bytes_max: usize,
    /// Body bytes of one request that have been read and not yet taken by the handler. The connection is not read
    /// while that many are waiting; the read that reaches it may pass it.
    pub body_queue_bytes: usize,
    /// How long running requests may take after the stop signal.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            requests_max: 32,
            params_bytes_max: 128 << 10,
            body_queue_bytes: 256 << 10,
            drain: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Those of each connection.
    pub(super) fn of_a_connection(&self) -> ConnectionLimits {
        ConnectionLimits {
            params_bytes_max: self.params_bytes_max,
            requests_max: self.requests_max.max(1),
            connections_max: self.connections_max,
        }
    }
}

/// How a connection ends: well, perhaps left open for the next process, or before its time.
type Ended = Result<Option<Stream>, ServeError>;
/// What a request died of.
type Panic = Box<dyn Any + Send>;

/// What the thread is called on which connections are accepted.
const THREAD: &str = "accept";
/// How long to wait when no connection can be accepted, for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After the stop signal: how long nobody must have come before the socket is closed, and the longest that this may take.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);
const QUEUE_LAST: Duration = Duration::from_secs(1);

/// How kept connections pass from a process to the one that takes its place. Between two requests there is nothing to a
/// connection but its socket, and what has been sent on it already goes along.
#[derive(Debug, Default)]
pub struct Relay {
    /// Connections of the process whose place this one has taken.
    pub taken: Option<mpsc::UnboundedReceiver<Stream>>,
    /// Where connections go that are between two requests after the stop signal; without one they are closed.
    pub successor: Arc<OnceLock<mpsc::UnboundedSender<Stream>>>,
}

/// Accepts connections and serves them until `stop` says true, or its sender is dropped. Then what waits in the socket's
/// queue is still taken, connections are closed once they have been idle for a moment, and running requests are finished;
/// what still runs after [`Limits::drain`] is dropped. Returns when the last connection has ended.
pub async fn serve<H: Handler>(listener: Listener, handler: H, limits: Limits, stop: watch::Receiver<bool>) {
    serve_relayed(listener, handler, limits, stop, Relay::default()).await;
}

/// The same for a process that takes another's place, or may be followed by one: see [`Relay`].
///
/// Connections are accepted on a thread of their own, and what can be answered at once is answered there.
pub async fn serve_relayed<H: Handler>(
    listener: Listener,
    handler: H,
    limits: Limits,
    stop: watch::Receiver<bool>,
    relay: Relay,
) {
    let runtime = Handle::current();
    let (end, ended) = oneshot::channel();
    let serve = move || {
        let _within = runtime.enter();
        let _ = end.send(attend(|bell| accept_and_serve(listener, bell, handler, limits, stop, relay)));
    };
    let failed = match thread::Builder::new().name(THREAD.into()).spawn(serve) {
        Ok(_) => match ended.await {
            Ok(served) => served.err(),
            // What it died of has been said by then.
            Err(_) => return,
        },
        Err(error) => Some(error),
    };
    if let Some(error) = failed {
        log::error!("connections cannot be waited for: {error}");
    }
}

async fn accept_and_serve<H: Handler>(
    listener: Listener,
    bell: Arc<Bell>,
    handler: H,
    limits: Limits,
    stop: watch::Receiver<bool>,
    mut relay: Relay,
) {
    let mut connections = JoinSet::new();
    let mut stopping = pin!(stopped(stop.clone()));
    let mut failing = false;
    let successor = Arc::clone(&relay.successor);
    let begin = |stream| {
        let successor = Arc::clone(&successor);
        let hand_on = move || successor.get().is_some();
        let conversation = converse(stream, handler.clone(), limits.clone(), stop.clone(), hand_on);
        // After a panic it is dropped, and nothing else has been in its hands.
        let ended = AssertUnwindSafe(conversation).catch_unwind();
        let successor = Arc::clone(&relay.successor);
        Box::pin(async move { pass_on(report(ended.await), &successor) })
    };
    loop {
        // Nobody is woken up for a connection that has ended: whoever waits here waits for the next to begin.
        while connections.try_join_next().is_some() {}
        let has_room = connections.len() < limits.connections_max.max(1);
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => break,
            Some(_) = connections.join_next(), if !has_room => continue,
            Some(stream) = taken(&mut relay.taken) => Ok(stream),
            // Last, since it waits until one of the others rings the bell.
            accepted = next(&listener, &bell), if has_room => accepted,
        };
        match accepted {
            Ok(stream) => {
                failing = false;
                // Most can end without a wait where a web server opens one for each request: then a task for it, and
                // another thread that wakes up to take that, would cost as much as the answer.
                let mut conversation = begin(stream);
                if poll_immediate(&mut conversation).await.is_none() {
                    connections.spawn(conversation);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    log::error!("{listener}: no connection can be accepted: {error}");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Whom the system has let in already, the end of the socket would turn out. (A successor has the same socket.)
    let last = Instant::now() + QUEUE_LAST;
    while successor.get().is_none()
        && connections.len() < limits.connections_max.max(1)
        && Instant::now() < last
        && let Ok(Some(stream)) = listener.accept(None, Some(QUEUE_PAUSE))
    {
        connections.spawn(begin(stream));
    }
    drop(listener);
    let ended = async {
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                // From a process that is being replaced, too, and has connections left: they go through this one.
                Some(stream) = taken(&mut relay.taken), if relay.successor.get().is_some() => {
                    pass_on(Some(stream), &relay.successor);
                }
                else => break,
            }
        }
    };
    if timeout(limits.drain, ended).await.is_err() && !connections.is_empty() {
        log::warn!("{} connections were still busy at the deadline and are cut", connections.len());
        connections.shutdown().await;
    }
}

/// The next connection. As long as none comes, this thread waits for nothing but the bell.
async fn next(listener: &Listener, bell: &Bell) -> io::Result<Stream> {
    poll_fn(|_| match listener.accept(Some(bell), None).transpose() {
        Some(accepted) => Poll::Ready(accepted),
        None => Poll::Pending,
    })
    .await
}

/// Passes a connection on that was left open.
fn pass_on(left: Option<Stream>, successor: &OnceLock<mpsc::UnboundedSender<Stream>>) {
    if let (Some(stream), Some(successor)) = (left, successor.get()) {
        // If nobody is there to take it, it is closed.
        let _ = successor.send(stream);
    }
}

/// The next connection of the process before this one; `None` for good after the last.
async fn taken(from: &mut Option<mpsc::UnboundedReceiver<Stream>>) -> Option<Stream> {
    let next = from.as_mut()?.recv().await;
    if next.is_none() {
        *from = None;
    }
    next
}

/// Logs what was wrong with a connection that has ended. One that was left open between two requests comes back.
fn report(ended: Result<Ended, Panic>) -> Option<Stream> {
    match ended {
        Ok(Ok(left)) => return left,
        Ok(Err(error @ (ServeError::Io(_) | ServeError::Body(_)))) => log::debug!("{error}"),
        Ok(Err(error)) => log::warn!("{error}"),
        Err(panic) => log::error!("a request ended in a panic: {}", message(&*panic)),
    }
    None
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref().map(String::as_str)).unwrap_or("of unknown cause")
}
