//! (b) and (c) The responder behind nginx, against responders that compute no placement: in C on libfcgi, and on the
//! crate `fastcgi`. Each stands behind an nginx of its own with the same, shipped configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{EVERYWHERE, GETTING};
use crate::build::Tools;
use crate::cluster::{Cluster, Deliver, Node, Responder, free_address};
use crate::contest::{Plan, Side, contest};
use crate::nginx::{Asks, Nginx, Server};
use crate::objects::{Objects, SIZES};
use crate::processes::Process;
use crate::wrk::Load;
use crate::{Result, check, fastcgi_crate};

/// Against the responder in C that does the same.
const LIMIT: f64 = 1.0;
/// Where the shipped configuration has the files of the root.
const FILE_LOCATION: &str = "/_webdfs/file";

/// (b) The web server is told where the file is.
pub fn accel(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let folder = scratch.join("b");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let node = &cluster.nodes[0];
    let handing_over = Deliver { map_max: "0B", remote: "internal" };
    let sides = [
        Rival::new("X-Accel-Redirect", None, &folder, node, |_| node.extra_responder("b", handing_over))?,
        Rival::new("C, X-Accel-Redirect", Some(LIMIT), &folder, node, |socket| {
            in_c(tools, &folder, socket, &node.root, "accel")
        })?,
        Rival::new("crate fastcgi, X-Accel-Redirect", None, &folder, node, |socket| {
            on_the_crate(&folder, socket, &node.root, "accel")
        })?,
    ];
    race("b", plan, &folder, tools, &sides, Sends::Place)
}

/// (c) The responder sends the bytes.
pub fn bytes(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let folder = scratch.join("c");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let node = &cluster.nodes[0];
    let mapping = Deliver { map_max: "256KiB", remote: "internal" };
    let sides = [
        Rival::new("bytes", None, &folder, node, |_| node.extra_responder("c", mapping))?,
        Rival::new("C, bytes mapped", Some(LIMIT), &folder, node, |socket| {
            in_c(tools, &folder, socket, &node.root, "mapped")
        })?,
        Rival::new("C, bytes read", None, &folder, node, |socket| {
            in_c(tools, &folder, socket, &node.root, "read")
        })?,
        Rival::new("crate fastcgi, bytes read", None, &folder, node, |socket| {
            on_the_crate(&folder, socket, &node.root, "bytes")
        })?,
    ];
    race("c", plan, &folder, tools, &sides, Sends::Bytes)
}

/// What a responder sends to nginx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    Place,
    Bytes,
}

/// A responder behind an nginx of its own.
struct Rival {
    name: &'static str,
    limit: Option<f64>,
    address: String,
    responder: Responder,
    _nginx: Nginx,
}

impl Rival {
    /// Starts the responder with `start`, which is told where the socket should be unless it knows better.
    fn new(
        name: &'static str,
        limit: Option<f64>,
        folder: &Path,
        node: &Node,
        start: impl FnOnce(PathBuf) -> Result<Responder>,
    ) -> Result<Self> {
        let address = free_address(0)?;
        let file_name = name.replace([',', ' '], "-");
        let responder = start(folder.join(format!("{file_name}.sock")))?;
        let server = Server::shipped(&address, &node.root, Asks::Everything)?;
        let nginx = Nginx::start(&file_name, folder, Some(&responder.socket), &[server])?;
        Ok(Self { name, limit, address, responder, _nginx: nginx })
    }

    /// Checks the answers, and that they come from the responder in the way that is to be measured.
    fn check(&self, objects: &Objects, sends: Sends) -> Result<()> {
        check::compare(&self.address, objects)?;
        let before = self.responder.written()?;
        check::expect(
            check::status(&self.address, &objects.paths[1])?,
            200,
            &self.address,
            &objects.paths[1],
        )?;
        let written = self.responder.written()? - before;
        let sent = if written == 0 {
            None
        } else if written < objects.size as u64 {
            Some(Sends::Place)
        } else {
            Some(Sends::Bytes)
        };
        if sent == Some(sends) {
            return Ok(());
        }
        Err(format!("{}: the responder wrote {written} bytes for one of {}", self.name, objects.size).into())
    }
}

fn in_c(tools: &Tools, folder: &Path, socket: PathBuf, root: &Path, mode: &str) -> Result<Responder> {
    let mut command = Command::new(&tools.responder);
    command.arg(&socket).arg(root).env("MODE", mode).env("ACCEL_PREFIX", FILE_LOCATION);
    Responder::ready(Process::start(&format!("c-{mode}"), folder, &mut command)?, socket)
}

fn on_the_crate(folder: &Path, socket: PathBuf, root: &Path, mode: &str) -> Result<Responder> {
    Responder::ready(fastcgi_crate::start(folder, &socket, root, mode)?, socket)
}

fn race(row: &str, plan: &Plan, folder: &Path, tools: &Tools, rivals: &[Rival], sends: Sends) -> Result<()> {
    for (size, size_name) in SIZES {
        let objects = Objects::new(folder, size, |_| true)?;
        check::store(&rivals[0].address, &objects)?;
        let mut sides = Vec::new();
        for rival in rivals {
            rival.check(&objects, sends)?;
            let turn = || {
                let load = Load { address: &rival.address, seconds: plan.seconds, connections: GETTING };
                Ok(load.get(&tools.get_script, &objects.list, size)?.rate)
            };
            let side = Side::new(format!("{}, {size_name}", rival.name), turn);
            sides.push(match rival.limit {
                Some(limit) => side.limit(limit),
                None => side,
            });
        }
        let references = sides.split_off(1);
        contest(row, plan, sides, references)?;
    }
    Ok(())
}
