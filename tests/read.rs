//! Reading: what clients get, whichever node they ask and however it is delivered.

mod common;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::{Answer, Call, Cluster, Front, noise, shared};

on_every_front!(
    what_is_put_through_any_node_is_read_through_every_node,
    the_validators_are_the_same_however_an_object_is_delivered,
    head_says_what_get_would,
    content_types_follow_the_extension,
    a_path_that_ends_in_a_slash_means_its_index,
    names_of_any_bytes_come_back_under_their_own_name,
    slashes_and_dots_are_resolved_alike_on_every_way,
    a_name_of_two_kibibytes_is_refused,
    a_segment_too_long_for_a_file_name_is_stored_all_the_same,
    a_name_and_names_below_it_are_stored_together,
    a_missing_name_is_not_found,
    an_object_without_bytes_has_no_range,
    several_ranges_come_in_one_answer,
);

/// The other ways to the same object: each node's front, and its embedded front beside it.
fn everywhere(cluster: &Cluster, call: &Call) -> Vec<(String, Answer)> {
    let answers = cluster.present().flat_map(|node| {
        let front = (format!("the front of node {node}"), cluster.send(node, call));
        let side = (format!("the embedded front of node {node}"), call.send(cluster.side_address(node)));
        [front, side]
    });
    answers.collect()
}

/// Checks that an object is there, the same on every way.
#[track_caller]
fn assert_everywhere(cluster: &Cluster, target: &str, body: &[u8]) {
    for (way, answer) in everywhere(cluster, &Call::new("GET", target)) {
        assert_eq!(answer.status, 200, "{target} by {way}: {answer}");
        assert!(answer.body == body, "the bytes of {target} by {way}: {answer}");
    }
}

fn what_is_put_through_any_node_is_read_through_every_node(front: Front) {
    let cluster = shared(front);
    for through in 0..3 {
        let path = format!("/put-through-each/{through}.jpg");
        let body = noise(through as u64, 20_000);
        cluster.put(through, &path, body.clone()).expect(201);
        assert_everywhere(&cluster, &path, &body);
    }
}

fn the_validators_are_the_same_however_an_object_is_delivered(front: Front) {
    let cluster = shared(front);
    // Mapped, read, and left to the web server; and one that only the responder can deliver, since it has no path.
    let long = format!("/validators/{}.jpg", "x".repeat(300));
    let paths = [("/validators/small.jpg", 1000), ("/validators/large.jpg", 700_000), (&long, 3000)];
    for (path, length) in paths {
        let stored = cluster.put(0, path, noise(1, length)).expect(201);
        for method in ["GET", "HEAD"] {
            for (way, answer) in everywhere(&cluster, &Call::new(method, path)) {
                assert_eq!(answer.status, 200, "{method} {path} by {way}: {answer}");
                for name in ["ETag", "Last-Modified"] {
                    assert_eq!(answer.header(name), stored.header(name), "{method} {path} by {way}");
                }
                assert_eq!(answer.header("Content-Length"), Some(&*length.to_string()), "{path} by {way}");
            }
        }
    }
}

fn head_says_what_get_would(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/head/a.png", noise(1, 5000)).expect(201);
    let kept = ["Content-Type", "Content-Length", "ETag", "Last-Modified", "Accept-Ranges"];
    for ((way, get), (_, head)) in everywhere(&cluster, &Call::new("GET", "/head/a.png"))
        .into_iter()
        .zip(everywhere(&cluster, &Call::new("HEAD", "/head/a.png")))
    {
        assert_eq!((head.status, head.body.len()), (200, 0), "{way}");
        for name in kept {
            assert!(get.header(name).is_some(), "{name} by {way}: {get}");
            assert_eq!(get.header(name), head.header(name), "{name} by {way}");
        }
    }
}

fn content_types_follow_the_extension(front: Front) {
    let cluster = shared(front);
    let types = [
        ("a.jpg", "image/jpeg"),
        ("a.JPEG", "image/jpeg"),
        ("a.png", "image/png"),
        ("a.gif", "image/gif"),
        ("a.webp", "image/webp"),
        ("a.svg", "image/svg+xml"),
        ("a.ico", "image/x-icon"),
        ("a.bmp", "image/x-ms-bmp"),
        ("a.tiff", "image/tiff"),
        ("a.mp4", "video/mp4"),
        ("a.pdf", "application/pdf"),
        ("a.zip", "application/zip"),
        ("a.json", "application/json"),
        ("a.css", "text/css"),
        ("a.html", "text/html"),
        ("a.txt", "text/plain"),
    ];
    let mut wrong = Vec::new();
    for (name, expected) in types {
        let path = format!("/types/{name}");
        cluster.put(1, &path, name).expect(201);
        for (way, answer) in everywhere(&cluster, &Call::new("GET", &path)) {
            if answer.header("Content-Type") != Some(expected) {
                wrong.push(format!("{name} by {way}: {:?}", answer.header("Content-Type")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn a_path_that_ends_in_a_slash_means_its_index(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/index/index.html", "the index").expect(201);
    assert_everywhere(&cluster, "/index/", b"the index");
    cluster.put(0, "/index/below/a.txt", "a").expect(201);
    for (way, answer) in everywhere(&cluster, &Call::new("GET", "/index/below/")) {
        assert_eq!(answer.status, 404, "{way}: {answer}");
    }
    // One node lacks the index; the folder is there.
    std::fs::remove_file(cluster.file(1, "/index/index.html")).unwrap();
    std::fs::write(cluster.file(1, "/index/other.html"), "other").unwrap();
    assert_everywhere(&cluster, "/index/", b"the index");
}

fn names_of_any_bytes_come_back_under_their_own_name(front: Front) {
    let cluster = shared(front);
    let names: [(&str, &[u8]); 20] = [
        ("a%20b.jpg", b"a b.jpg"),
        ("%20.jpg", b" .jpg"),
        ("it's.jpg", b"it's.jpg"),
        ("%22quoted%22.jpg", b"\"quoted\".jpg"),
        ("100%25.jpg", b"100%.jpg"),
        ("a%2520b.jpg", b"a%20b.jpg"),
        ("what%3Fnow.jpg", b"what?now.jpg"),
        ("no%231.jpg", b"no#1.jpg"),
        ("1+1.jpg", b"1+1.jpg"),
        ("1%2B2.jpg", b"1+2.jpg"),
        ("a;b=c&d,e@f!(g)$h*i~j.jpg", b"a;b=c&d,e@f!(g)$h*i~j.jpg"),
        ("a:b%7Cc%3Cd%3E.jpg", b"a:b|c<d>.jpg"),
        ("back%5Cslash.jpg", b"back\\slash.jpg"),
        ("%C3%A9%E2%82%AC.jpg", "é€.jpg".as_bytes()),
        ("%F0%9F%90%88.jpg", "🐈.jpg".as_bytes()),
        ("latin-%E9.jpg", b"latin-\xe9.jpg"),
        ("%FF%FE%80.jpg", b"\xff\xfe\x80.jpg"),
        ("tab%09line%0Aend%0D.jpg", b"tab\tline\nend\r.jpg"),
        ("del%7F.jpg", b"del\x7f.jpg"),
        ("no-extension", b"no-extension"),
    ];
    for (at, (encoded, decoded)) in names.into_iter().enumerate() {
        let (target, body) = (format!("/any-bytes/{encoded}"), noise(at as u64, 2000));
        let stored = cluster.put(at % 3, &target, body.clone());
        assert_eq!(stored.status, 201, "{target}: {stored}");
        for node in 0..3 {
            let file =
                cluster.root(node).join("any-bytes").join(Path::new(std::ffi::OsStr::from_bytes(decoded)));
            assert_eq!(std::fs::read(&file).unwrap_or_default(), body, "{} on node {node}", file.display());
        }
        assert_everywhere(&cluster, &target, &body);
        // The query says nothing about the object.
        assert_everywhere(&cluster, &format!("{target}?v=1&w=/../x"), &body);
        // One that a node has to fetch, and one that only the responder delivers.
        let missing = cluster.root((at + 1) % 3).join("any-bytes").join(std::ffi::OsStr::from_bytes(decoded));
        std::fs::remove_file(missing).unwrap();
        assert_everywhere(&cluster, &target, &body);
        let large = format!("/any-bytes/large/{encoded}");
        let body = noise(at as u64, 300_000);
        cluster.put(at % 3, &large, body.clone()).expect(201);
        assert_everywhere(&cluster, &large, &body);
    }
}

fn slashes_and_dots_are_resolved_alike_on_every_way(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/dots//x/./y/../a.jpg", "dots").expect(201);
    assert!(cluster.has_file(2, "/dots/x/a.jpg"));
    for target in ["/dots/x/a.jpg", "//dots///x//a.jpg", "/dots/./x/a.jpg", "/dots/y/..//x/a.jpg"] {
        assert_everywhere(&cluster, target, b"dots");
    }
    // Encoded, they are dots all the same.
    for target in ["/dots/%2e/x/a.jpg", "/dots/y/%2E%2e/x/a.jpg", "/dots/y/.%2e/x/a.jpg"] {
        assert_everywhere(&cluster, target, b"dots");
    }
}

fn a_name_of_two_kibibytes_is_refused(front: Front) {
    let cluster = shared(front);
    let segment = "s".repeat(128);
    let target = format!("/too-long{}", format!("/{segment}").repeat(16));
    for method in ["PUT", "GET", "HEAD", "DELETE"] {
        for (way, answer) in everywhere(&cluster, &Call::new(method, &target).body("x")) {
            assert_eq!(answer.status, 400, "{method} by {way}: {answer}");
        }
    }
    // The longest name there may be.
    let longest = format!("/{}", format!("{}/", "l".repeat(127)).repeat(8));
    let longest = &longest[..1025];
    cluster.put(0, longest.trim_end_matches('/'), "longest").expect(201);
    assert_everywhere(&cluster, longest.trim_end_matches('/'), b"longest");
}

fn a_segment_too_long_for_a_file_name_is_stored_all_the_same(front: Front) {
    let cluster = shared(front);
    for (at, length) in [250, 256, 300, 900].into_iter().enumerate() {
        let target = format!("/long-segment/{}/a.jpg", "n".repeat(length));
        let body = noise(length as u64, 4000);
        cluster.put(at % 3, &target, body.clone()).expect(201);
        assert_everywhere(&cluster, &target, &body);
        let large = format!("/long-segment/{}/large.jpg", "n".repeat(length));
        let body = noise(length as u64, 400_000);
        cluster.put(at % 3, &large, body.clone()).expect(201);
        assert_everywhere(&cluster, &large, &body);
        cluster.delete((at + 1) % 3, &target).expect(204);
        for (way, answer) in everywhere(&cluster, &Call::new("GET", &target)) {
            assert_eq!(answer.status, 404, "{way}: {answer}");
        }
    }
}

fn a_name_and_names_below_it_are_stored_together(front: Front) {
    let cluster = shared(front);
    for (folder, order) in [("/both/1", [0, 1, 2]), ("/both/2", [2, 1, 0]), ("/both/3", [1, 2, 0])] {
        let names = [format!("{folder}/a"), format!("{folder}/a/b"), format!("{folder}/a/b/c.jpg")];
        for at in order {
            cluster.put(at, &names[at], format!("this is {}", names[at])).expect(201);
        }
        for name in &names {
            assert_everywhere(&cluster, name, format!("this is {name}").as_bytes());
        }
        // Each is replaced and deleted without harm to the others.
        cluster.put(0, &names[1], "replaced").expect(204);
        assert_everywhere(&cluster, &names[1], b"replaced");
        assert_everywhere(&cluster, &names[0], format!("this is {}", names[0]).as_bytes());
        cluster.delete(1, &names[0]).expect(204);
        for (way, answer) in everywhere(&cluster, &Call::new("GET", &names[0])) {
            assert!(matches!(answer.status, 404 | 301), "{way}: {answer}");
        }
        assert_everywhere(&cluster, &names[1], b"replaced");
        assert_everywhere(&cluster, &names[2], format!("this is {}", names[2]).as_bytes());
    }
}

fn a_missing_name_is_not_found(front: Front) {
    let cluster = shared(front);
    for target in ["/missing/a.jpg", "/missing/", "/missing", "/missing/a%20b.jpg?x=1"] {
        for method in ["GET", "HEAD"] {
            for (way, answer) in everywhere(&cluster, &Call::new(method, target)) {
                assert_eq!(answer.status, 404, "{method} {target} by {way}: {answer}");
            }
        }
    }
}

fn an_object_without_bytes_has_no_range(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/empty/a.jpg", "").expect(201);
    assert_everywhere(&cluster, "/empty/a.jpg", b"");
    for (way, answer) in everywhere(&cluster, &Call::new("GET", "/empty/a.jpg").header("Range", "bytes=0-0"))
    {
        assert!(matches!(answer.status, 200 | 416), "{way}: {answer}");
    }
}

fn several_ranges_come_in_one_answer(front: Front) {
    let cluster = shared(front);
    let body = noise(9, 1000);
    cluster.put(0, "/ranges/a.jpg", body.clone()).expect(201);
    let call = Call::new("GET", "/ranges/a.jpg").header("Range", "bytes=0-9,500-599,-10");
    for (way, answer) in everywhere(&cluster, &call) {
        assert_eq!(answer.status, 206, "{way}: {answer}");
        let content_type = answer.header("Content-Type").unwrap();
        let boundary =
            content_type.strip_prefix("multipart/byteranges; boundary=").unwrap().trim_matches('"');
        let mut expected = Vec::new();
        for (first, last) in [(0, 9), (500, 599), (990, 999)] {
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: image/jpeg\r\nContent-Range: bytes {first}-{last}/1000\r\n\r\n"
            );
            expected.extend(head.bytes());
            expected.extend(&body[first..=last]);
        }
        expected.extend(format!("\r\n--{boundary}--\r\n").bytes());
        assert!(answer.body == expected, "by {way}: {answer}");
    }
}
