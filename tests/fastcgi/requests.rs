use std::collections::HashMap;
use std::io::Write;

use webdfs::front::fastcgi::Limits;

use crate::common::fcgi;
use crate::common::odd::Server;
use crate::{patterned, server};

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
