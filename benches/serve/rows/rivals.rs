//! Responders that race each other, each behind a web server of its own with the same configuration.

use std::path::{Path, PathBuf};

use super::{FCGID_GETTING, GETTING};
use crate::build::Tools;
use crate::cluster::{Node, Responder, free_address};
use crate::contest::{Plan, Side, contest};
use crate::objects::Objects;
use crate::servers::{Asks, Kind, Responders, Site, Start, WebServer};
use crate::wrk::Load;
use crate::{Result, check};

/// Seconds of load before anything is measured where the web server starts responders: `mod_fcgid` does so one by one.
const WARMING: u64 = 2;

/// What a responder sends to the web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// Where the file is.
    Place,
    /// The bytes of the file.
    Bytes,
}

/// A responder, or several that are the same, behind a web server.
pub struct Rival {
    name: &'static str,
    limit: Option<f64>,
    sends: Option<Sends>,
    address: String,
    kind: Kind,
    /// `None` if the web server has started it.
    responder: Option<Responder>,
    server: WebServer,
}

impl Rival {
    /// Starts a responder with `start`, which is told where the socket should be unless it knows better.
    pub fn listening(
        kind: Kind,
        name: &'static str,
        limit: Option<f64>,
        folder: &Path,
        node: &Node,
        start: impl FnOnce(PathBuf) -> Result<Responder>,
    ) -> Result<Self> {
        let responder = start(folder.join(format!("{}.sock", file_name(kind, name))))?;
        let responders = Responders::At(responder.socket.clone());
        Self::behind(kind, name, limit, folder, node, &responders, Some(responder))
    }

    /// Has the web server start responders.
    pub fn started(
        kind: Kind,
        name: &'static str,
        limit: Option<f64>,
        folder: &Path,
        node: &Node,
        start: Start,
    ) -> Result<Self> {
        Self::behind(kind, name, limit, folder, node, &Responders::Started(start), None)
    }

    fn behind(
        kind: Kind,
        name: &'static str,
        limit: Option<f64>,
        folder: &Path,
        node: &Node,
        responders: &Responders,
        responder: Option<Responder>,
    ) -> Result<Self> {
        let address = free_address(0)?;
        let site = Site {
            address: &address,
            root: &node.root,
            responders: Some((responders, Asks::Everything)),
            lines: "",
        };
        let server = WebServer::of(kind, &file_name(kind, name), folder, &site)?;
        Ok(Self { name, limit, sends: None, address, kind, responder, server })
    }

    /// For a race in which not everybody sends the same.
    pub fn sending(self, sends: Sends) -> Self {
        Self { sends: Some(sends), ..self }
    }

    /// How many bytes the responders have written so far.
    fn written(&self) -> Result<u64> {
        self.responder.as_ref().map_or_else(|| self.server.responders_wrote(), Responder::written)
    }

    /// Checks the answers, and that they come from the responder in the way that is to be measured.
    fn check(&self, objects: &Objects, sends: Sends) -> Result<()> {
        check::compare(&self.address, objects)?;
        let before = self.written()?;
        let path = &objects.paths[1];
        check::expect(check::status(&self.address, path)?, 200, &self.address, path)?;
        let written = self.written()? - before;
        let sent = if written == 0 {
            None
        } else if written < objects.size as u64 {
            Some(Sends::Place)
        } else {
            Some(Sends::Bytes)
        };
        if sent == Some(self.sends.unwrap_or(sends)) {
            return Ok(());
        }
        Err(format!("{}: the responder wrote {written} bytes for one of {}", self.name, objects.size).into())
    }
}

fn file_name(kind: Kind, name: &str) -> String {
    format!("{kind:?}-{}", name.replace([',', ' '], "-"))
}

/// What the rivals do.
#[derive(Clone, Copy)]
pub struct Race<'a> {
    /// Its name in the table.
    pub row: &'a str,
    pub plan: &'a Plan,
    pub folder: &'a Path,
    pub tools: &'a Tools,
    /// What every rival sends that says nothing else.
    pub sends: Sends,
}

impl Race<'_> {
    /// Stores objects of each size at an address; then the first of the rivals runs against the others.
    pub fn run(self, store: &str, rivals: &[Rival], sizes: &[(usize, &str)]) -> Result<()> {
        for (size, size_name) in sizes {
            let objects = Objects::new(self.folder, *size, |_| true)?;
            check::store(store, &objects)?;
            let mut sides = Vec::new();
            for rival in rivals {
                rival.check(&objects, self.sends)?;
                let get = |seconds| {
                    let connections = if rival.kind == Kind::ApacheFcgid { FCGID_GETTING } else { GETTING };
                    let load = Load { address: &rival.address, seconds, connections };
                    Ok(load.get(&self.tools.get_script, &objects.list, *size)?.rate)
                };
                if rival.responder.is_none() {
                    // A request that had to wait for a process may be cut off at the end, which `wrk` counts as an error.
                    let _ = get(WARMING);
                }
                let side = Side::new(format!("{}, {size_name}", rival.name), move || get(self.plan.seconds));
                sides.push(match rival.limit {
                    Some(limit) => side.limit(limit),
                    None => side,
                });
            }
            let references = sides.split_off(1);
            contest(self.row, self.plan, sides, references)?;
        }
        Ok(())
    }
}
