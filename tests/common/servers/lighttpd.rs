//! lighttpd: one shipped file, with or without the lines by which it starts webdfs itself.

use std::fs;
use std::process::Command;

use super::{Cluster, Front, shipped};

pub(super) fn configure(cluster: &Cluster, node: usize) {
    let dir = cluster.node_dir(node);
    let uploads = dir.join("uploads");
    fs::create_dir_all(&uploads).expect("a folder");

    let (root, socket) = (cluster.root(node), cluster.socket(node));
    let quoted = |path: &std::path::Path| format!("\"{}\"", path.display());
    let (root, socket) = (quoted(&root), quoted(&socket));
    let config = cluster.config(node).display().to_string();
    let mut values = vec![
        ("\"/srv/webdfs\"", root.as_str()),
        ("\"/run/webdfs/webdfs.sock\"", &socket),
        ("/etc/webdfs/node.toml", &config),
        ("/usr/bin/webdfs", env!("CARGO_BIN_EXE_webdfs")),
    ];
    if cluster.front == Front::LighttpdSpawned {
        values.extend([("#\"bin-path\"", "\"bin-path\""), ("#\"max-procs\"", "\"max-procs\"")]);
    }
    if !cluster.options.static_first {
        values.push(("#url.rewrite-once", "url.rewrite-once"));
    }
    let webdfs = shipped("lighttpd/webdfs.conf", &values);
    fs::write(dir.join("webdfs.conf"), webdfs).expect("a file is written");
    let types = shipped("lighttpd/mimetypes.conf", &[]);
    fs::write(dir.join("mimetypes.conf"), types).expect("a file is written");

    let address = cluster.address(node);
    // Debian's own lighttpd.conf comes with a list of `server.http-parseopts`, and so does this one.
    let conf = format!(
        "server.bind = \"{bind}\"\nserver.port = {port}\nserver.document-root = {root}\n\
         server.errorlog = \"{log}\"\nserver.pid-file = \"{pid}\"\nserver.upload-dirs = ( {uploads} )\n\
         server.max-fds = 4096\n\
         server.http-parseopts = ( \"url-normalize-required\" => \"enable\" )\n\
         include \"webdfs.conf\"\ninclude \"mimetypes.conf\"\n",
        bind = address.ip(),
        port = address.port(),
        log = dir.join("server-error.log").display(),
        pid = dir.join("lighttpd.pid").display(),
        uploads = quoted(&uploads),
    );
    fs::write(dir.join("lighttpd.conf"), conf).expect("lighttpd.conf is written");
}

pub(super) fn command(cluster: &Cluster, node: usize) -> Command {
    let mut lighttpd = Command::new("lighttpd");
    lighttpd.arg("-D").arg("-f").arg(cluster.node_dir(node).join("lighttpd.conf"));
    // For the processes it starts.
    lighttpd.env("RUST_LOG", "info,webdfs=debug");
    lighttpd
}
