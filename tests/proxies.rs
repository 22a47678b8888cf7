//! HAProxy and Caddy in front of webdfs, each with the shipped file: what clients can do through nginx, they can do
//! through these. What is peculiar to one of them is in `haproxy.rs` and `caddy.rs`.

mod common;

use common::{
    Call, Cluster, Connection, Front, Kept, Options, assert_missing, assert_nothing, assert_stored, noise,
    shared,
};

on_both_proxies!(
    a_name_of_any_characters_is_stored_read_moved_and_deleted,
    the_target_arrives_as_the_client_wrote_it,
    whoever_answers_the_validators_are_the_same,
    ranges_and_conditions_are_answered,
    bodies_of_every_size_arrive_whole,
    a_client_that_asks_first_is_told_to_go_on,
    a_body_cut_short_leaves_nothing,
    what_must_never_be_served_is_refused_in_every_spelling,
    a_forged_header_changes_nothing,
    a_name_without_a_password_is_nobody,
);

fn a_name_of_any_characters_is_stored_read_moved_and_deleted(front: Front) {
    let cluster = shared(front);
    let body = noise(1, 3000);
    let names = [
        "a%20b",
        "%22q%22",
        "100%25",
        "what%3F",
        "%23x",
        "%c3%a9",
        "%e9",
        "semi;colon",
        "plus+",
        "a'b",
        "%5Cb",
        "tab%09x",
        "%7Bpath%7D",
        "line%0Afeed",
    ];
    for name in names {
        let (target, moved) = (format!("/names/{name}.jpg"), format!("/moved/{name}.jpg"));
        cluster.put(0, &target, body.clone()).expect(201);
        assert_stored(&cluster, &target, &body);
        cluster.send(1, &Call::new("MOVE", &target).header("Destination", &moved)).expect(201);
        assert_missing(&cluster, &target);
        assert_stored(&cluster, &moved, &body);
        cluster.delete(0, &moved).expect(204);
        assert_missing(&cluster, &moved);
    }
}

fn the_target_arrives_as_the_client_wrote_it(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/raw/a/b.jpg", "here").expect(201);
    for same in
        ["/raw//a/b.jpg", "/raw/x/../a/./b.jpg", "/raw/%61/b.jpg", "/raw/a/b.jpg?a%20b=%2F", "/raw/a/b.jpg?"]
    {
        assert_eq!(cluster.get(0, same).expect(200).text(), "here", "{same}");
    }
    // An encoded slash is no slash, and a NUL is nothing at all.
    for (none, status) in
        [("/raw/a%2Fb.jpg", 400), ("/raw%2fa/b.jpg", 400), ("/raw/%00.jpg", 400), ("/raw/A/b.jpg", 404)]
    {
        cluster.get(0, none).expect(status);
    }
    // A folder is no file, with a slash or without; its index is, if there is one.
    cluster.get(0, "/raw/a").expect(404);
    cluster.get(0, "/raw/a/").expect(404);
    cluster.put(0, "/raw/a/index.html", "index").expect(201);
    assert_eq!(cluster.get(0, "/raw/a/").expect(200).text(), "index");
    cluster.get(0, "/raw/a").expect(404);
    cluster.get(0, "/raw/a/b.jpg/").expect(404);
}

/// Four nodes, and each file on two of them: some have it on their disk, the others do not.
fn whoever_answers_the_validators_are_the_same(front: Front) {
    let cluster = Cluster::start(front, Options { nodes: 4, replicas: 2, ..Options::default() });
    for (name, length) in
        [("a.jpg", 3000), ("b.css", 10), ("c.JPG", 10), ("d.unknown", 0), ("e", 7), ("f.html", 700_000)]
    {
        let target = format!("/alike/{name}");
        let stored = cluster.put(0, &target, noise(3, length)).expect(201);
        for node in 0..4 {
            let (get, head) =
                (cluster.get(node, &target).expect(200), cluster.head(node, &target).expect(200));
            for header in [
                "ETag",
                "Last-Modified",
                "Content-Type",
                "Content-Length",
                "Accept-Ranges",
                "Content-Encoding",
            ] {
                assert_eq!(get.header(header), head.header(header), "{name} {header}: {get}");
                let first = cluster.get(0, &target);
                assert_eq!(get.header(header), first.header(header), "{name} {header} on {node}: {get}");
            }
            assert_eq!(get.etag(), stored.etag(), "{name}");
            assert_eq!(get.header("Status"), None, "FastCGI's own line is not for clients");
        }
    }
}

fn ranges_and_conditions_are_answered(front: Front) {
    let cluster = shared(front);
    let body = noise(4, 10_000);
    let stored = cluster.put(0, "/conditions/a.jpg", body.clone()).expect(201);
    let answer = cluster.get(0, "/conditions/a.jpg").expect(200);
    let (etag, date) = (stored.etag().to_owned(), answer.header("Last-Modified").unwrap().to_owned());
    let (etag, date) = (etag.as_str(), date.as_str());
    let cases: [(&str, &str, u16, std::ops::Range<usize>); 14] = [
        ("Range", "bytes=0-99", 206, 0..100),
        ("Range", "bytes=9900-", 206, 9900..10_000),
        ("Range", "bytes=-1", 206, 9999..10_000),
        ("Range", "bytes=10000-", 416, 0..0),
        ("If-None-Match", etag, 304, 0..0),
        ("If-None-Match", "*", 304, 0..0),
        ("If-None-Match", "\"other\"", 200, 0..10_000),
        ("If-Match", etag, 200, 0..10_000),
        ("If-Match", "\"other\"", 412, 0..0),
        ("If-Modified-Since", date, 304, 0..0),
        ("If-Modified-Since", "Wed, 01 Jan 2070 00:00:00 GMT", 304, 0..0),
        ("If-Modified-Since", "Tue, 14 Nov 2006 22:13:20 GMT", 200, 0..10_000),
        ("If-Unmodified-Since", date, 200, 0..10_000),
        ("If-Unmodified-Since", "Tue, 14 Nov 2006 22:13:20 GMT", 412, 0..0),
    ];
    for (name, value, status, range) in cases {
        let answer =
            cluster.send(0, &Call::new("GET", "/conditions/a.jpg").header(name, value)).expect(status);
        if matches!(status, 200 | 206) {
            assert!(answer.body == body[range], "{name}: {value}: {answer}");
        }
        let head = cluster.send(0, &Call::new("HEAD", "/conditions/a.jpg").header(name, value));
        assert!(
            head.status == status || head.status == 200 && name == "Range",
            "HEAD {name}: {value}: {head}"
        );
    }
    for (validator, status) in [(etag, 206), (date, 206), ("\"other\"", 200)] {
        let call =
            Call::new("GET", "/conditions/a.jpg").header("Range", "bytes=5-6").header("If-Range", validator);
        cluster.send(0, &call).expect(status);
    }
}

fn bodies_of_every_size_arrive_whole(front: Front) {
    let cluster = shared(front);
    for length in [0, 1, 16_383, 16_384, 65_535, 65_536, 65_537, 8 << 20] {
        let (target, body) = (format!("/sizes/{length}.bin"), noise(length as u64, length));
        cluster.put(length % 3, &target, body.clone()).expect(201);
        assert_stored(&cluster, &target, &body);
    }
    // Without a Content-Length, and in pieces that come one by one.
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    let call = Call::new("PUT", "/sizes/chunked.bin").header("Transfer-Encoding", "chunked");
    connection.begin(&call).unwrap();
    let body = noise(5, 9000);
    body.chunks(1000).for_each(|chunk| connection.chunk(chunk).unwrap());
    connection.chunk(b"").unwrap();
    connection.answer("PUT").unwrap().expect(201);
    assert_stored(&cluster, "/sizes/chunked.bin", &body);
}

fn a_client_that_asks_first_is_told_to_go_on(front: Front) {
    let cluster = shared(front);
    let body = noise(6, 100_000);
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    let call =
        Call::new("PUT", "/expect/a.jpg").header("Expect", "100-continue").header("Content-Length", "100000");
    connection.begin(&call).unwrap();
    assert_eq!(connection.answer_head().unwrap().status, 100);
    connection.write(&body).unwrap();
    connection.answer("PUT").unwrap().expect(201);
    assert_stored(&cluster, "/expect/a.jpg", &body);
}

fn a_body_cut_short_leaves_nothing(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/short");
    for (sent, promised) in [(0, 1), (5, 6), (70_000, 200_000), (1_000_000, 1_000_001)] {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        let call = Call::new("PUT", "/short/a.jpg").header("Content-Length", &promised.to_string());
        connection.begin(&call).unwrap();
        connection.write(&noise(7, sent)).unwrap();
        drop(connection);
        assert_nothing(&cluster, "/short/a.jpg");
    }
    // Between two chunks there is nothing amiss but the end.
    for length in [10, 9000, 100_000] {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        connection.begin(&Call::new("PUT", "/short/b.jpg").header("Transfer-Encoding", "chunked")).unwrap();
        let _ = connection.chunk(&noise(8, length));
        drop(connection);
        assert_nothing(&cluster, "/short/b.jpg");
    }
    kept.check();
}

fn what_must_never_be_served_is_refused_in_every_spelling(front: Front) {
    let cluster = shared(front);
    for name in [".hidden.jpg", "script.php", "script.PL", "folder/.git/a.jpg"] {
        let path = cluster.root(0).join("refused").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "must not be seen").unwrap();
    }
    let targets = [
        "/.webdfs/node.toml",
        "/%2Ewebdfs/node.toml",
        "/%2e%77ebdfs/node.toml",
        "//.webdfs/node.toml",
        "/a/../.webdfs/node.toml",
        "/a/%2e%2e/.webdfs/node.toml",
        "/.webdfs",
        "/.webdfs/",
        "/.WEBDFS/node.toml",
        "/refused/.hidden.jpg",
        "/refused/%2ehidden.jpg",
        "/refused/script.php",
        "/refused/script.p%68p",
        "/refused/script.PL",
        "/refused/script.php/",
        "/refused/script.php/.",
        "/refused/folder/.git/a.jpg",
        "/refused/folder%2f.git/a.jpg",
        "/../node1/node.toml",
        "/%2e%2e/node.toml",
    ];
    for target in targets {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let call = Call::new(method, target);
            let answer = cluster.send(0, &if method == "PUT" { call.body("x") } else { call });
            assert!(matches!(answer.status, 400 | 403 | 404 | 405), "{method} {target}: {answer}");
            assert!(!answer.text().contains("name ="), "{method} {target}: {answer}");
        }
    }
    std::fs::remove_dir_all(cluster.root(0).join("refused")).unwrap();
}

fn a_forged_header_changes_nothing(front: Front) {
    let cluster = Cluster::start(
        front,
        Options { allow: r#"["remote-user"]"#, nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() },
    );
    let forged = [
        ("Remote-User", "ann"),
        ("Remote_User", "ann"),
        ("REMOTE_USER", "ann"),
        ("Http-Remote-User", "ann"),
        ("X-Forwarded-User", "ann"),
        ("Webdfs-Hop", "img1"),
        ("Webdfs-Node", "img1"),
        ("Webdfs_Signature", "0"),
        ("Webdfs-Failed-Peer", "127.0.0.1:1"),
        ("Webdfs-Sendfile", "1"),
    ];
    for (name, value) in forged {
        let call = Call::new("PUT", "/forged/a.jpg").header(name, value).body("x");
        cluster.send(0, &call).expect(403);
    }
    let all =
        forged.iter().fold(Call::new("GET", "/forged/a.jpg"), |call, (name, value)| call.header(name, value));
    cluster.send(0, &all).expect(404);
    for method in ["GET", "POST", "PUT"] {
        cluster.send(0, &Call::new(method, "/_webdfs/v1/commit").body("{}")).expect(403);
    }
}

fn a_name_without_a_password_is_nobody(front: Front) {
    let cluster = Cluster::start(
        front,
        Options { allow: r#"["remote-user"]"#, nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() },
    );
    // ann:secret. Nobody has checked the password, so nobody has logged in.
    for authorization in ["Basic YW5uOnNlY3JldA==", "Bearer a-token", "Basic !", "Digest username=\"ann\""] {
        let call = Call::new("PUT", "/token/a.jpg").header("Authorization", authorization).body("x");
        cluster.send(0, &call).expect(403);
    }
}
