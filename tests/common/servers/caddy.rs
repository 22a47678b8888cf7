//! Caddy: the shipped file, imported into a site of its own.

use std::fs;
use std::process::Command;

use super::{Cluster, with_socket_and_root};

pub(super) fn configure(cluster: &Cluster, node: usize) {
    let (dir, listen) = (cluster.node_dir(node), cluster.address(node));
    let mut webdfs = with_socket_and_root("caddy/Caddyfile", cluster, node);
    if !cluster.options.static_first {
        webdfs = webdfs.replace("method GET HEAD", "method NONE");
    }
    fs::write(dir.join("webdfs.caddy"), webdfs).expect("a file is written");
    let site = format!(
        "{{\n    admin unix/{admin}\n    auto_https off\n}}\n\
         http://:{port} {{\n    bind {address}\n    import webdfs.caddy\n}}\n",
        admin = dir.join("caddy-admin.sock").display(),
        port = listen.port(),
        address = listen.ip(),
    );
    fs::write(dir.join("Caddyfile"), site).expect("a Caddyfile is written");
}

pub(super) fn command(cluster: &Cluster, node: usize) -> Command {
    let dir = cluster.node_dir(node);
    let mut caddy = Command::new("caddy");
    caddy.arg("run").arg("--config").arg(dir.join("Caddyfile")).args(["--adapter", "caddyfile"]);
    // What it writes down about itself stays in the node's folder.
    let home = dir.join("caddy");
    for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        caddy.env(name, &home);
    }
    caddy
}
