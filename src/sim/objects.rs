//! The made-up objects, and going through all of them on all cores.

use std::fmt::Write;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::placement::ObjectKey;

/// The most objects of a simulation. Keys have 32 bits; far beyond this, most objects would share theirs with others
/// and nothing more would be learned.
pub const OBJECTS_MAX: u64 = 1_000_000_000;

/// Parts of the objects for each thread: more than one, so that a slow core does not hold up the others; few,
/// because each part has counters of its own for all nodes.
const PARTS_PER_THREAD: u64 = 4;

/// After how many objects progress is told.
const STRIDE: u64 = 8_192;

/// Made-up image names: the same ones for the same values, on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects {
    /// How many: from 1 to [`OBJECTS_MAX`].
    pub count: u64,
    /// Which ones: another number gives other names.
    pub seed: u64,
}

/// Who wants to know how far a simulation is.
pub trait Progress: Sync {
    /// So many objects more were gone through.
    fn advance(&self, objects: u64);
}

/// Nobody does.
impl Progress for () {
    fn advance(&self, _objects: u64) {}
}

impl Objects {
    /// The key of object `number`. `name` is room for its name.
    pub fn key(&self, number: u64, name: &mut String) -> ObjectKey {
        name.clear();
        write!(name, "photos/{}/{number}.jpg", self.seed).expect("a string takes everything");
        ObjectKey::of(name.as_bytes())
    }

    /// Goes through all objects: `count` adds one to what `start` made, `join` adds two results up. It must not
    /// matter in which order they are added.
    pub(super) fn fold<T: Send>(
        &self,
        progress: &impl Progress,
        start: impl Fn() -> T + Sync,
        count: impl Fn(&mut T, ObjectKey) + Sync,
        join: impl Fn(T, T) -> T + Sync + Send,
    ) -> T {
        let parts = rayon::current_num_threads() as u64 * PARTS_PER_THREAD;
        let bound = |part: u64| (u128::from(self.count) * u128::from(part) / u128::from(parts)) as u64;
        (0..parts)
            .into_par_iter()
            .map(|part| {
                let (mut sum, mut name) = (start(), String::new());
                let (mut number, end) = (bound(part), bound(part + 1));
                while number < end {
                    let stop = end.min(number + STRIDE);
                    (number..stop).for_each(|number| count(&mut sum, self.key(number, &mut name)));
                    progress.advance(stop - number);
                    number = stop;
                }
                sum
            })
            .reduce_with(join)
            .expect("there is at least one part")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn keys(objects: Objects) -> Vec<ObjectKey> {
        let join = |mut all: Vec<_>, more: Vec<_>| {
            all.extend(more);
            all
        };
        let mut keys = objects.fold(&(), Vec::new, |keys, key| keys.push(key), join);
        keys.sort_unstable();
        keys
    }

    #[test]
    fn each_object_is_counted_once_with_any_number_of_threads() {
        for count in [1, 2, 7, 20_001] {
            let objects = Objects { count, seed: 3 };
            let mut name = String::new();
            let mut expected: Vec<_> = (0..count).map(|number| objects.key(number, &mut name)).collect();
            expected.sort_unstable();
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert_eq!(pool.install(|| keys(objects)), expected);
            }
        }
    }

    #[test]
    fn another_seed_makes_other_names() {
        let [first, second] = [1, 2].map(|seed| keys(Objects { count: 1_000, seed }));
        let first: BTreeSet<_> = first.into_iter().collect();
        assert_eq!(first.len(), 1_000, "names so alike have different checksums");
        assert!(second.iter().all(|key| !first.contains(key)));
    }

    #[test]
    fn progress_reaches_the_end() {
        struct Counter(AtomicU64);
        impl Progress for Counter {
            fn advance(&self, objects: u64) {
                self.0.fetch_add(objects, Ordering::Relaxed);
            }
        }
        let counter = Counter(AtomicU64::new(0));
        Objects { count: 30_000, seed: 0 }.fold(&counter, || (), |(), _| (), |(), ()| ());
        assert_eq!(counter.0.into_inner(), 30_000);
    }
}
