//! A cluster grows, shrinks and has nodes replaced under a steady load: what that costs, in figures. `make growth`.
//!
//! The clients, nginx, webdfs and the disk of all nodes share one machine here, so that the figures say less about any of them
//! than about each other: only ratios within one run are compared with limits.

#[path = "growth/adopted.rs"]
mod adopted;
mod common;
#[path = "growth/load.rs"]
mod load;
#[path = "growth/scale.rs"]
mod scale;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Cluster, Front, Group, Options, map, wait_until};
use load::{Load, still};

/// Files that nobody changes.
const FILES: u64 = 10_000;
/// How long the load runs before anything changes, and after.
const REST: Duration = Duration::from_secs(10);
/// Each change may take as long as this.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Of the disk's bytes per second, so many are for moving files.
const SHARE: f64 = 0.5;

/// A step: what is done, the sub-cluster lines of its map, and who should be empty afterwards.
struct Step {
    what: &'static str,
    groups: &'static [Group<'static>],
    starts: &'static [usize],
    empty: &'static [usize],
    /// The nodes of the map.
    nodes: &'static [usize],
}

const STEPS: [Step; 4] = [
    Step {
        what: "3 nodes become 6",
        groups: &[
            ("first", 1.0, &[(0, ""), (1, ""), (2, "")]),
            ("second", 1.0, &[(3, ""), (4, "")]),
            ("third", 1.0, &[(5, "")]),
        ],
        starts: &[3, 4, 5],
        empty: &[],
        nodes: &[0, 1, 2, 3, 4, 5],
    },
    Step {
        what: "a sub-cluster is drained",
        groups: &[
            ("first", 1.0, &[(0, ""), (1, ""), (2, "")]),
            ("second", 1.0, &[(3, ""), (4, "")]),
            ("third", 0.0, &[(5, "")]),
        ],
        starts: &[],
        empty: &[5],
        nodes: &[0, 1, 2, 3, 4, 5],
    },
    Step {
        what: "a node is set out",
        groups: &[
            ("first", 1.0, &[(0, ""), (1, ""), (2, "")]),
            ("second", 1.0, &[(3, ""), (4, "state = \"out\"")]),
            ("third", 0.0, &[(5, "")]),
        ],
        starts: &[],
        empty: &[4, 5],
        nodes: &[0, 1, 2, 3, 4, 5],
    },
    Step {
        what: "a node is replaced",
        groups: &[
            ("first", 1.0, &[(0, ""), (1, ""), (2, "")]),
            ("second", 1.0, &[(6, ""), (4, "state = \"out\"")]),
            ("third", 0.0, &[(5, "")]),
        ],
        starts: &[6],
        empty: &[3, 4, 5],
        nodes: &[0, 1, 2, 3, 4, 5, 6],
    },
];

#[test]
#[ignore = "minutes; for a quiet machine: make growth"]
fn a_site_under_load_grows_and_shrinks() {
    let quiet = |cluster: &Cluster| {
        let quiet = || vec![("RUST_LOG".to_owned(), "info".to_owned())];
        (0..7).for_each(|node| cluster.set_environment(node, quiet()));
    };
    let rate = disk_rate() * SHARE / 3.0;
    println!("the disk takes {:.0} MB/s; each node may move {:.0} MB/s", disk_rate() / 1e6, rate / 1e6);
    let agent: &'static str = format!("bytes_per_second = \"{}KiB\"\n", (rate / 1024.0) as u64).leak();
    let cluster = Cluster::start(
        Front::Nginx,
        Options {
            nodes: 7,
            members: Some(3),
            absent: &[3, 4, 5, 6],
            durability: "sync",
            agent,
            prepare: quiet,
            ..Options::default()
        },
    );
    fill(&cluster);
    let entries: Vec<SocketAddr> = (0..3).map(|node| cluster.address(node)).collect();
    let load = Load::default();
    load.while_running(&entries, FILES, || {
        std::thread::sleep(Duration::from_secs(2));
        let mut before = rate_over(&load, REST);
        println!("{:<26} {:>7.0} GET/s {:>6.0} PUT/s", "3 nodes", before.0, before.1);
        for (number, step) in STEPS.iter().enumerate() {
            before = take(&cluster, &load, step, number as u64 + 2, before);
        }
    });
    let counts = load.counts();
    println!(
        "{} GETs, {} failed; {} PUTs, {} failed",
        counts.gets, counts.failed_gets, counts.puts, counts.failed_puts
    );
    let stored = load.stored();
    let lost = stored.iter().filter(|(path, bytes)| {
        entries.iter().any(|entry| {
            let answer = common::Call::new("GET", path).send(*entry);
            answer.status != 200 || answer.body != *bytes
        })
    });
    let lost: Vec<_> = lost.map(|(path, _)| path.clone()).collect();
    println!("{} names written meanwhile, {} lost", stored.len(), lost.len());
    assert_eq!(counts.failed_gets, 0, "{:?}", load.told());
    assert_eq!(counts.failed_puts, 0, "{:?}", load.told());
    assert!(lost.is_empty(), "{lost:?}");
}

/// Makes one change, and tells what it cost. The throughput after it.
fn take(cluster: &Cluster, load: &Load, step: &Step, epoch: u64, before: (f64, f64)) -> (f64, f64) {
    let next = map(cluster, epoch, (3, 2), step.groups);
    start(cluster, step, &next);
    let planned = plan(cluster);
    let (counts, carried_before) = (load.counts(), carried(cluster, step.nodes));
    change(cluster);
    wait_until_settled(cluster, step, epoch, Duration::from_millis(50));
    let (during, took) = load.counts().since(counts);
    let seconds = took.as_secs_f64();
    let carried = carried(cluster, step.nodes);
    let (moved, in_vain) = (carried.0 - carried_before.0, carried.1 - carried_before.1);
    let after = rate_over(load, REST);
    let (gets, puts) = (during.gets as f64 / seconds, during.puts as f64 / seconds);
    // A map that has more of the files lie elsewhere costs something for ever, which is not the price of the change.
    let ratio = |now: f64, before: f64, after: f64| now / before.min(after);
    println!(
        "{:<26} {gets:>7.0} GET/s {puts:>6.0} PUT/s for {seconds:.1} s: {:.2} and {:.2} of what it was before or after, \
         whichever is less, limit 0.70; {moved} copies moved, {in_vain} of them in vain, {planned} planned: {:.3}, limit 1.03; \
         {} GETs and {} PUTs failed",
        step.what,
        ratio(gets, before.0, after.0),
        ratio(puts, before.1, after.1),
        moved as f64 / planned as f64,
        during.failed_gets,
        during.failed_puts,
    );
    println!("{:<26} {:>7.0} GET/s {:>6.0} PUT/s", "  afterwards", after.0, after.1);
    for node in step.empty {
        assert_eq!(objects(cluster, *node), 0, "{} is empty", cluster.name(*node));
    }
    after
}

/// Writes the next map down, and starts the nodes that are new in a step.
fn start(cluster: &Cluster, step: &Step, next: &str) {
    fs::write(cluster.config(0).with_file_name("next.toml"), next).unwrap();
    for node in step.starts {
        fs::write(cluster.config(0).parent().unwrap().join("../cluster.toml"), next).unwrap();
        cluster.add(*node);
    }
    wait_until("new nodes wait for their map", || {
        step.starts.iter().all(|node| cluster.log(*node).contains("is not in force yet"))
    });
}

/// Applies the next map.
fn change(cluster: &Cluster) {
    let file = cluster.config(0).with_file_name("next.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let applied =
        command.args(["map", "apply"]).arg(&file).arg("--config").arg(cluster.config(0)).output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

/// Looks so often whether a step has come to its end.
fn wait_until_settled(cluster: &Cluster, step: &Step, epoch: u64, every: Duration) {
    let begun = Instant::now();
    while !step.nodes.iter().all(|node| is_settled(cluster, *node, epoch)) {
        assert!(begun.elapsed() < PATIENCE, "{} is not settled", step.what);
        std::thread::sleep(every);
    }
}

/// GETs and PUTs in each second, over a while.
fn rate_over(load: &Load, time: Duration) -> (f64, f64) {
    let before = load.counts();
    std::thread::sleep(time);
    let (counts, took) = load.counts().since(before);
    (counts.gets as f64 / took.as_secs_f64(), counts.puts as f64 / took.as_secs_f64())
}

fn fill(cluster: &Cluster) {
    std::thread::scope(|scope| {
        for node in 0..3_u64 {
            scope.spawn(move || {
                for number in (node..FILES).step_by(3) {
                    let (path, bytes) = still(number);
                    cluster.put(node as usize, &path, bytes).expect(201);
                }
            });
        }
    });
}

/// Bytes per second that the disk takes of one file that is synced at the end.
fn disk_rate() -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut file = fs::File::create(folder.path().join("file")).unwrap();
    let (piece, begun) = (vec![7; 1 << 20], Instant::now());
    (0..256).for_each(|_| file.write_all(&piece).unwrap());
    file.sync_all().unwrap();
    256.0 * f64::from(1 << 20) / begun.elapsed().as_secs_f64()
}

/// Copies that the nodes have carried so far in the background, and those of them that were not needed any more.
fn carried(cluster: &Cluster, nodes: &[usize]) -> (u64, u64) {
    let of = |node: &usize| {
        let said = json(cluster, *node, &["status", "--json"]);
        let count = |what: &str| said["carried"][what].as_u64().unwrap();
        (count("sent") + count("fetched"), count("in_vain"))
    };
    nodes.iter().map(of).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

/// Copies that will move, as the nodes count them for the next map.
fn plan(cluster: &Cluster) -> u64 {
    let file = cluster.config(0).with_file_name("next.toml");
    let said = json(cluster, 0, &["map", "plan", file.to_str().unwrap(), "--json"]);
    said["moves"]["objects"].as_u64().unwrap()
}

fn json(cluster: &Cluster, node: usize, what: &[&str]) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let output = command.args(what).arg("--config").arg(cluster.config(node)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn is_settled(cluster: &Cluster, node: usize, epoch: u64) -> bool {
    let maps = webdfs::store::remembered_maps(&cluster.root(node)).unwrap();
    // A node that is in the map no more keeps the older ones.
    let is =
        |stem: u64| maps.iter().any(|file| file.file_stem().is_some_and(|name| *name == *stem.to_string()));
    is(epoch) && (!is(epoch - 1) || node == 3)
}

/// Objects in a root.
fn objects(cluster: &Cluster, node: usize) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    let entries = fs::read_dir(cluster.root(node)).unwrap().map(|entry| entry.unwrap().path());
    let entries = entries.filter(|path| path.file_name().is_none_or(|name| name != ".webdfs"));
    entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}
