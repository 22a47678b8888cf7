//! A baseline: a responder on the crate `fastcgi`, which does what `benches/c/responder.c` does. It is this program,
//! started anew with [`ROLE`] as argument and its socket on file descriptor 0.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use fastcgi::Request;

use crate::Result;
use crate::processes::Process;

/// The argument that makes this program the responder.
pub const ROLE: &str = "fastcgi-crate-responder";
/// As in `nginx/webdfs.conf`.
const FILE_LOCATION: &str = "/_webdfs/file";

/// Starts the responder; `mode` is "accel" or "bytes".
pub fn start(scratch: &Path, socket: &Path, root: &Path, mode: &str) -> Result<Process> {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ROLE).arg(root).arg(mode).stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    Process::start(&format!("fastcgi-crate-{mode}"), scratch, &mut command)
}

/// Is the responder, until it is ended.
pub fn run(root: &str, mode: &str) {
    let (root, accel) = (root.to_owned(), mode == "accel");
    fastcgi::run(move |mut request| {
        // A web server that has gone away needs no answer.
        let _ = answer(&mut request, &root, accel);
    });
}

fn answer(request: &mut Request, root: &str, accel: bool) -> std::io::Result<()> {
    let uri = request.param("REQUEST_URI").unwrap_or_default();
    let path = uri.split('?').next().unwrap_or_default();
    let found = File::open(format!("{root}{path}")).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, mut file) = match found {
        Ok(found) if path.starts_with('/') && !path.contains("..") && found.0.is_file() => found,
        _ => return write!(request.stdout(), "Status: 404 Not Found\r\n\r\n"),
    };
    let mut answer = b"Status: 200 OK\r\nContent-Type: image/jpeg\r\n".to_vec();
    if accel {
        write!(answer, "X-Accel-Redirect: {FILE_LOCATION}{path}\r\n\r\n")?;
    } else {
        write!(answer, "Content-Length: {}\r\n\r\n", metadata.len())?;
        file.read_to_end(&mut answer)?;
    }
    request.stdout().write_all(&answer)
}
