//! Many keys at once: how many a second on one core, and on all.

use std::time::Instant;

use rayon::prelude::*;
use webdfs::cluster::{ClusterMap, PlacementKind};
use webdfs::placement::{ObjectKey, fold_batch, locate_batch};

use crate::maps::map;
use crate::ratio::{Ratio, median};

const NODES: usize = 1_000;
const KEYS: u32 = 1 << 20;
const ROUNDS: usize = 7;

/// Measures and prints both forms of batch.
pub fn print() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "\nMillions of keys a second in batches of {KEYS}, rush_r on {NODES} nodes; {ROUNDS} rounds in turn\n\n\
         {:<14} {:>8} {:>10} {:>6}",
        "",
        "1 core",
        format!("{cores} cores"),
        "ratio"
    );
    let map = map(PlacementKind::RushR, NODES, 0);
    let keys: Vec<_> = (0..KEYS).map(|i| ObjectKey::from_number(i.wrapping_mul(0x9e37_79b9))).collect();
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let (one, all) = (pool(1), pool(cores));
    for (name, batch) in [("locate_batch", all_answers as Batch), ("fold_batch", a_sum)] {
        let rate = |pool: &rayon::ThreadPool| {
            let start = Instant::now();
            pool.install(|| batch(&map, &keys));
            f64::from(KEYS) / start.elapsed().as_secs_f64() / 1e6
        };
        let (mut on_one, mut on_all) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            on_one.push(rate(&one));
            on_all.push(rate(&all));
        }
        let ratio = Ratio::of(&on_all, &on_one);
        let (on_one, on_all) = (median(&on_one), median(&on_all));
        println!("{name:<14} {on_one:>8.2} {on_all:>10.2} {:>6.2} {}", ratio.median, ratio.range());
    }
}

type Batch = fn(&ClusterMap, &[ObjectKey]);

fn all_answers(map: &ClusterMap, keys: &[ObjectKey]) {
    std::hint::black_box(locate_batch(map, keys));
}

fn a_sum(map: &ClusterMap, keys: &[ObjectKey]) {
    let sum = fold_batch(
        map,
        keys.par_iter().copied(),
        || 0,
        |sum, _, owners| *sum += owners[0].get(),
        |one, other| one + other,
    );
    std::hint::black_box(sum);
}
