//! (rp) A node starts with an empty disk under its old name, and is complete again: from its start to its own word that
//! it lacks nothing, against `cp -r` and `sync` of the same files on the same disk.

use std::cell::RefCell;
use std::path::Path;
use std::time::Instant;

use super::super::EVERYWHERE;
use super::batches::{LIMIT, SIZE};
use super::source::{Sender, Source};
use crate::Result;
use crate::build::Tools;
use crate::cluster::Cluster;
use crate::contest::{Plan, Side, contest};

/// How many files there are: 1 GiB.
const COUNT: usize = 16_384;

pub fn row(plan: &Plan, scratch: &Path, _tools: &Tools) -> Result<()> {
    let folder = scratch.join("rp");
    let mut cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    cluster.wait_until_complete()?;
    let source = Source::write(&folder.join("source"), COUNT, SIZE)?;
    let sender = Sender::new(&cluster)?;
    for node in ["n0", "n1", "n2"] {
        sender.send(&source, node)?;
    }
    let node = RefCell::new(&mut cluster.nodes[0]);
    let rebuild = || {
        let mut node = node.borrow_mut();
        node.lose_disk()?;
        let begun = Instant::now();
        node.start_again()?;
        node.wait_until_complete()?;
        let rate = COUNT as f64 / begun.elapsed().as_secs_f64();
        source.check(&node.root)?;
        Ok(rate)
    };
    contest(
        "rp",
        plan,
        vec![Side::new("64 KiB files, a node without its disk", rebuild)],
        vec![Side::new("cp -r, then sync", || source.copy_and_sync(&folder.join("copied"))).limit(LIMIT)],
    )
}
