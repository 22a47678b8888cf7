//! lighttpd, one process.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::shipped::{self, CONFIG, PROGRAM, ROOT, SOCKET};
use super::{Asks, Responders, Site, WebServer, program};
use crate::Result;

/// Starts one in a folder of its own.
pub fn start(name: &str, scratch: &Path, site: &Site<'_>) -> Result<WebServer> {
    let folder = scratch.join(name);
    fs::create_dir_all(folder.join("uploads"))?;
    let mut configuration = surroundings(&folder, site)?;
    let mut command = Command::new(program("lighttpd"));
    if let Some((responders, asks)) = site.responders {
        fs::write(folder.join("webdfs.conf"), webdfs(&folder, site.root, responders, asks)?)?;
        configuration += "include \"webdfs.conf\"\n";
        if let Responders::Started(start) = responders {
            command.envs(start.environment.iter().map(|(name, value)| (name, value)));
        }
    }
    let file = folder.join("lighttpd.conf");
    fs::write(&file, configuration)?;
    command.arg("-D").arg("-f").arg(file);
    WebServer::start(name, scratch, &mut command, &[site.address.to_owned()])
}

/// The shipped file.
fn webdfs(folder: &Path, root: &Path, responders: &Responders, asks: Asks) -> Result<String> {
    let root = root.to_string_lossy();
    let program = format!("{PROGRAM} serve --die-with-parent --config {CONFIG}");
    let own_socket = folder.join("webdfs.sock");
    let own_socket = own_socket.to_string_lossy();
    let socket = match responders {
        Responders::At(socket) => socket.to_string_lossy(),
        Responders::Started(_) => own_socket,
    };
    let mut values = vec![(ROOT, &*root), (SOCKET, &*socket)];
    if let Responders::Started(start) = responders {
        values.extend([
            (program.as_str(), start.command.as_str()),
            ("#\"bin-path\"", "\"bin-path\""),
            ("#\"max-procs\"", "\"max-procs\""),
        ]);
    }
    match asks {
        Asks::WhatIsMissing => {}
        Asks::WhatIsMissingFromMemory => values.push(("server.stat-cache-engine := \"disable\"", "")),
        Asks::Everything => values.push(("#url.rewrite-once", "url.rewrite-once")),
    }
    Ok(shipped::text("lighttpd/webdfs.conf", &values)?)
}

/// What stands in front of the shipped file: the same for every side. The options for URLs are those of Debian's
/// lighttpd.conf, the types those that come with webdfs.
fn surroundings(folder: &Path, site: &Site<'_>) -> Result<String> {
    let (host, port) = site.address.rsplit_once(':').ok_or("an address without a port")?;
    let mut text = format!(
        "server.bind = \"{host}\"\nserver.port = {port}\nserver.document-root = \"{root}\"\n\
         server.errorlog = \"{folder}/error.log\"\nserver.pid-file = \"{folder}/pid\"\n\
         server.upload-dirs = ( \"{folder}/uploads\" )\n\
         server.max-fds = 16384\nserver.max-keep-alive-requests = 10000000\nserver.max-keep-alive-idle = 65\n\
         server.http-parseopts = (\n",
        root = site.root.display(),
        folder = folder.display(),
    );
    for option in [
        "header-strict",
        "host-strict",
        "host-normalize",
        "url-normalize-unreserved",
        "url-normalize-required",
        "url-ctrls-reject",
        "url-path-2f-decode",
        "url-path-dotseg-remove",
    ] {
        writeln!(text, "    \"{option}\" => \"enable\",")?;
    }
    let types = Path::new(env!("CARGO_MANIFEST_DIR")).join("lighttpd/mimetypes.conf");
    writeln!(text, ")\ninclude \"{}\"\n{}", types.display(), site.lines)?;
    Ok(text)
}
