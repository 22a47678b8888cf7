//! Listening sockets: made here, or handed over by whoever started the process.
//!
//! Here is how a socket comes to be, and how it goes; what is spoken over it is the front's business. Protocols
//! followed: FastCGI 1.0, sections 2.2 and 3.2 (the socket on descriptor 0), and sd_listen_fds(3).

mod attend;
mod file;
mod inherited;
mod stream;

use std::ffi::OsString;
use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SocketAddrAny, SocketAddrUnix, SocketFlags, acceptfrom_with, getsockname, sockopt};
use tokio::net::TcpListener;

pub use attend::{Bell, attend};
use file::{SocketFile, Unusable, remove_stale, unix_socket};
pub use inherited::{Handed, is_spawned};
pub use stream::Stream;

/// Connections that may wait to be accepted. The system lowers it to its own maximum, `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process answers on this path.
    #[error("{0}: another process listens on this socket; stop it, or choose another path")]
    InUse(PathBuf),
    /// Something that is not a socket has this name, and is left alone.
    #[error("{0}: exists and is not a socket; remove it, or choose another path")]
    NotASocketFile(PathBuf),
    /// A step of making the socket failed.
    #[error("{name}: cannot {step}: {error}")]
    Step {
        /// The socket, as configured.
        name: String,
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
    /// An inherited descriptor is not what was promised.
    #[error(
        "file descriptor {fd} {problem}; expected is a stream socket that listens, of family unix or inet"
    )]
    NotListening {
        /// Its number.
        fd: RawFd,
        /// What is there instead.
        problem: String,
    },
    /// An environment variable that describes inherited sockets makes no sense.
    #[error("the environment variable {name} is {value:?}; expected is {expected}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    /// It does not block.
    socket: OwnedFd,
    name: String,
    /// Removes the socket's file, if it was made here.
    file: Option<Arc<SocketFile>>,
    /// The addresses that may connect over TCP; none: all.
    allowed: Option<Vec<IpAddr>>,
}

impl Listener {
    /// Listens on a unix socket under `path` with these permission bits. A socket file on which nobody answers is
    /// replaced; the new one is removed when the listener is dropped.
    ///
    /// # Errors
    /// Another process answers there, something else has that name, or the system refuses.
    pub fn unix(path: &Path, mode: u32) -> Result<Self, ListenError> {
        let name = format!("unix:{}", path.display());
        let step = |step| {
            let name = name.clone();
            move |error| ListenError::Step { name, step, error }
        };
        let address =
            SocketAddrUnix::new(path).map_err(io::Error::from).map_err(step("use this path for a socket"))?;
        remove_stale(path, &address).map_err(|error| match error {
            Unusable::InUse => ListenError::InUse(path.to_owned()),
            Unusable::NotASocket => ListenError::NotASocketFile(path.to_owned()),
            Unusable::Io(error) => step("replace what is there")(error),
        })?;
        let socket = unix_socket().map_err(step("make a socket"))?;
        rustix::net::bind(&socket, &address).map_err(io::Error::from).map_err(step("bind"))?;
        let file = SocketFile::new(path).map_err(step("find the file it made"))?;
        // Nobody can connect before it listens, so nobody gets in by the mode that the umask left.
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(step("set the mode"))?;
        rustix::net::listen(&socket, BACKLOG).map_err(io::Error::from).map_err(step("listen"))?;
        Ok(Self { socket, name, file: Some(Arc::new(file)), allowed: None })
    }

    /// Listens on `HOST:PORT`; port 0 lets the system choose, see [`Listener::tcp_address`].
    ///
    /// # Errors
    /// The host is unknown, the port is taken, or the system refuses.
    pub async fn tcp(address: &str) -> Result<Self, ListenError> {
        let step = |step, error| ListenError::Step { name: address.to_owned(), step, error };
        let socket = TcpListener::bind(address).await.map_err(|error| step("listen", error))?;
        let socket = socket.into_std().map_err(|error| step("keep it", error))?.into();
        Ok(Self { socket, name: address.to_owned(), file: None, allowed: None })
    }

    /// The same socket, to be handed to another process. It listens as long as either is held.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn spare(&self) -> io::Result<Spare> {
        // Not below three: nothing may be taken for a standard stream.
        let socket = rustix::io::fcntl_dupfd_cloexec(self, 3)?;
        Ok(Spare { socket, file: self.file.clone() })
    }

    /// Takes over the care for the file of a socket that another process has made: from now on it has these permission
    /// bits, and goes when this listener does.
    ///
    /// # Errors
    /// The file cannot be found or changed.
    pub fn own_file(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        let file = SocketFile::new(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        self.file = Some(Arc::new(file));
        Ok(())
    }

    /// The socket for a front that speaks over TCP alone; `None` if it is of family unix.
    pub fn into_tcp(self) -> Option<TcpListener> {
        self.tcp_address()?;
        TcpListener::from_std(self.socket.into()).ok()
    }

    /// The path, if it is one of family unix that has one.
    pub fn unix_path(&self) -> Option<PathBuf> {
        let address = SocketAddrUnix::try_from(getsockname(&self.socket).ok()?).ok()?;
        address.path().map(|path| PathBuf::from(OsString::from_vec(path.into_owned().into_bytes())))
    }

    /// The address, if it is one of TCP.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        getsockname(&self.socket).ok()?.try_into().ok()
    }

    /// The next connection, for which this thread waits: until the bell rings, if there is one, or for so long. Then
    /// `None`. Connections that ended before they were accepted, and those from addresses that may not connect, are
    /// passed over.
    ///
    /// # Errors
    /// The system has no descriptor or memory left; later it may.
    pub fn accept(&self, bell: Option<&Bell>, longest: Option<Duration>) -> io::Result<Option<Stream>> {
        let longest = longest.and_then(|longest| Timespec::try_from(longest).ok());
        // Without a bell the socket stands in for it.
        let bell = bell.map_or(self.as_fd(), |bell| bell.as_fd());
        loop {
            let mut watched =
                [PollFd::new(self, PollFlags::IN), PollFd::from_borrowed_fd(bell, PollFlags::IN)];
            let ready = retry_on_intr(|| poll(&mut watched, longest.as_ref()))?;
            if ready == 0 || watched[0].revents().is_empty() {
                return Ok(None);
            }
            let (socket, address) = match accept_from(&self.socket) {
                Ok(accepted) => accepted,
                // Another process has taken it, or it has gone.
                Err(Errno::WOULDBLOCK | Errno::CONNABORTED) => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(address) = address.and_then(|address| SocketAddr::try_from(address).ok()) {
                if !self.is_allowed(address.ip()) {
                    log::warn!("{self}: a connection from {address} was refused");
                    continue;
                }
                // Without it an answer in several writes waits for acknowledgements. Failing that, it works.
                let _ = sockopt::set_tcp_nodelay(&socket, true);
            }
            return Ok(Some(Stream::accepted(socket)));
        }
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&address))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A connection that waits to be accepted, and whence it comes.
fn accept_from(socket: &OwnedFd) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
    retry_on_intr(|| acceptfrom_with(socket, FLAGS))
}

/// A listening socket that can be handed to another process.
#[derive(Debug)]
pub struct Spare {
    socket: OwnedFd,
    file: Option<Arc<SocketFile>>,
}

impl Spare {
    /// The same as another listening socket of TCP.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn of_tcp(listener: &TcpListener) -> io::Result<Self> {
        Ok(Self { socket: rustix::io::fcntl_dupfd_cloexec(listener, 3)?, file: None })
    }

    /// Leaves the socket's file to the process that has the socket now.
    pub fn leave_file(self) {
        if let Some(file) = &self.file {
            file.leave();
        }
    }
}

impl AsFd for Spare {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// As it was configured.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests;
