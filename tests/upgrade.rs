//! SIGUSR2: a new process takes the place of the one that runs, and nobody notices.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::process::Process;
use common::{Call, Cluster, Connection, Front, Options, fcgi, noise, wait_until};
use rustix::process::Signal;

on_both_fronts!(
    the_next_process_has_the_sockets_and_the_background_work,
    what_runs_is_finished_by_the_process_that_began_it,
    a_process_that_cannot_start_changes_nothing,
);

fn alone() -> Options {
    Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() }
}

/// A request on a FastCGI connection that is kept.
fn ask(client: &mut fcgi::Client<UnixStream>, target: &str) -> fcgi::Reply {
    client.get(&[("REQUEST_METHOD", "GET"), ("REQUEST_URI", target), ("REMOTE_ADDR", "127.0.0.1")])
}

fn kept_connection(socket: &Path) -> fcgi::Client<UnixStream> {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    fcgi::Client::new(stream)
}

fn the_next_process_has_the_sockets_and_the_background_work(front: Front) {
    const WORK: &str = "this process does the background work";
    const TIMES: usize = 10;
    let cluster = Cluster::start(front, alone());
    cluster.put(0, "/a.jpg", "a").expect(201);
    let elected = cluster.log(0).matches(WORK).count();
    let mut descriptors = Vec::new();
    for _ in 0..TIMES {
        let ended = cluster.upgrade(0);
        assert_eq!(ended.code(), Some(0), "{ended}");
        assert_eq!(cluster.get(0, "/a.jpg").expect(200).text(), "a");
        let side = Call::new("GET", "/a.jpg").send(cluster.side_address(0));
        assert_eq!(side.expect(200).text(), "a");
        cluster.put(0, "/a.jpg", "a").expect(204);
        descriptors.push(cluster.with_webdfs(0, |webdfs| webdfs.descriptors()));
    }
    // One that were left over each time would be many by now.
    assert!(descriptors[TIMES - 1] < descriptors[0] + TIMES / 2, "{descriptors:?}");
    // The lock was never free, so nobody had to be elected anew.
    assert_eq!(cluster.log(0).matches(WORK).count(), elected);
    let taken = cluster.log(0).matches("has taken the place of the one").count();
    assert_eq!(taken, TIMES);

    // The last one cares for the socket's file, and for the lock.
    cluster.with_webdfs(0, |webdfs| webdfs.signal(Signal::TERM));
    let ended = cluster.take_webdfs(0).wait();
    assert_eq!(ended.code(), Some(0), "{ended}");
    assert!(!cluster.socket(0).exists());
    cluster.restart(0);
    cluster.wait_until_ready(0);
    wait_until("the lock is free", || cluster.log(0).matches(WORK).count() > elected);
}

fn what_runs_is_finished_by_the_process_that_began_it(front: Front) {
    let cluster = Cluster::start(front, alone());
    let large = format!("/{}.bin", "x".repeat(300));
    let (download, upload) = (noise(1, 32 << 20), noise(2, 4 << 20));
    cluster.put(0, &large, download.clone()).expect(201);
    let mut downloading = Connection::open(cluster.address(0)).unwrap();
    downloading.begin(&Call::new("GET", &large)).unwrap();
    downloading.answer_head().unwrap().expect(200);
    let begun = downloading.read_exactly(100_000).unwrap();
    let mut uploading = Connection::open(cluster.address(0)).unwrap();
    let call = Call::new("PUT", "/up.jpg").header("Content-Length", &upload.len().to_string());
    uploading.begin(&call).unwrap();
    uploading.write(&upload[..2 << 20]).unwrap();
    wait_until("the upload is on its way", || !cluster.spools(0).is_empty());

    let mut old = cluster.begin_upgrade(0);
    assert!(old.ended().is_none(), "the old one has work to finish");
    cluster.get(0, "/missing.jpg").expect(404);
    uploading.write(&upload[2 << 20..]).unwrap();
    uploading.answer("PUT").unwrap().expect(201);
    let rest = downloading.read_exactly(download.len() - begun.len()).unwrap();
    assert!([begun, rest].concat() == download);
    drop((downloading, uploading));
    assert_eq!(old.wait().code(), Some(0));
    assert!(cluster.get(0, "/up.jpg").expect(200).body == upload);
}

fn a_process_that_cannot_start_changes_nothing(front: Front) {
    let cluster = Cluster::start(front, alone());
    cluster.put(0, "/a.jpg", "a").expect(201);
    let good = fs::read_to_string(cluster.config(0)).unwrap();
    fs::write(cluster.config(0), good.replace("durability", "durabilty")).unwrap();
    for times in 1..=2 {
        cluster.with_webdfs(0, |webdfs| webdfs.signal(Signal::USR2));
        let goes_on = "this process goes on: the new process ended before it served (exit status: 1)";
        wait_until("it says so", || cluster.log(0).matches(goes_on).count() == times);
        assert!(cluster.log(0).contains("durabilty"), "and the other says why");
        cluster.put(0, "/a.jpg", "a").expect(204);
    }
    fs::write(cluster.config(0), good).unwrap();
    assert_eq!(Call::new("GET", "/a.jpg").send(cluster.side_address(0)).expect(200).text(), "a");
    cluster.with_webdfs(0, |webdfs| webdfs.signal(Signal::TERM));
    assert_eq!(cluster.take_webdfs(0).wait().code(), Some(0));
}

#[test]
fn a_kept_fastcgi_connection_goes_on_in_the_next_process() {
    let cluster = Cluster::start(Front::Nginx, alone());
    cluster.put(0, "/a.jpg", "a").expect(201);
    let mut kept: Vec<_> = (0..20).map(|_| kept_connection(&cluster.socket(0))).collect();
    for client in &mut kept {
        assert_eq!(ask(client, "/a.jpg").body(), b"a");
    }
    // One that has never said anything, and one whose request has arrived in part.
    let (mut silent, mut partly) = (kept_connection(&cluster.socket(0)), kept_connection(&cluster.socket(0)));
    let pairs = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/a.jpg")];
    let request = fcgi::get(1, true, &pairs);
    partly.send(&request[..20]);
    let mut old = cluster.begin_upgrade(0);
    partly.send(&request[20..]);
    assert_eq!(partly.reply(1).body(), b"a");
    assert_eq!(old.wait().code(), Some(0));
    for client in kept.iter_mut().chain([&mut silent, &mut partly]) {
        assert_eq!(ask(client, "/a.jpg").body(), b"a");
    }
}

#[test]
fn a_connection_that_was_busy_during_two_takeovers_goes_on_in_the_third_process() {
    let cluster = Cluster::start(Front::Nginx, alone());
    let body = noise(1, 4 << 20);
    let length = body.len().to_string();
    let pairs = [
        ("REQUEST_METHOD", "PUT"),
        ("REQUEST_URI", "/up.jpg"),
        ("CONTENT_LENGTH", &*length),
        ("REMOTE_ADDR", "127.0.0.1"),
    ];
    let mut busy = kept_connection(&cluster.socket(0));
    busy.send(&[fcgi::begin(1, true), fcgi::params(1, &pairs)].concat());
    busy.send_body(1, &body[..2 << 20]);
    wait_until("the upload is on its way", || !cluster.spools(0).is_empty());
    let mut first = cluster.begin_upgrade(0);
    let mut second = cluster.begin_upgrade(0);
    busy.send_body(1, &body[2 << 20..]);
    busy.end_body(1);
    assert_eq!(busy.reply(1).status(), 201);
    assert_eq!(first.wait().code(), Some(0));
    assert_eq!(second.wait().code(), Some(0));
    assert_eq!(ask(&mut busy, "/up.jpg").status(), 200);
}

/// A node that runs a program of its own, which can be replaced.
struct Replaceable {
    cluster: Cluster,
    dir: PathBuf,
}

impl Replaceable {
    fn start() -> (Self, Process) {
        let cluster = Cluster::start(Front::Nginx, alone());
        drop(cluster.take_webdfs(0));
        Process::prepare_to_adopt();
        let dir = cluster.root(0).parent().unwrap().to_path_buf();
        let node = Self { cluster, dir };
        node.install_webdfs();
        let mut command = Command::new("./webdfs");
        command.current_dir(&node.dir).args(["serve", "--config", "node.toml"]);
        let running = Process::start(&mut command, &node.dir.join("webdfs.log"));
        wait_until("it serves", || node.cluster.get(0, "/missing.jpg").status == 404);
        (node, running)
    }

    fn program(&self) -> PathBuf {
        self.dir.join("webdfs")
    }

    fn install_webdfs(&self) {
        let next = self.dir.join("webdfs.new");
        fs::copy(env!("CARGO_BIN_EXE_webdfs"), &next).unwrap();
        fs::rename(&next, self.program()).unwrap();
    }

    fn install_script(&self, lines: &str) {
        let next = self.dir.join("webdfs.new");
        fs::write(&next, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&next, self.program()).unwrap();
    }

    fn log(&self) -> String {
        self.cluster.log(0)
    }

    fn wait_until_it_says(&self, words: &str) {
        wait_until(&format!("it says {words:?}"), || self.log().contains(words));
    }
}

#[test]
fn a_new_process_that_neither_serves_nor_ends_holds_nothing_up() {
    let (node, mut running) = Replaceable::start();
    // One that cannot even be heard.
    node.install_script("exec 0<&-\nexec sleep 600");
    running.signal(Signal::USR2);
    node.wait_until_it_says("this process goes on: the new process closed its standard input");

    node.install_script("exec sleep 600");
    let starts = "starts, and takes over once it serves";
    running.signal(Signal::USR2);
    wait_until("the second starts", || node.log().matches(starts).count() == 2);
    running.signal(Signal::USR2);
    node.wait_until_it_says("SIGUSR2 is ignored: a new process is starting already");
    running.signal(Signal::HUP);
    node.wait_until_it_says("the configuration was read again");
    node.cluster.get(0, "/missing.jpg").expect(404);
    let said = node.log();
    let line = said.lines().rfind(|line| line.contains(starts)).unwrap();
    let id = line.split_once("process ").unwrap().1.split(' ').next().unwrap();
    assert!(Path::new("/proc").join(id).exists());
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), Some(0));
    assert!(!Path::new("/proc").join(id).exists(), "it ends with the one that started it");
}

#[test]
fn the_program_that_lies_at_the_old_ones_path_is_started_and_a_bad_one_changes_nothing() {
    let (node, mut old) = Replaceable::start();
    let cluster = &node.cluster;
    node.install_script("exit 7");
    old.signal(Signal::USR2);
    node.wait_until_it_says("ended before it served (exit status: 7)");
    fs::remove_file(node.program()).unwrap();
    old.signal(Signal::USR2);
    node.wait_until_it_says("cannot be started: No such file");
    cluster.get(0, "/missing.jpg").expect(404);

    node.install_webdfs();
    old.signal(Signal::USR2);
    assert_eq!(old.wait().code(), Some(0));
    let said = node.log();
    let line = said.lines().find(|line| line.contains("has taken over; running")).unwrap();
    let id = line.split_once("process ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    let _new = Process::adopt(id);
    let running = fs::metadata(format!("/proc/{id}/exe")).unwrap();
    assert_eq!(running.ino(), fs::metadata(node.program()).unwrap().ino());
    assert_eq!(cluster.get(0, "/missing.jpg").status, 404);
}

#[test]
fn an_agent_is_replaced_without_a_gap_in_its_front() {
    let cluster = Cluster::start(Front::Embedded, alone());
    drop(cluster.take_webdfs(0));
    Process::prepare_to_adopt();
    let log = cluster.root(0).parent().unwrap().join("agent.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["agent", "--config"]).arg(cluster.config(0));
    let mut old = Process::start(&mut command, &log);
    wait_until("it answers", || Call::new("GET", "/a").try_send(cluster.address(0)).is_ok());
    old.signal(Signal::USR2);
    let mut answered = 0;
    wait_until("the old one has ended", || {
        assert_eq!(cluster.get(0, "/a").status, 404, "a gap");
        answered += 1;
        old.ended().is_some()
    });
    assert_eq!(old.ended().unwrap().code(), Some(0));
    assert!(answered > 1);
    let said = fs::read_to_string(&log).unwrap();
    let line = said.lines().find(|line| line.contains("has taken over; running")).unwrap();
    let id = line.split_once("process ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    let mut new = Process::adopt(id);
    assert_eq!(cluster.get(0, "/a").status, 404);
    new.signal(Signal::TERM);
    assert_eq!(new.wait().code(), Some(0));
}
