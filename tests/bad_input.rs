//! Bad input from clients: each gets its answer, the processes live on, and nothing that was stored before changes.

mod common;

use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{
    Call, Cluster, Connection, Front, Kept, Options, assert_nothing, fcgi, noise, shared, wait_until,
};

on_both_fronts!(
    a_content_length_that_is_none_is_refused,
    a_body_cut_short_leaves_nothing,
    bytes_after_the_body_are_another_request,
    a_client_that_goes_away_leaves_nothing,
    nothing_outside_the_root_can_be_named,
    targets_that_name_nothing_are_refused,
    what_webdfs_keeps_for_itself_is_never_served,
    forged_headers_change_nothing,
    what_is_not_http_is_refused,
    without_room_uploads_are_refused_and_deletes_go_on,
);

fn a_content_length_that_is_none_is_refused(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/length");
    for length in [
        "-1",
        "-5",
        "+5",
        "5x",
        "0x5",
        "1e3",
        "9223372036854775807",
        "18446744073709551615",
        "99999999999999999999",
        "5, 6",
    ] {
        let mut connection = Connection::open(cluster.address(1)).unwrap();
        connection.begin(&Call::new("PUT", "/length/a.jpg").header("Content-Length", length)).unwrap();
        let _ = connection.write(b"hello");
        let answer = connection.answer("PUT").unwrap();
        assert!(matches!(answer.status, 400 | 413 | 431), "{length}: {answer}");
    }
    let mut connection = Connection::open(cluster.address(1)).unwrap();
    let call = Call::new("PUT", "/length/a.jpg").header("Content-Length", "5").header("Content-Length", "6");
    connection.begin(&call).unwrap();
    let _ = connection.write(b"hello");
    connection.answer("PUT").unwrap().expect(400);
    assert_nothing(&cluster, "/length/a.jpg");
    kept.check();
}

fn a_body_cut_short_leaves_nothing(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/short");
    for (sent, promised) in [(0, 1), (5, 6), (70_000, 200_000), (1_000_000, 1_000_001)] {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        let call = Call::new("PUT", "/short/a.jpg").header("Content-Length", &promised.to_string());
        connection.begin(&call).unwrap();
        connection.write(&noise(1, sent)).unwrap();
        connection.end_sending().unwrap();
        // An answer may come or not; it says no.
        if let Ok(answer) = connection.answer("PUT") {
            assert!((400..600).contains(&answer.status), "{answer}");
        }
        assert_nothing(&cluster, "/short/a.jpg");
    }
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    connection.begin(&Call::new("PUT", "/short/a.jpg").header("Transfer-Encoding", "chunked")).unwrap();
    connection.write(b"5\r\nhello\r\nzz\r\n").unwrap();
    if let Ok(answer) = connection.answer("PUT") {
        assert_eq!(answer.status, 400, "{answer}");
    }
    assert_nothing(&cluster, "/short/a.jpg");
    kept.check();
}

fn bytes_after_the_body_are_another_request(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/longer");
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    connection.begin(&Call::new("PUT", "/longer/a.jpg").header("Content-Length", "5")).unwrap();
    connection.write(b"helloGARBAGE\r\n\r\n").unwrap();
    connection.answer("PUT").unwrap().expect(201);
    if let Ok(answer) = connection.answer("GET") {
        assert_eq!(answer.status, 400, "{answer}");
    }
    assert_eq!(cluster.get(1, "/longer/a.jpg").expect(200).text(), "hello");
    kept.check();
}

fn a_client_that_goes_away_leaves_nothing(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/gone");
    for chunked in [false, true] {
        let mut connection = Connection::open(cluster.address(1)).unwrap();
        let call = Call::new("PUT", "/gone/a.jpg");
        if chunked {
            connection.begin(&call.header("Transfer-Encoding", "chunked")).unwrap();
            connection.chunk(&noise(1, 500_000)).unwrap();
        } else {
            connection.begin(&call.header("Content-Length", "1000000")).unwrap();
            connection.write(&noise(1, 500_000)).unwrap();
        }
        wait_until("the upload is on its way", || {
            cluster.present().any(|node| !cluster.spools(node).is_empty())
        });
        drop(connection);
        assert_nothing(&cluster, "/gone/a.jpg");
    }
    // In the place of something that is there.
    let mut connection = Connection::open(cluster.address(2)).unwrap();
    connection.begin(&Call::new("PUT", &kept.target).header("Content-Length", "1000000")).unwrap();
    connection.write(&noise(1, 500_000)).unwrap();
    wait_until("the upload is on its way", || cluster.present().any(|node| !cluster.spools(node).is_empty()));
    drop(connection);
    wait_until("no upload is left behind", || cluster.present().all(|node| cluster.spools(node).is_empty()));
    kept.check();
}

fn nothing_outside_the_root_can_be_named(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/outside");
    let out = [
        "/../node.toml",
        "/../../etc/passwd",
        "/outside/../../node.toml",
        "/outside/./.././../secret",
        "/%2e%2e/node.toml",
        "/%2E%2E/%2e./secret",
        "/.%2e/secret",
        "/outside/%2e%2e/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/..%2Fsecret",
        "/outside/..%2f..%2fsecret",
        "/.%00./secret",
        "/..%00/secret",
        "//..//secret",
    ];
    for target in out {
        for method in ["GET", "HEAD", "PUT", "DELETE", "POST"] {
            let answer = cluster.send(1, &Call::new(method, target).body("x"));
            assert_eq!(answer.status, 400, "{method} {target}: {answer}");
        }
    }
    // These are no dots to anybody: odd names, inside the root.
    for target in ["/outside/%c0%ae%c0%ae/a", "/outside/a..%5c..%5cb", "/outside/%252e%252e/c"] {
        cluster.put(1, target, "odd").expect(201);
        assert_eq!(cluster.get(2, target).expect(200).text(), "odd");
    }
    kept.check();
}

fn targets_that_name_nothing_are_refused(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/targets");
    for target in [
        "/targets/a%00b",
        "/targets/%00",
        "/targets/a%2fb",
        "/targets/a%2Fb",
        "/targets/%zz",
        "/targets/a%",
        "/targets/a%4",
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let answer = cluster.send(1, &Call::new(method, target).body("x"));
            assert_eq!(answer.status, 400, "{method} {target}: {answer}");
        }
    }
    let long_query = format!("{}?{}", kept.target, "q".repeat(4000));
    cluster.get(1, &long_query).expect(200);
    kept.check();
}

fn what_webdfs_keeps_for_itself_is_never_served(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/private");
    let private = [
        "/.webdfs/node.toml",
        "/.webdfs/",
        "/.webdfs",
        "/%2ewebdfs/node.toml",
        "/x/../.webdfs/node.toml",
        "//.webdfs//node.toml",
        "/./.webdfs/node.toml",
        "/_webdfs/file/private/kept.jpg",
        "/_webdfs/file/.webdfs/node.toml",
        "/_webdfs/index",
        "/_webdfs/",
        "/_webdfs/anything",
    ];
    for target in private {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let answer = cluster.send(0, &Call::new(method, target).body("x"));
            assert!(matches!(answer.status, 400 | 403 | 404 | 405), "{method} {target}: {answer}");
            assert!(!answer.text().contains("complete"), "{method} {target}: {answer}");
        }
    }
    kept.check();
}

fn forged_headers_change_nothing(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/forged");
    let forged = [
        ("Webdfs-Version", "1"),
        ("Webdfs-Crc32", "00000000"),
        ("Webdfs-From", "img2"),
        ("Webdfs-To", "img1"),
        ("Webdfs-Epoch", "99"),
        ("Webdfs-Map", "x"),
        ("Webdfs-Complete", "no"),
        ("Webdfs-Signature", "00"),
        ("Webdfs-Hop", "1:00"),
        ("Webdfs-Peer", "127.0.0.1:1"),
        ("Webdfs-Failed-Peer", "127.0.0.1:1"),
        ("Webdfs-Failed-File", "1"),
        ("X-Accel-Redirect", "/_webdfs/file/.webdfs/node.toml"),
        ("X-Sendfile", "/etc/passwd"),
        ("Proxy", "http://127.0.0.1:1"),
    ];
    let with = |call: Call| forged.iter().fold(call, |call, (name, value)| call.header(name, value));
    for node in 0..3 {
        let answer = cluster.send(node, &with(Call::new("GET", &kept.target))).expect(200);
        assert!(answer.body == kept.body);
        cluster.send(node, &with(Call::new("GET", "/forged/missing.jpg"))).expect(404);
        let target = format!("/forged/{node}.jpg");
        let stored = cluster.send(node, &with(Call::new("PUT", &target)).body("x")).expect(201);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("3/3"));
        let modified = httpdate::parse_http_date(stored.header("Last-Modified").unwrap()).unwrap();
        assert!(modified.elapsed().unwrap_or_default() < Duration::from_secs(3600), "{stored}");
        for (name, _) in forged {
            assert!(name == "X-Accel-Redirect" || stored.header(name).is_none(), "{name}: {stored}");
        }
    }
    kept.check();
}

fn what_is_not_http_is_refused(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/not-http");
    let garbage: [&[u8]; 7] = [
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /not-http/a.jpg\r\n\r\n",
        b"GET /a b.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"PUT /not-http/a.jpg HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        b"GET /not-http/kept.jpg HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
    ];
    for bytes in garbage {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        connection.write(bytes).unwrap();
        connection.end_sending().unwrap();
        let answer = connection.read_to_end().unwrap_or_default();
        let accepted = answer.starts_with(b"HTTP/1.1 2");
        assert!(!accepted, "{}: {}", bytes.escape_ascii(), answer.escape_ascii());
    }
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    let _ = connection.write(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20)).as_bytes());
    if let Ok(answer) = connection.answer("GET") {
        assert!(matches!(answer.status, 400 | 414 | 431), "{answer}");
    }
    if front == Front::Nginx {
        let broken = [
            vec![0; 64],
            fcgi::record(99, 0, b"what", 0),
            fcgi::record(fcgi::PARAMS, 1, &[0xff; 100], 0),
            [fcgi::begin(1, false), fcgi::record(fcgi::PARAMS, 1, &[0x80, 0xff, 0xff], 3)].concat(),
            fcgi::record(fcgi::STDIN, 7, b"no request", 0),
        ];
        for bytes in broken {
            let stream = UnixStream::connect(cluster.socket(0)).unwrap();
            let mut client = fcgi::Client::new(stream);
            client.send(&bytes);
            client.stream.shutdown(std::net::Shutdown::Write).unwrap();
            client.stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
            let _ = client.read_to_close();
        }
    }
    assert_nothing(&cluster, "/not-http/a.jpg");
    kept.check();
}

fn without_room_uploads_are_refused_and_deletes_go_on(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/room");
    cluster.put(0, "/room/a.jpg", "a").expect(201);
    let full = |nodes: &[usize]| {
        for node in nodes {
            let config = std::fs::read_to_string(cluster.config(*node)).unwrap();
            std::fs::write(cluster.config(*node), config.replace("\"0B\"", "\"16TiB\"")).unwrap();
            cluster.kill(*node);
            cluster.restart(*node);
        }
        nodes.iter().for_each(|node| cluster.wait_until_ready(*node));
    };
    full(&[2]);
    let stored = cluster.put(0, "/room/b.jpg", noise(1, 100_000)).expect(201);
    assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
    full(&[1]);
    for node in 0..3 {
        cluster.put(node, "/room/c.jpg", noise(1, 100_000)).expect(507);
    }
    assert_nothing(&cluster, "/room/c.jpg");
    cluster.delete(0, "/room/a.jpg").expect(204);
    assert_nothing(&cluster, "/room/a.jpg");
    kept.check();
}
