//! How many lookups this machine makes in a second.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cluster::ClusterMap;
use crate::placement::{ObjectKey, locate};
use crate::sim::Objects;

/// Keys that are gone through again and again: enough that the processor cannot learn them by heart.
const KEYS: u64 = 1 << 14;

/// Lookups between two looks at the clock.
const BLOCK: usize = 64;

/// How long one round takes, and how many are made: the fastest counts, since all else only ever slows down.
const ROUND: Duration = Duration::from_millis(40);
const ROUNDS: usize = 3;

/// Lookups per second. Names are hashed beforehand and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Speed {
    /// By one thread.
    pub(super) one_core: f64,
    /// By one thread on each core, together.
    pub(super) all_cores: f64,
    /// How many cores these are.
    pub(super) cores: usize,
}

impl Speed {
    pub(super) fn measure(map: &ClusterMap) -> Self {
        let keys = keys();
        let all = || {
            let start = Instant::now();
            let lookups: u64 = rayon::broadcast(|_| round(map, &keys).0).into_iter().sum();
            lookups as f64 / start.elapsed().as_secs_f64()
        };
        let all_cores = (0..ROUNDS).map(|_| all()).fold(0.0, f64::max);
        Self { one_core: one_core(map, &keys), all_cores, cores: rayon::current_num_threads() }
    }
}

/// Nanoseconds of one lookup on one core.
pub(super) fn nanoseconds(map: &ClusterMap) -> f64 {
    1e9 / one_core(map, &keys())
}

fn keys() -> Vec<ObjectKey> {
    let (objects, mut name) = (Objects { count: KEYS, seed: 0 }, String::new());
    (0..KEYS).map(|number| objects.key(number, &mut name)).collect()
}

fn one_core(map: &ClusterMap, keys: &[ObjectKey]) -> f64 {
    let per_second = |(lookups, time): (u64, Duration)| lookups as f64 / time.as_secs_f64();
    (0..ROUNDS).map(|_| per_second(round(map, keys))).fold(0.0, f64::max)
}

/// Lookups made in a round, and how long it really took.
fn round(map: &ClusterMap, keys: &[ObjectKey]) -> (u64, Duration) {
    let start = Instant::now();
    let mut lookups = 0;
    for block in keys.chunks(BLOCK).cycle() {
        for key in block {
            black_box(&locate(map, black_box(*key)));
        }
        lookups += block.len() as u64;
        if start.elapsed() >= ROUND {
            break;
        }
    }
    (lookups, start.elapsed())
}
