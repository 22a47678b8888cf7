use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::Digest;

use crate::common::{
    Call, Cluster, Connection, Front, Options, assert_missing, assert_stored, noise, shared, wait_until,
};
use crate::on_both_fronts;

on_both_fronts!(
    bodies_of_every_size_arrive_whole,
    a_chunked_body_arrives_whole,
    a_client_that_asks_first_is_told_to_go_on,
    a_body_that_is_not_what_its_digest_says_is_not_stored,
    part_of_an_object_cannot_be_put,
    an_object_that_is_too_large_is_refused,
    a_refused_upload_is_answered_before_its_body_comes,
    a_connection_stays_in_step_whatever_is_refused_on_it,
    a_client_may_pause_in_the_middle,
);

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

fn part_of_an_object_cannot_be_put(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/part/a.jpg", "whole").expect(201);
    let call = Call::new("PUT", "/part/a.jpg").header("Content-Range", "bytes 0-0/5").body("W");
    cluster.send(1, &call).expect(400);
    assert_stored(&cluster, "/part/a.jpg", b"whole");
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
    wait_until("no upload is left behind", || (0..3).all(|node| cluster.spools(node).is_empty()));
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
