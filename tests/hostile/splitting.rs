//! One request that would be two, and one answer.

use super::scene::{assert_tells_nothing, kept, options};
use crate::common::{Call, Cluster, Connection, Front, noise};

pub fn no_name_splits_an_answer(front: Front, static_first: bool) {
    let cluster = Cluster::start(front, options(static_first, r#"["127.0.0.0/8"]"#));
    let split = "%0d%0aX-Split:%20yes%0d%0a%0d%0a";
    for (number, target) in [
        format!("/split/{split}.jpg"),
        format!("/split{split}/a.jpg"),
        "/split/%0aX-Split:%20yes.jpg".to_owned(),
        "/split/%0dX-Split:%20yes.jpg".to_owned(),
        format!("/split/a.jpg?x={split}"),
    ]
    .iter()
    .enumerate()
    {
        for body in [vec![b'x'; 100], noise(1, 300_000)] {
            let stored = cluster.put(number % 2, target, body.clone());
            assert!(matches!(stored.status, 201 | 204), "{target}: {stored}");
            for node in 0..2 {
                for method in ["GET", "HEAD", "OPTIONS", "PATCH", "POST"] {
                    let answer = cluster.send(node, &Call::new(method, target));
                    assert_tells_nothing(&answer, target);
                    assert!(method != "GET" || answer.body == body, "{target}: {answer}");
                }
            }
        }
        // A folder of that name: some servers lead to the name with a slash.
        let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
        assert_tells_nothing(&cluster.get(0, folder), folder);
        let copied = cluster
            .send(0, &Call::new("COPY", target).header("Destination", &format!("/split/{split}/copy.jpg")));
        assert_tells_nothing(&copied, target);
    }
    let form = [("name=\"f\"; filename=\"a%0d%0aX-Split: yes.jpg\"", &b"x"[..])];
    assert_tells_nothing(&cluster.send(0, &Call::form("/split/", &form)), "a form");
    for answer in [
        cluster.get(0, &format!("/missing{split}.jpg")),
        cluster.get(0, &format!("/missing{split}/")),
        cluster.send(0, &Call::new("GET", "/kept.jpg").header("Range", "bytes=0-0\u{b}X-Split: yes")),
    ] {
        assert_tells_nothing(&answer, "a missing name");
    }
}

pub fn no_request_becomes_two(front: Front, static_first: bool) {
    let cluster = Cluster::start(front, options(static_first, r#"["127.0.0.0/8"]"#));
    let second = "PUT /second.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsecond";
    let length = second.len();
    let chunk = format!("{length:x}\r\n{second}\r\n0\r\n\r\n");
    let heads: Vec<(String, String)> = vec![
        // The second stands inside the first's body, by one of the ways to read its length.
        (
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked", length + 5),
            format!("0\r\n\r\n{second}"),
        ),
        (
            format!("Transfer-Encoding: chunked\r\nContent-Length: {}", length + 5),
            format!("0\r\n\r\n{second}"),
        ),
        (format!("Content-Length: 0\r\nContent-Length: {length}"), second.to_owned()),
        (format!("Content-Length: {length}\r\nContent-Length: 0"), second.to_owned()),
        (format!("Content-Length: {length}, 0"), second.to_owned()),
        (format!("Content-Length: +{length}"), second.to_owned()),
        (format!("Content-Length : {length}"), second.to_owned()),
        (format!("Content-Length: {length}\r\nTransfer-Encoding: xchunked"), second.to_owned()),
        (format!("Content-Length: {length}\r\nTransfer-Encoding: identity"), second.to_owned()),
        (format!("Content-Length: {length}\r\nTransfer-Encoding : chunked"), second.to_owned()),
        (format!("Content-Length: {length}\r\nTransfer_Encoding: chunked"), second.to_owned()),
        (format!("Content-Length: {length}\r\nContent_Length: 0"), second.to_owned()),
        (format!("Content-Length: {length}\r\nX: y\r\n Transfer-Encoding: chunked"), second.to_owned()),
        ("Transfer-Encoding: chunked, identity".to_owned(), chunk.clone()),
        ("Transfer-Encoding: identity, chunked".to_owned(), chunk.clone()),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked".to_owned(), chunk.clone()),
        ("Transfer-Encoding: chunked\r\nContent_Length: 0".to_owned(), chunk.clone()),
        ("Transfer-Encoding:\u{b}chunked".to_owned(), chunk.clone()),
        ("Transfer-Encoding: chunked".to_owned(), chunk),
        ("Transfer-Encoding: chunked".to_owned(), format!("{length:x};a=\"\r\n{second}\r\n0\r\n\r\n")),
    ];
    for (head, body) in heads {
        // Caddy (Go) heeds the chunks, as RFC 9112 section 6.3 has it, and goes on with what follows: that is a
        // request of this client then, to Caddy as to webdfs. A proxy before it must not pass on such a head.
        let is_two_for_both = head.contains("Content-Length") && head.contains("Transfer-Encoding: chunked");
        if front == Front::Caddy && is_two_for_both {
            continue;
        }
        for method in ["PUT", "GET", "DELETE", "POST"] {
            let mut connection = Connection::open(cluster.address(0)).unwrap();
            let _ = connection
                .write(format!("{method} /first.jpg HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{body}").as_bytes());
            let _ = connection.end_sending();
            let answers = String::from_utf8_lossy(&connection.read_to_end().unwrap_or_default()).into_owned();
            let stored = cluster.get(1, "/second.jpg");
            assert_eq!(stored.status, 404, "{method} with {head:?}, answered {answers}");
        }
    }
    assert!(cluster.present().all(|node| cluster.is_alive(node)), "every node lives");
    assert!(cluster.get(0, "/kept.jpg").expect(200).body == kept());
}
