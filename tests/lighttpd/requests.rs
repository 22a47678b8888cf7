//! Requests: uploads of all kinds, large files, and heads that mean harm.

use crate::common::{
    Call, Cluster, Connection, Front, Options, assert_nothing, assert_stored, noise, shared, wait_until,
};
use crate::in_both_roles;

/// Larger than `map_max`: lighttpd sends it itself (X-Sendfile).
const LARGE: usize = 3_000_000;

#[test]
fn uploads_of_known_and_unknown_length_are_stored() {
    in_both_roles(&Options::default(), |cluster| {
        for size in [0, 1, 65_535, 65_536, 65_537, 8 << 20] {
            let body = noise(size as u64, size);
            let target = format!("/uploads/known-{size}.jpg");
            cluster.put(0, &target, body.clone()).expect(201);
            assert_stored(cluster, &target, &body);

            // lighttpd would refuse it with 411 if it were to stream it.
            let target = format!("/uploads/chunked-{size}.jpg");
            let mut connection = Connection::open(cluster.address(1)).unwrap();
            connection.begin(&Call::new("PUT", &target).header("Transfer-Encoding", "chunked")).unwrap();
            for chunk in body.chunks(100_000) {
                connection.chunk(chunk).unwrap();
            }
            connection.chunk(b"").unwrap();
            connection.answer("PUT").unwrap().expect(201);
            assert_stored(cluster, &target, &body);

            let target = format!("/uploads/expected-{size}.jpg");
            let mut connection = Connection::open(cluster.address(2)).unwrap();
            let length = size.to_string();
            let call =
                Call::new("PUT", &target).header("Content-Length", &length).header("Expect", "100-continue");
            connection.begin(&call).unwrap();
            if size > 0 {
                assert_eq!(connection.answer_head().unwrap().status, 100);
                connection.write(&body).unwrap();
            }
            connection.answer("PUT").unwrap().expect(201);
            assert_stored(cluster, &target, &body);
        }
    });
}

#[test]
fn an_upload_that_ends_early_leaves_nothing() {
    in_both_roles(&Options::default(), |cluster| {
        for (name, header) in
            [("known", ("Content-Length", "3000000")), ("chunked", ("Transfer-Encoding", "chunked"))]
        {
            let target = format!("/aborted/{name}.jpg");
            let mut connection = Connection::open(cluster.address(0)).unwrap();
            connection.begin(&Call::new("PUT", &target).header(header.0, header.1)).unwrap();
            let half = noise(1, 1_500_000);
            if name == "chunked" { connection.chunk(&half) } else { connection.write(&half) }.unwrap();
            if name == "known" {
                wait_until("the upload has begun", || {
                    cluster.present().any(|node| !cluster.spools(node).is_empty())
                });
            }
            drop(connection);
            assert_nothing(cluster, &target);
            let left = || std::fs::read_dir(cluster.root(0).with_file_name("uploads")).unwrap().count();
            wait_until("lighttpd keeps nothing of it", || left() == 0);
        }
    });
}

#[test]
fn an_upload_over_the_limit_is_refused_before_it_is_sent() {
    let cluster = shared(Front::Lighttpd);
    let over = ((1_u64 << 30) + 1).to_string();
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    connection.begin(&Call::new("PUT", "/limit/a.jpg").header("Content-Length", &over)).unwrap();
    connection.answer("PUT").unwrap().expect(413);
    assert_nothing(&cluster, "/limit/a.jpg");
}

#[test]
fn a_replaced_file_is_the_new_one_from_the_next_request_on() {
    let cluster = shared(Front::Lighttpd);
    for turn in 0..40 {
        let body = noise(turn, 2000 + turn as usize % 3);
        cluster.put(turn as usize % 3, "/replaced/a.jpg", body.clone());
        assert_stored(&cluster, "/replaced/a.jpg", &body);
        if turn % 10 == 9 {
            cluster.delete(0, "/replaced/a.jpg").expect(204);
            for node in cluster.present() {
                cluster.get(node, "/replaced/a.jpg").expect(404);
            }
        }
    }
}

#[test]
fn large_files_are_sent_by_lighttpd_whole_and_in_parts() {
    let options = Options { static_first: false, replicas: 2, ..Options::default() };
    in_both_roles(&options, |cluster| {
        for name in ["a.jpg", "a%20b%25.jpg", "%C3%A9%3F.jpg", "%E9.jpg", "line%0Abreak.jpg", "end%20"] {
            let (target, body) = (format!("/large/{name}"), noise(3, LARGE));
            cluster.put(0, &target, body.clone()).expect(201);
            assert_stored(cluster, &target, &body);
            for node in cluster.present() {
                let part =
                    cluster.send(node, &Call::new("GET", &target).header("Range", "bytes=1000000-1999999"));
                assert!(part.expect(206).body == body[1_000_000..2_000_000], "{target} through node {node}");
                let end = cluster.send(node, &Call::new("GET", &target).header("Range", "bytes=-5"));
                assert!(end.expect(206).body == body[LARGE - 5..], "{target} through node {node}");
            }
        }
    });
}

#[test]
fn a_link_out_of_the_root_leads_nowhere_through_x_sendfile() {
    let prepare = |cluster: &Cluster| {
        let outside = cluster.root(0).with_file_name("outside");
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("a.jpg"), noise(1, LARGE)).unwrap();
        std::os::unix::fs::symlink(&outside, cluster.root(0).join("link")).unwrap();
    };
    let cluster =
        Cluster::start(Front::Lighttpd, Options { prepare, static_first: false, ..Options::default() });
    for target in ["/link/a.jpg", "/../outside/a.jpg", "/%2e%2e/outside/a.jpg", "/x/..%2f..%2foutside/a.jpg"]
    {
        let answer = cluster.get(0, target);
        assert!(matches!(answer.status, 400 | 404), "{target} {answer}");
    }
}

#[test]
fn headers_of_a_client_are_not_what_the_web_server_says() {
    let cluster = Cluster::start(
        Front::Lighttpd,
        Options { allow: r#"["remote-user", "10.9.8.7"]"#, static_first: false, ..Options::default() },
    );
    let forged = [
        ("Remote-User", "ada"),
        ("Remote_User", "ada"),
        ("REMOTE_USER", "ada"),
        ("Authorization", "Basic YWRhOnNlY3JldA=="),
        ("Remote_Addr", "10.9.8.7"),
        ("X-Forwarded-For", "10.9.8.7"),
        ("X_Forwarded_For", "10.9.8.7"),
        ("Forwarded", "for=10.9.8.7"),
        ("Webdfs-Hop", "1"),
        ("Webdfs_Hop", "1"),
        ("Webdfs_Node", "img2"),
        ("Content_Length", "0"),
        ("Request_Uri", "/other"),
        ("HTTP_REMOTE_USER", "ada"),
    ];
    for (name, value) in forged {
        let call = Call::new("PUT", "/forged/a.jpg").header(name, value).body("x");
        cluster.send(0, &call).expect(403);
        assert_nothing(&cluster, "/forged/a.jpg");
    }
    // Nor are they another node.
    for (name, value) in forged {
        let call = Call::new("POST", "/_webdfs/v1/delete/forged/a.jpg").header(name, value).body("{}");
        let answer = cluster.send(0, &call);
        assert!(matches!(answer.status, 401 | 403 | 404), "{name} {answer}");
    }
}

#[test]
fn two_lengths_and_two_framings_are_refused() {
    let cluster = shared(Front::Lighttpd);
    for headers in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: -1",
        "Content-Length: 1x",
        "Transfer-Encoding: gzip",
        "Content-Length : 1",
    ] {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        let head =
            format!("PUT /framing/a.jpg HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n\r\n");
        connection.write(head.as_bytes()).unwrap();
        let answer = connection.answer("PUT").unwrap();
        assert!((400..=501).contains(&answer.status), "{headers} {answer}");
        assert_nothing(&cluster, "/framing/a.jpg");
    }
}

#[test]
fn a_slow_reader_and_a_large_upload_hold_little_of_lighttpd() {
    const HUGE: usize = 96 << 20;
    const HELD_MAX: u64 = 16 << 20;
    let options = Options { static_first: false, replicas: 2, ..Options::default() };
    let cluster = Cluster::start(Front::Lighttpd, options);
    // One that lies on the other nodes: its bytes come through webdfs.
    let target = cluster.path_owned("/huge", |owners| !owners.contains(&0));
    let body = noise(1, HUGE);
    // In memory, and in files of its own.
    let held = || {
        let files = std::fs::read_dir(cluster.root(0).with_file_name("uploads")).unwrap();
        let on_disk: u64 = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum();
        on_disk + cluster.with_server(0, |server| server.private_memory().unwrap())
    };

    // A body of which half is sent, and all of that taken.
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    let length = HUGE.to_string();
    connection.begin(&Call::new("PUT", &target).header("Content-Length", &length)).unwrap();
    connection.write(&body[..HUGE / 2]).unwrap();
    assert!(held() < HELD_MAX, "{} bytes of an upload", held());
    connection.write(&body[HUGE / 2..]).unwrap();
    connection.answer("PUT").unwrap().expect(201);

    let mut connection = Connection::open(cluster.address(0)).unwrap();
    let call = Call::new("GET", &target);
    connection.begin(&call).unwrap();
    let head = connection.answer_head().unwrap().expect(200);
    assert!(connection.read_exactly(1 << 20).unwrap() == body[..1 << 20]);
    // It has had time to take more from webdfs than it could send.
    cluster.get(0, &target).expect(200);
    assert!(held() < HELD_MAX, "{} bytes of an answer", held());
    assert_eq!(head.header("Content-Length"), Some(length.as_str()));
    assert!(connection.read_exactly(HUGE - (1 << 20)).unwrap() == body[1 << 20..]);
}

#[test]
fn a_post_that_does_not_say_its_length_is_refused_by_lighttpd() {
    // Why tests and clients send `Content-Length: 0`: lighttpd knows no body only of other methods.
    let cluster = shared(Front::Lighttpd);
    cluster.send(0, &Call::new("POST", "/post/")).expect(411);
}

#[test]
fn uploads_can_ask_for_a_password() {
    // The lines that the shipped file has ready for it, with the user's file.
    let prepare = |cluster: &Cluster| {
        let users = cluster.config(0).with_file_name("htpasswd");
        std::fs::write(&users, "ada:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n").unwrap();
        let path = cluster.config(0).with_file_name("webdfs.conf");
        let shipped = std::fs::read_to_string(&path).unwrap();
        let (before, ready) = shipped.split_at(shipped.find("#server.modules += ( \"mod_auth\"").unwrap());
        let (ready, after) = ready.split_at(ready.find("\n\n").unwrap());
        let ready = ready.replace("\n#", "\n").replace("/etc/webdfs/htpasswd", users.to_str().unwrap());
        std::fs::write(path, [before, &ready[1..], after].concat()).unwrap();
    };
    let options = Options { prepare, allow: r#"["remote-user"]"#, ..Options::default() };
    let cluster = Cluster::start(Front::Lighttpd, options);
    let put = || Call::new("PUT", "/password/a.jpg").body("a");
    let refused = cluster.send(0, &put()).expect(401);
    assert!(refused.header("WWW-Authenticate").is_some(), "{refused}");
    let (wrong, right) = ("Basic YWRhOndyb25n", "Basic YWRhOnNlY3JldA==");
    cluster.send(0, &put().header("Authorization", wrong)).expect(401);
    // Another node's lighttpd has no such lines: nobody has logged in there.
    cluster.send(1, &put().header("Authorization", right)).expect(403);
    assert_nothing(&cluster, "/password/a.jpg");
    cluster.send(0, &put().header("Authorization", right)).expect(201);
    assert_stored(&cluster, "/password/a.jpg", b"a");
}

/// Debian's lighttpd speaks HTTP/2 without TLS (`server.h2c`), where an upload need not say its length.
#[test]
fn uploads_over_http_2_are_stored_whole_or_not_at_all() {
    use std::io::Write;
    let cluster = shared(Front::Lighttpd);
    let body = noise(12, 3 << 20);
    let file = cluster.root(0).parent().unwrap().join("body");
    std::fs::write(&file, &body).unwrap();
    let curl = |source: &str, target: &str| {
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "-sS",
            "--http2-prior-knowledge",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
            "-T",
        ]);
        curl.arg(source).arg(format!("http://{}{target}", cluster.address(0)));
        curl.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        curl.spawn().expect("curl runs")
    };
    let said = |curl: std::process::Child| {
        String::from_utf8(curl.wait_with_output().unwrap().stdout).expect("what curl says is text")
    };
    assert_eq!(said(curl(file.to_str().unwrap(), "/h2/known.bin")), "2 201");
    assert_stored(&cluster, "/h2/known.bin", &body);
    let mut unknown = curl("-", "/h2/unknown.bin");
    unknown.stdin.take().unwrap().write_all(&body).unwrap();
    assert_eq!(said(unknown), "2 201");
    assert_stored(&cluster, "/h2/unknown.bin", &body);
    let mut broken = curl("-", "/h2/broken.bin");
    let mut input = broken.stdin.take().unwrap();
    input.write_all(&body).unwrap();
    broken.kill().unwrap();
    broken.wait().unwrap();
    drop(input);
    cluster.put(0, "/h2/after.bin", "x").expect(201);
    assert_nothing(&cluster, "/h2/broken.bin");
    let secret = format!("http://{}/_webdfs/../.webdfs/node.toml", cluster.address(0));
    let mut curl = std::process::Command::new("curl");
    curl.args([
        "-sS",
        "--path-as-is",
        "--http2-prior-knowledge",
        "-H",
        "If-Match: *",
        "-w",
        "%{http_code}",
        &secret,
    ]);
    let output = String::from_utf8(curl.output().unwrap().stdout).unwrap();
    assert!(output.ends_with("404") || output.ends_with("400"), "{output}");
}
