//! A client that goes away stops the work behind it.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use common::{Call, Cluster, Connection, Front, Options, fcgi, noise, wait_until};

on_both_fronts!(a_write_is_finished_whose_client_goes_away_before_the_answer);

/// Clients at once that go away.
const CLIENTS: usize = 30;

/// Descriptors of sockets that a node's webdfs has open.
fn sockets(cluster: &Cluster, node: usize) -> usize {
    let folder = cluster.with_webdfs(node, |webdfs| format!("/proc/{}/fd", webdfs.id()));
    let links = std::fs::read_dir(folder).unwrap().filter_map(|entry| entry.unwrap().path().read_link().ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

fn proxying() -> Options {
    Options {
        nodes: 2,
        replicas: 1,
        write_quorum: 1,
        deliver: "remote = \"proxy\"\nmap_max = \"1GiB\"",
        ..Options::default()
    }
}

#[test]
fn a_download_that_is_broken_off_ends_at_the_owner_too() {
    let cluster = Cluster::start(Front::Responder, proxying());
    let target = cluster.path_owned("/gone", |owners| owners == [1]);
    cluster.put(1, &target, noise(1, 64 << 20)).expect(201);
    let idle = [sockets(&cluster, 0), sockets(&cluster, 1)];
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = Connection::open(cluster.address(0)).unwrap();
            client.begin(&Call::new("GET", &target)).unwrap();
            client.answer_head().unwrap().expect(200);
            client.read_exactly(100_000).unwrap();
            client
        })
        .collect();
    for (node, idle) in idle.into_iter().enumerate() {
        let busy = sockets(&cluster, node);
        // Some of what is used now was kept open before.
        assert!(busy > idle + CLIENTS / 2, "node {node}: {busy} sockets, {} before", idle);
    }
    drop(clients);
    for (node, idle) in idle.into_iter().enumerate() {
        // A kept connection may have come meanwhile.
        wait_until("the work has ended", || sockets(&cluster, node) <= idle + 1);
    }
}

fn a_write_is_finished_whose_client_goes_away_before_the_answer(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    // It takes nothing, so that the others wait for it before they commit.
    cluster.pause(2);
    let body = noise(1, 100_000);
    // They wait for a second. On a machine with much to do that may be over before it is seen to have begun.
    let target = (0..30)
        .map(|attempt| format!("/gone/{attempt}.jpg"))
        .find(|target| goes_away_before_the_answer(&cluster, target, &body))
        .expect("one of many attempts is soon enough");
    wait_until("it is stored", || (0..2).all(|node| cluster.has_file(node, &target)));
    // A mark for the node that missed it may be on its way to its place, too.
    wait_until("nothing is left", || (0..2).all(|node| cluster.spools(node).is_empty()));
    cluster.resume(2);
    assert!(cluster.get(1, &target).expect(200).body == body);
}

/// Uploads to a node, and goes away as soon as two nodes have all of it; whether it was stored nowhere until then.
fn goes_away_before_the_answer(cluster: &Cluster, target: &str, body: &[u8]) -> bool {
    let mut client = Connection::open(cluster.address(0)).unwrap();
    let call = Call::new("PUT", target).header("Content-Length", &body.len().to_string());
    client.begin(&call).unwrap();
    client.write(body).unwrap();
    let is_whole = |path: &PathBuf| path.metadata().is_ok_and(|spool| spool.len() == body.len() as u64);
    let is_spooled = |node| cluster.spools(node).iter().any(is_whole);
    let is_stored = || (0..2).any(|node| cluster.has_file(node, target));
    wait_until("two nodes have it", || (0..2).all(is_spooled) || is_stored());
    !is_stored()
}

#[test]
fn an_upload_that_is_broken_off_leaves_no_spool_anywhere() {
    let cluster = Cluster::start(Front::Nginx, Options::default());
    let mut client = Connection::open(cluster.address(0)).unwrap();
    let call = Call::new("PUT", "/gone/a.jpg").header("Content-Length", "10000000");
    client.begin(&call).unwrap();
    client.write(&noise(1, 3 << 20)).unwrap();
    wait_until("every node has a spool", || (0..3).all(|node| !cluster.spools(node).is_empty()));
    drop(client);
    wait_until("no node has one", || (0..3).all(|node| cluster.spools(node).is_empty()));
    cluster.get(1, "/gone/a.jpg").expect(404);
}

/// Listens in the place of a node, never answers, and says which requests for `target` came and went.
fn hang(cluster: &Cluster, node: usize, target: &str) -> mpsc::Receiver<&'static str> {
    let listener = TcpListener::bind(cluster.address(node)).unwrap();
    let (tell, told) = mpsc::channel();
    let target = target.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (tell, target) = (tell.clone(), target.clone());
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream.unwrap());
                let mut line = String::new();
                if stream.read_line(&mut line).is_ok() && line.contains(&target) {
                    let _ = tell.send("came");
                    let _ = stream.read_to_end(&mut Vec::new());
                    let _ = tell.send("went");
                }
            });
        }
    });
    told
}

#[test]
fn a_request_that_waits_for_an_owner_is_given_up_and_no_other_owner_is_asked() {
    let options = Options {
        nodes: 3,
        replicas: 2,
        absent: &[1, 2],
        deliver: "remote = \"proxy\"",
        ..Options::default()
    };
    let cluster = Cluster::launch(Front::Responder, options);
    wait_until("webdfs listens", || UnixStream::connect(cluster.socket(0)).is_ok());
    wait_until("nginx listens", || Connection::open(cluster.address(0)).is_ok());
    let target = cluster.path_owned("/waits", |owners| !owners.contains(&0));
    let owners = cluster.owners(&target);
    let name = target.rsplit('/').next().unwrap();
    let (first, second) = (hang(&cluster, owners[0], name), hang(&cluster, owners[1], name));
    let mut client = Connection::open(cluster.address(0)).unwrap();
    client.begin(&Call::new("GET", &target)).unwrap();
    // Whichever of the two is asked first: one that has just failed is asked last.
    let (asked, other) = match first.recv_timeout(Duration::from_secs(3)) {
        Ok(_) => (first, second),
        Err(_) => (second, first),
    };
    drop(client);
    while asked.recv_timeout(common::PATIENCE).expect("the owner sees that it is over") != "went" {}
    // Were the request still being worked on, the other owner would be asked now.
    assert!(other.recv_timeout(Duration::from_secs(1)).is_err(), "nobody waits for this");
}

#[test]
fn a_request_that_the_web_server_aborts_ends_at_the_owner_too() {
    let cluster = Cluster::start(Front::Nginx, proxying());
    let target = cluster.path_owned("/gone", |owners| owners == [1]);
    cluster.put(1, &target, noise(1, 64 << 20)).expect(201);
    let idle = sockets(&cluster, 1);
    let pairs = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", &*target), ("REMOTE_ADDR", "127.0.0.1")];
    let begin = || {
        let mut client = fcgi::Client::new(UnixStream::connect(cluster.socket(0)).unwrap());
        client.send(&fcgi::get(1, true, &pairs));
        assert!(client.next_record().unwrap().unwrap().content.starts_with(b"Status: 200"));
        client
    };
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| begin()).collect();
    wait_until("the owner is at work", || sockets(&cluster, 1) > idle + CLIENTS / 2);
    // The web server may also say so, and keep the connection.
    for client in &mut clients {
        client.send(&fcgi::record(fcgi::ABORT_REQUEST, 1, b"", 0));
        while client.next_record().unwrap().unwrap().record_type != fcgi::END_REQUEST {}
    }
    wait_until("the work has ended", || sockets(&cluster, 1) <= idle + 1);
    for client in &mut clients {
        client.send(&fcgi::get(1, true, &[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/missing.jpg")]));
        assert_eq!(client.reply(1).status(), 404);
    }
}
