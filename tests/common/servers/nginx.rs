//! nginx: two shipped files, one for the http context and one for the server's.

use std::fs;
use std::process::Command;

use super::shipped::SOCKET;
use super::{Cluster, Front, shipped};

pub(super) fn configure(cluster: &Cluster, node: usize) {
    let dir = cluster.node_dir(node);
    let socket = cluster.socket(node).display().to_string();
    let http = shipped("nginx/webdfs-http.conf", &[(SOCKET, &socket)]);
    fs::write(dir.join("webdfs-http.conf"), http).expect("a file is written");
    fs::write(dir.join("webdfs.conf"), shipped("nginx/webdfs.conf", &[])).expect("a file is written");

    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path temp-{kind};\n"))
        .concat();
    let (listen, root) = (cluster.address(node), cluster.root(node));
    let all = cluster.front == Front::Responder || !cluster.options.static_first;
    let locations = if all { "location / { error_page 418 = @webdfs; return 418; }\n        " } else { "" };
    let conf = format!(
        "daemon off;\n{user}\nworker_processes 1;\npid nginx.pid;\n\
         error_log server-error.log warn;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\n    access_log off;\n    include /etc/nginx/mime.types;\n    default_type application/octet-stream;\n{temp}\
         \x20   include webdfs-http.conf;\n\
         \x20   server {{\n        listen {listen};\n        root {root};\n        {locations}include webdfs.conf;\n    }}\n}}\n",
        root = root.display()
    );
    fs::write(dir.join("nginx.conf"), conf).expect("nginx.conf is written");
}

pub(super) fn command(cluster: &Cluster, node: usize) -> Command {
    let dir = cluster.node_dir(node);
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf"));
    nginx.arg("-e").arg(dir.join("server-error.log"));
    nginx
}
