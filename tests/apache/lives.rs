use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::common::process::runs;
use crate::common::{Call, Cluster, Connection, Front, Options, assert_stored, noise, wait_until};
use crate::{configure_server, edit, end_leftovers, spawned};

/// One node is enough for what concerns Apache alone.
fn one() -> Options {
    Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() }
}

#[test]
fn no_process_is_started_for_a_file_on_this_disk() {
    fn prepare(cluster: &Cluster) {
        std::fs::write(cluster.root(0).join("kept.jpg"), "kept").unwrap();
    }
    let cluster = Cluster::launch(Front::ApacheFcgid, Options { prepare, ..one() });
    wait_until("Apache listens", || Connection::open(cluster.address(0)).is_ok());
    assert_eq!(cluster.get(0, "/kept.jpg").expect(200).text(), "kept");
    cluster.head(0, "/kept.jpg").expect(200);
    assert_eq!(spawned(&cluster, 0), []);
    cluster.get(0, "/missing.jpg");
    assert_ne!(spawned(&cluster, 0), [], "what is not here is for webdfs to answer");
}

#[test]
fn clients_that_hold_every_process_do_not_hold_up_other_nodes() {
    fn prepare(cluster: &Cluster) {
        edit(cluster, 0, "FcgidMaxProcessesPerClass 32", "FcgidMaxProcessesPerClass 2");
        // Or else Apache sends the file, and the process is free.
        edit(cluster, 0, "SetEnv WEBDFS_SENDFILE 1", "");
    }
    let cluster = Cluster::start(Front::ApacheFcgid, Options { static_first: false, prepare, ..one() });
    cluster.put(0, "/large.bin", noise(1, 32 << 20)).expect(201);
    let peer = Call::new("GET", "/_webdfs/v1/");
    let mut clients = Vec::new();
    for _ in 0..2 {
        // A client that reads the head and then no more.
        let mut client = Connection::open(cluster.address(0)).unwrap();
        client.begin(&Call::new("GET", "/large.bin")).unwrap();
        assert_eq!(client.answer_head().unwrap().status, 200);
        clients.push(client);
    }
    let answer = cluster.send(0, &peer);
    assert!(matches!(answer.status, 403 | 404), "{answer}");
    let all = spawned(&cluster, 0);
    let of_peers = all.iter().filter(|(_, line)| line.contains("serve --die-with-parent"));
    assert_eq!((all.len(), of_peers.count()), (3, 1), "{all:?}");
    drop(clients);
}

#[test]
fn idle_processes_go_and_the_agent_stays() {
    fn prepare(cluster: &Cluster) {
        configure_server(
            cluster,
            0,
            "FcgidIdleScanInterval 1\nFcgidErrorScanInterval 1\nFcgidZombieScanInterval 1",
        );
        edit(cluster, 0, "FcgidIdleTimeout 300", "FcgidIdleTimeout 1");
        edit(cluster, 0, "FcgidMinProcessesPerClass 3", "FcgidMinProcessesPerClass 0");
    }
    let cluster = Cluster::start(Front::ApacheFcgid, Options { prepare, ..one() });
    for round in 0..2 {
        let path = format!("/{round}.jpg");
        cluster.put(0, &path, "a").expect(201);
        wait_until("the idle processes have gone", || spawned(&cluster, 0).is_empty());
        assert!(cluster.is_alive(0), "the agent stays");
        assert_eq!(cluster.get(0, &path).expect(200).text(), "a");
    }
}

#[test]
fn a_stopped_apache_leaves_no_process() {
    let cluster = Cluster::start(Front::ApacheFcgid, one());
    cluster.put(0, "/a.jpg", "a").expect(201);
    assert!(!spawned(&cluster, 0).is_empty());
    let mut server = cluster.take_server(0);
    server.signal(Signal::TERM);
    server.wait();
    wait_until("no webdfs is left", || spawned(&cluster, 0).is_empty());
    cluster.restart(0);
    cluster.wait_until_ready(0);
    assert_stored(&cluster, "/a.jpg", b"a");
}

#[test]
fn a_killed_apache_leaves_neither_process_nor_half_a_file() {
    let cluster = Cluster::start(Front::ApacheFcgid, Options::default());
    let body = noise(4, 4 << 20);
    for round in 0..3 {
        cluster.put(0, "/before.jpg", "before").expect(if round == 0 { 201 } else { 204 });
        let stop = AtomicBool::new(false);
        let acknowledged = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let path = format!("/killed/{round}-{number}.jpg");
                    let call = Call::new("PUT", &path).body(body.clone());
                    if call.try_send(cluster.address(0)).is_ok_and(|answer| answer.status == 201) {
                        acknowledged.push(path);
                    }
                    if acknowledged.len() > 2 + round {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                acknowledged
            });
            wait_until("an upload is under way", || {
                !cluster.spools(0).is_empty() || stop.load(Ordering::Relaxed)
            });
            let before: Vec<u32> = spawned(&cluster, 0).into_iter().map(|(process, _)| process).collect();
            cluster.kill(0);
            stop.store(true, Ordering::Relaxed);
            wait_until("no webdfs is left", || !before.iter().any(|process| runs(*process)));
            writer.join().expect("the writer")
        });
        cluster.restart(0);
        cluster.wait_until_ready(0);
        acknowledged.iter().for_each(|path| assert_stored(&cluster, path, &body));
        // Whatever stands there is whole.
        for number in 0..10 {
            let file = cluster.file(0, &format!("/killed/{round}-{number}.jpg"));
            assert!(std::fs::metadata(&file).map_or(true, |metadata| metadata.len() == body.len() as u64));
        }
    }
}

/// How often Apache reads its configuration again under load.
const RELOADS: usize = 3;
/// Clients at the same time, each with one request after the other.
const CLIENTS: usize = 4;

/// Has Apache read its configuration again and again under load. Returns how many requests there were, and those that
/// failed. What was acknowledged has to be there in any case.
fn graceful_under_load(front: Front) -> (usize, Vec<String>) {
    let cluster = Cluster::start(front, Options { static_first: false, ..one() });
    cluster.put(0, "/read.jpg", noise(1, 20_000)).expect(201);
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let body = noise(7, 50_000);
    let client = |worker: usize| {
        let (mut failures, mut stored) = (Vec::new(), Vec::new());
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let call = match number % 2 {
                0 => Call::new("GET", "/read.jpg"),
                _ => Call::new("PUT", &format!("/w{worker}/{number}.jpg")).body(body.clone()),
            };
            match call.try_send(cluster.address(0)) {
                Ok(answer) if answer.status == 201 => stored.push(call.target().to_owned()),
                Ok(answer) if answer.status == 200 => assert_eq!(answer.body.len(), 20_000),
                Ok(answer) => failures.push(format!("{} {}", call.target(), answer.status)),
                Err(error) => failures.push(format!("{} {error}", call.target())),
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
        (failures, stored)
    };
    let answered = |more: usize| {
        let seen = count.load(Ordering::Relaxed);
        wait_until("requests are answered", || count.load(Ordering::Relaxed) > seen + more);
    };
    let failures = std::thread::scope(|scope| {
        let client = &client;
        let clients: Vec<_> = (0..CLIENTS).map(|worker| scope.spawn(move || client(worker))).collect();
        for _ in 0..RELOADS {
            answered(30);
            cluster.with_server(0, |server| server.signal(Signal::USR1));
            answered(30);
        }
        stop.store(true, Ordering::Relaxed);
        let (failures, stored): (Vec<_>, Vec<_>) =
            clients.into_iter().map(|client| client.join().expect("a client")).unzip();
        stored.iter().flatten().for_each(|path| assert_stored(&cluster, path, &body));
        failures.concat()
    });
    let configuration = cluster.config(0).with_file_name("httpd.conf");
    drop(cluster);
    end_leftovers(&configuration);
    (count.load(Ordering::Relaxed), failures)
}

#[test]
fn a_graceful_restart_of_apache_loses_no_request_of_a_webdfs_that_runs_on_its_own() {
    let (count, failures) = graceful_under_load(Front::ApacheProxy);
    assert!(failures.is_empty(), "{} of {count}: {failures:?}", failures.len());
}

/// mod_fcgid ends its process manager, and with it every process, as soon as Apache is told to be graceful. A request
/// that has no process yet, in an Apache process of before, asks for one through a pipe that nobody reads any more, and waits
/// without a limit (`procmgr_post_spawn_cmd` of mod_fcgid 2.3.9); one whose process is being stopped
/// may get 500. That is so whatever mod_fcgid starts, and no setting changes it. What was acknowledged stays.
#[test]
fn a_graceful_restart_of_apache_loses_no_acknowledged_upload_of_a_webdfs_that_it_started() {
    let (count, failures) = graceful_under_load(Front::ApacheFcgid);
    println!("{} of {count} requests failed: {failures:?}", failures.len());
    // Each of the clients has one request under way at a time.
    assert!(failures.len() <= CLIENTS * RELOADS, "{} of {count}: {failures:?}", failures.len());
}

/// mod_fcgid kills, one second after it has told them to stop, the processes that still answer (`kill_all_subprocess`).
#[test]
fn a_graceful_restart_of_apache_cuts_the_downloads_that_it_does_not_send_itself() {
    fn prepare(cluster: &Cluster) {
        edit(cluster, 0, "SetEnv WEBDFS_SENDFILE 1", "");
    }
    let by_webdfs = Options { static_first: false, prepare, ..one() };
    let by_apache = Options { static_first: false, ..one() };
    let body = noise(1, 32 << 20);
    for (options, is_whole) in [(by_webdfs, false), (by_apache, true)] {
        let cluster = Cluster::start(Front::ApacheFcgid, options);
        cluster.put(0, "/large.bin", body.clone()).expect(201);
        let before: Vec<u32> = spawned(&cluster, 0).into_iter().map(|(process, _)| process).collect();
        let mut client = Connection::open(cluster.address(0)).unwrap();
        client.begin(&Call::new("GET", "/large.bin")).unwrap();
        let head = client.answer_head().unwrap();
        assert_eq!(head.status, 200);
        cluster.with_server(0, |server| server.signal(Signal::USR1));
        wait_until("the processes of before have gone", || !before.iter().any(|process| runs(*process)));
        match client.body("GET", &head) {
            Ok(received) => assert!(is_whole && received == body, "{} bytes", received.len()),
            Err(error) => assert!(!is_whole && error.kind() == ErrorKind::UnexpectedEof, "{error}"),
        }
        let configuration = cluster.config(0).with_file_name("httpd.conf");
        drop(cluster);
        end_leftovers(&configuration);
    }
}
