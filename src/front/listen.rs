//! Listening sockets: made here, or handed over by whoever started the process.
//!
//! Here is how a socket comes to be, and how it goes; what is spoken over it is the front's business. Protocols
//! followed: FastCGI 1.0, sections 2.2 and 3.2 (the socket on descriptor 0), and sd_listen_fds(3).

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::sys;

/// Connections that may wait to be accepted. The system lowers it to its own maximum, `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// The descriptor of the socket in a process that a web server spawned (`FCGI_LISTENSOCK_FILENO`, section 2.2).
const SPAWNED_FD: RawFd = 0;
/// The descriptor of the first socket that systemd passes (`SD_LISTEN_FDS_START`).
const SYSTEMD_FD: RawFd = 3;

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
    socket: Socket,
    name: String,
    /// Removes the socket's file, if it was made here.
    _file: Option<SocketFile>,
    /// The addresses that may connect over TCP; none: all.
    allowed: Option<Vec<IpAddr>>,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
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
        let socket = UnixListener::from_std(socket.into()).map_err(step("watch it"))?;
        Ok(Self { socket: Socket::Unix(socket), name, _file: Some(file), allowed: None })
    }

    /// Listens on `HOST:PORT`; port 0 lets the system choose, see [`Listener::tcp_address`].
    ///
    /// # Errors
    /// The host is unknown, the port is taken, or the system refuses.
    pub async fn tcp(address: &str) -> Result<Self, ListenError> {
        let step = |step, error| ListenError::Step { name: address.to_owned(), step, error };
        let socket = TcpListener::bind(address).await.map_err(|error| step("listen", error))?;
        Ok(Self { socket: Socket::Tcp(socket), name: address.to_owned(), _file: None, allowed: None })
    }

    /// The socket that a web server left on file descriptor 0 for a process that it spawned.
    ///
    /// `web_server_addresses` is the value of `FCGI_WEB_SERVER_ADDRS`: numeric addresses, separated by commas, that
    /// alone may connect over TCP (section 3.2).
    ///
    /// # Errors
    /// Descriptor 0 is not a socket that listens, or the addresses cannot be read.
    pub fn spawned(web_server_addresses: Option<&str>) -> Result<Self, ListenError> {
        let allowed = web_server_addresses.map(parse_addresses).transpose()?;
        Ok(Self { allowed, ..Self::inherited(SPAWNED_FD)? })
    }

    /// The socket that systemd passed, if it passed one. The arguments are the values of `LISTEN_PID` and `LISTEN_FDS`;
    /// sockets meant for another process are not looked at.
    ///
    /// # Errors
    /// There are several sockets, the one is not listening, or the values cannot be read.
    pub fn systemd(listen_pid: Option<&str>, listen_fds: Option<&str>) -> Result<Option<Self>, ListenError> {
        let (Some(pid), Some(count)) = (listen_pid, listen_fds) else { return Ok(None) };
        if pid.parse() != Ok(std::process::id()) {
            return Ok(None);
        }
        match count.parse::<u32>() {
            Ok(0) => Ok(None),
            Ok(1) => Self::inherited(SYSTEMD_FD).map(Some),
            _ => Err(ListenError::Environment {
                name: "LISTEN_FDS",
                value: count.to_owned(),
                expected: "1: one socket in the .socket unit",
            }),
        }
    }

    /// A listening socket of whichever family that was inherited under a number.
    ///
    /// # Errors
    /// Nothing, or something else, is there.
    pub fn inherited(fd: RawFd) -> Result<Self, ListenError> {
        let problem = |problem: String| ListenError::NotListening { fd, problem };
        let socket =
            sys::duplicate_inherited(fd).map_err(|error| problem(format!("cannot be used ({error})")))?;
        let family = check_listening(&socket).map_err(|text| problem(text.into()))?;
        let name = format!("file descriptor {fd}");
        let watch = |error| ListenError::Step { name: name.clone(), step: "watch it", error };
        rustix::io::ioctl_fionbio(&socket, true).map_err(|error| watch(error.into()))?;
        let socket = match family {
            AddressFamily::UNIX => Socket::Unix(UnixListener::from_std(socket.into()).map_err(watch)?),
            _ => Socket::Tcp(TcpListener::from_std(socket.into()).map_err(watch)?),
        };
        Ok(Self { socket, name, _file: None, allowed: None })
    }

    /// The address, if it is one of TCP.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// The next connection. Those that ended before they were accepted, and those from addresses that may not connect,
    /// are passed over. Dropping the future loses none.
    ///
    /// # Errors
    /// The system has no descriptor or memory left; later it may.
    pub async fn accept(&self) -> io::Result<Stream> {
        loop {
            let accepted = match &self.socket {
                Socket::Unix(socket) => socket.accept().await.map(|(stream, _)| Stream::Unix(stream)),
                Socket::Tcp(socket) => match socket.accept().await {
                    Ok((_, address)) if !self.is_allowed(address.ip()) => {
                        log::warn!("{self}: a connection from {address} was refused");
                        continue;
                    }
                    Ok((stream, _)) => {
                        // Without it an answer in several writes waits for acknowledgements. Failing that, it works.
                        let _ = stream.set_nodelay(true);
                        Ok(Stream::Tcp(stream))
                    }
                    Err(error) => Err(error),
                },
            };
            match accepted {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                accepted => return accepted,
            }
        }
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&address))
    }
}

/// As it was configured.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether descriptor 0 is a listening socket, so that a web server seems to have spawned this process.
pub fn is_spawned() -> bool {
    sys::duplicate_inherited(SPAWNED_FD).is_ok_and(|fd| check_listening(&fd).is_ok())
}

/// The family of a stream socket that listens, or what it is instead.
fn check_listening(fd: &OwnedFd) -> Result<AddressFamily, &'static str> {
    if sockopt::socket_type(fd).map_err(|_| "is not a socket")? != SocketType::STREAM {
        return Err("is not a stream socket");
    }
    // A connected socket, as inetd passes it, does not accept.
    if !sockopt::socket_acceptconn(fd).unwrap_or(false) {
        return Err("is a socket that does not listen");
    }
    match sockopt::socket_domain(fd) {
        Ok(family @ (AddressFamily::UNIX | AddressFamily::INET | AddressFamily::INET6)) => Ok(family),
        _ => Err("is a socket of another family"),
    }
}

/// Why a path cannot be taken for a new socket.
enum Unusable {
    InUse,
    NotASocket,
    Io(io::Error),
}

/// A stream socket of family unix that does not block.
fn unix_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Makes sure that `path` is free, removing a socket on which nobody answers.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), Unusable> {
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

/// The addresses of `FCGI_WEB_SERVER_ADDRS`.
fn parse_addresses(value: &str) -> Result<Vec<IpAddr>, ListenError> {
    let addresses =
        value.split(',').map(|address| address.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()));
    addresses.collect::<Result<_, _>>().map_err(|_| ListenError::Environment {
        name: "FCGI_WEB_SERVER_ADDRS",
        value: value.to_owned(),
        expected: "numeric IP addresses, separated by commas",
    })
}

/// Removes a socket's file when it is dropped, unless someone else's has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        if self.path.symlink_metadata().is_ok_and(ours) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A connection of either family.
#[derive(Debug)]
pub enum Stream {
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

/// Calls a method on whichever stream it is.
macro_rules! either {
    ($stream:expr, $method:ident, $($argument:expr),*) => {
        match $stream.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, poll_read, cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, poll_write, cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown, cx)
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
