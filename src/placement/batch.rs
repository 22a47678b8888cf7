//! Looking up many keys on all cores: simulations, plans and repairs go over every object there is.
//!
//! Nothing here says where anything lies: each answer is that of [`locate`]. Threads are rayon's, so that a caller
//! that wants fewer runs it in a pool of its own.

use rayon::prelude::*;

use super::{ObjectKey, Replicas, locate};
use crate::cluster::ClusterMap;

/// How many keys one thread looks up at a time, at least: enough that handing them out costs nothing beside it.
const SHARE_LEAST: usize = 1_024;

/// The owners of each key, in the order of the keys.
///
/// All answers at once take about 70 bytes a key; [`fold_batch`] keeps none.
pub fn locate_batch(map: &ClusterMap, keys: &[ObjectKey]) -> Vec<Replicas> {
    keys.par_iter().with_min_len(SHARE_LEAST).map(|key| locate(map, *key)).collect()
}

/// Looks up every key and keeps only what the caller makes of the answers, in one state or more for each thread:
/// `start` makes one, `step` adds a key and its owners, `join` brings two together, the one of earlier keys first.
///
/// `keys` need not lie in memory: `(0..n).into_par_iter().map(...)` makes them where they are looked up. How the keys
/// are shared out differs from run to run, so only a `join` that does not depend on it, such as a sum, gives the same
/// result each time.
pub fn fold_batch<State: Send>(
    map: &ClusterMap,
    keys: impl IntoParallelIterator<Iter: IndexedParallelIterator, Item = ObjectKey>,
    start: impl Fn() -> State + Send + Sync,
    step: impl Fn(&mut State, ObjectKey, &Replicas) + Send + Sync,
    join: impl Fn(State, State) -> State + Send + Sync,
) -> State {
    let add = |mut state: State, key| {
        step(&mut state, key, &locate(map, key));
        state
    };
    keys.into_par_iter().with_min_len(SHARE_LEAST).fold(&start, add).reduce(&start, &join)
}
