//! (a) Static-first, as shipped, against plain static files: the same web server, the same files.
//!
//! What is shipped sets how the server reads files, where its default serves stale ones (lighttpd) or is slow (Apache).
//! So there are two references: the server as it is, and one that reads files in the same way.

use std::path::Path;

use super::{EVERYWHERE, GETTING};
use crate::build::Tools;
use crate::cluster::{Cluster, Deliver, Node, SHIPPED, Spec, free_address};
use crate::contest::{Plan, Side, contest};
use crate::objects::{Objects, SIZES};
use crate::servers::nginx::{self, Server};
use crate::servers::{Asks, Kind, Responders, Site, WebServer, user_for};
use crate::wrk::Load;
use crate::{Result, check};

/// What is left of the speed of a static file.
const LIMIT: f64 = 0.95;

/// nginx: one, with two server blocks.
pub fn nginx(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let folder = scratch.join("a");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let node = &cluster.nodes[0];
    let (shipped, plain) = (free_address(0)?, free_address(0)?);
    let servers =
        [Server::shipped(&shipped, &node.root, Asks::WhatIsMissing)?, Server::plain(&plain, &node.root)];
    let _nginx = nginx::start("both", &folder, Some(&node.responder.socket), &servers)?;
    let plain = Reference { address: &plain, name: "the same nginx, static files", limit: Some(LIMIT) };
    race("a", plan, &folder, tools, node, (&shipped, "static-first"), &[plain])
}

pub fn lighttpd(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let contender = Contender {
        row: "al",
        kind: Kind::Lighttpd,
        front: "lighttpd",
        name: "lighttpd, static-first",
        // It serves a replaced file for another second or two, so it is no measure.
        default: ("lighttpd, static files", None),
        same: ("lighttpd, static files, no stat cache", "server.stat-cache-engine = \"disable\"\n"),
    };
    contender.race(plan, scratch, tools)
}

pub fn apache_fcgid(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    apache("af", Kind::ApacheFcgid, "Apache, mod_fcgid, static-first").race(plan, scratch, tools)
}

pub fn apache_proxy(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    apache("ap", Kind::ApacheProxy, "Apache, mod_proxy_fcgi, static-first").race(plan, scratch, tools)
}

fn apache(row: &'static str, kind: Kind, name: &'static str) -> Contender {
    let default = ("Apache, static files", Some(LIMIT));
    let same = ("Apache, static files, EnableSendfile", "EnableSendfile On\n");
    Contender { row, kind, front: "apache", name, default, same }
}

/// A server of which each configuration has a process of its own, since some of what is shipped is set for a whole server.
struct Contender {
    row: &'static str,
    kind: Kind,
    /// In node.toml.
    front: &'static str,
    name: &'static str,
    /// The server as it is: its name in the table, and the limit.
    default: (&'static str, Option<f64>),
    /// One that reads files as the shipped configuration says: its name, and the lines that do so.
    same: (&'static str, &'static str),
}

impl Contender {
    fn race(&self, plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
        let folder = scratch.join(self.row);
        let cluster = Cluster::start(&folder, "cluster", Spec { user: user_for(self.kind)?, ..EVERYWHERE })?;
        let node = &cluster.nodes[0];
        let deliver = Deliver { front: self.front, remote: "proxy", ..SHIPPED };
        let (_responder, responders) = if self.kind == Kind::ApacheFcgid {
            (None, Responders::Started(node.start("started", deliver)?))
        } else {
            let responder = node.extra_responder("extra", deliver)?;
            let socket = responder.socket.clone();
            (Some(responder), Responders::At(socket))
        };
        let [shipped, default, same] = [free_address(0)?, free_address(0)?, free_address(0)?];
        let asks = Some((&responders, Asks::WhatIsMissing));
        let root = node.root.as_path();
        let sites = [
            ("shipped", Site { address: &shipped, root, responders: asks, lines: "" }),
            ("plain", Site { address: &default, root, responders: None, lines: "" }),
            ("same", Site { address: &same, root, responders: None, lines: self.same.1 }),
        ];
        let servers = sites.iter().map(|(name, site)| WebServer::of(self.kind, name, &folder, site));
        let _servers: Vec<_> = servers.collect::<Result<_>>()?;
        let references = [
            Reference { address: &default, name: self.default.0, limit: self.default.1 },
            Reference { address: &same, name: self.same.0, limit: Some(LIMIT) },
        ];
        race(self.row, plan, &folder, tools, node, (&shipped, self.name), &references)
    }
}

/// A server of plain static files.
struct Reference<'a> {
    address: &'a str,
    /// In the table.
    name: &'static str,
    limit: Option<f64>,
}

fn race(
    row: &str,
    plan: &Plan,
    folder: &Path,
    tools: &Tools,
    node: &Node,
    (address, name): (&str, &str),
    references: &[Reference<'_>],
) -> Result<()> {
    for (size, size_name) in SIZES {
        let objects = Objects::new(folder, size, |_| true)?;
        check::store(&node.address, &objects)?;
        let turn = |address| {
            let (list, load) = (&objects.list, Load { address, seconds: plan.seconds, connections: GETTING });
            move || Ok(load.get(&tools.get_script, list, size)?.rate)
        };
        let mut addresses = references.iter().map(|reference| reference.address).chain([address]);
        addresses.try_for_each(|address| check::compare(address, &objects))?;
        let ours = Side::new(format!("{name}, {size_name}"), turn(address));
        let theirs = references.iter().map(|reference| {
            let side = Side::new(reference.name, turn(reference.address));
            match reference.limit {
                Some(limit) => side.limit(limit),
                None => side,
            }
        });
        contest(row, plan, vec![ours], theirs.collect())?;
    }
    Ok(())
}
