use std::time::Duration;

use tokio::sync::watch;
use webdfs::front::fastcgi::{Limits, serve};
use webdfs::front::listen::Listener;

use crate::common::odd::{Odd, Server};
use crate::common::{PATIENCE, fcgi};
use crate::{patterned, server};

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
fn requests_in_the_queue_of_the_socket_at_the_stop_signal_are_answered() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = runtime.block_on(async { Listener::unix(&path, 0o600).unwrap() });
    let mut clients: Vec<_> = (0..20)
        .map(|_| {
            let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
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
