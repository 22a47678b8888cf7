//! (b) and (c) The responder behind nginx, against responders that compute no placement: in C on libfcgi, and on the
//! crate `fastcgi`. Each stands behind an nginx of its own with the same, shipped configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::EVERYWHERE;
use super::rivals::{Race, Rival, Sends};
use crate::build::Tools;
use crate::cluster::{Cluster, Deliver, Responder, SHIPPED};
use crate::contest::Plan;
use crate::objects::SIZES;
use crate::processes::Process;
use crate::servers::Kind;
use crate::{Result, fastcgi_crate};

/// Against the responder in C that does the same.
const LIMIT: f64 = 1.0;
/// Where the shipped configuration has the files of the root.
const FILE_LOCATION: &str = "/_webdfs/file";

/// (b) The web server is told where the file is.
pub fn accel(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let folder = scratch.join("b");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let node = &cluster.nodes[0];
    let handing_over = Deliver { map_max: "0B", ..SHIPPED };
    let sides = [
        Rival::listening(Kind::Nginx, "X-Accel-Redirect", None, &folder, node, |_| {
            node.extra_responder("b", handing_over)
        })?,
        Rival::listening(Kind::Nginx, "C, X-Accel-Redirect", Some(LIMIT), &folder, node, |socket| {
            in_c(tools, &folder, socket, &node.root, "accel")
        })?,
        Rival::listening(Kind::Nginx, "crate fastcgi, X-Accel-Redirect", None, &folder, node, |socket| {
            on_the_crate(&folder, socket, &node.root, "accel")
        })?,
    ];
    Race { row: "b", plan, folder: &folder, tools, sends: Sends::Place }.run(&node.address, &sides, &SIZES)
}

/// (c) The responder sends the bytes.
pub fn bytes(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let folder = scratch.join("c");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let node = &cluster.nodes[0];
    let sides = [
        Rival::listening(Kind::Nginx, "bytes", None, &folder, node, |_| node.extra_responder("c", SHIPPED))?,
        Rival::listening(Kind::Nginx, "C, bytes mapped", Some(LIMIT), &folder, node, |socket| {
            in_c(tools, &folder, socket, &node.root, "mapped")
        })?,
        Rival::listening(Kind::Nginx, "C, bytes read", None, &folder, node, |socket| {
            in_c(tools, &folder, socket, &node.root, "read")
        })?,
        Rival::listening(Kind::Nginx, "crate fastcgi, bytes read", None, &folder, node, |socket| {
            on_the_crate(&folder, socket, &node.root, "bytes")
        })?,
    ];
    Race { row: "c", plan, folder: &folder, tools, sends: Sends::Bytes }.run(&node.address, &sides, &SIZES)
}

fn in_c(tools: &Tools, folder: &Path, socket: PathBuf, root: &Path, mode: &str) -> Result<Responder> {
    let mut command = Command::new(&tools.responder);
    command.arg(&socket).arg(root).env("MODE", mode).env("ACCEL_PREFIX", FILE_LOCATION);
    Responder::ready(Process::start(&format!("c-{mode}"), folder, &mut command)?, socket)
}

fn on_the_crate(folder: &Path, socket: PathBuf, root: &Path, mode: &str) -> Result<Responder> {
    Responder::ready(fastcgi_crate::start(folder, &socket, root, mode)?, socket)
}
