//! (m) The memory of a responder that has nothing to do.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::EVERYWHERE;
use crate::Result;
use crate::build::Tools;
use crate::cluster::{Cluster, Responder, SHIPPED};
use crate::contest::{Plan, print_quantity};

/// All of it that is resident, in KiB.
const LIMIT: u64 = 20 << 10;
/// How long a responder is left alone before it is looked at.
const IDLE: Duration = Duration::from_secs(1);

pub fn row(_plan: &Plan, scratch: &Path, _tools: &Tools) -> Result<()> {
    let folder = scratch.join("m");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let node = &cluster.nodes[0];
    let second = node.extra_responder("second", SHIPPED)?;
    std::thread::sleep(IDLE);
    tell("responder, idle", &second)?;
    tell("responder with agent, idle", &node.responder)
}

fn tell(what: &str, responder: &Responder) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", responder.process.id()))?;
    let field = |name: &str| -> Result<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
        number.ok_or_else(|| format!("/proc does not tell {name}").into())
    };
    let (resident, anonymous) = (field("VmRSS")?, field("RssAnon")?);
    let mebibytes = |kibibytes: u64| kibibytes as f64 / 1024.0;
    let text = format!("VmRSS {:.1} MiB, RssAnon {:.1} MiB", mebibytes(resident), mebibytes(anonymous));
    print_quantity("m", what, &text, "20 MiB", resident <= LIMIT);
    Ok(())
}
