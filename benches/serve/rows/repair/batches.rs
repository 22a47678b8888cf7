//! (r) Bringing copies to a node that lost its disk, in batches, as a pass does: against `cp -r` and `sync` of the same
//! files on the same disk. Both end when everything is durable.

use std::path::Path;
use std::time::Instant;

use super::super::EVERYWHERE;
use super::source::{Sender, Source, remove};
use crate::Result;
use crate::build::Tools;
use crate::cluster::Cluster;
use crate::contest::{Plan, Side, contest};

/// The size of the files, in bytes.
pub const SIZE: usize = 64 << 10;
/// How many there are: 256 MiB, so that an end of disk caches shows.
pub const COUNT: usize = 4_096;
pub const LIMIT: f64 = 0.5;

pub fn row(plan: &Plan, scratch: &Path, _tools: &Tools) -> Result<()> {
    let folder = scratch.join("r");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let source = Source::write(&folder.join("source"), COUNT, SIZE)?;
    let sender = Sender::new(&cluster)?;
    let root = &cluster.nodes[0].root;
    let send = || {
        let begun = Instant::now();
        sender.send(&source, "n0")?;
        let rate = COUNT as f64 / begun.elapsed().as_secs_f64();
        source.check(root)?;
        remove(root)?;
        Ok(rate)
    };
    contest(
        "r",
        plan,
        vec![Side::new("64 KiB files in batches", send)],
        vec![Side::new("cp -r, then sync", || source.copy_and_sync(&folder.join("copied"))).limit(LIMIT)],
    )
}
