//! Whatever is reloaded, replaced or restarted while clients store and fetch: every request is answered, and rightly.

mod common;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use common::process::Process;
use common::{Cluster, Front, Load, Options, under_load, wait_until};
use rustix::process::Signal;

/// How often each thing is done.
const TIMES: usize = 15;
/// Requests that have to be answered between one and the next.
const BETWEEN: u64 = 60;

fn alone() -> Options {
    Options { nodes: 1, replicas: 1, write_quorum: 1, ..Options::default() }
}

/// Waits until some requests more have been answered.
fn some_requests(load: &Load) {
    let before = load.requests();
    wait_until("requests are answered", || load.requests() >= before + BETWEEN);
}

/// Does something again and again under load.
fn again_and_again(cluster: &Cluster, folder: &str, mut act: impl FnMut()) {
    under_load(cluster.address(0), folder, |load| {
        for _ in 0..TIMES {
            some_requests(load);
            act();
        }
        some_requests(load);
    });
}

fn signal_webdfs(cluster: &Cluster, signal: Signal, heard: &str) {
    let before = cluster.log(0).matches(heard).count();
    cluster.with_webdfs(0, |webdfs| webdfs.signal(signal));
    wait_until(&format!("the log says \"{heard}\""), || cluster.log(0).matches(heard).count() > before);
}

fn upgrade(cluster: &Cluster) {
    let ended = cluster.upgrade(0);
    assert_eq!(ended.code(), Some(0), "{ended}");
}

#[test]
fn a_reload_of_nginx_loses_no_request() {
    let cluster = Cluster::start(Front::Responder, alone());
    again_and_again(&cluster, "/nginx", || cluster.with_server(0, |nginx| nginx.signal(Signal::HUP)));
}

#[test]
fn a_reload_of_the_configuration_loses_no_request() {
    let cluster = Cluster::start(Front::Responder, alone());
    again_and_again(&cluster, "/hup", || {
        signal_webdfs(&cluster, Signal::HUP, "the configuration was read again");
    });
}

#[test]
fn a_new_process_behind_nginx_loses_no_request() {
    let cluster = Cluster::start(Front::Responder, alone());
    again_and_again(&cluster, "/upgrade", || upgrade(&cluster));
}

#[test]
fn a_new_process_with_the_embedded_front_loses_no_request() {
    let cluster = Cluster::start(Front::Embedded, alone());
    again_and_again(&cluster, "/embedded", || upgrade(&cluster));
}

#[test]
fn everything_at_once_on_one_of_three_nodes_loses_no_request() {
    let cluster = Cluster::start(Front::Responder, Options::default());
    again_and_again(&cluster, "/mixed", || {
        cluster.with_server(0, |nginx| nginx.signal(Signal::HUP));
        signal_webdfs(&cluster, Signal::HUP, "the configuration was read again");
        upgrade(&cluster);
    });
}

/// Starts webdfs as systemd does: the socket is not its own, and is on descriptor 3.
fn start_as_systemd(cluster: &Cluster, socket: &UnixListener) -> Process {
    let mut command = Command::new("/bin/sh");
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=fcgi exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_webdfs"), "serve", "--config"]).arg(cluster.config(0));
    let socket: OwnedFd = socket.try_clone().unwrap().into();
    let log = cluster.root(0).parent().unwrap().join("webdfs.log");
    Process::start_with_input(&mut command, Stdio::from(socket), &log)
}

#[test]
fn a_restart_behind_a_socket_that_systemd_holds_loses_no_request() {
    let cluster = Cluster::start(Front::Responder, alone());
    cluster.with_webdfs(0, |webdfs| webdfs.signal(Signal::TERM));
    cluster.take_webdfs(0).wait();
    let socket = UnixListener::bind(cluster.socket(0)).unwrap();
    let mut webdfs = start_as_systemd(&cluster, &socket);
    again_and_again(&cluster, "/restart", || {
        webdfs.signal(Signal::TERM);
        let ended = webdfs.wait();
        assert_eq!(ended.code(), Some(0), "{ended}");
        webdfs = start_as_systemd(&cluster, &socket);
    });
    assert!(cluster.socket(0).exists(), "the socket is systemd's");
}
