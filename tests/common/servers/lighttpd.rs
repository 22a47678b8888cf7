//! lighttpd: one shipped file, with or without the lines by which it starts webdfs itself.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use super::super::{PATIENCE, fcgi};
use super::shipped::{CONFIG, PROGRAM, ROOT, SOCKET};
use super::{Cluster, Front, shipped};

/// `max-procs` of the shipped file.
const SPAWNED: usize = 3;

pub(super) fn configure(cluster: &Cluster, node: usize) {
    let dir = cluster.node_dir(node);
    let uploads = dir.join("uploads");
    fs::create_dir_all(&uploads).expect("a folder");

    let (root, socket) = (cluster.root(node), cluster.socket(node));
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    let (root, socket) = (quoted(&root), quoted(&socket));
    let (shipped_root, shipped_socket) = (quoted(Path::new(ROOT)), quoted(Path::new(SOCKET)));
    let config = cluster.config(node).display().to_string();
    let mut values = vec![
        (shipped_root.as_str(), root.as_str()),
        (&shipped_socket, &socket),
        (CONFIG, &config),
        (PROGRAM, env!("CARGO_BIN_EXE_webdfs")),
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

/// Whether each of the processes that lighttpd has started tells a missing name from one that it cannot judge: lighttpd
/// gives them requests as they are free, and each learns for itself which other nodes are up.
pub(super) fn spawned_are_ready(cluster: &Cluster, node: usize) -> bool {
    (0..SPAWNED).all(|number| {
        let socket = cluster.node_dir(node).join(format!("webdfs.sock-{number}"));
        let Ok(stream) = UnixStream::connect(socket) else { return false };
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        let missing = cluster.missing();
        let request = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", &*missing), ("REMOTE_ADDR", "127.0.0.1")];
        matches!(fcgi::Client::new(stream).get(&request).status(), 404 | 307)
    })
}
