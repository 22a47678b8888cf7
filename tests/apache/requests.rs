use std::fs;
use std::os::unix::net::UnixStream;

use crate::common::{
    Call, Cluster, Connection, Front, Options, assert_nothing, assert_stored, noise, shared, wait_until,
};
use crate::{both_ways, edit};

both_ways!(
    uploads_of_any_size_pass_up_to_the_limit,
    an_upload_that_is_broken_off_leaves_nothing,
    other_methods_and_encoded_slashes_are_for_webdfs_to_answer,
    a_client_cannot_pose_as_anybody_by_its_headers,
    large_files_are_sent_by_apache_whole_and_in_parts,
    a_password_lets_in_the_user_that_apache_has_checked,
);

fn uploads_of_any_size_pass_up_to_the_limit(front: Front) {
    let cluster = shared(front);
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073, 8 << 20] {
        let (path, body) = (format!("/sizes/{length}.bin"), noise(length as u64, length));
        cluster.put(0, &path, body.clone()).expect(201);
        assert_stored(&cluster, &path, &body);
        // And in pieces, without a length.
        let mut connection = Connection::open(cluster.address(1)).unwrap();
        connection.begin(&Call::new("PUT", &path).header("Transfer-Encoding", "chunked")).unwrap();
        body.chunks(100_000).for_each(|piece| drop(connection.chunk(piece)));
        let _ = connection.chunk(b"");
        // What mod_fcgid would make of a broken one is why it may not have any.
        let status = if front == Front::ApacheFcgid { 411 } else { 204 };
        connection.answer("PUT").unwrap().expect(status);
        assert_stored(&cluster, &path, &body);
    }
    cluster.put(0, "/sizes/huge", "as it was").expect(201);
    for length in ["1073741825", "2147483648", "4294967297", "99999999999", "99999999999999999999999"] {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        connection.begin(&Call::new("PUT", "/sizes/huge").header("Content-Length", length)).unwrap();
        let answer = connection.answer("PUT").unwrap();
        assert!(matches!(answer.status, 400 | 413), "{length}: {answer}");
        assert_stored(&cluster, "/sizes/huge", b"as it was");
    }
}

fn an_upload_that_is_broken_off_leaves_nothing(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let begin = |name: &str, value: &str| {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        connection.begin(&Call::new("PUT", "/broken.jpg").header(name, value)).unwrap();
        connection
    };
    for sent in [0, 1, 100_000, 1_000_000] {
        let mut connection = begin("Content-Length", "2000000");
        connection.write(&noise(1, sent)).unwrap();
        drop(connection);
        let mut connection = begin("Content-Length", "2000000");
        connection.write(&noise(1, sent)).unwrap();
        connection.end_sending().unwrap();
        // mod_fcgid says 500 where it should say 400.
        let answer = connection.answer("PUT").unwrap();
        assert!(matches!(answer.status, 400 | 500), "{answer}");
    }
    // Chunks that are none, in the middle of a body.
    for broken in
        ["zz\r\nabc", "5\r\nab", "ffffffffffffffffffff\r\nab", "5\r\nabcdefgh\r\n0\r\n\r\n", "-5\r\nabc"]
    {
        for before in [0, 1, 70_000] {
            let mut connection = begin("Transfer-Encoding", "chunked");
            if before > 0 {
                connection.chunk(&noise(1, before)).unwrap();
            }
            connection.write(broken.as_bytes()).unwrap();
            connection.end_sending().unwrap();
            let answer = connection.answer("PUT").unwrap();
            assert!(matches!(answer.status, 400 | 411 | 413), "{broken:?} after {before} bytes: {answer}");
        }
    }
    assert_nothing(&cluster, "/broken.jpg");
}

fn other_methods_and_encoded_slashes_are_for_webdfs_to_answer(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/methods/a.jpg", "a").expect(201);
    for (method, status) in [("PATCH", 405), ("PROPFIND", 405), ("FOO", 405)] {
        let answer = cluster.send(0, &Call::new(method, "/methods/a.jpg"));
        assert_eq!(answer.status, status, "{method}: {answer}");
        assert!(answer.header("Allow").is_some_and(|allow| allow.contains("MOVE")), "{answer}");
    }
    let options = cluster.send(0, &Call::new("OPTIONS", "/methods/a.jpg"));
    assert!(options.header("Allow").is_some_and(|allow| allow.contains("MOVE")), "{options}");
    // A file whose name Apache would find by it.
    cluster.put(0, "/methods/a%252Fb.jpg", "literal").expect(201);
    for target in ["/methods%2fa.jpg", "/methods%2Fa.jpg", "/methods/a%2Fb.jpg", "/..%2f..%2fetc/passwd"] {
        cluster.get(0, target).expect(400);
        cluster.put(0, target, "x").expect(400);
    }
    assert_eq!(cluster.get(0, "/methods/a%252Fb.jpg").expect(200).text(), "literal");
    for target in ["/methods/%00", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"] {
        let answer = cluster.get(0, target);
        assert!(matches!(answer.status, 400 | 404), "{target}: {answer}");
    }
    // A whole URL as the target, as to a proxy.
    let whole = format!("http://{}/methods/a.jpg", cluster.address(0));
    assert_eq!(cluster.get(0, &whole).expect(200).text(), "a");
}

fn a_client_cannot_pose_as_anybody_by_its_headers(front: Front) {
    let options =
        Options { allow: r#"["remote-user", "10.9.8.7"]"#, static_first: false, ..Options::default() };
    let cluster = Cluster::start(front, options);
    for (name, value) in [
        ("Remote-User", "ada"),
        ("Remote_User", "ada"),
        ("REMOTE_USER", "ada"),
        ("X-Remote-User", "ada"),
        ("Remote-Addr", "10.9.8.7"),
        ("REMOTE_ADDR", "10.9.8.7"),
        ("X-Forwarded-For", "10.9.8.7"),
        ("X-Real-IP", "10.9.8.7"),
        ("Proxy", "http://10.9.8.7/"),
        ("Authorization", "Basic YWRhOng="),
        ("Webdfs-Hop", "img1"),
        ("Webdfs_Hop", "img1"),
        ("Webdfs-Version", "1"),
        ("Webdfs-Signature", "00"),
        ("WEBDFS_SENDFILE", "1"),
        ("WEBDFS_FAILED_PEER", "127.0.0.1:1"),
        ("Redirect-Remote-User", "ada"),
        ("X_Under", "1"),
    ] {
        let answer = cluster.send(0, &Call::new("PUT", "/forged.jpg").header(name, value).body("x"));
        assert_eq!(answer.status, 403, "{name}: {value}: {answer}");
        let answer = cluster.send(0, &Call::new("GET", "/forged.jpg").header(name, value));
        assert_eq!(answer.status, 404, "{name}: {value}: {answer}");
    }
    // A second length under another spelling does not cut the body: the first one is the header's.
    let call = Call::new("PUT", "/forged.jpg").header("Content_Length", "0").body("abc");
    cluster.send(0, &call).expect(403);
    for target in ["/_webdfs/v1/", "/_webdfs/v1/prepare", "/_webdfs/v1/have"] {
        for method in ["GET", "PUT", "POST"] {
            let answer = cluster.send(0, &Call::new(method, target).body("x"));
            assert!(matches!(answer.status, 403..=405), "{method} {target}: {answer}");
        }
    }
    assert_nothing(&cluster, "/forged.jpg");
}

fn large_files_are_sent_by_apache_whole_and_in_parts(front: Front) {
    let options = Options { static_first: false, deliver: "map_max = \"64KiB\"", ..Options::default() };
    let cluster = Cluster::start(front, options);
    for name in ["large.jpg", "a%20b%25.jpg", "what%3Fnow.jpg", "tab%09.jpg", "%C3%A9.jpg", "latin-%E9.jpg"] {
        let (path, body) = (format!("/large/{name}"), noise(5, 300_000));
        let stored = cluster.put(0, &path, body.clone()).expect(201);
        for node in 0..3 {
            let answer = cluster.get(node, &path).expect(200);
            assert!(answer.body == body && answer.etag() == stored.etag(), "{answer}");
            assert_eq!(answer.header("Content-Type"), Some("image/jpeg"));
            assert_eq!(answer.header("Content-Length"), Some("300000"));
            assert_eq!(
                (answer.header("X-Sendfile"), answer.header("Last-Modified")),
                (None, stored.header("Last-Modified"))
            );
            let head = cluster.head(node, &path).expect(200);
            assert_eq!((head.header("Content-Length"), head.etag()), (Some("300000"), stored.etag()));
            let part = Call::new("GET", &path).header("Range", "bytes=100000-100009");
            assert_eq!(cluster.send(node, &part).expect(206).body, body[100_000..100_010]);
            let same = Call::new("GET", &path).header("If-None-Match", stored.etag());
            assert_eq!(cluster.send(node, &same).expect(304).header("X-Sendfile"), None);
        }
    }
}

fn a_password_lets_in_the_user_that_apache_has_checked(front: Front) {
    fn prepare(cluster: &Cluster) {
        for node in 0..3 {
            let file = cluster.config(node).with_file_name("htpasswd");
            // The password is "x", {SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=, as htpasswd -s writes it.
            fs::write(&file, "ada:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=\n").unwrap();
            edit(cluster, node, "/etc/webdfs/htpasswd", file.to_str().unwrap());
            let text = fs::read_to_string(crate::site(cluster, node)).unwrap();
            let (top, rest) = text.split_once("# Everyone may ask").unwrap();
            let rest = rest.replacen("Require all granted", "", 1);
            fs::write(crate::site(cluster, node), format!("{top}# {rest}")).unwrap();
            for line in ["AuthType Basic", "AuthName", "AuthUserFile", "Require method", "Require valid-user"]
            {
                edit(cluster, node, &format!("#{line}"), line);
            }
        }
    }
    let options = Options { allow: r#"["remote-user"]"#, prepare, ..Options::default() };
    let cluster = Cluster::start(front, options);
    let put = Call::new("PUT", "/by-ada.jpg").body("hers");
    cluster.send(0, &put).expect(401);
    cluster.send(0, &put.clone().header("Authorization", "Basic YWRhOnk=")).expect(401);
    cluster.send(0, &put.header("Authorization", "Basic YWRhOng=")).expect(201);
    // Nobody is asked for reading, and other nodes are not asked at all.
    assert_stored(&cluster, "/by-ada.jpg", b"hers");
    cluster.get(0, "/missing.jpg").expect(404);
}

#[test]
fn without_webdfs_the_files_on_disk_are_still_served() {
    let cluster = Cluster::start(Front::ApacheProxy, Options::default());
    cluster.put(0, "/a.jpg", "a").expect(201);
    fs::write(cluster.root(0).join("x.php"), "secret").unwrap();
    cluster.kill_webdfs(0);
    assert_eq!(cluster.get(0, "/a.jpg").expect(200).text(), "a");
    cluster.get(0, "/x.php").expect(503);
    cluster.put(0, "/a.jpg", "b").expect(503);
    // And once it is back, it is asked at once.
    cluster.restart(0);
    wait_until("webdfs listens", || UnixStream::connect(cluster.socket(0)).is_ok());
    cluster.get(0, "/x.php").expect(404);
}
