//! Sockets that others have opened: the web server that spawned the process, systemd, or the process whose place this
//! one takes.

use std::net::IpAddr;
use std::os::fd::{OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::{ListenError, Listener};
use crate::sys;

/// The descriptor of the socket in a process that a web server spawned (`FCGI_LISTENSOCK_FILENO`, section 2.2).
const SPAWNED_FD: RawFd = 0;
/// The descriptor of the first socket that systemd passes (`SD_LISTEN_FDS_START`).
const SYSTEMD_FD: RawFd = 3;
/// What the socket of the embedded front is called in its `.socket` unit (`FileDescriptorName=`).
const HTTP_NAME: &str = "http";
/// What the other is called, where there are two.
const FCGI_NAME: &str = "fcgi";

/// The sockets that somebody else has opened for this process.
#[derive(Debug, Default)]
pub struct Handed {
    /// For FastCGI.
    pub fcgi: Option<Listener>,
    /// For the embedded front.
    pub http: Option<Listener>,
}

impl Listener {
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

    /// The sockets that systemd passed. The arguments are the values of `LISTEN_PID`, `LISTEN_FDS` and
    /// `LISTEN_FDNAMES`; sockets meant for another process are not looked at. A single one is for FastCGI, unless it
    /// is called `http`; of two, one has to be called `fcgi` and the other `http`.
    ///
    /// # Errors
    /// They are more than that, or others; one is not listening; or the values cannot be read.
    pub fn systemd(
        pid: Option<&str>,
        count: Option<&str>,
        names: Option<&str>,
    ) -> Result<Handed, ListenError> {
        let (Some(pid), Some(count)) = (pid, count) else { return Ok(Handed::default()) };
        if pid.parse() != Ok(std::process::id()) {
            return Ok(Handed::default());
        }
        let refuse = |name, value: &str, expected| {
            Err(ListenError::Environment { name, value: value.to_owned(), expected })
        };
        let names = names.unwrap_or_default();
        let named: Vec<&str> = names.split(':').collect();
        let (fcgi, http) = match (count, &named[..]) {
            ("0", _) => (None, None),
            ("1", [HTTP_NAME]) => (None, Some(SYSTEMD_FD)),
            ("1", _) => (Some(SYSTEMD_FD), None),
            ("2", [FCGI_NAME, HTTP_NAME]) => (Some(SYSTEMD_FD), Some(SYSTEMD_FD + 1)),
            ("2", [HTTP_NAME, FCGI_NAME]) => (Some(SYSTEMD_FD + 1), Some(SYSTEMD_FD)),
            ("2", _) => {
                let expected = "fcgi and http (FileDescriptorName= in the .socket units)";
                return refuse("LISTEN_FDNAMES", names, expected);
            }
            _ => return refuse("LISTEN_FDS", count, "1 or 2: a socket for FastCGI, one for http"),
        };
        let open = |fd: Option<RawFd>| fd.map(Self::inherited).transpose();
        Ok(Handed { fcgi: open(fcgi)?, http: open(http)? })
    }

    /// A listening socket of whichever family that was inherited under a number.
    ///
    /// # Errors
    /// Nothing, or something else, is there.
    pub fn inherited(fd: RawFd) -> Result<Self, ListenError> {
        let socket = sys::duplicate_inherited(fd).map_err(|error| ListenError::NotListening {
            fd,
            problem: format!("cannot be used ({error})"),
        })?;
        Self::adopted(socket, fd)
    }

    /// A listening socket of whichever family; `fd` is the number that others know it by.
    ///
    /// # Errors
    /// It is something else.
    pub fn adopted(socket: OwnedFd, fd: RawFd) -> Result<Self, ListenError> {
        check_listening(&socket)
            .map_err(|problem| ListenError::NotListening { fd, problem: problem.into() })?;
        let name = format!("file descriptor {fd}");
        let step = |error| ListenError::Step { name: name.clone(), step: "have it not block", error };
        rustix::io::ioctl_fionbio(&socket, true).map_err(|error| step(error.into()))?;
        Ok(Self { socket, name, file: None, allowed: None })
    }
}

/// Whether descriptor 0 is a listening socket, so that a web server seems to have spawned this process.
pub fn is_spawned() -> bool {
    sys::duplicate_inherited(SPAWNED_FD).is_ok_and(|fd| check_listening(&fd).is_ok())
}

/// That it is a stream socket that listens, or what it is instead.
fn check_listening(fd: &OwnedFd) -> Result<(), &'static str> {
    if sockopt::socket_type(fd).map_err(|_| "is not a socket")? != SocketType::STREAM {
        return Err("is not a stream socket");
    }
    // A connected socket, as inetd passes it, does not accept.
    if !sockopt::socket_acceptconn(fd).unwrap_or(false) {
        return Err("is a socket that does not listen");
    }
    match sockopt::socket_domain(fd) {
        Ok(AddressFamily::UNIX | AddressFamily::INET | AddressFamily::INET6) => Ok(()),
        _ => Err("is a socket of another family"),
    }
}

/// The addresses of `FCGI_WEB_SERVER_ADDRS`.
pub(super) fn parse_addresses(value: &str) -> Result<Vec<IpAddr>, ListenError> {
    let addresses =
        value.split(',').map(|address| address.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()));
    addresses.collect::<Result<_, _>>().map_err(|_| ListenError::Environment {
        name: "FCGI_WEB_SERVER_ADDRS",
        value: value.to_owned(),
        expected: "numeric IP addresses, separated by commas",
    })
}
