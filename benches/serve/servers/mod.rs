//! The web servers in front of the responders, one file for each. Every side of a contest has the shipped configuration
//! of its server, or plain static files, with the same surroundings.

pub mod apache;
pub mod lighttpd;
pub mod nginx;
#[path = "../../../tests/common/servers/shipped.rs"]
mod shipped;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::processes::{Process, User, written};

/// Which requests reach the responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Those for files that are not on this disk, as shipped.
    WhatIsMissing,
    /// The same, but that the server remembers files for a while: with the line that the shipped file describes for that
    /// taken out.
    WhatIsMissingFromMemory,
    /// All of them: with the lines that the shipped file describes for that.
    Everything,
}

/// A web server, and the way in which it reaches its responders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// At a socket.
    Nginx,
    /// At a socket.
    Lighttpd,
    /// Started by lighttpd, several processes.
    LighttpdSpawning,
    /// Started by Apache's `mod_fcgid`, one request at a time for each.
    ApacheFcgid,
    /// Apache's `mod_proxy_fcgi`, at a socket.
    ApacheProxy,
}

impl Kind {
    /// Whether the responders are started by the web server.
    pub fn starts_responders(self) -> bool {
        matches!(self, Self::LighttpdSpawning | Self::ApacheFcgid)
    }
}

/// The user as whom everything behind a server has to run; `None` for the one who runs the benchmark.
pub fn user_for(kind: Kind) -> Result<Option<User>> {
    if matches!(kind, Kind::ApacheFcgid | Kind::ApacheProxy) { apache::user() } else { Ok(None) }
}

/// Where a web server finds its responders.
#[derive(Debug, Clone)]
pub enum Responders {
    /// They listen here.
    At(PathBuf),
    /// It starts them itself.
    Started(Start),
}

/// What a web server starts.
#[derive(Debug, Clone)]
pub struct Start {
    /// The program and its arguments, none with a space in it.
    pub command: String,
    pub environment: Vec<(&'static str, String)>,
}

/// What a web server is to serve, and where.
#[derive(Debug)]
pub struct Site<'a> {
    /// As IP:port.
    pub address: &'a str,
    /// The folder of its files.
    pub root: &'a Path,
    /// `None` for plain static files, without a word of webdfs in the configuration.
    pub responders: Option<(&'a Responders, Asks)>,
    /// Further lines of the server's own configuration; not for nginx.
    pub lines: &'a str,
}

/// A running web server.
pub struct WebServer {
    process: Process,
}

impl WebServer {
    /// Starts the server of a kind in a folder of its own, called `name`.
    pub fn of(kind: Kind, name: &str, scratch: &Path, site: &Site<'_>) -> Result<Self> {
        match kind {
            Kind::Nginx => {
                let (server, socket) = match &site.responders {
                    None => (nginx::Server::plain(site.address, site.root), None),
                    Some((Responders::At(socket), asks)) => {
                        (nginx::Server::shipped(site.address, site.root, *asks)?, Some(socket.as_path()))
                    }
                    Some((Responders::Started(_), _)) => return Err("nginx starts no responder".into()),
                };
                nginx::start(name, scratch, socket, &[server])
            }
            Kind::Lighttpd | Kind::LighttpdSpawning => lighttpd::start(name, scratch, site),
            Kind::ApacheFcgid | Kind::ApacheProxy => apache::start(kind, name, scratch, site),
        }
    }

    /// Waits until it answers at its addresses.
    fn start(name: &str, scratch: &Path, command: &mut Command, addresses: &[String]) -> Result<Self> {
        let mut process = Process::start(name, scratch, command)?;
        process.wait_until("listening", || addresses.iter().all(|at| TcpStream::connect(at).is_ok()))?;
        Ok(Self { process })
    }

    /// How many bytes the responders that it has started have written so far, to whatever.
    pub fn responders_wrote(&self) -> Result<u64> {
        let own = program_of(self.process.id());
        let others =
            descendants(self.process.id())?.into_iter().filter(|process| program_of(*process) != own);
        others.map(written).sum()
    }
}

/// The file that a process runs; `None` when it has ended.
fn program_of(process: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe")).ok()
}

/// The processes that a process has started, those that these have started, and so on.
fn descendants(process: u32) -> Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(number) = entry?.file_name().to_string_lossy().parse() else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{number}/stat")) else { continue };
        // The name, in parentheses, may hold anything; after it stand the state and the parent.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if let Some(parent) =
            after_name.split_ascii_whitespace().nth(1).and_then(|parent| parent.parse().ok())
        {
            children.entry(parent).or_default().push(number);
        }
    }
    let mut found = children.remove(&process).unwrap_or_default();
    let mut next = 0;
    while let Some(child) = found.get(next) {
        found.extend(children.remove(child).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// A server's program, which not every user has on his path.
fn program(name: &str) -> OsString {
    let packaged = Path::new("/usr/sbin").join(name);
    if packaged.exists() { packaged.into() } else { name.into() }
}
