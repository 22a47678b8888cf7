//! (i) What a full pass costs if nothing is wrong: time, and what goes over the network.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::EVERYWHERE;
use super::source::{Sender, Source};
use crate::Result;
use crate::build::Tools;
use crate::cluster::Cluster;
use crate::contest::{Plan, print_quantity};
use crate::processes::run;

/// The size of the objects, in bytes.
const SIZE: usize = 4 << 10;
/// How many every one of three nodes has.
const COUNT: usize = 100_000;
const TIME_LIMIT: Duration = Duration::from_secs(10);
const TRAFFIC_LIMIT: u64 = 5 << 20;
/// The network device through which nodes on one machine talk, and the bytes it has sent, headers and all: also those of
/// anything else that uses it meanwhile.
const SENT: &str = "/sys/class/net/lo/statistics/tx_bytes";

pub fn row(_plan: &Plan, scratch: &Path, _tools: &Tools) -> Result<()> {
    let folder = scratch.join("i");
    let mut cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    cluster.wait_until_complete()?;
    let source = Source::write(&folder.join("source"), COUNT, SIZE)?;
    let sender = Sender::new(&cluster)?;
    for node in ["n0", "n1", "n2"] {
        sender.send(&source, node)?;
    }
    run(&mut Command::new("sync"))?;
    let sent = || -> Result<u64> { Ok(fs::read_to_string(SENT)?.trim().parse()?) };
    let (sent_before, begun) = (sent()?, Instant::now());
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let said = run(command.args(["reconcile", "--once", "--config"]).arg(cluster.nodes[0].config()))?;
    let (time, traffic) = (begun.elapsed(), sent()? - sent_before);
    let text = format!("{:.1} s", time.as_secs_f64());
    let what = "a pass of 100,000 objects, all equal";
    print_quantity("i", what, &text, "10 s", time <= TIME_LIMIT);
    let text = format!("{:.2} MiB", traffic as f64 / f64::from(1 << 20));
    print_quantity("i", "the same, over the network", &text, "5 MiB", traffic <= TRAFFIC_LIMIT);
    let counted = format!("{COUNT}");
    let digits: String = said.chars().filter(|c| *c != ',').collect();
    // The object by which the cluster was tried is one more.
    if !digits.contains(&counted) && !digits.contains(&(COUNT + 1).to_string()) {
        return Err(format!("that was no pass over {COUNT} objects: {said}").into());
    }
    Ok(())
}
