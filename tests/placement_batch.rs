//! Lookups of many keys at once: the answers are those of single lookups, however many threads share the work.

mod placement_support;

use std::collections::HashSet;
use std::sync::{Condvar, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use placement_support::{Layout, image_keys, owners};
use rayon::prelude::*;
use webdfs::cluster::ClusterMap;
use webdfs::placement::{ObjectKey, Replicas, fold_batch, locate, locate_batch};

/// More than any thread takes at a time, and no round number.
const KEYS: usize = 40_013;

fn map() -> ClusterMap {
    Layout::new(&[(3, 1.0), (10, 2.5), (4, 0.0), (7, 0.5)], 3).with_out(&[5]).map()
}

fn keys() -> Vec<ObjectKey> {
    image_keys(KEYS).map(ObjectKey::from_number).collect()
}

fn with_threads<T: Send>(count: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap().install(run)
}

#[test]
fn a_batch_answers_as_single_lookups_do_and_in_their_order() {
    let (map, keys) = (map(), keys());
    let single: Vec<_> = keys.iter().map(|key| locate(&map, *key)).collect();
    for threads in [1, 2, 5] {
        let batch = with_threads(threads, || locate_batch(&map, &keys));
        assert!(batch == single, "{threads} threads");
    }
}

#[test]
fn batches_of_no_key_and_of_one_are_answered() {
    let (map, keys) = (map(), keys());
    assert_eq!(locate_batch(&map, &[]), []);
    assert_eq!(locate_batch(&map, &keys[..1]), [locate(&map, keys[0])]);
    let none = fold_batch(&map, Vec::new(), || 0, |count, _, _| *count += 1, |a, b| a + b);
    assert_eq!(none, 0);
}

#[test]
fn a_fold_sees_every_key_once_with_its_owners_in_order_within_a_state() {
    let (map, keys) = (map(), keys());
    let expected: Vec<_> = keys.iter().map(|key| (*key, owners(&map, key.number()))).collect();
    for threads in [1, 2, 5] {
        let fold = || {
            fold_batch(
                &map,
                keys.clone(),
                Vec::new,
                |seen, key, owners| seen.push((key, owners.iter().map(|owner| owner.get()).collect())),
                |mut earlier: Vec<(ObjectKey, Vec<usize>)>, later| {
                    earlier.extend(later);
                    earlier
                },
            )
        };
        assert!(with_threads(threads, fold) == expected, "{threads} threads");
    }
}

#[test]
fn keys_may_be_made_where_they_are_looked_up() {
    let map = map();
    let key = |number: u32| ObjectKey::from_number(number.wrapping_mul(0x9e37_79b9));
    let mut expected = vec![0u64; map.nodes().len()];
    for number in 0..KEYS as u32 {
        locate(&map, key(number)).iter().for_each(|owner| expected[owner.get()] += 1);
    }
    let loads = fold_batch(
        &map,
        (0..KEYS as u32).into_par_iter().map(key),
        || vec![0u64; map.nodes().len()],
        |loads, _, owners| owners.iter().for_each(|owner| loads[owner.get()] += 1),
        |mut loads, others| {
            loads.iter_mut().zip(others).for_each(|(load, other)| *load += other);
            loads
        },
    );
    assert_eq!(loads, expected);
    assert_eq!(loads.iter().sum::<u64>(), 3 * KEYS as u64);
}

#[test]
fn every_thread_takes_a_share() {
    const THREADS: usize = 3;
    let (map, keys) = (map(), keys());
    let seen: Mutex<HashSet<ThreadId>> = Mutex::default();
    let changed = Condvar::new();
    // Whoever has a key waits until all threads have had one. Were there fewer at work, that would be in vain.
    let meet = || {
        let mut seen = seen.lock().unwrap();
        seen.insert(std::thread::current().id());
        changed.notify_all();
        let limit = Duration::from_secs(60);
        let (seen, _) = changed.wait_timeout_while(seen, limit, |seen| seen.len() < THREADS).unwrap();
        assert_eq!(seen.len(), THREADS, "threads that had a key");
    };
    let step = |count: &mut usize, _, _: &Replicas| {
        meet();
        *count += 1;
    };
    let fold = || fold_batch(&map, keys, || 0, step, |one, other| one + other);
    assert_eq!(with_threads(THREADS, fold), KEYS);
}

#[test]
fn a_panic_on_one_thread_reaches_the_caller() {
    let (map, keys) = (map(), keys());
    let last = keys[KEYS - 1];
    let step = |_: &mut (), key, _: &Replicas| assert!(key != last, "the last key");
    let fold = || fold_batch(&map, keys.clone(), || (), step, |(), ()| ());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| with_threads(3, fold)));
    let message = caught.expect_err("the panic of a step is not lost");
    assert_eq!(message.downcast_ref(), Some(&"the last key"));
    // The pool that all share is none the worse for it.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fold));
    assert!(caught.is_err());
    assert_eq!(locate_batch(&map, &keys).len(), KEYS);
}
