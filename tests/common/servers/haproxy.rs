//! HAProxy: the shipped file with application and backend, and a file with the frontend that a site has of its own.

use std::fs;
use std::process::Command;

use super::{Cluster, with_socket_and_root};

pub(super) fn configure(cluster: &Cluster, node: usize) {
    let (dir, listen) = (cluster.node_dir(node), cluster.address(node));
    fs::write(dir.join("webdfs.cfg"), with_socket_and_root("haproxy/webdfs.cfg", cluster, node))
        .expect("a file is written");
    let site = format!(
        "global\n    maxconn 2048\n    nbthread 1\n    hard-stop-after 60s\n\
         frontend images\n    mode http\n    bind {listen}\n    timeout client 60s\n    default_backend webdfs\n"
    );
    fs::write(dir.join("haproxy.cfg"), site).expect("haproxy.cfg is written");
}

pub(super) fn command(cluster: &Cluster, node: usize) -> Command {
    let dir = cluster.node_dir(node);
    let mut haproxy = Command::new("haproxy");
    // A master, which starts a new worker on SIGUSR2: what `systemctl reload haproxy` does.
    haproxy.arg("-W").arg("-f").arg(dir.join("haproxy.cfg")).arg("-f").arg(dir.join("webdfs.cfg"));
    haproxy
}
