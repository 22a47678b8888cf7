//! nginx processes, each with one worker, and the server blocks they run.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::shipped::{self, SOCKET};
use super::{Asks, WebServer, program};
use crate::Result;

/// A server block.
pub struct Server(String);

impl Server {
    /// The shipped configuration over a root.
    pub fn shipped(address: &str, root: &Path, asks: Asks) -> Result<Self> {
        let everything = match asks {
            Asks::WhatIsMissing | Asks::WhatIsMissingFromMemory => String::new(),
            Asks::Everything => location_for_everything()?,
        };
        let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx/webdfs.conf");
        Ok(Self(format!(
            "server {{\nlisten {address};\nroot {};\n{everything}include {};\n}}\n",
            root.display(),
            include.display()
        )))
    }

    /// Writes the path of every request to a file, one a line.
    pub fn logged(self, file: &Path) -> Self {
        Self(self.0.replacen("{\n", &format!("{{\naccess_log {} path;\n", file.display()), 1))
    }

    /// Plain static files.
    pub fn plain(address: &str, root: &Path) -> Self {
        Self(format!("server {{\nlisten {address};\nlocation / {{ root {}; }}\n}}\n", root.display()))
    }

    /// nginx's own DAV module, storing one copy.
    pub fn dav(address: &str, root: &Path) -> Self {
        Self(format!(
            "server {{\nlisten {address};\nroot {};\nclient_max_body_size 1g;\n\
             location / {{ dav_methods PUT; create_full_put_path on; }}\n}}\n",
            root.display()
        ))
    }
}

/// The lines that the shipped file has as a comment, for whoever wants the responder to answer everything.
fn location_for_everything() -> Result<String> {
    let shipped = shipped::text("nginx/webdfs.conf", &[])?;
    let lines = shipped.lines().skip_while(|line| *line != "#location / {");
    let (mut text, mut whole) = (String::new(), false);
    for line in lines {
        let Some(line) = line.strip_prefix('#') else { break };
        text.push_str(line);
        text.push('\n');
        whole = line == "}";
        if whole {
            break;
        }
    }
    if whole { Ok(text) } else { Err("nginx/webdfs.conf has no commented location / any more".into()) }
}

/// Starts an nginx in a folder of its own. `socket` is where its responder listens, if it has one.
pub fn start(name: &str, scratch: &Path, socket: Option<&Path>, servers: &[Server]) -> Result<WebServer> {
    let folder = scratch.join(name);
    for temporary in ["", "body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        fs::create_dir_all(folder.join(temporary))?;
    }
    let socket = socket.map(|socket| socket.to_string_lossy());
    let upstream = match &socket {
        Some(socket) => shipped::text("nginx/webdfs-http.conf", &[(SOCKET, socket)])?,
        None => String::new(),
    };
    let servers: String = servers.iter().map(|Server(text)| text.as_str()).collect();
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, surroundings(&folder, &format!("{upstream}{servers}")))?;
    let mut command = Command::new(program("nginx"));
    command.arg("-p").arg(&folder).arg("-c").arg(&configuration).arg("-e").arg(folder.join("error.log"));
    WebServer::start(name, scratch, &mut command, &addresses(&servers))
}

/// What stands around the server blocks: the same for every side.
fn surroundings(folder: &Path, http: &str) -> String {
    // Started by root, the worker would be another user, who may not look into our folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let folder = folder.display();
    format!(
        "{user}daemon off;\npcre_jit on;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\nlog_format path $request_uri;\naccess_log off;\nsendfile on;\ntcp_nopush on;\nopen_file_cache off;\n\
         keepalive_timeout 65;\nkeepalive_requests 10000000;\n\
         types {{ image/jpeg jpg; }}\ndefault_type application/octet-stream;\n\
         client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n\
         {http}}}\n"
    )
}

fn addresses(servers: &str) -> Vec<String> {
    let listens = servers.lines().filter_map(|line| line.strip_prefix("listen ")?.strip_suffix(';'));
    listens.map(str::to_owned).collect()
}
