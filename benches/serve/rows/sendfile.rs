//! (b) for lighttpd and Apache: the responder answers everything with X-Sendfile, against the responder in C that does the
//! same behind the same shipped configuration, in as many processes.

use std::path::Path;
use std::process::Command;

use super::EVERYWHERE;
use super::rivals::{Race, Rival, Sends};
use crate::Result;
use crate::build::Tools;
use crate::cluster::{Cluster, Deliver, Node, Responder, Spec};
use crate::contest::Plan;
use crate::objects::SIZES;
use crate::processes::Process;
use crate::servers::{Kind, Start, user_for};

/// Against the responder in C.
const LIMIT: f64 = 1.0;
/// Sizes that decide how a file is best delivered.
const DELIVERED: [(usize, &str); 5] = [
    (4 << 10, "4 KiB"),
    (32 << 10, "32 KiB"),
    (256 << 10, "256 KiB"),
    (1 << 20, "1 MiB"),
    (16 << 20, "16 MiB"),
];

pub fn lighttpd(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    row("bl", Kind::Lighttpd, ["lighttpd, X-Sendfile", "C, X-Sendfile"], plan, scratch, tools)
}

pub fn lighttpd_spawning(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let names = ["lighttpd, X-Sendfile, 3 spawned", "C, X-Sendfile, 3 spawned"];
    row("bs", Kind::LighttpdSpawning, names, plan, scratch, tools)
}

pub fn apache_fcgid(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    row("bf", Kind::ApacheFcgid, ["Apache, mod_fcgid, X-Sendfile", "C, X-Sendfile"], plan, scratch, tools)
}

pub fn apache_proxy(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    row(
        "bp",
        Kind::ApacheProxy,
        ["Apache, mod_proxy_fcgi, X-Sendfile", "C, X-Sendfile"],
        plan,
        scratch,
        tools,
    )
}

/// How (x) is measured: the web server sends the file, against the responder sending its mapped bytes.
pub fn delivery(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    for (row, kind, name) in [
        ("xn", Kind::Nginx, "nginx, X-Accel-Redirect"),
        ("xl", Kind::Lighttpd, "lighttpd, X-Sendfile"),
        ("xf", Kind::ApacheFcgid, "Apache, mod_fcgid, X-Sendfile"),
        ("xp", Kind::ApacheProxy, "Apache, mod_proxy_fcgi, X-Sendfile"),
    ] {
        let folder = scratch.join(row);
        let cluster = Cluster::start(&folder, "cluster", Spec { user: user_for(kind)?, ..EVERYWHERE })?;
        let node = &cluster.nodes[0];
        let rivals = [
            ours(kind, name, &folder, node, "0B")?,
            ours(kind, "bytes mapped", &folder, node, "1GiB")?.sending(Sends::Bytes),
        ];
        Race { row, plan, folder: &folder, tools, sends: Sends::Place }.run(
            &node.address,
            &rivals,
            &DELIVERED,
        )?;
    }
    Ok(())
}

fn row(
    name: &str,
    kind: Kind,
    [ours_name, c_name]: [&'static str; 2],
    plan: &Plan,
    scratch: &Path,
    tools: &Tools,
) -> Result<()> {
    let folder = scratch.join(name);
    let cluster = Cluster::start(&folder, "cluster", Spec { user: user_for(kind)?, ..EVERYWHERE })?;
    let node = &cluster.nodes[0];
    let rivals = [ours(kind, ours_name, &folder, node, "0B")?, in_c(kind, c_name, &folder, node, tools)?];
    Race { row: name, plan, folder: &folder, tools, sends: Sends::Place }.run(&node.address, &rivals, &SIZES)
}

fn ours(kind: Kind, name: &'static str, folder: &Path, node: &Node, map_max: &'static str) -> Result<Rival> {
    let (front, remote) = match kind {
        Kind::Nginx => ("nginx", "internal"),
        Kind::Lighttpd | Kind::LighttpdSpawning => ("lighttpd", "proxy"),
        Kind::ApacheFcgid | Kind::ApacheProxy => ("apache", "proxy"),
    };
    let (deliver, config) = (Deliver { front, map_max, remote }, format!("up-to-{map_max}"));
    if kind.starts_responders() {
        Rival::started(kind, name, None, folder, node, node.start(&config, deliver)?)
    } else {
        Rival::listening(kind, name, None, folder, node, |_| node.extra_responder(&config, deliver))
    }
}

fn in_c(kind: Kind, name: &'static str, folder: &Path, node: &Node, tools: &Tools) -> Result<Rival> {
    let mut environment = vec![("MODE", "sendfile".to_owned())];
    if matches!(kind, Kind::ApacheFcgid | Kind::ApacheProxy) {
        environment.push(("VALIDATORS", "1".to_owned()));
    }
    if kind.starts_responders() {
        // Apache gives a process one request at a time.
        let threads = if kind == Kind::ApacheFcgid { " 1" } else { "" };
        let command = format!("{} - {}{threads}", tools.responder.display(), node.root.display());
        return Rival::started(kind, name, Some(LIMIT), folder, node, Start { command, environment });
    }
    Rival::listening(kind, name, Some(LIMIT), folder, node, |socket| {
        let mut command = Command::new(&tools.responder);
        command.arg(&socket).arg(&node.root).envs(environment);
        Responder::ready(Process::start("c-sendfile", folder, &mut command)?, socket)
    })
}
