//! A process that is started with its socket on descriptor 0, as `spawn-fcgi` does for nginx.

mod common;

use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use common::process::{Process, children, is_paused};
use common::{Cluster, Front, Options, fcgi, noise, wait_until};
use rustix::process::Signal;
use webdfs::failpoint::Pause;

/// A cluster behind nginx whose webdfs is not started, and has no `fcgi` in its configuration.
fn without_webdfs() -> Cluster {
    let options = Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() };
    let cluster = Cluster::start(Front::Responder, options);
    let mut webdfs = cluster.take_webdfs(0);
    webdfs.signal(Signal::TERM);
    assert_eq!(webdfs.wait().code(), Some(0));
    let config = std::fs::read_to_string(cluster.config(0)).unwrap();
    std::fs::write(cluster.config(0), config.replace("fcgi = \"unix:webdfs.sock\"\n", "")).unwrap();
    Process::prepare_to_adopt();
    cluster
}

fn log(cluster: &Cluster) -> String {
    let path = cluster.root(0).parent().unwrap().join("webdfs.log");
    path.display().to_string()
}

fn serves(cluster: &Cluster) {
    let body = noise(1, 3 << 20);
    wait_until("it serves", || cluster.get(0, "/missing.jpg").status == 404);
    let put = cluster.put(0, "/a.jpg", body.clone());
    assert!(matches!(put.status, 201 | 204), "{put}");
    assert!(cluster.get(0, "/a.jpg").expect(200).body == body);
}

/// Starts what `spawn-fcgi` starts: the process id that it writes down.
fn spawn_fcgi(cluster: &Cluster, more: &[&str], pid_file: &Path) -> Process {
    let script = format!("exec \"$0\" serve --config \"$1\" 2>>\"{}\"", log(cluster));
    let mut command = Command::new("spawn-fcgi");
    command.arg("-s").arg(cluster.socket(0)).arg("-P").arg(pid_file).args(more);
    command.args(["--", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_webdfs")]).arg(cluster.config(0));
    let output = command.output().expect("spawn-fcgi runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pid = std::fs::read_to_string(pid_file).unwrap();
    Process::adopt(pid.lines().next().unwrap().trim().parse().unwrap())
}

#[test]
fn what_spawn_fcgi_starts_serves_nginx_and_stops_cleanly() {
    let cluster = without_webdfs();
    let pid_file = cluster.root(0).parent().unwrap().join("pid");
    for (mode, signal) in [("600", Signal::TERM), ("660", Signal::USR1), ("666", Signal::INT)] {
        let mut webdfs = spawn_fcgi(&cluster, &["-M", &format!("0{mode}")], &pid_file);
        let file = cluster.socket(0).metadata().unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(format!("{:o}", file.permissions().mode() & 0o777), mode, "as spawn-fcgi made it");
        serves(&cluster);
        webdfs.signal(signal);
        assert_eq!(webdfs.wait().code(), Some(0), "{signal:?}");
        // It was spawn-fcgi that made it, and it replaces one on which nobody listens.
        assert!(cluster.socket(0).exists());
        cluster.get(0, "/a.jpg").expect(502);
    }
}

#[test]
fn several_processes_of_spawn_fcgi_share_the_socket_and_the_root() {
    let cluster = without_webdfs();
    let pid_file = cluster.root(0).parent().unwrap().join("pid");
    let mut first = spawn_fcgi(&cluster, &["-F", "3"], &pid_file);
    let pids = std::fs::read_to_string(&pid_file).unwrap();
    let others = pids.split_whitespace().skip(1);
    let others: Vec<_> = others.map(|pid| Process::adopt(pid.parse().unwrap())).collect();
    assert_eq!(others.len(), 2, "{pids}");
    serves(&cluster);
    first.signal(Signal::KILL);
    first.wait();
    serves(&cluster);
    for mut process in others {
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), Some(0));
    }
    cluster.get(0, "/a.jpg").expect(502);
}

#[test]
fn a_spawned_process_does_not_start_another_in_its_place() {
    let cluster = without_webdfs();
    std::fs::remove_file(cluster.socket(0)).unwrap_or_default();
    let socket: OwnedFd = UnixListener::bind(cluster.socket(0)).unwrap().into();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["serve", "--die-with-parent", "--config"]).arg(cluster.config(0));
    let log_file = log(&cluster);
    let mut webdfs = Process::start_with_input(&mut command, Stdio::from(socket), Path::new(&log_file));
    serves(&cluster);
    webdfs.signal(Signal::USR2);
    wait_until("it says so", || cluster.log(0).contains("SIGUSR2 is ignored: the web server"));
    serves(&cluster);
    assert!(!cluster.log(0).contains("takes over once it serves"));
    webdfs.signal(Signal::TERM);
    assert_eq!(webdfs.wait().code(), Some(0));
}

#[test]
fn a_process_whose_parent_ends_before_it_has_asked_to_be_told_does_not_stay() {
    let cluster = without_webdfs();
    std::fs::remove_file(cluster.socket(0)).unwrap_or_default();
    let socket: OwnedFd = UnixListener::bind(cluster.socket(0)).unwrap().into();
    // In the place of a web server. (What a shell starts beside itself has no input unless it is told which.)
    let script = "exec 3<&0; \"$0\" serve --die-with-parent --config \"$1\" <&3 & wait";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_webdfs")]).arg(cluster.config(0));
    shell.env("FAILPOINTS", format!("{}=return", Pause::BindToParent.name()));
    let log_file = log(&cluster);
    let parent = Process::start_with_input(&mut shell, Stdio::from(socket), Path::new(&log_file));
    let started = || children(parent.id()).first().copied().filter(|webdfs| is_paused(*webdfs));
    wait_until("webdfs has been started, and stands still", || started().is_some());
    let mut webdfs = Process::adopt(started().unwrap());
    parent.kill();
    webdfs.resume();
    assert_eq!(webdfs.wait().code(), Some(0));
    assert!(cluster.log(0).contains("the process that started this one has ended"), "{}", cluster.log(0));
}

#[test]
fn a_request_in_the_queue_of_the_socket_is_answered_before_the_process_ends() {
    let cluster = without_webdfs();
    let pid_file = cluster.root(0).parent().unwrap().join("pid");
    let mut webdfs = spawn_fcgi(&cluster, &[], &pid_file);
    serves(&cluster);
    // It sees the requests and the signal at the same time.
    webdfs.pause();
    let target = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/a.jpg"), ("REMOTE_ADDR", "127.0.0.1")];
    let mut clients: Vec<_> = (0..40)
        .map(|_| {
            let mut client = fcgi::Client::new(UnixStream::connect(cluster.socket(0)).unwrap());
            client.send(&fcgi::get(1, false, &target));
            client
        })
        .collect();
    webdfs.signal(Signal::TERM);
    webdfs.resume();
    for client in &mut clients {
        assert_eq!(client.reply(1).status(), 200);
    }
    assert_eq!(webdfs.wait().code(), Some(0));
}
