//! A handler that does what a request's parameter `DO` says, and responders on unix sockets.
#![allow(dead_code)]

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, StatusCode};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use webdfs::front::fastcgi::{Handler, Limits, Params, serve};
use webdfs::front::listen::Listener;
use webdfs::response::{Body, BodyError, ByteStream, FileSlice, Response};

use super::cluster::Cluster;
use super::fcgi::Client;
use super::wait_until;

/// Long enough for any machine; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A handler that does what the parameter `DO` says.
#[derive(Clone)]
pub struct Odd {
    /// What handlers have to tell.
    pub told: mpsc::Sender<String>,
    /// Lets a handler go on that waits for it.
    pub gate: Arc<Notify>,
    pub file: Arc<File>,
}

impl Odd {
    pub fn new() -> (Self, mpsc::Receiver<String>) {
        let (told, tales) = mpsc::channel();
        let file = Arc::new(tempfile::tempfile().unwrap());
        (Self { told, gate: Arc::default(), file }, tales)
    }

    fn tell(&self, tale: impl Into<String>) {
        let _ = self.told.send(tale.into());
    }
}

/// Tells when it is dropped.
pub struct Guard(Odd, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.tell(self.1);
    }
}

pub fn ok(body: impl Into<Body>) -> Response {
    Response { body: body.into(), ..Response::new(StatusCode::OK) }
}

/// The length of a body, or why it ended.
pub async fn consume(mut body: ByteStream) -> Result<usize, BodyError> {
    let mut length = 0;
    while let Some(piece) = body.next().await {
        length += piece?.len();
    }
    Ok(length)
}

impl Handler for Odd {
    async fn handle(&self, params: Params, body: ByteStream) -> Response {
        let text = |name: &[u8]| params.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let number = |name: &[u8]| text(name).unwrap().parse::<u64>().unwrap();
        match text(b"DO").as_deref() {
            Some("echo") => ok(body),
            Some("count") => match consume(body).await {
                Ok(length) => {
                    self.tell(format!("complete: {length}"));
                    ok(Bytes::from(length.to_string()))
                }
                Err(error) => {
                    self.tell(format!("lost: {error:?}"));
                    Response::new(StatusCode::BAD_REQUEST)
                }
            },
            Some("elsewhere") => {
                let mut response = Response::new(StatusCode::OK);
                response.headers.insert("x-accel-redirect", HeaderValue::from_static("/elsewhere"));
                response
            }
            Some("wait") => {
                self.tell("waiting");
                self.gate.notified().await;
                let length = consume(body).await;
                self.tell(format!("went on: {length:?}"));
                ok(Bytes::from_static(b"waited"))
            }
            Some("file") => {
                let slice = FileSlice {
                    file: self.file.clone(),
                    offset: number(b"OFFSET"),
                    length: number(b"LENGTH"),
                };
                ok(slice)
            }
            Some("endless") => {
                let guard = Guard(self.clone(), "stream dropped");
                let endless = stream::repeat_with(move || {
                    let _ = &guard;
                    Ok(Bytes::from_static(&[b'x'; 5000]))
                });
                ok(Box::pin(endless) as ByteStream)
            }
            Some("fail") => {
                let pieces = [Ok(Bytes::from_static(b"begun")), Err(BodyError::Cut)];
                ok(Box::pin(stream::iter(pieces)) as ByteStream)
            }
            Some("refuse") => Response::new(StatusCode::FORBIDDEN),
            Some("panic") => panic!("asked to"),
            _ => ok(Bytes::from(format!("{params:?}"))),
        }
    }
}

/// A responder of the test's own in the place of a node's webdfs.
pub struct InPlace {
    pub cluster: Cluster,
    _runtime: Runtime,
    _stop: watch::Sender<bool>,
}

impl InPlace {
    /// Ends the first node's webdfs, and takes its place. Returns when the web server has found it there: lighttpd asks
    /// nobody for a second who was away when it asked, be it for another node.
    pub fn start(cluster: Cluster, handler: impl Handler) -> Self {
        cluster.kill_webdfs(0);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stop, stopping) = watch::channel(false);
        // Apache is another user.
        let listener = runtime.block_on(async { Listener::unix(&cluster.socket(0), 0o666).unwrap() });
        runtime.spawn(serve(listener, handler, Limits::default(), stopping));
        wait_until("the web server finds the new responder", || cluster.get(0, "/asked").status < 500);
        Self { cluster, _runtime: runtime, _stop: stop }
    }
}

/// A responder on a unix socket of its own.
pub struct Server {
    pub runtime: Runtime,
    pub directory: tempfile::TempDir,
    pub stop: watch::Sender<bool>,
    pub task: tokio::task::JoinHandle<()>,
    pub odd: Odd,
    pub tales: mpsc::Receiver<String>,
}

impl Server {
    pub fn start(limits: Limits) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (odd, tales) = Odd::new();
        let (stop, stopping) = watch::channel(false);
        let path = directory.path().join("socket");
        let handler = odd.clone();
        let listener = runtime.block_on(async { Listener::unix(&path, 0o600).unwrap() });
        let task = runtime.spawn(serve(listener, handler, limits, stopping));
        Self { runtime, directory, stop, task, odd, tales }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub fn connect(&self) -> Client<UnixStream> {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    }

    pub fn tale(&self) -> String {
        self.tales.recv_timeout(PATIENCE).expect("the handler has something to tell")
    }

    /// Waits until the responder has ended.
    pub fn ended(self) -> PathBuf {
        let path = self.path();
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.task).await }).unwrap().unwrap();
        path
    }
}
