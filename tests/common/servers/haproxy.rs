//! HAProxy: the shipped file with application and backend, and a file with the frontend that a site has of its own.

use std::fs;
use std::process::Command;

use super::{Cluster, shipped};

pub(super) fn configure(cluster: &Cluster, node: usize) {
    let (dir, listen, root) = (cluster.node_dir(node), cluster.address(node), cluster.root(node));
    let socket = cluster.socket(node);
    let values = [
        ("/run/webdfs/webdfs.sock", socket.to_str().expect("a path in UTF-8")),
        ("/srv/webdfs", root.to_str().expect("a path in UTF-8")),
    ];
    fs::write(dir.join("webdfs.cfg"), shipped("haproxy/webdfs.cfg", &values)).expect("a file is written");
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
