//! (s) Many clients ask one responder, as fast as they can, for one key that nobody has: what the owners hear of it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::GETTING;
use crate::Result;
use crate::build::Tools;
use crate::check::{Connection, expect};
use crate::cluster::{Cluster, Deliver, NODES, Peers, SHIPPED, Spec, free_address};
use crate::contest::{Plan, print_quantity};
use crate::servers::Asks;
use crate::servers::nginx::{self, Server};

use webdfs::config::load_map;
use webdfs::placement::{ObjectKey, locate};

/// Two copies on three nodes: the third is asked, and owns none.
const TWO_COPIES: Spec = Spec { replicas: 2, durability: "none", peers: Peers::CountingNginx, user: None };
/// The limit is a number of requests in each of these.
const WINDOW: Duration = Duration::from_millis(100);
/// What one node asks another for a copy.
const QUESTION: &str = "/_webdfs/v1/object/";

pub fn row(plan: &Plan, scratch: &Path, _tools: &Tools) -> Result<()> {
    let folder = scratch.join("s");
    let cluster = Cluster::start(&folder, "cluster", TWO_COPIES)?;
    let map = load_map(&cluster.map)?;
    let asked = &cluster.nodes[NODES - 1];
    let missing = (0..).map(|number| format!("/storm/{number}.jpg")).find(|path| {
        let owners = locate(&map, ObjectKey::of(&path.as_bytes()[1..]));
        !owners.iter().any(|owner| map.node(*owner).name().to_string() == format!("n{}", NODES - 1))
    });
    let missing = missing.ok_or("every key is on every node")?;
    let responder = asked.extra_responder("storm", Deliver { remote: "proxy", ..SHIPPED })?;
    let address = free_address(NODES - 1)?;
    let server = Server::shipped(&address, &asked.root, Asks::WhatIsMissing)?;
    let _nginx = nginx::start("storm", &folder, Some(&responder.socket), &[server])?;

    let heard = || -> Result<usize> {
        let question = format!("{QUESTION}{}", missing.trim_start_matches('/'));
        cluster.nodes.iter().map(|node| node.requests(&question)).sum()
    };
    let (before, begun) = (heard()?, Instant::now());
    let requests = storm(&address, &missing, begun + Duration::from_secs(plan.seconds))?;
    let windows = begun.elapsed().as_secs_f64() / WINDOW.as_secs_f64();
    let heard = heard()? - before;
    if heard == 0 {
        return Err("the owners' logs show no request at all".into());
    }
    // A look-up begins no sooner than this time after the last one; the first may begin at once.
    let replicas = map.replicas();
    let most = replicas as f64 * (windows.floor() + 1.0);
    let text = format!(
        "{:.2} peer requests per 100 ms ({heard} for {requests} requests in {:.1} s)",
        heard as f64 / windows,
        windows * WINDOW.as_secs_f64()
    );
    let what = format!("one missing key, {GETTING} clients");
    print_quantity("s", &what, &text, &format!("R = {replicas}"), heard as f64 <= most);
    Ok(())
}

/// How many requests were answered, each with 404.
fn storm(address: &str, path: &str, end: Instant) -> Result<usize> {
    let ask_until_the_end = || -> Result<usize> {
        let mut connection = Connection::open(address)?;
        let mut count = 0;
        while Instant::now() < end {
            expect(connection.ask("GET", path, b"")?.0, 404, address, path)?;
            count += 1;
        }
        Ok(count)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..GETTING).map(|_| scope.spawn(ask_until_the_end)).collect();
        clients.into_iter().map(|client| client.join().expect("asking does not panic")).sum()
    })
}
