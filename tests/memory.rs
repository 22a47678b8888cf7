//! What connections cost in memory: idle ones, slow readers and slow writers. Each test prints what it measured.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Call, Cluster, Connection, Front, Options, fcgi, noise};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Kept connections that may cost [`IDLE_MAX`] together.
const IDLE: usize = 2000;
const IDLE_MAX: u64 = 64 << 20;
/// Clients at once that hardly read or write.
const SLOW: usize = 300;
/// What one of them may cost at most on average, in bytes: a few pieces on their way, and never the object.
const SLOW_MAX: u64 = 400 << 10;
/// The object that they read.
const LARGE: usize = 16 << 20;
/// Connections of each front that have served something large.
const MANY: usize = 100;
/// What these may cost together.
const MANY_MAX: u64 = 32 << 20;
/// How long memory is watched that should not grow. It is no measure of speed: growth would be seen at any time.
const WATCHED: Duration = Duration::from_secs(3);

fn alone() -> Options {
    Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() }
}

/// A cluster whose processes, like this one, may have many files open.
fn start(front: Front, options: Options) -> Cluster {
    let mut limit = getrlimit(Resource::Nofile);
    assert!(limit.maximum.is_none_or(|maximum| maximum > 8192), "ulimit -Hn is too low for this test");
    limit.current = limit.maximum.map_or(Some(65536), |maximum| Some(maximum.min(65536)));
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
    Cluster::start(front, options)
}

fn memory(cluster: &Cluster, node: usize) -> u64 {
    cluster.with_webdfs(node, |webdfs| webdfs.private_memory()).expect("it runs")
}

/// The most that a node needs while it is watched.
fn watched(cluster: &Cluster, node: usize) -> u64 {
    let end = Instant::now() + WATCHED;
    let mut most = 0;
    while Instant::now() < end {
        most = memory(cluster, node).max(most);
        std::thread::sleep(Duration::from_millis(50));
    }
    most
}

/// What is told of a measurement, and checked: the growth from `before` to `after` among `count` connections.
#[track_caller]
fn check(what: &str, count: usize, before: u64, after: u64, max: u64) {
    let grown = after.saturating_sub(before);
    let each = grown / count as u64;
    println!(
        "{what}: {count} connections, {} KiB before, {} KiB more, {each} bytes each",
        before >> 10,
        grown >> 10
    );
    assert!(grown < max, "{what}: {grown} bytes are more than {max}");
}

fn unix(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream
}

fn pairs<'a>(method: &'a str, target: &'a str, length: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", target),
        ("CONTENT_LENGTH", length),
        ("REMOTE_ADDR", "127.0.0.1"),
    ]
}

#[test]
fn two_thousand_idle_connections_to_the_embedded_front_cost_little() {
    let cluster = start(Front::Embedded, alone());
    cluster.put(0, "/a.jpg", noise(1, 10_000)).expect(201);
    let before = memory(&cluster, 0);
    let kept: Vec<Connection> = (0..IDLE)
        .map(|_| {
            let mut connection = Connection::open(cluster.address(0)).unwrap();
            Call::new("GET", "/a.jpg").send_on(&mut connection).unwrap().expect(200);
            connection
        })
        .collect();
    check("idle, embedded", kept.len(), before, memory(&cluster, 0), IDLE_MAX);
}

#[test]
fn two_thousand_idle_fastcgi_connections_cost_little() {
    let cluster = start(Front::Nginx, alone());
    cluster.put(0, "/a.jpg", noise(1, 10_000)).expect(201);
    let before = memory(&cluster, 0);
    let kept: Vec<_> = (0..IDLE)
        .map(|_| {
            let mut client = fcgi::Client::new(unix(&cluster.socket(0)));
            assert_eq!(client.get(&pairs("GET", "/a.jpg", "")).status(), 200);
            client
        })
        .collect();
    check("idle, FastCGI", kept.len(), before, memory(&cluster, 0), IDLE_MAX);
}

#[test]
fn what_a_large_upload_and_a_large_answer_took_is_given_back() {
    let options = Options { deliver: "map_max = \"1GiB\"", ..alone() };
    let cluster = start(Front::Nginx, options);
    let body = noise(1, 2 << 20);
    let length = body.len().to_string();
    let before = memory(&cluster, 0);
    let mut kept = (Vec::new(), Vec::new());
    for number in 0..MANY {
        let target = format!("/large/{}.jpg", number % 10);
        let mut client = fcgi::Client::new(unix(&cluster.socket(0)));
        let put = client.put(&pairs("PUT", &target, &length), &body);
        assert!(matches!(put.status(), 201 | 204));
        assert_eq!(client.get(&pairs("GET", &target, "")).body().len(), body.len());
        kept.0.push(client);
        let mut connection = Connection::open(cluster.side_address(0)).unwrap();
        Call::new("PUT", &target).body(body.clone()).send_on(&mut connection).unwrap().expect(204);
        let got = Call::new("GET", &target).send_on(&mut connection).unwrap().expect(200);
        assert!(got.body == body);
        kept.1.push(connection);
    }
    check("idle after large bodies", MANY * 2, before, memory(&cluster, 0), MANY_MAX);
}

/// Clients of the embedded front that read the head of an answer and a little of its body.
fn slow_http(cluster: &Cluster, node: usize, target: &str) -> Vec<TcpStream> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut readers: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut stream = TcpStream::connect(cluster.side_address(node)).unwrap();
            stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    for reader in &mut readers {
        let mut begun = [0; 1000];
        reader.read_exact(&mut begun).unwrap();
        assert!(begun.starts_with(b"HTTP/1.1 200 "), "{}", begun.escape_ascii());
    }
    readers
}

/// The same over FastCGI.
fn slow_fastcgi(cluster: &Cluster, node: usize, target: &str) -> Vec<UnixStream> {
    let mut readers: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut stream = unix(&cluster.socket(node));
            stream.write_all(&fcgi::get(1, true, &pairs("GET", target, ""))).unwrap();
            stream
        })
        .collect();
    for reader in &mut readers {
        let mut begun = [0; 1000];
        reader.read_exact(&mut begun).unwrap();
        assert!(begun[8..].starts_with(b"Status: 200 "), "{}", begun.escape_ascii());
    }
    readers
}

#[test]
fn slow_readers_of_an_own_object_hold_little() {
    let options = Options { deliver: "map_max = \"1GiB\"", ..alone() };
    let cluster = start(Front::Nginx, options);
    cluster.put(0, "/large.jpg", noise(1, LARGE)).expect(201);
    let max = SLOW as u64 * SLOW_MAX;
    let before = memory(&cluster, 0);
    let readers = slow_fastcgi(&cluster, 0, "/large.jpg");
    check("slow readers, mapped", readers.len(), before, watched(&cluster, 0), max);
    drop(readers);
    let before = memory(&cluster, 0);
    let readers = slow_http(&cluster, 0, "/large.jpg");
    check("slow readers, embedded", readers.len(), before, watched(&cluster, 0), max);
}

#[test]
fn slow_readers_of_another_nodes_object_hold_little() {
    let options = Options {
        nodes: 2,
        replicas: 1,
        write_quorum: 1,
        deliver: "remote = \"proxy\"",
        ..Options::default()
    };
    let cluster = start(Front::Nginx, options);
    let target = cluster.path_owned("/slow", |owners| owners == [1]);
    cluster.put(0, &target, noise(1, LARGE)).expect(201);
    let max = SLOW as u64 * SLOW_MAX;
    let (before, owner) = (memory(&cluster, 0), memory(&cluster, 1));
    let readers = slow_fastcgi(&cluster, 0, &target);
    check("slow readers, proxied over FastCGI", readers.len(), before, watched(&cluster, 0), max);
    check("the owner behind them", readers.len(), owner, memory(&cluster, 1), max);
    drop(readers);
    let before = memory(&cluster, 0);
    let readers = slow_http(&cluster, 0, &target);
    check("slow readers, proxied, embedded", readers.len(), before, watched(&cluster, 0), max);
}

#[test]
fn slow_writers_hold_little() {
    const SENT: usize = 300 << 10;
    let cluster = start(Front::Nginx, alone());
    let (body, length) = (noise(1, SENT), LARGE.to_string());
    let max = SLOW as u64 * SLOW_MAX;
    let before = memory(&cluster, 0);
    let writers: Vec<_> = (0..SLOW)
        .map(|number| {
            let target = format!("/slow/{number}.jpg");
            let mut client = fcgi::Client::new(unix(&cluster.socket(0)));
            client.send(&[fcgi::begin(1, true), fcgi::params(1, &pairs("PUT", &target, &length))].concat());
            client.send_body(1, &body);
            client
        })
        .collect();
    common::wait_until("all have begun", || cluster.spools(0).len() == SLOW);
    check("slow writers, FastCGI", writers.len(), before, watched(&cluster, 0), max);
    drop(writers);
    common::wait_until("none is left", || cluster.spools(0).is_empty());
    let before = memory(&cluster, 0);
    let writers: Vec<_> = (0..SLOW)
        .map(|number| {
            let mut connection = Connection::open(cluster.side_address(0)).unwrap();
            let call = Call::new("PUT", &format!("/slow/{number}.jpg"));
            connection.begin(&call.header("Content-Length", &length)).unwrap();
            connection.write(&body).unwrap();
            connection
        })
        .collect();
    common::wait_until("all have begun", || cluster.spools(0).len() == SLOW);
    check("slow writers, embedded", writers.len(), before, watched(&cluster, 0), max);
}
