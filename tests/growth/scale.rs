//! How the cost of a change grows with the number of files: the slopes of the formula in the README.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Cluster, Front, Options, lay_down, not_due};
use crate::{Step, change, wait_until_settled};

/// Bytes of each file: few, so that what is said about files stands out.
const BYTES: usize = 100;
/// Numbers of files, unless the environment names others.
const SIZES: &str = "20000 40000 80000 160000";

/// A fourth node joins three that hold everything.
const FOURTH: Step = Step {
    what: "a fourth node",
    groups: &[("first", 1.0, &[(0, ""), (1, ""), (2, "")]), ("second", 1.0, &[(3, "")])],
    starts: &[3],
    empty: &[],
    nodes: &[0, 1, 2, 3],
};

/// How many files the next cluster begins with.
static FILES: AtomicU64 = AtomicU64::new(0);

/// What one change has cost.
struct Cost {
    seconds: f64,
    /// Bytes that all nodes have written, to each other and to their disks.
    written: u64,
    /// The most memory that a node has needed.
    memory: u64,
}

#[test]
#[ignore = "minutes; for a quiet machine: make growth"]
fn the_cost_of_a_change_grows_with_the_number_of_files_that_move() {
    let mut last: Option<(u64, Cost)> = None;
    let sizes = std::env::var("WEBDFS_GROWTH_FILES").unwrap_or(SIZES.into());
    for files in sizes.split(' ').map(|size| size.parse().expect("a number of files")) {
        let cost = grow(files);
        println!(
            "{files:>6} files: {:>6.1} s, {:>6.1} MB written by all nodes, {:>5.1} MiB in the largest",
            cost.seconds,
            cost.written as f64 / 1e6,
            cost.memory as f64 / f64::from(1 << 20)
        );
        if let Some((fewer, before)) = &last {
            let more = (files - fewer) as f64;
            println!(
                "  each file more: {:>6.1} µs, {:>6.0} bytes, {:>5.0} bytes of memory",
                (cost.seconds - before.seconds) / more * 1e6,
                (cost.written as f64 - before.written as f64) / more,
                (cost.memory as f64 - before.memory as f64) / more
            );
        }
        last = Some((files, cost));
    }
}

fn grow(files: u64) -> Cost {
    FILES.store(files, Ordering::Relaxed);
    let prepare = |cluster: &Cluster| {
        (0..4).for_each(|node| {
            cluster.set_environment(node, vec![("RUST_LOG".to_owned(), "info".to_owned())]);
        });
        std::thread::scope(|scope| {
            for node in 0..3 {
                scope.spawn(move || {
                    not_due(&cluster.root(node));
                    for number in 0..FILES.load(Ordering::Relaxed) {
                        let name = format!("album/{:03}/picture-{number:07}.jpg", number % 211);
                        lay_down(&cluster.root(node), &name, &[number as u8; BYTES]);
                    }
                });
            }
        });
    };
    let options = Options {
        nodes: 4,
        members: Some(3),
        absent: &[3],
        durability: "sync",
        prepare,
        ..Options::default()
    };
    let cluster = Cluster::start(Front::Embedded, options);
    let next = crate::map(&cluster, 2, (3, 2), FOURTH.groups);
    crate::start(&cluster, &FOURTH, &next);
    let written = |cluster: &Cluster| (0..4).map(|node| written(cluster, node)).sum::<u64>();
    let (before, begun) = (written(&cluster), Instant::now());
    change(&cluster);
    wait_until_settled(&cluster, &FOURTH, 2, Duration::from_millis(20));
    let memory = |node| cluster.with_webdfs(node, |webdfs| webdfs.peak_memory()).expect("it runs");
    Cost {
        seconds: begun.elapsed().as_secs_f64(),
        written: written(&cluster) - before,
        memory: (0..4).map(memory).max().expect("four nodes"),
    }
}

/// Bytes that a node has written so far, to whatever.
fn written(cluster: &Cluster, node: usize) -> u64 {
    let process = cluster.with_webdfs(node, |webdfs| webdfs.id());
    let text = fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}
