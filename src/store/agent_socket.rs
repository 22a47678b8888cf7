//! `.webdfs/agent.sock`: the socket of the process that does the background work. Here is how its file comes and goes; what
//! is said over it is another's business.
//!
//! Only the holder of the agent's lock makes it, so whatever has its name was left by one that is gone. It is made under
//! another name and renamed over that, so that there is no moment without a socket when one agent follows another. Its
//! folder is entered by a handle, since the address of a socket has room for 107 bytes (unix(7)) and a root's path may be
//! longer.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::calls::RootFolder;
use super::{AgentLock, Store, StoreError, layout};

/// Its name until it listens.
const UNFINISHED: &str = ".webdfs/agent.sock.new";
/// Who else may connect: nobody.
const SOCKET_MODE: u32 = 0o600;

/// The socket's file, which goes when this is dropped. It must be dropped while the agent's lock is still held.
#[derive(Debug)]
pub struct AgentSocket {
    root: Arc<RootFolder>,
}

impl Store {
    /// Listens for those who want to talk to the holder of `_lock`. The listener does not block.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen_as_agent(&self, _lock: &AgentLock) -> Result<(UnixListener, AgentSocket), StoreError> {
        let path = Path::new(UNFINISHED);
        let fail = |source| self.io("listen on", Path::new(layout::AGENT_SOCKET), source);
        let handle = OFlags::PATH | OFlags::DIRECTORY;
        let folder = self.root.open_beneath(Path::new(layout::PRIVATE), handle, 0).map_err(fail)?;
        match self.calls.unlink(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
        let place = through(&folder, path);
        let listener = UnixListener::bind(&place).map_err(fail)?;
        // `.webdfs` lets nobody else in, whatever the mode is until then.
        std::fs::set_permissions(&place, Permissions::from_mode(SOCKET_MODE)).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        self.calls.rename(path, Path::new(layout::AGENT_SOCKET)).map_err(fail)?;
        Ok((listener, AgentSocket { root: Arc::clone(&self.root) }))
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        let removed = self.root.in_parent(Path::new(layout::AGENT_SOCKET), |folder, name| {
            rustix::fs::unlinkat(folder, name, rustix::fs::AtFlags::empty())
        });
        if let Err(error) = removed {
            log::debug!("the agent's socket stays: {error}");
        }
    }
}

/// Connects to the process that does the background work of the storage root at `root`. The root need not be open.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when there is none; `PermissionDenied` for another user than the one webdfs runs as.
pub fn connect_to_agent(root: &Path) -> io::Result<UnixStream> {
    let handle = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(root.join(layout::PRIVATE), handle, Mode::empty())?;
    UnixStream::connect(through(&folder, Path::new(layout::AGENT_SOCKET)))
}

/// A short path to an entry of a folder.
fn through(folder: &OwnedFd, entry: &Path) -> PathBuf {
    let name = entry.file_name().unwrap_or_default();
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    #[test]
    fn whoever_is_elected_takes_the_socket_over_and_only_its_user_can_connect() {
        let folder = tempfile::tempdir().unwrap();
        // Longer than the address of a socket may be.
        let root = folder.path().join("x".repeat(200));
        std::fs::create_dir(&root).unwrap();
        let kind = || connect_to_agent(&root).unwrap_err().kind();
        assert_eq!(kind(), io::ErrorKind::NotFound, "no root yet");
        let store = open(&root);
        assert_eq!(kind(), io::ErrorKind::NotFound);
        let lock = store.try_lock_agent().unwrap().unwrap();
        let (first, file) = store.listen_as_agent(&lock).unwrap();
        connect_to_agent(&root).unwrap();
        let mode = root.join(layout::AGENT_SOCKET).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        // As one that was killed leaves it.
        drop(first);
        std::mem::forget(file);
        assert_eq!(kind(), io::ErrorKind::ConnectionRefused);
        let (second, file) = store.listen_as_agent(&lock).unwrap();
        let _stream = connect_to_agent(&root).unwrap();
        assert!(second.accept().is_ok());
        drop(file);
        assert_eq!(kind(), io::ErrorKind::NotFound);
        assert_eq!(
            std::fs::read_dir(root.join(layout::PRIVATE))
                .unwrap()
                .flatten()
                .filter(|entry| { entry.file_name().to_string_lossy().starts_with("agent.sock") })
                .count(),
            0
        );
    }
}
