//! Writing: what clients may send, what they are told, and what is then on the disks.

mod common;

use std::os::unix::fs::MetadataExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::{
    Answer, Call, Cluster, Connection, Front, Options, assert_missing, assert_stored, noise, shared,
};
use sha2::Digest;

on_both_fronts!(
    the_first_put_creates_and_the_next_replaces,
    every_replica_is_a_plain_file_with_the_same_bytes_and_time,
    what_is_deleted_is_gone_everywhere_and_can_be_put_again,
    a_replacement_of_equal_size_has_another_etag,
    bodies_of_every_size_arrive_whole,
    a_chunked_body_arrives_whole,
    a_client_that_asks_first_is_told_to_go_on,
    conditions_on_a_put_are_kept,
    conditions_on_a_delete_are_kept,
    a_body_that_is_not_what_its_digest_says_is_not_stored,
    methods_that_are_not_supported_are_named_in_no_answer,
    excluded_names_are_never_stored,
    part_of_an_object_cannot_be_put,
    who_is_not_allowed_writes_nothing,
    an_object_that_is_too_large_is_refused,
    synced_writes_work_like_others,
    writers_of_one_name_end_up_with_one_object,
    a_refused_upload_is_answered_before_its_body_comes,
    names_live_below_the_prefix,
    a_connection_stays_in_step_whatever_is_refused_on_it,
    a_client_may_pause_in_the_middle,
);

fn the_first_put_creates_and_the_next_replaces(front: Front) {
    let cluster = shared(front);
    let first = cluster.put(0, "/twice/a.jpg", "first").expect(201);
    let second = cluster.put(1, "/twice/a.jpg", "the second").expect(204);
    for answer in [&first, &second] {
        assert_eq!(answer.header("Webdfs-Replicas"), Some("3/3"));
        assert!(answer.etag().starts_with('"') && answer.header("Last-Modified").is_some(), "{answer}");
        assert!(answer.body.is_empty());
    }
    assert_ne!(first.etag(), second.etag());
    for node in 0..3 {
        let answer = cluster.get(node, "/twice/a.jpg").expect(200);
        assert_eq!((answer.text().as_str(), answer.etag()), ("the second", second.etag()));
    }
}

fn every_replica_is_a_plain_file_with_the_same_bytes_and_time(front: Front) {
    let cluster = shared(front);
    let body = noise(1, 123_456);
    let stored = cluster.put(0, "/plain/some/folder/a.jpg", body.clone()).expect(201);
    let mut times = Vec::new();
    for node in 0..3 {
        let file = cluster.file(node, "/plain/some/folder/a.jpg");
        assert!(std::fs::read(&file).unwrap() == body);
        let about = file.metadata().unwrap();
        assert_eq!(about.mode() & 0o7777, 0o644);
        assert_eq!(file.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o755);
        assert_eq!(stored.etag(), format!("\"{:x}-{:x}\"", about.mtime(), about.size()));
        times.push((about.mtime(), about.mtime_nsec()));
    }
    assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
    for node in 0..3 {
        let private = cluster.root(node).join(".webdfs").metadata().unwrap();
        assert_eq!(private.mode() & 0o7777, 0o700);
    }
}

fn what_is_deleted_is_gone_everywhere_and_can_be_put_again(front: Front) {
    let cluster = shared(front);
    let target = "/deleted/some/a.jpg";
    for round in 0..3 {
        let body = noise(round, 3000);
        let stored = cluster.put(0, target, body.clone()).expect(201);
        assert_stored(&cluster, target, &body);
        let deleted = cluster.delete(1, target).expect(204);
        assert!(deleted.body.is_empty() && deleted.header("ETag") != Some(stored.etag()));
        assert_missing(&cluster, target);
        cluster.delete(2, target).expect(404);
        // Folders go with their last file.
        assert!((0..3).all(|node| !cluster.file(node, "/deleted/some").exists()));
    }
    cluster.delete(0, "/deleted/never-was.jpg").expect(404);
}

fn a_replacement_of_equal_size_has_another_etag(front: Front) {
    let cluster = shared(front);
    let mut etags = Vec::new();
    for round in 0..4 {
        let stored = cluster.put(round % 3, "/equal-size/a.jpg", format!("round {round}"));
        etags.push(stored.etag().to_owned());
    }
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), 4);
    assert_stored(&cluster, "/equal-size/a.jpg", b"round 3");
}

fn bodies_of_every_size_arrive_whole(front: Front) {
    let cluster = shared(front);
    for length in [0, 1, 2, 4095, 65_535, 65_536, 65_537, 131_072, 262_144, 262_145, 1_000_000, 8 << 20] {
        let (target, body) = (format!("/sizes/{length}.bin"), noise(length as u64, length));
        cluster.put(length % 3, &target, body.clone()).expect(201);
        assert_stored(&cluster, &target, &body);
    }
}

fn a_chunked_body_arrives_whole(front: Front) {
    let cluster = shared(front);
    for (at, pieces) in [&[][..], &[1], &[5, 1, 70_000, 3], &[200_000; 10]].into_iter().enumerate() {
        let target = format!("/chunked/{at}.jpg");
        let body = noise(at as u64, pieces.iter().sum());
        let mut connection = Connection::open(cluster.address(at % 3)).unwrap();
        connection.begin(&Call::new("PUT", &target).header("Transfer-Encoding", "chunked")).unwrap();
        let mut rest = &body[..];
        for length in pieces {
            let (piece, next) = rest.split_at(*length);
            connection.chunk(piece).unwrap();
            rest = next;
        }
        connection.chunk(b"").unwrap();
        connection.answer("PUT").unwrap().expect(201);
        assert_stored(&cluster, &target, &body);
        // The connection is in step.
        connection.begin(&Call::new("HEAD", &target)).unwrap();
        let head = connection.answer("HEAD").unwrap().expect(200);
        assert_eq!(head.header("Content-Length"), Some(&*body.len().to_string()));
    }
}

fn a_client_that_asks_first_is_told_to_go_on(front: Front) {
    let cluster = shared(front);
    let body = noise(1, 100_000);
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    let call = Call::new("PUT", "/expect/a.jpg").header("Content-Length", "100000");
    connection.begin(&call.header("Expect", "100-continue")).unwrap();
    connection.answer_head().unwrap().expect(100);
    connection.write(&body).unwrap();
    connection.answer("PUT").unwrap().expect(201);
    assert_stored(&cluster, "/expect/a.jpg", &body);
}

fn conditions_on_a_put_are_kept(front: Front) {
    let cluster = shared(front);
    let target = "/put-if/a.jpg";
    let put = |name: &str, value: &str, body: &str| {
        cluster.send(1, &Call::new("PUT", target).header(name, value).body(body)).status
    };
    assert_eq!(put("If-Match", "*", "x"), 412);
    assert_eq!(put("If-Match", "\"x\"", "x"), 412);
    assert_missing(&cluster, target);
    assert_eq!(put("If-None-Match", "*", "first"), 201);
    assert_eq!(put("If-None-Match", "*", "second"), 412);
    let first = cluster.get(0, target).expect(200);
    assert_eq!(first.text(), "first");
    assert_eq!(put("If-Match", "\"x\"", "second"), 412);
    assert_eq!(put("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", "second"), 412);
    assert_stored(&cluster, target, b"first");
    assert_eq!(put("If-Match", first.etag(), "second"), 204);
    assert_eq!(put("If-Match", first.etag(), "third"), 412);
    assert_stored(&cluster, target, b"second");
    assert_eq!(put("If-None-Match", first.etag(), "third"), 204);
    assert_stored(&cluster, target, b"third");
}

fn conditions_on_a_delete_are_kept(front: Front) {
    let cluster = shared(front);
    let stored = cluster.put(0, "/delete-if/a.jpg", "a").expect(201);
    let delete = |value: &str| {
        cluster.send(1, &Call::new("DELETE", "/delete-if/a.jpg").header("If-Match", value)).status
    };
    assert_eq!(delete("\"x\""), 412);
    assert_stored(&cluster, "/delete-if/a.jpg", b"a");
    assert_eq!(delete(stored.etag()), 204);
    assert_missing(&cluster, "/delete-if/a.jpg");
}

fn a_body_that_is_not_what_its_digest_says_is_not_stored(front: Front) {
    let cluster = shared(front);
    let body = b"what was meant".as_slice();
    let md5 = |body: &[u8]| BASE64_STANDARD.encode(md5::Md5::digest(body));
    let sha256 = |body: &[u8]| format!("sha-256=:{}:", BASE64_STANDARD.encode(sha2::Sha256::digest(body)));
    let sha512 = |body: &[u8]| format!("sha-512=:{}:", BASE64_STANDARD.encode(sha2::Sha512::digest(body)));
    let digests = [
        ("Content-MD5", md5(body), md5(b"x")),
        ("Repr-Digest", sha256(body), sha256(b"x")),
        ("Content-Digest", sha512(body), sha512(b"x")),
        ("Content-Digest", format!("{}, {}", sha256(body), sha512(body)), sha256(b"what was meamt")),
    ];
    for (at, (name, right, wrong)) in digests.into_iter().enumerate() {
        let target = format!("/digest/{at}.jpg");
        let put =
            |digest: &str| cluster.send(at % 3, &Call::new("PUT", &target).header(name, digest).body(body));
        put(&wrong).expect(400);
        assert_missing(&cluster, &target);
        put(&right).expect(201);
        put(&wrong).expect(400);
        assert_stored(&cluster, &target, body);
    }
    let garbage = Call::new("PUT", "/digest/garbage.jpg").header("Content-MD5", "garbage").body("x");
    cluster.send(0, &garbage).expect(400);
    assert_missing(&cluster, "/digest/garbage.jpg");
}

const ALLOW: &str = "GET, HEAD, PUT, DELETE, POST, COPY, MOVE, OPTIONS";

fn methods_that_are_not_supported_are_named_in_no_answer(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/methods/a.jpg", "a").expect(201);
    for target in ["/methods/a.jpg", "/methods/missing.jpg", "/methods/"] {
        let options = cluster.send(0, &Call::new("OPTIONS", target)).expect(204);
        assert_eq!(options.header("Allow"), Some(ALLOW), "{options}");
        for method in ["PATCH", "PROPFIND", "MKCOL", "LOCK", "BREW"] {
            let answer = cluster.send(0, &Call::new(method, target));
            assert_eq!(answer.status, 405, "{method} {target}: {answer}");
            assert_eq!(answer.header("Allow"), Some(ALLOW), "{method} {target}: {answer}");
        }
    }
    for method in ["PUT", "DELETE"] {
        let answer = cluster.send(0, &Call::new(method, "/methods/").body("x"));
        assert_eq!(answer.status, 405, "{method}: {answer}");
    }
    assert_stored(&cluster, "/methods/a.jpg", b"a");
}

fn excluded_names_are_never_stored(front: Front) {
    let cluster = shared(front);
    // nginx as shipped says of most such names, whatever the method, that there is nothing.
    let refused = |status: u16| status == 403 || (front == Front::Nginx && status == 404);
    let names =
        ["a.php", "a.PHP", "a.py", "a.cgi", ".htaccess", ".hidden/a.jpg", "a.php/b.jpg", "a.pl%20/../a.pl"];
    for name in names {
        let target = format!("/excluded/{name}");
        let answer = cluster.put(0, &target, "<?php");
        assert!(refused(answer.status), "{target}: {answer}");
        let answer = cluster.get(1, &target);
        assert_eq!(answer.status, 404, "{target}: {answer}");
    }
    assert!(!cluster.file(0, "/excluded").exists());
    // Put there by hand, they are still not shown.
    for node in 0..3 {
        std::fs::create_dir_all(cluster.file(node, "/excluded-by-hand")).unwrap();
        std::fs::write(cluster.file(node, "/excluded-by-hand/a.php"), "<?php").unwrap();
        cluster.get(node, "/excluded-by-hand/a.php").expect(404);
        let answer = cluster.delete(node, "/excluded-by-hand/a.php");
        assert!(refused(answer.status), "{answer}");
    }
}

fn part_of_an_object_cannot_be_put(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/part/a.jpg", "whole").expect(201);
    let call = Call::new("PUT", "/part/a.jpg").header("Content-Range", "bytes 0-0/5").body("W");
    cluster.send(1, &call).expect(400);
    assert_stored(&cluster, "/part/a.jpg", b"whole");
}

fn who_is_not_allowed_writes_nothing(front: Front) {
    let options = Options { allow: r#"["10.0.0.0/8", "127.0.0.2", "remote-user"]"#, ..Options::default() };
    let cluster = Cluster::start(front, options);
    let calls = [
        Call::new("PUT", "/a.jpg").body("a"),
        Call::new("DELETE", "/a.jpg"),
        Call::form("/form/", &[("name=\"f\"; filename=\"one.jpg\"", b"1")]),
        Call::new("COPY", "/a.jpg").header("Destination", "/b.jpg"),
        Call::new("MOVE", "/a.jpg").header("Destination", "/b.jpg"),
    ];
    // What a client says about itself counts for nothing.
    let forged = [("X-Forwarded-For", "10.0.0.1"), ("Remote-User", "ada"), ("REMOTE_ADDR", "10.0.0.1")];
    for call in calls {
        let refused: Answer = cluster.send(0, &call);
        assert_eq!(refused.status, 403, "{call:?}: {refused}");
        for (name, value) in forged {
            let refused = cluster.send(1, &call.clone().header(name, value));
            assert_eq!(refused.status, 403, "{call:?}, {name}: {refused}");
        }
    }
    assert_missing(&cluster, "/a.jpg");
    cluster.send(0, &Call::new("OPTIONS", "/a.jpg")).expect(204);
}

fn an_object_that_is_too_large_is_refused(front: Front) {
    let options = Options { write: "object_max = \"1MiB\"", ..Options::default() };
    let cluster = Cluster::start(front, options);
    cluster.put(0, "/a.jpg", noise(1, 1 << 20)).expect(201);
    cluster.put(1, "/b.jpg", noise(1, (1 << 20) + 1)).expect(413);
    let mut connection = Connection::open(cluster.address(2)).unwrap();
    connection.begin(&Call::new("PUT", "/c.jpg").header("Transfer-Encoding", "chunked")).unwrap();
    for _ in 0..5 {
        if connection.chunk(&noise(1, 300_000)).is_err() {
            break;
        }
    }
    let _ = connection.chunk(b"");
    connection.answer("PUT").unwrap().expect(413);
    for target in ["/b.jpg", "/c.jpg"] {
        assert_missing(&cluster, target);
    }
    common::wait_until("no upload is left behind", || (0..3).all(|node| cluster.spools(node).is_empty()));
}

fn synced_writes_work_like_others(front: Front) {
    let cluster = Cluster::start(front, Options { durability: "sync", ..Options::default() });
    let body = noise(1, 200_000);
    cluster.put(0, "/some/folder/a.jpg", body.clone()).expect(201);
    assert_stored(&cluster, "/some/folder/a.jpg", &body);
    cluster.put(1, "/some/folder/a.jpg", "replaced").expect(204);
    assert_stored(&cluster, "/some/folder/a.jpg", b"replaced");
    cluster.delete(2, "/some/folder/a.jpg").expect(204);
    assert_missing(&cluster, "/some/folder/a.jpg");
}

fn writers_of_one_name_end_up_with_one_object(front: Front) {
    let cluster = shared(front);
    for round in 0..10 {
        let target = format!("/race/{round}.jpg");
        std::thread::scope(|scope| {
            for writer in 0..9 {
                let (cluster, target) = (&cluster, &target);
                scope.spawn(move || {
                    let body = format!("writer {writer} was here");
                    let answer = match writer {
                        8 => cluster.delete(2, target),
                        _ => cluster.put(writer % 3, target, body),
                    };
                    assert!(matches!(answer.status, 201 | 204 | 404), "{answer}");
                });
            }
        });
        // The stragglers that nobody waited for, too.
        let own = |node: usize| std::fs::read(cluster.file(node, &target)).ok();
        common::wait_until("all nodes hold the same", || own(0) == own(1) && own(1) == own(2));
        let answers: Vec<_> = (0..3).map(|node| cluster.get(node, &target)).collect();
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (answers[0].status, &answers[0].body));
            assert_eq!(answer.header("ETag"), answers[0].header("ETag"));
        }
        let last = cluster.put(1, &target, "the last word");
        assert!(matches!(last.status, 201 | 204), "{last}");
        assert_stored(&cluster, &target, b"the last word");
    }
}

fn a_refused_upload_is_answered_before_its_body_comes(front: Front) {
    let cluster = shared(front);
    let cases = [
        (Call::new("PUT", "/early/a%00.jpg"), 400),
        (Call::new("PUT", "/early/"), 405),
        (Call::new("PUT", "/early/a.jpg").header("Content-Range", "bytes 0-1/2"), 400),
    ];
    for (call, status) in cases {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        connection.begin(&call.header("Content-Length", "50000000")).unwrap();
        connection.answer("PUT").unwrap().expect(status);
    }
}

fn names_live_below_the_prefix(front: Front) {
    let cluster = Cluster::start(front, Options { prefix: "/images/", ..Options::default() });
    cluster.put(0, "/images/some/a.jpg", "a").expect(201);
    for node in 0..3 {
        if front == Front::Embedded {
            assert_eq!(cluster.get(node, "/images/some/a.jpg").expect(200).text(), "a");
            cluster.get(node, "/some/a.jpg").expect(404);
        }
        assert!(cluster.has_file(node, "/some/a.jpg"));
    }
    for target in ["/a.jpg", "/imagesa.jpg", "/images/../a.jpg", "/images"] {
        let answer = cluster.put(1, target, "x");
        assert!(matches!(answer.status, 404 | 405), "{target}: {answer}");
    }
}

fn a_connection_stays_in_step_whatever_is_refused_on_it(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/step/a.jpg", "a").expect(201);
    // Bodies that would be taken for requests, should one be left lying on the connection.
    let smuggled = b"DELETE /step/a.jpg HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
    let calls = [
        (Call::new("PUT", "/step/b.jpg").body(*b"b"), 201),
        (Call::new("PUT", "/step/a.jpg").header("If-None-Match", "*").body(smuggled.clone()), 412),
        (Call::new("PUT", "/step/x%00").body(smuggled.clone()), 400),
        (Call::new("PUT", "/step/").body(smuggled.clone()), 405),
        (Call::new("BREW", "/step/a.jpg").body(smuggled.clone()), 405),
        (Call::new("GET", "/step/a.jpg").body(smuggled.clone()), 200),
        (Call::new("GET", "/step/missing.jpg").body(smuggled.clone()), 404),
        (Call::new("HEAD", "/step/a.jpg"), 200),
        (Call::new("OPTIONS", "/step/a.jpg").body(smuggled.clone()), 204),
        (Call::new("DELETE", "/step/missing.jpg").body(smuggled.clone()), 404),
        (Call::new("COPY", "/step/a.jpg").body(smuggled.clone()), 400),
        (Call::new("POST", "/_webdfs/v1/hello").body(smuggled.clone()), 403),
        (Call::new("PUT", "/_webdfs/v1/prepare/0/x").body(smuggled.clone()), 403),
        (
            Call::new("PUT", "/step/b.jpg").header("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==").body(smuggled),
            400,
        ),
        (Call::new("DELETE", "/step/b.jpg"), 204),
    ];
    let mut connection = Connection::open(cluster.address(1)).unwrap();
    for (call, status) in &calls {
        // One may be closed after a refusal; then the client opens another.
        let answer = call.send_on(&mut connection).or_else(|_| {
            connection = Connection::open(cluster.address(1))?;
            call.send_on(&mut connection)
        });
        let answer = answer.unwrap();
        assert_eq!(answer.status, *status, "{:?}: {answer}", call.target());
        if answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            connection = Connection::open(cluster.address(1)).unwrap();
        }
    }
    assert_stored(&cluster, "/step/a.jpg", b"a");
}

fn a_client_may_pause_in_the_middle(front: Front) {
    let cluster = shared(front);
    let (body, large) = (noise(1, 300_000), noise(2, 16 << 20));
    let no_path = format!("/pause/{}.bin", "x".repeat(300));
    cluster.put(0, &no_path, large.clone()).expect(201);
    let mut uploads: Vec<_> = [Some("300000"), None]
        .map(|length| {
            let mut connection = Connection::open(cluster.address(0)).unwrap();
            let call = Call::new("PUT", &format!("/pause/{}.jpg", length.unwrap_or("chunked")));
            match length {
                Some(length) => {
                    connection.begin(&call.header("Content-Length", length)).unwrap();
                    connection.write(&body[..100_000]).unwrap();
                }
                None => {
                    connection.begin(&call.header("Transfer-Encoding", "chunked")).unwrap();
                    connection.chunk(&body[..100_000]).unwrap();
                }
            }
            connection
        })
        .into();
    let mut download = Connection::open(cluster.address(0)).unwrap();
    download.begin(&Call::new("GET", &no_path)).unwrap();
    download.answer_head().unwrap().expect(200);
    // Longer than nodes wait for each other, and longer than an upload lives that nobody commits.
    std::thread::sleep(std::time::Duration::from_secs(13));
    uploads[0].write(&body[100_000..]).unwrap();
    uploads[1].chunk(&body[100_000..]).unwrap();
    uploads[1].chunk(b"").unwrap();
    for upload in &mut uploads {
        let stored = upload.answer("PUT").unwrap().expect(201);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("3/3"), "{stored}");
    }
    assert!(download.read_exactly(large.len()).unwrap() == large);
    for name in ["300000", "chunked"] {
        assert_stored(&cluster, &format!("/pause/{name}.jpg"), &body);
    }
}
