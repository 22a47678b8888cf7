//! The FastCGI front as a web server sees it: records over sockets, with handlers that do odd things.

mod common;

use std::collections::HashMap;
use std::io::{IoSlice, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use common::fcgi;
use common::odd::{Odd, Server};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use webdfs::front::fastcgi::{Limits, serve, serve_connection};
use webdfs::front::listen::Listener;

fn server() -> Server {
    Server::start(Limits::default())
}

fn patterned(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[test]
fn requests_follow_each_other_on_a_connection_that_is_kept() {
    let server = server();
    let mut client = server.connect();
    for round in 0..100 {
        let reply = client.get(&[("ROUND", &round.to_string()), ("EMPTY", "")]);
        assert_eq!((reply.status(), reply.protocol_status), (200, 0));
        assert_eq!(reply.header("Status"), Some("200 OK"));
        assert_eq!(reply.body(), format!("{{\"ROUND\": \"{round}\", \"EMPTY\": \"\"}}").as_bytes());
        let reply = client.put(&[("DO", "count")], &patterned(round * 1000));
        assert_eq!(reply.body(), (round * 1000).to_string().as_bytes());
    }
}

#[test]
fn a_connection_that_is_not_kept_closes_after_its_answer() {
    let server = server();
    let mut client = server.connect();
    client.send(&fcgi::get(1, false, &[("A", "b")]));
    assert_eq!(client.reply(1).body(), b"{\"A\": \"b\"}");
    assert_eq!(client.read_to_close(), []);
}

/// nginx drops it at once: see `a_kept_connection_of_nginx_is_dropped_when_it_is_sent_to_a_file`.
#[test]
fn an_answer_that_sends_nginx_elsewhere_is_the_last_on_its_connection() {
    let server = server();
    let mut client = server.connect();
    client.send(&[fcgi::begin(2, true), fcgi::params(2, &[("DO", "wait")])].concat());
    assert_eq!(server.tale(), "waiting");
    client.send(&fcgi::get(1, true, &[("DO", "elsewhere")]));
    assert_eq!(client.reply(1).header("X-Accel-Redirect"), Some("/elsewhere"));
    // Whoever else is on it is answered.
    client.end_body(2);
    server.odd.gate.notify_one();
    assert_eq!(client.reply(2).body(), b"waited");
    assert_eq!(client.read_to_close(), []);
}

#[test]
fn requests_on_one_connection_do_not_wait_for_each_other() {
    let server = server();
    let mut client = server.connect();
    let head = |id, what| [fcgi::begin(id, true), fcgi::params(id, &[("DO", what)])].concat();
    client.send(&[head(1, "count"), head(2, "count"), head(700, "wait")].concat());
    assert_eq!(server.tale(), "waiting");
    client.send_body(1, b"one");
    client.send_body(2, b"second");
    client.end_body(700);
    client.end_body(2);
    assert_eq!(client.reply(2).body(), b"6");
    client.send_body(1, b"!");
    client.end_body(1);
    assert_eq!(client.reply(1).body(), b"4");
    server.odd.gate.notify_one();
    assert_eq!(client.reply(700).body(), b"waited");
}

#[test]
fn large_answers_of_several_requests_interleave_in_whole_records() {
    let server = server();
    (&*server.odd.file).write_all(&patterned(5 << 20)).unwrap();
    let mut client = server.connect();
    for id in 1..=8u16 {
        let (offset, length) = (usize::from(id).to_string(), (4 << 20) + usize::from(id));
        let pairs = [("DO", "file"), ("OFFSET", &offset), ("LENGTH", &length.to_string())];
        client.send(&fcgi::get(id, true, &pairs));
    }
    let mut begun = HashMap::new();
    let mut most_at_once = 0;
    for _ in 0..8 {
        let (id, reply) = client.any_reply(&mut begun);
        most_at_once = most_at_once.max(begun.len());
        let id = usize::from(id);
        assert!(reply.body() == &patterned(5 << 20)[id..(4 << 20) + 2 * id], "the answer to {id}");
    }
    assert!(most_at_once > 0, "each answer was sent whole before the next");
}

#[test]
fn a_body_streams_through_in_both_directions_at_once() {
    let server = server();
    let mut client = server.connect();
    client.send(&[fcgi::begin(1, true), fcgi::params(1, &[("DO", "echo")])].concat());
    let mut got = Vec::new();
    let mut sent = Vec::new();
    for round in 1..20 {
        let piece = patterned(round * 10_000);
        client.send_body(1, &piece);
        sent.extend(piece);
        while got.len() < b"Status: 200 OK\r\n\r\n".len() + sent.len() {
            got.extend(client.next_record().unwrap().unwrap().content);
        }
    }
    client.end_body(1);
    let rest = client.reply(1);
    assert_eq!(rest.stdout, b"");
    assert!(got.ends_with(&sent));
}

#[test]
fn file_slices_arrive_byte_for_byte() {
    let server = server();
    let content = patterned((3 << 20) + 12_345);
    (&*server.odd.file).write_all(&content).unwrap();
    let mut client = server.connect();
    let window = 1 << 20;
    let lengths =
        [0, 1, 511, 513, 4096, 65_527, 65_528, 65_529, 131_056, window - 1, window, window + 1, 3 * window];
    for length in lengths {
        for offset in [0, 1, 4096, 12_345] {
            let pairs = [("DO", "file"), ("OFFSET", &offset.to_string()), ("LENGTH", &length.to_string())];
            let reply = client.get(&pairs);
            assert!(reply.body() == &content[offset..offset + length], "{length} bytes from {offset}");
        }
    }
}

#[test]
fn a_file_that_shrank_cuts_the_connection_and_nothing_else() {
    let server = server();
    server.odd.file.set_len(100_000).unwrap();
    for length in ["400", "100000"] {
        let mut client = server.connect();
        let pairs = [("DO", "file"), ("OFFSET", "99990"), ("LENGTH", length)];
        client.send(&fcgi::get(1, true, &pairs));
        assert!(client.read_to_close().iter().all(|record| record.record_type != fcgi::END_REQUEST));
    }
    assert_eq!(server.connect().get(&[]).status(), 200);
}

#[test]
fn a_client_gone_in_the_middle_of_an_upload_is_told_apart_from_the_end_of_the_upload() {
    let server = server();
    let mut client = server.connect();
    client.send(&[fcgi::begin(1, true), fcgi::params(1, &[("DO", "count")])].concat());
    client.send_body(1, &patterned(100_000));
    drop(client);
    assert_eq!(server.tale(), "lost: Cut");

    let mut client = server.connect();
    client.send(&[fcgi::begin(1, true), fcgi::params(1, &[("DO", "count")])].concat());
    client.send(&fcgi::record(fcgi::STDIN, 1, b"this record is cut", 0)[..12]);
    drop(client);
    assert_eq!(server.tale(), "lost: Cut");

    let mut client = server.connect();
    client.put(&[("DO", "count")], b"whole");
    assert_eq!(server.tale(), "complete: 5");
}

#[test]
fn an_aborted_upload_is_cut_and_the_connection_goes_on() {
    let server = server();
    let mut client = server.connect();
    client.send(&[fcgi::begin(1, true), fcgi::params(1, &[("DO", "count")])].concat());
    client.send_body(1, &patterned(100_000));
    client.send(&fcgi::record(fcgi::ABORT_REQUEST, 1, b"", 0));
    assert_eq!(client.reply(1).protocol_status, 0);
    assert_eq!(server.tale(), "lost: Cut");
    assert_eq!(client.put(&[("DO", "count")], b"whole").body(), b"5");
}

#[test]
fn an_aborted_answer_ends_early_and_the_connection_goes_on() {
    let server = server();
    let mut client = server.connect();
    client.send(&fcgi::get(1, true, &[("DO", "endless")]));
    client.next_record().unwrap().unwrap();
    client.send(&fcgi::record(fcgi::ABORT_REQUEST, 1, b"", 0));
    client.reply(1);
    assert_eq!(server.tale(), "stream dropped");
    assert_eq!(client.get(&[]).status(), 200);
}

#[test]
fn an_answer_nobody_reads_any_more_is_dropped() {
    let server = server();
    let mut client = server.connect();
    client.send(&fcgi::get(1, true, &[("DO", "endless")]));
    client.next_record().unwrap().unwrap();
    drop(client);
    assert_eq!(server.tale(), "stream dropped");
}

#[test]
fn a_handler_whose_client_is_gone_runs_to_its_end() {
    let server = server();
    let mut client = server.connect();
    client.send(&fcgi::get(1, true, &[("DO", "wait")]));
    assert_eq!(server.tale(), "waiting");
    drop(client);
    server.odd.gate.notify_one();
    assert_eq!(server.tale(), "went on: Ok(0)");
}

#[test]
fn a_stream_that_fails_midway_cuts_the_connection_without_an_end() {
    let server = server();
    let mut client = server.connect();
    client.send(&fcgi::get(1, true, &[("DO", "fail")]));
    assert!(client.read_to_close().iter().all(|record| record.record_type != fcgi::END_REQUEST));
}

#[test]
fn an_answer_before_the_end_of_the_body_arrives_even_if_the_connection_is_not_kept() {
    let server = server();
    let mut client = server.connect();
    client.send(&[fcgi::begin(1, false), fcgi::params(1, &[("DO", "refuse")])].concat());
    for _ in 0..50 {
        client.send_body(1, &patterned(100_000));
    }
    client.end_body(1);
    assert_eq!(client.reply(1).status(), 403);
}

#[test]
fn a_refused_body_is_skipped_on_a_connection_that_is_kept() {
    let server = server();
    let mut client = server.connect();
    assert_eq!(client.put(&[("DO", "refuse")], &patterned(3 << 20)).status(), 403);
    assert_eq!(client.get(&[]).status(), 200);
}

#[test]
fn questions_unknown_types_roles_and_too_many_requests_are_answered_as_specified() {
    let server = Server::start(Limits { requests_max: 2, params_bytes_max: 1000, ..Limits::default() });
    let mut client = server.connect();
    client.send(&fcgi::record(fcgi::GET_VALUES, 0, b"\x0f\0FCGI_MPXS_CONNS\x0d\0FCGI_MAX_REQS", 0));
    let answer = client.next_record().unwrap().unwrap();
    assert_eq!((answer.record_type, answer.id), (fcgi::GET_VALUES_RESULT, 0));
    assert_eq!(answer.content, b"\x0f\x01FCGI_MPXS_CONNS1\x0d\x01FCGI_MAX_REQS2");

    client.send(&fcgi::record(99, 0, b"what is this?", 3));
    let answer = client.next_record().unwrap().unwrap();
    assert_eq!(
        (answer.record_type, &answer.content[..]),
        (fcgi::UNKNOWN_TYPE, &[99, 0, 0, 0, 0, 0, 0, 0][..])
    );

    client.send(&fcgi::record(fcgi::BEGIN_REQUEST, 1, &[0, 2, 1, 0, 0, 0, 0, 0], 0));
    assert_eq!(client.reply(1).protocol_status, 3);

    client.send(&[fcgi::begin(1, true), fcgi::begin(2, true), fcgi::begin(3, true)].concat());
    assert_eq!(client.reply(3).protocol_status, 2);
    client.send(&fcgi::params(1, &[("LONG", &"x".repeat(1000))]));
    assert_eq!(client.reply(1).status(), 431);
    client.send(&[fcgi::params(2, &[]), fcgi::record(fcgi::STDIN, 2, b"", 0)].concat());
    assert_eq!(client.reply(2).status(), 200);
}

#[test]
fn what_is_not_fastcgi_ends_its_connection_and_no_other() {
    let server = server();
    let mut bystander = server.connect();
    let cut_params =
        [fcgi::begin(1, true), fcgi::record(4, 1, b"\x05\x05x", 0), fcgi::record(4, 1, b"", 0)].concat();
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 8], cut_params] {
        let mut client = server.connect();
        client.send(&garbage);
        assert_eq!(client.read_to_close(), []);
        assert_eq!(bystander.get(&[]).status(), 200);
    }
    let mut client = server.connect();
    client.send(&fcgi::get(1, true, &[("DO", "panic")]));
    assert_eq!(client.read_to_close(), []);
    assert_eq!(bystander.get(&[]).status(), 200);
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let server = Server::start(Limits { connections_max: 1, ..Limits::default() });
    let mut first = server.connect();
    assert_eq!(first.get(&[]).status(), 200);
    let mut second = server.connect();
    second.send(&fcgi::get(1, true, &[("DO", "wait")]));
    assert_eq!(first.get(&[]).status(), 200);
    assert!(server.tales.try_recv().is_err(), "the second waits");
    drop(first);
    assert_eq!(server.tale(), "waiting");
    server.odd.gate.notify_one();
    assert_eq!(second.reply(1).status(), 200);
}

#[test]
fn requests_in_the_queue_of_the_socket_at_the_stop_signal_are_answered() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = runtime.block_on(async { Listener::unix(&path, 0o600).unwrap() });
    let mut clients: Vec<_> = (0..20)
        .map(|_| {
            let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
            let mut client = fcgi::Client::new(stream);
            client.send(&fcgi::get(1, false, &[("A", "b")]));
            client
        })
        .collect();
    let (_stop, stopping) = watch::channel(true);
    let task = runtime.spawn(serve(listener, Odd::new().0, Limits::default(), stopping));
    for client in &mut clients {
        assert_eq!(client.reply(1).status(), 200);
    }
    runtime.block_on(task).unwrap();
}

#[test]
fn a_request_that_was_there_before_its_connection_was_accepted_ends_alone() {
    let server = Server::start(Limits { connections_max: 1, ..Limits::default() });
    let mut first = server.connect();
    assert_eq!(first.get(&[]).status(), 200);
    let mut waiting = ["panic", ""].map(|what| {
        let mut client = server.connect();
        client.send(&fcgi::get(1, false, &[("DO", what)]));
        client
    });
    drop(first);
    assert_eq!(waiting[0].read_to_close(), []);
    assert_eq!(waiting[1].reply(1).status(), 200);
    assert_eq!(waiting[1].read_to_close(), []);
}

#[test]
fn the_stop_signal_closes_idle_connections_and_finishes_running_requests() {
    let server = server();
    let (mut idle, mut busy) = (server.connect(), server.connect());
    assert_eq!(idle.get(&[]).status(), 200);
    busy.send(&[fcgi::begin(1, true), fcgi::params(1, &[("DO", "wait")])].concat());
    assert_eq!(server.tale(), "waiting");
    server.stop.send(true).unwrap();
    assert_eq!(idle.read_to_close(), []);
    server.odd.gate.notify_one();
    for _ in 0..10 {
        busy.send_body(1, &patterned(100_000));
    }
    busy.end_body(1);
    assert_eq!(server.tale(), "went on: Ok(1000000)");
    assert_eq!(busy.reply(1).body(), b"waited");
    assert_eq!(busy.read_to_close(), []);
    let path = server.ended();
    assert!(!path.exists());
}

#[test]
fn what_still_runs_at_the_deadline_is_dropped() {
    let server = Server::start(Limits { drain: Duration::from_millis(1), ..Limits::default() });
    let mut client = server.connect();
    client.send(&fcgi::get(1, true, &[("DO", "wait")]));
    assert_eq!(server.tale(), "waiting");
    server.stop.send(true).unwrap();
    assert_eq!(client.read_to_close(), []);
    server.ended();
}

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
