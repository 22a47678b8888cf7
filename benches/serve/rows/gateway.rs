//! (e) A node that owns none of the objects hands requests to their owners: by nginx's internal redirect, and by
//! fetching itself; against asking an owner. Nodes reach each other at their nginx.

use std::path::Path;

use super::GETTING;
use crate::build::Tools;
use crate::cluster::{Cluster, Deliver, NODES, Peers, SHIPPED, Spec, free_address};
use crate::contest::{Plan, Side, contest};
use crate::objects::{Objects, SIZES};
use crate::servers::Asks;
use crate::servers::nginx::{self, Server};
use crate::wrk::Load;
use crate::{Result, check};

use webdfs::cluster::NodeIndex;
use webdfs::config::load_map;
use webdfs::placement::{ObjectKey, locate};

/// Two copies on three nodes: one node owns none.
const TWO_COPIES: Spec = Spec { replicas: 2, durability: "none", peers: Peers::Nginx, user: None };

pub fn row(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let folder = scratch.join("e");
    let cluster = Cluster::start(&folder, "cluster", TWO_COPIES)?;
    let map = load_map(&cluster.map)?;
    let (owner, gateway) = (&cluster.nodes[0], &cluster.nodes[NODES - 1]);
    let gateway_index = NodeIndex::new(u32::try_from(NODES - 1)?);
    let foreign = |path: &str| !locate(&map, ObjectKey::of(&path.as_bytes()[1..])).contains(&gateway_index);

    let proxying = gateway.extra_responder("proxy", Deliver { remote: "proxy", ..SHIPPED })?;
    let proxy_address = free_address(NODES - 1)?;
    let server = Server::shipped(&proxy_address, &gateway.root, Asks::WhatIsMissing)?;
    let _nginx = nginx::start("proxy", &folder, Some(&proxying.socket), &[server])?;

    for (size, size_name) in SIZES {
        let objects = Objects::new(&folder, size, foreign)?;
        check::store(&owner.address, &objects)?;
        for path in objects.samples() {
            if gateway.root.join(&path[1..]).exists() || !owner.root.join(&path[1..]).exists() {
                return Err(format!("{path} is not where the map has it").into());
            }
        }
        let side = |address: &str| -> Result<_> {
            check::compare(address, &objects)?;
            let (address, list) = (address.to_owned(), objects.list.clone());
            Ok(move || {
                let load = Load { address: &address, seconds: plan.seconds, connections: GETTING };
                Ok(load.get(&tools.get_script, &list, size)?.rate)
            })
        };
        let ours = vec![
            Side::new(format!("gateway, redirect in nginx, {size_name}"), side(&gateway.address)?),
            Side::new(format!("gateway, remote = proxy, {size_name}"), side(&proxy_address)?),
        ];
        let reference = Side::new("an owner, static-first", side(&owner.address)?);
        contest("e", plan, ours, vec![reference])?;
    }
    Ok(())
}
