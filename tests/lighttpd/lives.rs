//! Lives: several processes on one root, and every way in which lighttpd or one of them ends.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::process::{Process, children, runs};
use crate::common::{Call, Cluster, Front, Options, assert_stored, noise, wait_until};
use crate::in_both_roles;

/// What lighttpd of a node has started.
fn spawned(cluster: &Cluster, node: usize) -> BTreeSet<u32> {
    children(cluster.with_server(node, |server| server.id())).into_iter().collect()
}

/// Which process is the agent of a node's root: the one with the lock.
fn agent(cluster: &Cluster, node: usize) -> Option<u32> {
    let lock = std::fs::metadata(cluster.root(node).join(".webdfs/agent.lock")).ok()?.ino();
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    // `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END`, and `1: -> ...` for one that waits.
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (pid, file) = (words.get(4)?, words.get(5)?);
        (words[1] == "FLOCK" && file.rsplit(':').next() == Some(&lock.to_string()))
            .then(|| pid.parse().unwrap())
    })
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

fn wait_until_gone(pids: &BTreeSet<u32>) {
    wait_until("no process is left", || !pids.iter().any(|pid| runs(*pid)));
}

#[test]
fn the_processes_that_lighttpd_starts_serve_the_same_and_one_of_them_is_the_agent() {
    let cluster = Cluster::start(Front::LighttpdSpawned, Options::default());
    let processes = spawned(&cluster, 0);
    assert_eq!(processes.len(), 3);
    let sockets = (0..3).map(|number| cluster.socket(0).with_file_name(format!("webdfs.sock-{number}")));
    for socket in sockets {
        assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok(), "{}", socket.display());
    }
    // Requests at the same time go to all of them.
    std::thread::scope(|scope| {
        for number in 0..30 {
            let cluster = &cluster;
            scope.spawn(move || {
                let (target, body) = (format!("/several/{number}.jpg"), noise(number, 20_000));
                cluster.put(0, &target, body.clone()).expect(201);
                assert_stored(cluster, &target, &body);
            });
        }
    });

    // The role moves when the agent dies, and so does the embedded front.
    let first = agent(&cluster, 0).expect("an agent");
    assert!(processes.contains(&first), "{first} of {processes:?}");
    signal(first, Signal::KILL);
    wait_until("another is the agent", || agent(&cluster, 0).is_some_and(|now| now != first));
    let side = cluster.side_address(0);
    wait_until("it has the embedded front", || {
        Call::new("GET", "/several/1.jpg").try_send(side).is_ok_and(|answer| answer.status == 200)
    });
    wait_until("lighttpd has started a third", || {
        let now = spawned(&cluster, 0);
        now.len() == 3 && !now.contains(&first)
    });
    for _ in 0..30 {
        cluster.get(0, "/several/1.jpg").expect(200);
        cluster.put(0, "/several/2.jpg", "2");
    }
    assert_stored(&cluster, "/several/2.jpg", b"2");
}

#[test]
fn lighttpd_leaves_no_process_and_no_half_written_file_however_it_ends() {
    let cluster = Cluster::start(Front::LighttpdSpawned, Options::default());
    for end in [Signal::TERM, Signal::INT, Signal::KILL] {
        let processes = spawned(&cluster, 0);
        assert_eq!(processes.len(), 3, "{end:?}");
        let target = format!("/ends/{}.jpg", end.as_raw());
        let mut connection = crate::common::Connection::open(cluster.address(0)).unwrap();
        connection.begin(&Call::new("PUT", &target).header("Content-Length", "3000000")).unwrap();
        connection.write(&noise(1, 1_000_000)).unwrap();
        wait_until("the upload has begun", || cluster.present().any(|node| !cluster.spools(node).is_empty()));

        let mut server = cluster.take_server(0);
        server.signal(end);
        if end == Signal::INT {
            // lighttpd lets it finish, for some seconds; this client has gone away.
            drop(connection);
        }
        server.wait();
        wait_until_gone(&processes);
        cluster.restart(0);
        cluster.wait_until_ready(0);
        crate::common::assert_nothing(&cluster, &target);
        cluster.put(0, "/ends/after.jpg", "after");
        assert_stored(&cluster, "/ends/after.jpg", b"after");
    }
}

#[test]
fn a_graceful_restart_under_load_loses_no_request() {
    in_both_roles(&Options::default(), |cluster| {
        for number in 0..8 {
            cluster.put(0, &format!("/load/{number}.jpg"), noise(number, 30_000)).expect(201);
        }
        let before =
            if cluster.front == Front::LighttpdSpawned { spawned(cluster, 0) } else { BTreeSet::new() };
        let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        let lost: Vec<String> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4_u64)
                .map(|client| {
                    let (stop, done) = (&stop, &done);
                    scope.spawn(move || {
                        let mut lost = Vec::new();
                        for turn in 0.. {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            let target = format!("/load/new-{client}-{}.jpg", turn % 5);
                            let calls = [
                                Call::new("GET", &format!("/load/{}.jpg", turn % 8)),
                                Call::new("PUT", &target).body(noise(turn, 40_000)),
                                Call::new("GET", &format!("/load//{}.jpg", turn % 8)),
                            ];
                            for call in calls {
                                match call.try_send(cluster.address(0)) {
                                    Ok(answer) if answer.status < 300 => {}
                                    Ok(answer) => lost.push(format!("{call:?}: {}", answer.status)),
                                    Err(error) => lost.push(format!("{}: {error}", call.target())),
                                }
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        lost
                    })
                })
                .collect();
            for _ in 0..3 {
                let restarts = || cluster.log(0).matches("server started").count();
                let (started, answered) = (restarts(), done.load(Ordering::Relaxed));
                wait_until("there is load", || done.load(Ordering::Relaxed) > answered + 40);
                cluster.with_server(0, |server| server.signal(Signal::USR1));
                wait_until("lighttpd has started again", || restarts() > started);
            }
            let answered = done.load(Ordering::Relaxed);
            wait_until("there is load", || done.load(Ordering::Relaxed) > answered + 40);
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        assert!(lost.is_empty(), "{:?}: {} of {}: {lost:#?}", cluster.front, lost.len(), done.into_inner());
        wait_until_gone(&before);
    });
}

#[test]
fn spawn_fcgi_starts_webdfs_for_any_web_server() {
    Process::prepare_to_adopt();
    for front in [Front::Lighttpd, Front::Nginx] {
        let cluster = Cluster::start(front, Options::default());
        // In the place of the webdfs that runs on its own.
        let mut own = cluster.take_webdfs(0);
        own.signal(Signal::TERM);
        own.wait();
        let config = cluster.config(0);
        let text = std::fs::read_to_string(&config).unwrap().replace("fcgi = \"unix:webdfs.sock\"\n", "");
        std::fs::write(&config, text).unwrap();
        let pid_file = config.with_file_name("spawned.pid");
        let mut command = Command::new("spawn-fcgi");
        command.arg("-n").arg("-s").arg(cluster.socket(0)).args(["-M", "0666", "--"]);
        command.arg(env!("CARGO_BIN_EXE_webdfs")).args(["serve", "--config"]).arg(&config);
        let _ = std::fs::remove_file(cluster.socket(0));
        let mut webdfs = Process::start(&mut command, &config.with_file_name("webdfs.log"));
        cluster.wait_until_ready(0);
        cluster.put(0, "/spawned/a.jpg", "a").expect(201);
        assert_stored(&cluster, "/spawned/a.jpg", b"a");
        webdfs.signal(Signal::TERM);
        assert!(webdfs.wait().success());

        // And in the background, as a script at the start of the machine does it.
        let mut command = Command::new("spawn-fcgi");
        command.arg("-s").arg(cluster.socket(0)).arg("-P").arg(&pid_file).arg("--");
        command.arg(env!("CARGO_BIN_EXE_webdfs")).args(["serve", "--config"]).arg(&config);
        let _ = std::fs::remove_file(cluster.socket(0));
        assert!(command.output().unwrap().status.success());
        let mut webdfs = Process::adopt(std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap());
        cluster.wait_until_ready(0);
        cluster.put(0, "/spawned/b.jpg", "b").expect(201);
        assert_stored(&cluster, "/spawned/b.jpg", b"b");
        webdfs.signal(Signal::TERM);
        assert!(webdfs.wait().success());
        assert!(cluster.spools(0).is_empty());
    }
}
