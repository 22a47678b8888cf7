//! Requests for objects that lie on other nodes only: two replicas on three nodes, so that one node owns nothing of an
//! object. Through nginx it hands them to an owner by an internal redirect, on the embedded front by proxying.

mod common;

mod gateway {
    /// What webdfs tells its web server of an owner, and the mark on what comes from there.
    pub mod handing_on;
}

use std::sync::OnceLock;

use common::{Answer, Call, Cluster, Connection, Front, Options, noise, wait_until};

on_both_fronts!(
    objects_are_read_and_written_through_a_node_that_does_not_own_them,
    names_of_any_bytes_are_found_on_their_owners,
    ranges_and_conditionals_reach_the_owner,
    a_missing_name_is_not_found_through_any_node,
    an_owner_that_is_down_is_passed_over,
    nobody_can_say_what_exists_when_all_owners_are_down,
    an_owner_that_lacks_its_replica_fetches_it_and_answers,
    a_forged_hop_mark_is_ignored,
    objects_are_copied_and_moved_through_any_node,
    clients_are_sent_to_an_owner_where_that_is_configured,
    the_responder_passes_the_bytes_on_where_that_is_configured,
);

const TWO_OF_THREE: fn() -> Options = || Options { replicas: 2, write_quorum: 2, ..Options::default() };

/// One cluster for the tests that do no harm.
fn shared(front: Front) -> &'static Cluster {
    static NGINX: OnceLock<Cluster> = OnceLock::new();
    static EMBEDDED: OnceLock<Cluster> = OnceLock::new();
    let cluster = if front == Front::Nginx { &NGINX } else { &EMBEDDED };
    cluster.get_or_init(|| Cluster::start(front, TWO_OF_THREE()))
}

/// The node that owns nothing of a path.
fn gateway(cluster: &Cluster, path: &str) -> usize {
    let owners = cluster.owners(path);
    assert_eq!(owners.len(), 2);
    (0..3).find(|node| !owners.contains(node)).expect("a third node")
}

fn objects_are_read_and_written_through_a_node_that_does_not_own_them(front: Front) {
    let cluster = shared(front);
    for length in [0, 1, 30_000, 300_000, 9 << 20] {
        let (path, body) = (format!("/through/{length}.jpg"), noise(1, length));
        let gateway = gateway(cluster, &path);
        let stored = cluster.put(gateway, &path, body.clone()).expect(201);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("2/2"));
        for node in 0..3 {
            assert_eq!(cluster.has_file(node, &path), node != gateway, "{path} on node {node}");
            for method in ["GET", "HEAD"] {
                let answer = cluster.send(node, &Call::new(method, &path)).expect(200);
                assert!(method == "HEAD" || answer.body == body, "{path} through node {node}");
                assert_eq!(answer.etag(), stored.etag());
                assert_eq!(answer.header("Last-Modified"), stored.header("Last-Modified"));
                assert_eq!(answer.header("Content-Type"), Some("image/jpeg"));
                assert_eq!(answer.header("Content-Length"), Some(&*length.to_string()));
                for hidden in ["Webdfs-Hop", "Webdfs-Peer", "Webdfs-Signature", "X-Accel-Redirect"] {
                    assert_eq!(answer.header(hidden), None, "{answer}");
                }
            }
        }
        cluster.put(gateway, &path, "replaced").expect(204);
        assert_eq!(cluster.get(gateway, &path).expect(200).text(), "replaced");
        cluster.delete(gateway, &path).expect(204);
        (0..3).for_each(|node| drop(cluster.get(node, &path).expect(404)));
    }
}

fn names_of_any_bytes_are_found_on_their_owners(front: Front) {
    let cluster = shared(front);
    let long = format!("{}.jpg", "x".repeat(300));
    let names = [
        "a%20b.jpg",
        "it's%22quoted%22.jpg",
        "100%25.jpg",
        "a%2520b.jpg",
        "what%3Fnow.jpg",
        "no%231.jpg",
        "1+1%2B2.jpg",
        "a;b=c&d.jpg",
        "%C3%A9%E2%82%AC.jpg",
        "latin-%E9.jpg",
        "tab%09line%0Aend.jpg",
        "back%5Cslash.jpg",
        "folder/index.html",
        "below",
        "below/that",
        &long,
    ];
    for name in names {
        let (path, body) = (format!("/any-bytes/{name}"), noise(1, 3000));
        cluster.put(0, &path, body.clone()).expect(201);
        for node in 0..3 {
            let answer = cluster.get(node, &format!("{path}?v=1%20+2"));
            assert!(answer.status == 200 && answer.body == body, "{path} through node {node}: {answer}");
        }
    }
    for node in 0..3 {
        cluster.get(node, "/any-bytes/folder/").expect(200);
        cluster.get(node, "//any-bytes/./x/../folder/").expect(200);
    }
}

fn ranges_and_conditionals_reach_the_owner(front: Front) {
    let cluster = shared(front);
    for length in [10_000, 600_000] {
        let (path, body) = (format!("/ranges/{length}.jpg"), noise(1, length));
        let stored = cluster.put(0, &path, body.clone()).expect(201);
        let gateway = gateway(cluster, &path);
        let owner = cluster.owners(&path)[0];
        let cases: [(&[(&str, &str)], u16); 11] = [
            (&[("Range", "bytes=0-9")], 206),
            (&[("Range", "bytes=-10")], 206),
            (&[("Range", "bytes=700000-")], 416),
            (&[("If-None-Match", stored.etag())], 304),
            (&[("If-None-Match", "\"x\"")], 200),
            (&[("If-Match", "\"x\"")], 412),
            (&[("If-Match", stored.etag())], 200),
            (&[("If-Modified-Since", stored.header("Last-Modified").unwrap())], 304),
            (&[("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")], 412),
            (&[("If-Range", stored.etag()), ("Range", "bytes=5-6")], 206),
            (&[("If-Range", "\"x\""), ("Range", "bytes=5-6")], 200),
        ];
        for (headers, status) in cases {
            let call =
                headers.iter().fold(Call::new("GET", &path), |call, (name, value)| call.header(name, value));
            let answers: [Answer; 2] = [gateway, owner].map(|node| cluster.send(node, &call));
            for answer in &answers {
                assert_eq!(answer.status, status, "{headers:?} of {path}: {answer}");
            }
            for name in ["ETag", "Last-Modified", "Content-Range"] {
                assert_eq!(answers[0].header(name), answers[1].header(name), "{name} with {headers:?}");
            }
            assert!(status >= 400 || answers[0].body == answers[1].body, "{headers:?}");
        }
        let call = Call::new("GET", &path).header("Range", "bytes=0-1,5-9");
        let answer = cluster.send(gateway, &call).expect(206);
        assert!(answer.header("Content-Type").unwrap().starts_with("multipart/byteranges"), "{answer}");
        assert!(answer.body.windows(5).any(|bytes| *bytes == body[5..10]));
    }
}

fn a_missing_name_is_not_found_through_any_node(front: Front) {
    let cluster = shared(front);
    for at in 0..12 {
        for method in ["GET", "HEAD"] {
            for node in 0..3 {
                cluster.send(node, &Call::new(method, &format!("/missing/{at}.jpg"))).expect(404);
            }
        }
        cluster.delete(at % 3, &format!("/missing/{at}.jpg")).expect(404);
    }
}

fn an_owner_that_is_down_is_passed_over(front: Front) {
    let cluster = Cluster::start(front, TWO_OF_THREE());
    // Whichever of the owners it is: the first or the second of them, nginx and all, or its webdfs alone.
    let paths: Vec<String> = [0, 1]
        .map(|rank| {
            cluster.path_owned(&format!("/down/{rank}"), |owners| owners[rank] == 2 && owners[1 - rank] == 1)
        })
        .into();
    let body = noise(1, 400_000);
    for path in &paths {
        cluster.put(0, path, body.clone()).expect(201);
        cluster.put(0, &format!("{path}.small.jpg"), "small").expect(201);
    }
    for whole in [true, false] {
        if whole {
            cluster.kill(2);
        } else {
            cluster.kill_webdfs(2);
        }
        for path in &paths {
            for _ in 0..5 {
                assert!(cluster.get(0, path).expect(200).body == body);
                let head = cluster.head(0, path).expect(200);
                assert_eq!(head.header("Content-Length"), Some("400000"));
                let part = cluster.send(0, &Call::new("GET", path).header("Range", "bytes=5-9")).expect(206);
                assert_eq!(part.body, body[5..10]);
            }
            // With both replicas needed for a write, none is acknowledged.
            cluster.put(0, path, "x").expect(503);
        }
        cluster.restart(2);
        cluster.wait_until_ready(2);
    }
    for path in &paths {
        assert!(cluster.get(2, path).expect(200).body == body);
    }
}

fn nobody_can_say_what_exists_when_all_owners_are_down(front: Front) {
    let cluster = Cluster::start(front, TWO_OF_THREE());
    let path = cluster.path_owned("/all-down", |owners| !owners.contains(&0));
    cluster.put(0, &path, "x").expect(201);
    cluster.kill(1);
    cluster.kill(2);
    for method in ["GET", "HEAD"] {
        let answer = cluster.send(0, &Call::new(method, &path)).expect(503);
        assert!(answer.header("Retry-After").is_some(), "{answer}");
    }
    cluster.restart(1);
    cluster.restart(2);
    (1..3).for_each(|node| cluster.wait_until_ready(node));
    // That nobody could say is believed for a moment.
    wait_until("somebody can", || cluster.get(0, &path).status == 200);
    assert_eq!(cluster.get(0, &path).expect(200).text(), "x");
}

fn an_owner_that_lacks_its_replica_fetches_it_and_answers(front: Front) {
    let cluster = shared(front);
    for length in [1000, 500_000] {
        let path = cluster.path_owned(&format!("/lacks/{length}"), |owners| !owners.contains(&0));
        let body = noise(1, length);
        cluster.put(0, &path, body.clone()).expect(201);
        for owner in [1, 2] {
            std::fs::remove_file(cluster.file(owner, &path)).unwrap();
            assert!(cluster.get(0, &path).expect(200).body == body, "{path} without node {owner}");
            assert!(cluster.get(owner, &path).expect(200).body == body);
            common::wait_until("it has its replica again", || cluster.has_file(owner, &path));
        }
        assert!(!cluster.has_file(0, &path));
    }
}

fn a_forged_hop_mark_is_ignored(front: Front) {
    let cluster = shared(front);
    let path = cluster.path_owned("/hop", |owners| !owners.contains(&0));
    cluster.put(0, &path, "x").expect(201);
    for mark in ["", "1", "1:00", "9999999999:0000", &format!("1:{}", "0".repeat(64))] {
        let mut connection = Connection::open(cluster.address(0)).unwrap();
        connection.begin(&Call::new("GET", &path).header("Webdfs-Hop", mark)).unwrap();
        assert_eq!(connection.answer("GET").unwrap().expect(200).text(), "x", "{mark}");
    }
}

fn objects_are_copied_and_moved_through_any_node(front: Front) {
    let cluster = shared(front);
    for at in 0..6 {
        let (from, to, moved) =
            (format!("/copied/{at}.a"), format!("/copied/{at}.b"), format!("/copied/{at}.c"));
        let body = noise(at as u64, 100_000);
        cluster.put(0, &from, body.clone()).expect(201);
        cluster.send(at % 3, &Call::new("COPY", &from).header("Destination", &to)).expect(201);
        cluster.send((at + 1) % 3, &Call::new("MOVE", &to).header("Destination", &moved)).expect(201);
        for node in 0..3 {
            assert!(cluster.get(node, &from).expect(200).body == body);
            assert!(cluster.get(node, &moved).expect(200).body == body);
            cluster.get(node, &to).expect(404);
        }
    }
}

fn clients_are_sent_to_an_owner_where_that_is_configured(front: Front) {
    let cluster = Cluster::start(front, Options { deliver: "remote = \"redirect\"", ..TWO_OF_THREE() });
    for folder in ["/redirected/a%20b", "/redirected/%C3%A4%25%3F%0D%0AX-Split:%20yes%E4"] {
        let path = cluster.path_owned(folder, |owners| !owners.contains(&0));
        cluster.put(0, &path, "x").expect(201);
        let owner = cluster.owners(&path)[0];
        for method in ["GET", "HEAD"] {
            let answer = cluster.send(0, &Call::new(method, &format!("{path}?v=1"))).expect(307);
            let expected = format!("http://{}{path}?v=1", cluster.address(owner));
            assert_eq!(answer.header("Location"), Some(expected.as_str()));
            assert_eq!(answer.header("X-Split"), None);
            cluster.send(owner, &Call::new(method, &format!("{path}?v=1"))).expect(200);
        }
        assert_eq!(cluster.get(owner, &path).text(), "x");
    }
}

fn the_responder_passes_the_bytes_on_where_that_is_configured(front: Front) {
    let cluster = Cluster::start(front, Options { deliver: "remote = \"proxy\"", ..TWO_OF_THREE() });
    for length in [0, 1000, 3 << 20] {
        let path = cluster.path_owned(&format!("/proxied/{length}"), |owners| !owners.contains(&0));
        let body = noise(1, length);
        let stored = cluster.put(0, &path, body.clone()).expect(201);
        let answer = cluster.get(0, &path).expect(200);
        assert!(answer.body == body && answer.etag() == stored.etag());
        assert_eq!(cluster.head(0, &path).expect(200).etag(), stored.etag());
        assert!(!cluster.has_file(0, &path));
    }
    let path = cluster.path_owned("/proxied/down", |owners| owners[0] == 2 && !owners.contains(&0));
    cluster.put(0, &path, "x").expect(201);
    cluster.kill(2);
    for _ in 0..3 {
        assert_eq!(cluster.get(0, &path).expect(200).text(), "x");
    }
}
