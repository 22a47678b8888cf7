//! (a) Static-first, as shipped, against plain static files: the same web server, the same files.

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
    let names = ["static-first", "the same nginx, static files"];
    race("a", plan, &folder, tools, node, [&shipped, &plain], names)
}

pub fn lighttpd(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let names = ["lighttpd, static-first", "lighttpd, static files"];
    row("al", Kind::Lighttpd, "lighttpd", names, plan, scratch, tools)
}

pub fn apache_fcgid(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let names = ["Apache, mod_fcgid, static-first", "Apache, static files"];
    row("af", Kind::ApacheFcgid, "apache", names, plan, scratch, tools)
}

pub fn apache_proxy(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let names = ["Apache, mod_proxy_fcgi, static-first", "Apache, static files"];
    row("ap", Kind::ApacheProxy, "apache", names, plan, scratch, tools)
}

/// Two servers, since some of what is shipped is set for a whole server.
fn row(
    name: &str,
    kind: Kind,
    front: &'static str,
    names: [&str; 2],
    plan: &Plan,
    scratch: &Path,
    tools: &Tools,
) -> Result<()> {
    let folder = scratch.join(name);
    let cluster = Cluster::start(&folder, "cluster", Spec { user: user_for(kind)?, ..EVERYWHERE })?;
    let node = &cluster.nodes[0];
    let deliver = Deliver { front, remote: "proxy", ..SHIPPED };
    let (_responder, responders) = if kind == Kind::ApacheFcgid {
        (None, Responders::Started(node.start("started", deliver)?))
    } else {
        let responder = node.extra_responder("extra", deliver)?;
        let socket = responder.socket.clone();
        (Some(responder), Responders::At(socket))
    };
    let (shipped, plain) = (free_address(0)?, free_address(0)?);
    let sites = [
        (
            "shipped",
            Site {
                address: &shipped,
                root: &node.root,
                responders: Some((&responders, Asks::WhatIsMissing)),
            },
        ),
        ("plain", Site { address: &plain, root: &node.root, responders: None }),
    ];
    let servers = sites.iter().map(|(name, site)| WebServer::of(kind, name, &folder, site));
    let _servers: Vec<_> = servers.collect::<Result<_>>()?;
    race(name, plan, &folder, tools, node, [&shipped, &plain], names)
}

fn race(
    row: &str,
    plan: &Plan,
    folder: &Path,
    tools: &Tools,
    node: &Node,
    addresses: [&str; 2],
    [ours, theirs]: [&str; 2],
) -> Result<()> {
    for (size, size_name) in SIZES {
        let objects = Objects::new(folder, size, |_| true)?;
        check::store(&node.address, &objects)?;
        let [ours_turn, their_turn] = addresses.map(|address| {
            let (list, load) = (&objects.list, Load { address, seconds: plan.seconds, connections: GETTING });
            move || Ok(load.get(&tools.get_script, list, size)?.rate)
        });
        addresses.into_iter().try_for_each(|address| check::compare(address, &objects))?;
        let ours = Side::new(format!("{ours}, {size_name}"), ours_turn);
        contest(row, plan, vec![ours], vec![Side::new(theirs, their_turn).limit(LIMIT)])?;
    }
    Ok(())
}
