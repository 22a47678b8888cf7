//! The web server's configuration as `webdfs config` prints it for a node.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{Cluster, Front};

/// What the command says.
pub fn config(server: &str, node_toml: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["config", server, "--config"]).arg(node_toml).args(more);
    command.output().expect("webdfs config runs")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The word for the configuration of a front.
pub fn word(front: Front) -> &'static str {
    match front {
        Front::Nginx | Front::Responder | Front::Embedded => "nginx",
        Front::ApacheFcgid => "apache-fcgid",
        Front::ApacheProxy => "apache-proxy",
        Front::Lighttpd | Front::LighttpdSpawned => "lighttpd",
        Front::Haproxy => "haproxy",
        Front::Caddy => "caddy",
    }
}

/// Puts what the command says in the place of the shipped files.
pub fn as_printed(cluster: &Cluster) {
    for node in cluster.present() {
        let dir = cluster.config(node).with_file_name("");
        let server = word(cluster.front);
        if cluster.front == Front::Caddy {
            let output = config(server, &cluster.config(node), &["--file", "Caddyfile"]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            fs::write(dir.join("webdfs.caddy"), output.stdout).expect("a file is written");
        } else {
            let output = config(server, &cluster.config(node), &["--output", dir.to_str().unwrap()]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            assert!(text(&output.stderr).contains("wrote "), "{}", text(&output.stderr));
        }
        if cluster.front == Front::LighttpdSpawned {
            // The one value that is not the node's: here three of them share a machine.
            let file = dir.join("webdfs.conf");
            let printed = fs::read_to_string(&file).expect("it was written");
            let socket = cluster.socket(node).display().to_string();
            fs::write(&file, printed.replace("/run/webdfs/webdfs.sock", &socket)).expect("a file is written");
        }
    }
}
