//! HAProxy and Caddy in front of webdfs while clients are slow, webdfs goes away, and configurations are read again.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Answer, Call, Cluster, Connection, Front, Options, noise, wait_until};
use rustix::process::Signal;

on_both_proxies!(
    a_slow_reader_stops_no_other_client,
    a_restart_of_webdfs_is_survived,
    a_reload_under_load_leaves_no_client_without_an_answer,
);

fn a_slow_reader_stops_no_other_client(front: Front) {
    let cluster = Cluster::start(
        front,
        Options { nodes: 1, replicas: 1, write_quorum: 1, static_first: false, ..Options::default() },
    );
    let (large, small) = (noise(9, 16 << 20), noise(10, 50_000));
    cluster.put(0, "/slow/large.bin", large.clone()).expect(201);
    cluster.put(0, "/slow/small.jpg", small.clone()).expect(201);
    // They read the head and then nothing, until the others have been served.
    let slow: Vec<Connection> = (0..8)
        .map(|_| {
            let mut connection = Connection::open(cluster.address(0)).unwrap();
            connection.begin(&Call::new("GET", "/slow/large.bin")).unwrap();
            connection.answer_head().unwrap().expect(200);
            connection
        })
        .collect();
    for _ in 0..50 {
        assert!(cluster.get(0, "/slow/small.jpg").expect(200).body == small);
    }
    cluster.put(0, "/slow/new.jpg", small.clone()).expect(201);
    for mut connection in slow {
        assert!(connection.read_exactly(large.len()).unwrap() == large);
    }
}

fn a_restart_of_webdfs_is_survived(front: Front) {
    let cluster = Cluster::start(
        front,
        Options { nodes: 1, replicas: 1, write_quorum: 1, static_first: false, ..Options::default() },
    );
    cluster.put(0, "/restart/a.jpg", "here").expect(201);
    cluster.kill_webdfs(0);
    let answer = cluster.get(0, "/restart/a.jpg");
    assert!(matches!(answer.status, 502 | 503), "{answer}");
    cluster.restart(0);
    cluster.wait_until_ready(0);
    assert_eq!(cluster.get(0, "/restart/a.jpg").expect(200).text(), "here");
    cluster.put(0, "/restart/b.jpg", "there").expect(201);
}

fn a_reload_under_load_leaves_no_client_without_an_answer(front: Front) {
    let cluster = Cluster::start(
        front,
        Options { nodes: 1, replicas: 1, write_quorum: 1, static_first: false, ..Options::default() },
    );
    let body = noise(11, 30_000);
    cluster.put(0, "/reload/a.jpg", body.clone()).expect(201);
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (cluster, body, done, answered) = (&cluster, &body, &done, &answered);
                scope.spawn(move || {
                    let mut count = 0;
                    while !done.load(Ordering::Relaxed) {
                        let get = through_a_reload(cluster, &Call::new("GET", "/reload/a.jpg"));
                        assert!(get.expect(200).body == *body);
                        let target = format!("/reload/{client}.jpg");
                        let put = through_a_reload(cluster, &Call::new("PUT", &target).body(body.clone()));
                        assert!(matches!(put.status, 201 | 204), "{put}");
                        count += 1;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    count
                })
            })
            .collect();
        for _ in 0..3 {
            // Caddy may stop listening for good if it is told to reload while it is still at the reload before.
            let before = answered.load(Ordering::Relaxed);
            wait_until("the clients go on", || {
                answered.load(Ordering::Relaxed) > before + BETWEEN_RELOADS
                    || clients.iter().any(|client| client.is_finished())
            });
            reload(&cluster);
        }
        done.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
}

/// Uploads and downloads that are answered between two reloads.
const BETWEEN_RELOADS: usize = 40;

/// Sends a request while the web server may be reloading. HAProxy loses none. Caddy opens a new socket beside the old one
/// (SO_REUSEPORT), and the connections that were waiting in the queue of the old one are reset: those clients try again.
fn through_a_reload(cluster: &Cluster, call: &Call) -> Answer {
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    let lost = |error: &std::io::Error| matches!(error.kind(), ConnectionReset | UnexpectedEof);
    match call.try_send(cluster.address(0)) {
        Err(error) if cluster.front == Front::Caddy && lost(&error) => call.send(cluster.address(0)),
        answer => answer.unwrap_or_else(|error| panic!("{}: {error}", call.target())),
    }
}

/// What `systemctl reload` does to the web server of node 0; returns when the new one serves.
fn reload(cluster: &Cluster) {
    let dir = cluster.root(0).parent().unwrap().to_owned();
    match cluster.front {
        Front::Haproxy => {
            let ready = || cluster.log(0).matches("Loading success").count();
            // The worker serves before its master takes signals, and one that comes too early is lost.
            wait_until("the master is ready", || ready() > 0);
            let (before, mut polls) = (ready(), 0);
            wait_until("the new worker serves", || {
                if polls % 100 == 0 {
                    cluster.with_server(0, |haproxy| haproxy.signal(Signal::USR2));
                }
                polls += 1;
                ready() > before
            });
        }
        _ => {
            let mut caddy = std::process::Command::new("caddy");
            caddy
                .args(["reload", "--force", "--adapter", "caddyfile", "--config"])
                .arg(dir.join("Caddyfile"));
            caddy.arg("--address").arg(format!("unix/{}", dir.join("caddy-admin.sock").display()));
            caddy.env("HOME", &dir).env("XDG_DATA_HOME", &dir).env("XDG_CONFIG_HOME", &dir);
            let output = caddy.output().expect("caddy runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
