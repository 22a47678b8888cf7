use std::io::{IoSlice, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use webdfs::front::fastcgi::{Limits, serve_connection};

use crate::common::fcgi;
use crate::common::odd::Odd;
use crate::patterned;

/// A stream that counts the reads and writes that did something.
struct Counted<S> {
    stream: S,
    reads: Arc<AtomicUsize>,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.reads.fetch_add(usize::from(read.is_ready()), Ordering::Relaxed);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
        panic!("not a vectored write");
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(length)) = &written {
            self.writes.lock().unwrap().push(*length);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn an_ordinary_get_is_one_read_and_one_vectored_write() {
    let (odd, _tales) = Odd::new();
    (&*odd.file).write_all(&patterned(40_000)).unwrap();
    let (mut client, stream) = tokio::net::UnixStream::pair().unwrap();
    let (reads, writes) = (Arc::default(), Arc::default());
    let counted = Counted { stream, reads: Arc::clone(&reads), writes: Arc::clone(&writes) };
    let (_stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(serve_connection(counted, odd, Limits::default(), stopping));

    let requests: [&[(&str, &str)]; 3] = [
        &[("DO", "file"), ("OFFSET", "0"), ("LENGTH", "40000")],
        &[("DO", "file"), ("OFFSET", "0"), ("LENGTH", "0")],
        &[("A", "b")],
    ];
    for (round, pairs) in requests.into_iter().enumerate() {
        client.write_all(&fcgi::get(1, true, pairs)).await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(&fcgi::record(fcgi::END_REQUEST, 1, &[0; 8], 0)) {
            client.read_buf(&mut reply).await.unwrap();
        }
        assert_eq!(reads.load(Ordering::Relaxed), round + 1);
        assert_eq!(writes.lock().unwrap().len(), round + 1);
        assert_eq!(writes.lock().unwrap()[round], reply.len());
    }
    drop(client);
    serving.await.unwrap().unwrap();
}

/// Lets every task go as far as it can. There is one thread and nothing but memory between the tasks, so that turns
/// enough bring all of them to rest.
async fn settle() {
    for _ in 0..100_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_body_that_the_handler_does_not_take_stops_the_reading() {
    let (odd, tales) = Odd::new();
    let queue_bytes = 100_000;
    let limits = Limits { body_queue_bytes: queue_bytes, ..Limits::default() };
    let (mut client, stream) = tokio::io::duplex(10_000);
    let (_stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(serve_connection(stream, odd.clone(), limits, stopping));

    client.write_all(&[fcgi::begin(1, false), fcgi::params(1, &[("DO", "wait")])].concat()).await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(client);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let upload = tokio::spawn(async move {
        for _ in 0..1000 {
            writing.write_all(&fcgi::record(fcgi::STDIN, 1, &[b'x'; 1000], 0)).await.unwrap();
            counter.fetch_add(1000, Ordering::Relaxed);
        }
        writing.write_all(&fcgi::record(fcgi::STDIN, 1, b"", 0)).await.unwrap();
    });
    settle().await;
    let taken = sent.load(Ordering::Relaxed);
    assert!((queue_bytes * 9 / 10..=queue_bytes + 65_536 + 10_000).contains(&taken), "{taken} bytes");
    odd.gate.notify_one();
    upload.await.unwrap();
    let mut reply = Vec::new();
    reading.read_to_end(&mut reply).await.unwrap();
    assert!(reply.ends_with(&fcgi::record(fcgi::END_REQUEST, 1, &[0; 8], 0)));
    assert_eq!(tales.iter().take(2).collect::<Vec<_>>(), ["waiting", "went on: Ok(1000000)"]);
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn records_cut_into_single_bytes_mean_the_same() {
    let (odd, _tales) = Odd::new();
    let (mut client, stream) = tokio::io::duplex(1);
    let (_stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(serve_connection(stream, odd, Limits::default(), stopping));
    let (mut reading, mut writing) = tokio::io::split(&mut client);
    let request = [
        fcgi::begin(1, false),
        fcgi::params(1, &[("DO", "count"), ("X", &"y".repeat(300))]),
        fcgi::stream(fcgi::STDIN, 1, &patterned(1000)),
        fcgi::record(fcgi::STDIN, 1, b"", 0),
    ]
    .concat();
    writing.write_all(&request).await.unwrap();
    let mut reply = Vec::new();
    reading.read_to_end(&mut reply).await.unwrap();
    let text = String::from_utf8_lossy(&reply);
    assert!(text.contains("Status: 200 OK\r\n\r\n1000"), "{text}");
    serving.await.unwrap().unwrap();
}
