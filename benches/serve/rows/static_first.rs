//! (a) Static-first, as shipped, against plain static files: the same web server, the same files.
//!
//! What is shipped sets how the server reads files, where its default serves stale ones (lighttpd) or is slow (Apache).
//! So there are two references: the server as it is, and one that reads files in the same way. lighttpd is measured with
//! its default on our side, too, as the shipped file says how to have it.

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
    race(
        "a",
        plan,
        &folder,
        tools,
        node,
        &[Duel { ours: (&shipped, "static-first"), references: vec![plain] }],
    )
}

pub fn lighttpd(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let contender = Contender {
        row: "al",
        kind: Kind::Lighttpd,
        front: "lighttpd",
        name: "lighttpd, static-first",
        // It serves a replaced file for another second or two, so it is no measure of what does not.
        default: ("lighttpd, static files", None),
        same: ("lighttpd, static files, no stat cache", "server.stat-cache-engine = \"disable\"\n"),
        like_default: Some(("lighttpd, static-first, stat cache", Asks::WhatIsMissingFromMemory)),
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
    Contender { row, kind, front: "apache", name, default, same, like_default: None }
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
    /// What is shipped, but that it reads files as the server does by default: its name, and how that is asked for.
    like_default: Option<(&'static str, Asks)>,
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
        let [shipped, default, same, like_default] = [(); 4].map(|()| free_address(0));
        let [shipped, default, same, like_default] = [shipped?, default?, same?, like_default?];
        let root = node.root.as_path();
        let ours = |address, asks| Site { address, root, responders: Some((&responders, asks)), lines: "" };
        let plain = |address, lines| Site { address, root, responders: None, lines };
        let mut sites = vec![
            ("shipped", ours(&shipped, Asks::WhatIsMissing)),
            ("plain", plain(&default, "")),
            ("same", plain(&same, self.same.1)),
        ];
        let reference = |address, name, limit| Reference { address, name, limit };
        let mut duels = vec![Duel {
            ours: (&shipped, self.name),
            references: vec![
                reference(&default, self.default.0, self.default.1),
                reference(&same, self.same.0, Some(LIMIT)),
            ],
        }];
        if let Some((name, asks)) = self.like_default {
            sites.push(("like-default", ours(&like_default, asks)));
            let references = vec![reference(&default, self.default.0, Some(LIMIT))];
            duels.push(Duel { ours: (&like_default, name), references });
        }
        let servers = sites.iter().map(|(name, site)| WebServer::of(self.kind, name, &folder, site));
        let _servers: Vec<_> = servers.collect::<Result<_>>()?;
        race(self.row, plan, &folder, tools, node, &duels)
    }
}

/// A server of plain static files.
struct Reference<'a> {
    address: &'a str,
    /// In the table.
    name: &'static str,
    limit: Option<f64>,
}

/// One of our servers, its address and its name in the table, against others.
struct Duel<'a> {
    ours: (&'a str, &'static str),
    references: Vec<Reference<'a>>,
}

fn race(row: &str, plan: &Plan, folder: &Path, tools: &Tools, node: &Node, duels: &[Duel<'_>]) -> Result<()> {
    for (size, size_name) in SIZES {
        let objects = Objects::new(folder, size, |_| true)?;
        check::store(&node.address, &objects)?;
        let turn = |address| {
            let (list, load) = (&objects.list, Load { address, seconds: plan.seconds, connections: GETTING });
            move || Ok(load.get(&tools.get_script, list, size)?.rate)
        };
        for Duel { ours: (address, name), references } in duels {
            let mut addresses = references.iter().map(|reference| reference.address).chain([*address]);
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
    }
    Ok(())
}
