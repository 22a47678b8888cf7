//! The embedded HTTP/1.1 front, on hyper: for trying webdfs out, for tests, and for traffic between nodes that should
//! not pass through the web server.
//!
//! When a client goes away hyper drops what works for it. A write may be in the middle of something that must be
//! finished, so each has a task of its own ([`Handler::may_be_dropped`]).
//!
//! It reads files rather than mapping them: hyper may copy what it is given, and a copy from a map of a file that
//! shrank is a SIGBUS.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode, Version, header};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::task::TaskTracker;

use super::linger::Lingering;
use crate::deliver::file;
use crate::incoming::unstalled;
use crate::request::{Request, Via};
use crate::response::{Body, BodyError, ByteStream, Part, Response};
use crate::service::refusal_of;

/// How long a client's body may stall.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may take none of the bytes of its answer. Without a limit, clients that never read would hold
/// their connections, and in the end all of them.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a kept connection may still bring a request after the stop signal. The answer to that says that the
/// connection ends with it; a connection closed out of the blue could meet a request on its way.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// What answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request. The future runs to its end even if the client goes away meanwhile, unless
    /// [`may_be_dropped`](Self::may_be_dropped) says otherwise.
    fn handle(&self, request: Request, body: ByteStream) -> impl Future<Output = Response> + Send;

    /// Whether the answer to this request may be given up at any point once nobody waits for it.
    fn may_be_dropped(&self, _request: &Request) -> bool {
        false
    }
}

/// What clients may ask for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; others wait in the socket's backlog.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// How long running requests may take after the stop signal.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            head_timeout: Duration::from_secs(60),
            head_bytes_max: 64 << 10,
            drain: Duration::from_secs(30),
        }
    }
}

/// Accepts connections until `stop` says so, then lets running requests finish within the deadline, those too whose
/// clients have gone.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: H,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    let writes = TaskTracker::new();
    let mut stopped = stop.clone();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = stopping(&mut stopped) => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = accepted => match accepted {
                Ok((stream, address)) => {
                    let answering = Answering { handler: handler.clone(), writes: writes.clone(), stop: stop.clone() };
                    let connection = connection(stream, address, answering, limits.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, usually: others have to end first.
                    log::warn!("a connection cannot be accepted: {error}");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let drained = timeout(limits.drain, async {
        while connections.join_next().await.is_some() {}
        writes.close();
        writes.wait().await;
    });
    if drained.await.is_err() {
        log::warn!("{} connections and {} writes did not end in time", connections.len(), writes.len());
    }
}

/// What a connection needs to answer its requests.
struct Answering<H> {
    handler: H,
    /// Handlers that outlive their connections.
    writes: TaskTracker,
    stop: watch::Receiver<bool>,
}

impl<H: Handler> Answering<H> {
    /// Has a request answered.
    ///
    /// # Errors
    /// The handler panicked.
    async fn answer(&self, request: Request, body: ByteStream) -> Result<Response, JoinError> {
        if self.handler.may_be_dropped(&request) {
            return Ok(self.handler.handle(request, body).await);
        }
        let handler = self.handler.clone();
        self.writes.spawn(async move { handler.handle(request, body).await }).await
    }
}

async fn connection<H: Handler>(
    stream: TcpStream,
    address: SocketAddr,
    answering: Answering<H>,
    limits: Limits,
) {
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("{address}: {error}");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let mut stop = answering.stop.clone();
    let answering = Arc::new(answering);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answering = Arc::clone(&answering);
        async move {
            if !names_its_host(&request) {
                let problem = "a request of HTTP/1.1 has one Host header";
                return Ok(sent(refusal_of(StatusCode::BAD_REQUEST, problem)));
            }
            let (request, body) = received(request, address.ip());
            let mut answer = sent(answering.answer(request, body).await?);
            if *answering.stop.borrow() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, JoinError>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes_max)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = async { stopping(&mut stop).await; sleep(LAST_REQUEST).await } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        log::debug!("{address}: {error}");
    }
}

/// Waits for the stop signal. A sender that is gone has stopped too.
async fn stopping(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// RFC 9112 section 3.2: whoever forgets the host, or names two, may mean something else than the next server reads.
fn names_its_host<T>(request: &hyper::Request<T>) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11)
}

fn received(request: hyper::Request<Incoming>, address: IpAddr) -> (Request, ByteStream) {
    let (head, body) = request.into_parts();
    let content_length =
        head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let target = head.uri.path_and_query().map_or_else(|| head.uri.path().to_owned(), ToString::to_string);
    let request = Request {
        method: head.method,
        target: Bytes::from(target),
        headers: head.headers,
        content_length,
        address: Some(address),
        user: None,
        via: Via::Embedded,
        failed_peers: Vec::new(),
        failed_file: false,
        sends_files: false,
    };
    // Its client waits for a word before it sends anything.
    if request.headers.contains_key(header::EXPECT) {
        return (request, unstalled(body, BODY_TIMEOUT));
    }
    (request, unstalled(Lingering::new(body), BODY_TIMEOUT))
}

fn sent(
    response: Response,
) -> hyper::Response<StreamBody<impl Stream<Item = Result<Frame<Bytes>, BodyError>> + Send + 'static>> {
    let body = StreamBody::new(bytes_of(response.body).map(|piece| piece.map(Frame::data)));
    let mut sent = hyper::Response::new(body);
    *sent.status_mut() = response.status;
    *sent.headers_mut() = response.headers;
    sent
}

/// The bytes of a body, part after part.
fn bytes_of(body: Body) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    stream::iter(body.parts).flat_map(|part| -> ByteStream {
        match part {
            Part::Bytes(bytes) => Box::pin(stream::iter([Ok(bytes)])),
            Part::File(slice) => file::stream(slice),
            Part::Stream(stream) => stream,
        }
    })
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers `/endless` without end, and everything else with nothing.
    #[derive(Clone)]
    struct Endless;

    impl Handler for Endless {
        async fn handle(&self, request: Request, _body: ByteStream) -> Response {
            let mut response = Response::new(http::StatusCode::OK);
            if request.target == "/endless" {
                let endless: ByteStream =
                    Box::pin(stream::repeat_with(|| Ok(Bytes::from_static(&[7; 64 << 10]))));
                response.body.parts.push_back(Part::Stream(endless));
            }
            response
        }
    }

    async fn ask(address: SocketAddr, target: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_sends_a_body_that_nobody_reads_gets_the_answer_all_the_same() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, Endless, Limits::default(), stopped));
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
        for attempt in 0..500 {
            let piece = || Ok::<_, BodyError>(Frame::data(Bytes::from_static(&[7; 10_000])));
            let body = StreamBody::new(stream::repeat_with(piece).take(30));
            let request = hyper::Request::put(format!("http://{address}/a"))
                .header(header::CONTENT_LENGTH, 300_000)
                .body(body)
                .unwrap();
            let answer = client.request(request).await;
            assert!(
                answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK),
                "{attempt}: {answer:?}"
            );
        }
        stop.send_replace(true);
        serving.await.unwrap();
    }

    /// Waits for its permission after it was asked, then says that it is done.
    #[derive(Clone)]
    struct Slow {
        asked: Arc<Semaphore>,
        may_go_on: Arc<Semaphore>,
        done: Arc<Semaphore>,
    }

    impl Handler for Slow {
        fn may_be_dropped(&self, request: &Request) -> bool {
            request.method == http::Method::GET
        }

        async fn handle(&self, _request: Request, _body: ByteStream) -> Response {
            self.asked.add_permits(1);
            self.may_go_on.acquire().await.unwrap().forget();
            self.done.add_permits(1);
            Response::new(StatusCode::OK)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_whose_client_has_gone_runs_to_its_end_and_the_stop_waits_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let none = || Arc::new(Semaphore::new(0));
        let slow = Slow { asked: none(), may_go_on: none(), done: none() };
        let limits = Limits { connections_max: 1, ..Limits::default() };
        let mut serving = tokio::spawn(serve(listener, slow.clone(), limits, stopped));
        let ask = async |head: &str| {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(head.as_bytes()).await.unwrap();
            slow.asked.acquire().await.unwrap().forget();
            client
        };
        // The next is accepted only after the connection before it has ended.
        drop(ask("DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n").await);
        drop(ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await);
        drop(ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await);
        stop.send_replace(true);
        let early = timeout(Duration::from_secs(10), &mut serving).await;
        assert!(early.is_err(), "the write still runs");
        slow.may_go_on.add_permits(3);
        serving.await.unwrap();
        // That of the DELETE; the other two were given up.
        assert_eq!(slow.done.available_permits(), 1);
    }

    /// Reads a body, says when it has had a piece of it, waits for its permission, and tells how the body ended.
    #[derive(Clone)]
    struct Reader {
        begun: Arc<Semaphore>,
        may_go_on: Arc<Semaphore>,
        ended: tokio::sync::mpsc::UnboundedSender<Result<usize, String>>,
    }

    impl Handler for Reader {
        async fn handle(&self, _request: Request, mut body: ByteStream) -> Response {
            let mut length = 0;
            let ended = loop {
                match body.next().await {
                    Some(Ok(piece)) => length += piece.len(),
                    Some(Err(error)) => break Err(error.to_string()),
                    None => break Ok(length),
                }
                self.begun.add_permits(1);
                self.may_go_on.acquire().await.unwrap().forget();
            };
            self.ended.send(ended).unwrap();
            Response::new(StatusCode::NO_CONTENT)
        }
    }

    // hyper sees to that. A write that runs on without its connection depends on it.
    #[tokio::test(start_paused = true)]
    async fn a_body_of_unknown_length_is_cut_off_with_its_connection_and_has_no_end() {
        for (rest, whole) in [("", false), ("0\r\n\r\n", true)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = watch::channel(false);
            let none = || Arc::new(Semaphore::new(0));
            let (ended, mut outcome) = tokio::sync::mpsc::unbounded_channel();
            let reader = Reader { begun: none(), may_go_on: none(), ended };
            let serving = tokio::spawn(serve(listener, reader.clone(), Limits::default(), stopped));
            let mut client = TcpStream::connect(address).await.unwrap();
            let head = "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
            client.write_all(head.as_bytes()).await.unwrap();
            reader.begun.acquire().await.unwrap().forget();
            client.write_all(rest.as_bytes()).await.unwrap();
            if !whole {
                // The deadline drops the connection; what runs for it goes on.
                stop.send_replace(true);
                serving.await.unwrap();
            }
            reader.may_go_on.add_permits(1);
            let ended = outcome.recv().await.unwrap();
            assert_eq!(ended.is_ok(), whole, "{ended:?}");
        }
    }

    // The clock stands still while anything can be done, and jumps to the next deadline when everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_no_bytes_gives_its_place_to_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let limits = Limits { connections_max: 1, ..Limits::default() };
        let _deaf = ask(address, "/endless").await;
        let serving = tokio::spawn(serve(listener, Endless, limits, stopped));
        let mut next = ask(address, "/").await;
        let mut answer = Vec::new();
        let answered = timeout(Duration::from_secs(3600), next.read_to_end(&mut answer)).await;
        assert!(answered.is_ok(), "the first still holds the only place");
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
        serving.abort();
    }
}
