//! (a) Static-first, as shipped, against plain static files: one nginx, two server blocks, the same files.

use std::path::Path;

use super::{EVERYWHERE, GETTING};
use crate::Result;
use crate::build::Tools;
use crate::check;
use crate::cluster::{Cluster, free_address};
use crate::contest::{Plan, Side, contest};
use crate::nginx::{Asks, Nginx, Server};
use crate::objects::{Objects, SIZES};
use crate::wrk::Load;

/// What is left of the speed of a static file.
const LIMIT: f64 = 0.95;

pub fn row(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let folder = scratch.join("a");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let node = &cluster.nodes[0];
    let (shipped, plain) = (free_address(0)?, free_address(0)?);
    let servers =
        [Server::shipped(&shipped, &node.root, Asks::WhatIsMissing)?, Server::plain(&plain, &node.root)];
    let _nginx = Nginx::start("both", &folder, Some(&node.responder.socket), &servers)?;
    for (size, size_name) in SIZES {
        let objects = Objects::new(&folder, size, |_| true)?;
        check::store(&shipped, &objects)?;
        let side = |address: &str| -> Result<_> {
            check::compare(address, &objects)?;
            let (address, list) = (address.to_owned(), objects.list.clone());
            Ok(move || {
                let load = Load { address: &address, seconds: plan.seconds, connections: GETTING };
                Ok(load.get(&tools.get_script, &list, size)?.rate)
            })
        };
        let ours = Side::new(format!("static-first, {size_name}"), side(&shipped)?);
        let reference = Side::new("the same nginx, static files", side(&plain)?).limit(LIMIT);
        contest("a", plan, vec![ours], vec![reference])?;
    }
    Ok(())
}
