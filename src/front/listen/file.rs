//! The file of a unix socket: what may be replaced before it is made, and who removes it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Why a path cannot be taken for a new socket.
pub(super) enum Unusable {
    InUse,
    NotASocket,
    Io(io::Error),
}

/// A stream socket of family unix that does not block.
pub(super) fn unix_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Makes sure that `path` is free, removing a socket on which nobody answers.
pub(super) fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), Unusable> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Unusable::Io(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(Unusable::NotASocket),
        Ok(_) => {}
    }
    let probe = unix_socket().map_err(Unusable::Io)?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path).map_err(Unusable::Io),
        // Gone meanwhile.
        Err(Errno::NOENT) => Ok(()),
        // Connected, or so many wait to be that it would take time.
        Ok(()) | Err(Errno::AGAIN) => Err(Unusable::InUse),
        Err(error) => Err(Unusable::Io(error.into())),
    }
}

/// Removes a socket's file when it is dropped, unless someone else's has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Another process has the socket now, and the care for its file.
    left: AtomicBool,
}

impl SocketFile {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            left: AtomicBool::new(false),
        })
    }

    /// Leaves the file where it is.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        let left = self.left.load(Ordering::Relaxed);
        if !left && self.path.symlink_metadata().is_ok_and(ours) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
