//! Bad input, from clients and from other nodes: each gets its answer, the processes live on, and nothing that was
//! stored before changes.

mod common;

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Call, Cluster, Connection, Detour, Front, Options, Way, fcgi, noise, shared, wait_until};
use http::Method;
use webdfs::cluster::NodeName;
use webdfs::config::{Secrets, load_map};
use webdfs::peer::envelope::Envelope;
use webdfs::peer::message::Operation;
use webdfs::peer::sign::Signer;

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
    strangers_learn_nothing_from_peer_paths,
    a_peer_request_for_another_node_is_refused_as_misdirected,
    two_names_that_reach_one_machine_do_not_count_as_two,
    a_node_with_another_secret_counts_for_nothing,
    a_peer_that_hangs_is_left_behind,
    a_machine_that_stands_still_is_left_behind,
    a_peer_that_closes_in_the_middle_of_an_upload_is_left_behind,
    a_peer_that_closes_in_the_middle_of_an_answer_leaves_no_half_object,
    without_room_uploads_are_refused_and_deletes_go_on,
);

/// Long enough for a peer's deadlines (5 s without a byte, 1 s after the others), short of a second round of them.
const PEER_PATIENCE: Duration = Duration::from_secs(15);

/// Something stored, that must stay as it is.
struct Kept<'a> {
    cluster: &'a Cluster,
    target: String,
    body: Vec<u8>,
    etag: String,
    /// What lies beside the roots.
    beside: Vec<BTreeSet<String>>,
}

impl<'a> Kept<'a> {
    fn store(cluster: &'a Cluster, folder: &str) -> Self {
        let (target, body) = (format!("{folder}/kept.jpg"), noise(77, 10_000));
        let etag = cluster.put(0, &target, body.clone()).expect(201).etag().to_owned();
        let beside = cluster.present().map(|node| beside(cluster, node)).collect();
        Self { cluster, target, body, etag, beside }
    }

    /// Checks that nothing has changed but by the rules.
    #[track_caller]
    fn check(self) {
        for node in self.cluster.present() {
            assert!(self.cluster.is_alive(node), "node {node} lives");
            let answer = self.cluster.get(node, &self.target).expect(200);
            assert!(answer.body == self.body && answer.etag() == self.etag, "{answer}");
        }
        let now: Vec<_> = self.cluster.present().map(|node| beside(self.cluster, node)).collect();
        assert_eq!(now, self.beside, "what lies beside the roots");
    }
}

fn beside(cluster: &Cluster, node: usize) -> BTreeSet<String> {
    let dir = cluster.root(node).parent().unwrap().read_dir().unwrap();
    dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Checks that a name is nowhere, and that no upload is left behind.
#[track_caller]
fn assert_nothing(cluster: &Cluster, target: &str) {
    for node in cluster.present() {
        cluster.get(node, target).expect(404);
        assert!(!cluster.has_file(node, target), "{target} on node {node}");
    }
    wait_until("no upload is left behind", || cluster.present().all(|node| cluster.spools(node).is_empty()));
}

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
    let garbage: [&[u8]; 8] = [
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /not-http/a.jpg\r\n\r\n",
        b"GET /a b.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"PUT /not-http/a.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
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

fn strangers_learn_nothing_from_peer_paths(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/strangers");
    let id = "0".repeat(32);
    let calls = [
        ("POST", "hello".to_owned()),
        ("GET", "object/strangers/kept.jpg".to_owned()),
        ("GET", "object/strangers/missing.jpg".to_owned()),
        ("POST", "ask/strangers/kept.jpg".to_owned()),
        ("POST", "delete/strangers/kept.jpg".to_owned()),
        ("PUT", format!("prepare/{id}/strangers/new.jpg")),
        ("POST", format!("commit/{id}/strangers/new.jpg")),
        ("POST", format!("drop/{id}")),
        ("POST", "missed/strangers/kept.jpg".to_owned()),
        ("POST", "no-such-operation".to_owned()),
        ("DELETE", "object/strangers/kept.jpg".to_owned()),
        ("GET", "object/../../secret".to_owned()),
        ("GET", "object/%2e%2e/secret".to_owned()),
    ];
    for (method, path) in calls {
        let call = Call::new(method, &format!("/_webdfs/v1/{path}")).body("{}");
        for call in [
            call.clone(),
            call.clone().header("Webdfs-Signature", &"0".repeat(64)).header("Webdfs-From", "img2"),
        ] {
            let answer = cluster.send(0, &call);
            let refused = answer.status == 403 || (path.contains("..") && matches!(answer.status, 400 | 404));
            assert!(refused || path.contains("%2e") && answer.status == 404, "{method} {path}: {answer}");
            assert!(!answer.text().contains("img"), "{answer}");
        }
    }
    kept.check();
}

/// A peer's request, signed with the cluster's secret.
fn signed(
    cluster: &Cluster,
    to: usize,
    operation: &Operation,
    seconds_ago: u64,
    epoch_of: Option<&str>,
) -> Call {
    let map = load_map(&cluster.config(0).parent().unwrap().join("../cluster.toml")).unwrap();
    let name = |node: usize| cluster.name(node).parse::<NodeName>().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let fingerprint = match epoch_of {
        None => map.fingerprint(),
        Some(other) => webdfs::config::parse_map(other, "other.toml".as_ref()).unwrap().fingerprint(),
    };
    let envelope = Envelope {
        from: name(1),
        to: name(to),
        epoch: map.epoch(),
        map: fingerprint,
        time: now - seconds_ago,
    };
    let signer = Signer::new(&Secrets::parse(common::cluster::SECRET.as_bytes()).unwrap());
    let body = b"null";
    let headers = envelope.seal(&signer, &Method::POST, &operation.path(), Some(body));
    let call = Call::new("POST", &format!("/_webdfs/v1/{}", operation.path())).body(*body);
    headers.iter().fold(call, |call, (name, value)| call.header(name.as_str(), value.to_str().unwrap()))
}

fn a_peer_request_for_another_node_is_refused_as_misdirected(front: Front) {
    let cluster = shared(front);
    let kept = Kept::store(&cluster, "/signed");
    let name = webdfs::name::ObjectName::from_bytes(b"signed/kept.jpg").unwrap();
    let ask = Operation::Ask(name);
    cluster.send(0, &signed(&cluster, 0, &ask, 0, None)).expect(200);
    let answer = cluster.send(0, &signed(&cluster, 2, &ask, 0, None)).expect(421);
    assert!(answer.text().contains("img1") && answer.text().contains("img3"), "{answer}");
    // Too old, and under another map.
    cluster.send(0, &signed(&cluster, 0, &ask, 13 * 3600, None)).expect(403);
    let other = "epoch = 1\nreplicas = 1\nwrite_quorum = 1\n[[subcluster]]\nname = \"x\"\n\
                 [[subcluster.node]]\nname = \"img1\"\nurl = \"http://10.0.0.1/_webdfs\"\n";
    cluster.send(0, &signed(&cluster, 0, &ask, 0, Some(other))).expect(409);
    // Signed for another path.
    let delete = Operation::Delete(webdfs::name::ObjectName::from_bytes(b"signed/kept.jpg").unwrap());
    let mut call = Call::new("POST", &format!("/_webdfs/v1/{}", delete.path())).body("null");
    for (name, value) in signed(&cluster, 0, &ask, 0, None).headers() {
        call = call.header(name, value);
    }
    cluster.send(0, &call).expect(403);
    kept.check();
}

fn two_names_that_reach_one_machine_do_not_count_as_two(front: Front) {
    let cluster = Cluster::launch(front, Options { detour: &[2], ..Options::default() });
    let detour = Detour::open(cluster.detour_address(2), Way::to(cluster.address(2)));
    (0..3).for_each(|node| cluster.wait_until_ready(node));
    let kept = Kept::store(&cluster, "/misdirected");
    // Now img3's url reaches img2.
    detour.turn(Way::to(cluster.address(1)));
    cluster.kill(2);
    for at in 0..5 {
        let stored = cluster.put(at % 2, &format!("/misdirected/{at}.jpg"), "x").expect(201);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
    }
    let log = cluster.log(0);
    assert!(log.contains("this is node \"img2\", not \"img3\""), "the log names the mistake:\n{log}");
    // With one real node less, W is not met.
    cluster.kill(1);
    cluster.put(0, "/misdirected/more.jpg", "x").expect(503);
    detour.turn(Way::to(cluster.address(2)));
    (1..3).for_each(|node| cluster.restart(node));
    (1..3).for_each(|node| cluster.wait_until_ready(node));
    kept.check();
}

fn a_node_with_another_secret_counts_for_nothing(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/secret");
    cluster.kill(2);
    cluster.write_secret(2, "another secret of another cluster");
    cluster.restart(2);
    // What it has, it serves; nobody listens to it.
    wait_until("node 2 serves what it has", || {
        Call::new("GET", &kept.target).try_send(cluster.address(2)).is_ok_and(|answer| answer.status == 200)
    });
    let stored = cluster.put(0, "/secret/a.jpg", "a").expect(201);
    assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"));
    assert_eq!(cluster.get(1, "/secret/a.jpg").expect(200).text(), "a");
    cluster.put(2, "/secret/b.jpg", "b").expect(503);
    cluster.get(2, "/secret/a.jpg").expect(503);
    cluster.delete(2, &kept.target).expect(503);
    let log = cluster.log(0);
    assert!(log.contains("another secret"), "the log says what is wrong:\n{log}");
    // Set right, it catches up.
    cluster.kill(2);
    cluster.write_secret(2, common::cluster::SECRET);
    cluster.restart(2);
    cluster.wait_until_ready(2);
    wait_until("node 2 has what it missed", || cluster.has_file(2, "/secret/a.jpg"));
    assert_nothing(&cluster, "/secret/b.jpg");
    kept.check();
}

/// An upload, a look-up and a deletion, each met by the two nodes that are well.
#[track_caller]
fn assert_two_are_enough(cluster: &Cluster, target: &str, length: usize) {
    let timed = |node: usize, call: &Call| {
        let begun = Instant::now();
        let answer = cluster.send(node, call);
        assert!(begun.elapsed() < PEER_PATIENCE, "it took {:?}: {answer}", begun.elapsed());
        answer
    };
    let body = noise(1, length);
    let stored = timed(0, &Call::new("PUT", target).body(body.clone())).expect(201);
    assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
    for node in 0..2 {
        assert!(cluster.get(node, target).expect(200).body == body);
    }
    timed(1, &Call::new("DELETE", target)).expect(204);
    timed(0, &Call::new("GET", target)).expect(404);
}

fn a_peer_that_hangs_is_left_behind(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/hangs");
    cluster.kill(2);
    let detour = Detour::open(cluster.address(2), Way::Hang);
    assert_two_are_enough(&cluster, "/hangs/small.jpg", 100);
    assert_two_are_enough(&cluster, "/hangs/large.jpg", 12 << 20);
    assert!(detour.taken() > 0, "it was asked");
    drop(detour);
    cluster.restart(2);
    cluster.wait_until_ready(2);
    kept.check();
}

fn a_machine_that_stands_still_is_left_behind(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/still");
    cluster.pause(2);
    let (target, body) = ("/still/a.jpg", noise(1, 12 << 20));
    let begun = Instant::now();
    let stored = cluster.put(0, target, body.clone()).expect(201);
    assert!(begun.elapsed() < PEER_PATIENCE, "it took {:?}", begun.elapsed());
    assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
    cluster.resume(2);
    wait_until("node 2 has what it missed", || {
        std::fs::read(cluster.file(2, target)).is_ok_and(|bytes| bytes == body)
    });
    assert_nothing(&cluster, "/still/missing.jpg");
    kept.check();
}

fn a_peer_that_closes_in_the_middle_of_an_upload_is_left_behind(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let kept = Kept::store(&cluster, "/closes");
    cluster.kill(2);
    let detour = Detour::open(cluster.address(2), Way::CloseAfter(0));
    for bytes in [0, 10, 1000, 100_000, 5_000_000] {
        detour.turn(Way::CloseAfter(bytes));
        let (target, body) = (format!("/closes/{bytes}.jpg"), noise(1, 6 << 20));
        let stored = cluster.put(0, &target, body.clone()).expect(201);
        assert_eq!(stored.header("Webdfs-Replicas"), Some("2/3"), "{stored}");
        assert!(cluster.get(1, &target).expect(200).body == body);
    }
    drop(detour);
    cluster.restart(2);
    cluster.wait_until_ready(2);
    kept.check();
}

fn a_peer_that_closes_in_the_middle_of_an_answer_leaves_no_half_object(front: Front) {
    let cluster = Cluster::launch(front, Options { detour: &[1], ..Options::default() });
    let detour = Detour::open(cluster.detour_address(1), Way::to(cluster.address(1)));
    (0..3).for_each(|node| cluster.wait_until_ready(node));
    let kept = Kept::store(&cluster, "/cut");
    // Node 1 is the first that node 0 asks.
    let target = cluster.path_owned("/cut", |owners| {
        let others: Vec<_> = owners.iter().filter(|node| **node != 0).collect();
        *others[0] == 1
    });
    let body = noise(1, 1 << 20);
    cluster.put(0, &target, body.clone()).expect(201);
    for most in [0, 100, 1000, 500_000] {
        std::fs::remove_file(cluster.file(0, &target)).unwrap();
        // Connections made before are of no use: a new process has none.
        cluster.kill_webdfs(0);
        detour.turn(Way::Through { to: cluster.address(1), answer_bytes_max: most });
        cluster.restart(0);
        wait_until("node 0 answers", || {
            Call::new("GET", &kept.target)
                .try_send(cluster.side_address(0))
                .is_ok_and(|answer| answer.status == 200)
        });
        // The whole object, or something that the client can tell from one.
        if let Ok(answer) = Call::new("GET", &target).try_send(cluster.address(0)) {
            assert!(answer.status != 200 || answer.body == body, "{answer}");
        }
        assert!(!cluster.has_file(0, &target) || std::fs::read(cluster.file(0, &target)).unwrap() == body);
        detour.turn(Way::to(cluster.address(1)));
        let mut got = Vec::new();
        wait_until("the object is read whole again", || {
            let answer = Call::new("GET", &target).try_send(cluster.address(0));
            got = answer.map(|answer| answer.body).unwrap_or_default();
            got == body
        });
        wait_until("node 0 keeps it", || {
            std::fs::read(cluster.file(0, &target)).is_ok_and(|bytes| bytes == body)
        });
    }
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
