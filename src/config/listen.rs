//! Where a node listens: the forms of `[listen]` and of the command line's `--fcgi`, `--http` and `--gossip`.  Pure.
//!
//! Nothing is bound or looked up here; a host name is resolved by whoever binds it.

use std::fmt;
use std::path::{Path, PathBuf};

/// What marks the path of a unix socket.
const UNIX: &str = "unix:";

/// The longest path of a unix socket in bytes; `sun_path` holds one more, a zero (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The mode of a unix socket for which none is given: webdfs and its group, which the web server joins.
pub const SOCKET_MODE: u32 = 0o660;

/// Where FastCGI requests come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FcgiListen {
    /// From the socket on file descriptor 0, or from systemd's. Whether there is one is for the node to find out.
    Inherited,
    /// From a unix socket that webdfs makes; a stale one in its place is replaced.
    Unix {
        /// Where, as an absolute path unless it came from a relative one.
        path: PathBuf,
        /// The socket's permission bits.
        mode: u32,
    },
    /// From a TCP socket: `HOST:PORT`. Port 0 means any free one.
    Tcp(String),
}

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// For the web server.
    pub fcgi: FcgiListen,
    /// The embedded front's `HOST:PORT`; none: it is off.
    pub http: Option<String>,
    /// The `HOST:PORT` of gossip, by UDP; none: it is off.
    pub gossip: Option<String>,
}

/// What the command line says in place of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of `[listen] fcgi`; the path of a socket is relative to the working directory.
    pub fcgi: Option<String>,
    /// In place of `[listen] http`.
    pub http: Option<String>,
    /// In place of `[listen] gossip`.
    pub gossip: Option<String>,
}

/// Why a text is no place to listen at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Neither a socket's path nor an address.
    #[error(
        "use \"unix:PATH\" or \"HOST:PORT\", such as \"unix:/run/webdfs/webdfs.sock\" or \"127.0.0.1:9000\""
    )]
    FcgiForm,
    /// A path without the word in front.
    #[error("for a unix socket use \"unix:{0}\"")]
    BarePath(String),
    /// A path that no socket can have.
    #[error("the path of a unix socket is at most {SOCKET_PATH_BYTES_MAX} bytes long, this one is {bytes}: {}; use a shorter one, such as /run/webdfs/webdfs.sock", .path.display())]
    PathTooLong {
        /// The whole path.
        path: PathBuf,
        /// Its length in bytes.
        bytes: usize,
    },
    /// Not `HOST:PORT`.
    #[error(
        "use \"HOST:PORT\", such as \"127.0.0.1:7070\", \"[::1]:7070\", or \"0.0.0.0:7070\" for every address"
    )]
    AddressForm,
    /// The embedded front does not speak on unix sockets.
    #[error("the embedded front needs an address; use \"HOST:PORT\", such as \"127.0.0.1:7070\"")]
    HttpOnUnix,
    /// Gossip is between machines.
    #[error("gossip goes by UDP and needs an address; use \"HOST:PORT\", such as \"10.0.0.1:7071\"")]
    GossipOnUnix,
    /// Both fronts at one place.
    #[error("fcgi and http cannot share {0}; give one of them another port")]
    Shared(String),
}

/// Why the command line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option} {text}: {reason}")]
pub struct OverrideError {
    /// The option, `--fcgi`, `--http` or `--gossip`.
    pub option: &'static str,
    /// What was given.
    pub text: String,
    /// What is wrong with it, and what would be right.
    pub reason: ListenError,
}

impl FcgiListen {
    /// Reads `unix:PATH`, with the path relative to `base`, or `HOST:PORT`.
    ///
    /// # Errors
    /// When it is neither, or no socket can have that path.
    pub fn parse(text: &str, base: &Path, mode: u32) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix(UNIX) {
            if path.is_empty() || path.ends_with('/') || path.contains('\0') {
                return Err(ListenError::FcgiForm);
            }
            let path = base.join(path);
            return match path.as_os_str().len() {
                bytes if bytes > SOCKET_PATH_BYTES_MAX => Err(ListenError::PathTooLong { path, bytes }),
                _ => Ok(Self::Unix { path, mode }),
            };
        }
        if text.contains('/') {
            return Err(ListenError::BarePath(text.to_owned()));
        }
        parse_address(text).map(Self::Tcp).map_err(|_| ListenError::FcgiForm)
    }
}

impl Listen {
    /// Reads `HOST:PORT` for the embedded front.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse_http(text: &str) -> Result<String, ListenError> {
        if text.starts_with(UNIX) { Err(ListenError::HttpOnUnix) } else { parse_address(text) }
    }

    /// Reads `HOST:PORT` for gossip; none if the text is empty.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse_gossip(text: &str) -> Result<Option<String>, ListenError> {
        match text {
            "" => Ok(None),
            _ if text.starts_with(UNIX) => Err(ListenError::GossipOnUnix),
            _ => parse_address(text).map(Some),
        }
    }

    /// Checks that the two fronts do not want the same place. Gossip is in nobody's way: it is UDP, they are TCP.
    ///
    /// # Errors
    /// When they do.
    pub fn check(&self) -> Result<(), ListenError> {
        match (&self.fcgi, &self.http) {
            (FcgiListen::Tcp(fcgi), Some(http)) if fcgi == http && !fcgi.ends_with(":0") => {
                Err(ListenError::Shared(http.clone()))
            }
            _ => Ok(()),
        }
    }

    /// These places with the command line's in their stead; a socket keeps the mode of the one it replaces.
    ///
    /// # Errors
    /// When the command line names no place to listen at, or one that is taken.
    pub fn overridden(&self, overrides: &Overrides, working_directory: &Path) -> Result<Self, OverrideError> {
        let mode = match self.fcgi {
            FcgiListen::Unix { mode, .. } => mode,
            _ => SOCKET_MODE,
        };
        let refuse = |option, text: &str, reason| OverrideError { option, text: text.to_owned(), reason };
        let mut listen = self.clone();
        if let Some(text) = &overrides.fcgi {
            listen.fcgi = FcgiListen::parse(text, working_directory, mode)
                .map_err(|reason| refuse("--fcgi", text, reason))?;
        }
        if let Some(text) = &overrides.http {
            listen.http = Some(Self::parse_http(text).map_err(|reason| refuse("--http", text, reason))?);
        }
        if let Some(text) = &overrides.gossip {
            listen.gossip = Self::parse_gossip(text).map_err(|reason| refuse("--gossip", text, reason))?;
        }
        match (listen.check(), &overrides.fcgi, &overrides.http) {
            (Err(reason), Some(text), _) => Err(refuse("--fcgi", text, reason)),
            (Err(reason), None, Some(text)) => Err(refuse("--http", text, reason)),
            // Without overrides these are the file's places, checked when it was read.
            (Ok(()), ..) | (Err(_), None, None) => Ok(listen),
        }
    }
}

/// Checks `HOST:PORT`: a name, an IPv4 address or an IPv6 address in brackets, and a port.
fn parse_address(text: &str) -> Result<String, ListenError> {
    let (host, port) = text.rsplit_once(':').ok_or(ListenError::AddressForm)?;
    let port_is_good = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let host_is_good = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)),
    };
    if port_is_good && host_is_good { Ok(text.to_owned()) } else { Err(ListenError::AddressForm) }
}

impl fmt::Display for FcgiListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FcgiListen::Inherited => f.write_str("file descriptor 0 or systemd's socket"),
            FcgiListen::Unix { path, mode } => write!(f, "{UNIX}{} mode {mode:04o}", path.display()),
            FcgiListen::Tcp(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fcgi(text: &str) -> Result<FcgiListen, ListenError> {
        FcgiListen::parse(text, Path::new("/etc/webdfs"), 0o600)
    }

    #[test]
    fn a_socket_path_is_relative_to_its_file_and_an_address_is_kept() {
        let unix = |path: &str| FcgiListen::Unix { path: path.into(), mode: 0o600 };
        assert_eq!(fcgi("unix:/run/w.sock"), Ok(unix("/run/w.sock")));
        assert_eq!(fcgi("unix:w.sock"), Ok(unix("/etc/webdfs/w.sock")));
        for address in ["127.0.0.1:9000", "[::1]:9000", "img1.example.com:9000", "localhost:0"] {
            assert_eq!(fcgi(address), Ok(FcgiListen::Tcp(address.to_owned())));
            assert_eq!(Listen::parse_http(address), Ok(address.to_owned()));
            assert_eq!(Listen::parse_gossip(address), Ok(Some(address.to_owned())));
        }
    }

    #[test]
    fn what_is_no_place_to_listen_at_is_refused() {
        for text in [
            "",
            "9000",
            ":9000",
            "::1:9000",
            "host:",
            "host:65536",
            "host:+80",
            "host:http",
            "a b:1",
            "[::1]",
            "[x]:1",
            "unix:",
            "unix:/run/",
            "unix:a\0b",
        ] {
            assert_eq!(fcgi(text), Err(ListenError::FcgiForm), "{text}");
        }
        assert_eq!(fcgi("/run/w.sock"), Err(ListenError::BarePath("/run/w.sock".to_owned())));
        assert_eq!(Listen::parse_http("7070"), Err(ListenError::AddressForm));
        assert_eq!(Listen::parse_http("unix:/run/w.sock"), Err(ListenError::HttpOnUnix));
        assert_eq!(Listen::parse_gossip("7071"), Err(ListenError::AddressForm));
        assert_eq!(Listen::parse_gossip("unix:/run/w.sock"), Err(ListenError::GossipOnUnix));
    }

    #[test]
    fn a_socket_path_too_long_for_the_system_is_refused() {
        let fits = format!("unix:/{}", "a".repeat(SOCKET_PATH_BYTES_MAX - 1));
        assert!(fcgi(&fits).is_ok());
        assert!(matches!(fcgi(&format!("{fits}a")), Err(ListenError::PathTooLong { bytes: 108, .. })));
    }

    #[test]
    fn the_command_line_replaces_what_it_names_and_no_more() {
        let file = Listen {
            fcgi: fcgi("unix:w.sock").unwrap(),
            http: Some("127.0.0.1:7070".to_owned()),
            gossip: None,
        };
        let here = Path::new("/home/ada");
        assert_eq!(file.overridden(&Overrides::default(), here), Ok(file.clone()));

        let overrides = Overrides { fcgi: Some("unix:my.sock".to_owned()), ..Overrides::default() };
        let listen = file.overridden(&overrides, here).unwrap();
        assert_eq!(listen.fcgi, FcgiListen::Unix { path: "/home/ada/my.sock".into(), mode: 0o600 });
        assert_eq!((listen.http, listen.gossip), (file.http.clone(), file.gossip.clone()));

        // Gossip may have the number of another's port.
        let overrides = Overrides { gossip: file.http.clone(), ..Overrides::default() };
        let listen = file.overridden(&overrides, here).unwrap();
        assert_eq!((&listen.fcgi, &listen.gossip), (&file.fcgi, &file.http));
        let without = Overrides { gossip: Some(String::new()), ..Overrides::default() };
        assert_eq!(listen.overridden(&without, here).unwrap().gossip, None);

        let overrides = Overrides { http: Some("nonsense".to_owned()), ..Overrides::default() };
        let error = file.overridden(&overrides, here).unwrap_err();
        assert_eq!((error.option, error.reason), ("--http", ListenError::AddressForm));
        let overrides = Overrides { gossip: Some("unix:g.sock".to_owned()), ..Overrides::default() };
        let error = file.overridden(&overrides, here).unwrap_err();
        assert_eq!((error.option, error.reason), ("--gossip", ListenError::GossipOnUnix));
        let overrides = Overrides { fcgi: Some("127.0.0.1:7070".to_owned()), ..Overrides::default() };
        let error = file.overridden(&overrides, here).unwrap_err().to_string();
        assert!(error.starts_with("--fcgi 127.0.0.1:7070: fcgi and http cannot share"), "{error}");
    }
}
