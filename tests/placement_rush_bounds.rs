//! RUSH_P and RUSH_T where their arithmetic could give way: the most sub-clusters of a map, roots that come and go,
//! weights as far apart as they may be, sub-clusters drained and back, most nodes out; and whether the replicas of an
//! object fall on sub-clusters independently of each other. Everything is measured over fixed keys.

mod placement_support;

use std::collections::BTreeSet;

use placement_support::{Layout, image_keys, naive, owners};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use webdfs::cluster::{ClusterMap, NODES_MAX, PlacementSpec, WEIGHT_MAX, WEIGHT_MIN};

const BOTH: [PlacementSpec; 2] = [PlacementSpec::RushP, PlacementSpec::RushT];

fn sub_cluster(map: &ClusterMap, node: usize) -> usize {
    map.nodes()[node].subcluster()
}

#[test]
fn as_many_sub_clusters_as_there_can_be_nodes_are_placed_as_the_naive_version_does() {
    let all = vec![(1, 1.0); NODES_MAX];
    let mut newest_only = vec![(1, 0.0); NODES_MAX];
    newest_only[NODES_MAX - 17..].fill((1, 1.0));
    // Each a multiple of a quarter, so that no sum is rounded.
    let unequal: Vec<_> = (0..NODES_MAX).map(|j| (1, (j * 7 % 13) as f64 / 4.0)).collect();
    for placement in &BOTH {
        for groups in [&all, &newest_only, &unequal] {
            let layout = Layout::new(groups, 1).placed_by(placement);
            let map = layout.map();
            for key in image_keys(12).chain([0, u32::MAX]) {
                assert_eq!(owners(&map, key), naive::owners(&layout, key), "{placement:?}: key {key}");
            }
            let eighth = |node: usize| node * 8 / NODES_MAX;
            let parts: BTreeSet<_> = image_keys(2_000).map(|key| eighth(owners(&map, key)[0])).collect();
            assert_eq!(parts.len(), if groups == &newest_only { 1 } else { 8 }, "{placement:?}");
        }
    }
}

/// Growing across these counts puts a root over all there was, which stays as it is.
#[test]
fn a_new_root_of_the_tree_moves_replicas_onto_the_new_sub_cluster_only() {
    const KEYS: usize = 20_000;
    for count in [1, 15, 16, 256, 4_096] {
        let layout = Layout::equal(count, 3, 3).placed_by(&PlacementSpec::RushT);
        let (before, after) = (layout.map(), layout.with_group(3, 1.0).map());
        let mut moved = 0;
        for key in image_keys(KEYS) {
            for (old, new) in owners(&before, key).into_iter().zip(owners(&after, key)) {
                assert!(old == new || sub_cluster(&after, new) == count, "key {key}: {old} became {new}");
                moved += usize::from(old != new);
            }
        }
        let expected = (KEYS * 3) as f64 / (count + 1) as f64;
        // Five standard deviations.
        assert!((moved as f64 - expected).abs() < 5.0 * expected.sqrt(), "{count}: {moved} of {expected}");
    }
}

#[test]
fn the_lightest_and_the_heaviest_sub_cluster_there_can_be_are_placed_beside_each_other() {
    let heavy = (NODES_MAX as u32 - 16, WEIGHT_MAX);
    for placement in &BOTH {
        for groups in [[(16, WEIGHT_MIN), heavy], [heavy, (16, WEIGHT_MIN)]] {
            let layout = Layout::new(&groups, 16).placed_by(placement);
            let map = layout.map();
            let heavy_one = groups.iter().position(|group| *group == heavy).expect("one of the two");
            for key in image_keys(50) {
                let owners = owners(&map, key);
                assert_eq!(owners, naive::owners(&layout, key), "{placement:?}: key {key}");
                // The share of the other is less than one key of all there are.
                assert!(owners.iter().all(|node| sub_cluster(&map, *node) == heavy_one), "{owners:?}");
            }
        }
    }
}

/// Pearson's statistic of counts of equally many cells, divided by what it is on average where only chance is at work.
fn chi_squared(counts: &[usize], shares: &[f64]) -> f64 {
    let total = counts.iter().sum::<usize>() as f64;
    let cell = |(count, share): (&usize, &f64)| (*count as f64 - total * share).powi(2) / (total * share);
    counts.iter().zip(shares).map(cell).sum::<f64>() / (counts.len() - 1) as f64
}

/// How the sub-clusters of the replicas of these ranks meet, against independent draws by weight.
fn dependence(homes: &[Vec<usize>], ranks: &[usize], shares: &[f64]) -> f64 {
    let mut cells = vec![1.0];
    for _ in ranks {
        cells = cells.iter().flat_map(|cell| shares.iter().map(move |share| cell * share)).collect();
    }
    let mut counts = vec![0; cells.len()];
    for home in homes {
        counts[ranks.iter().fold(0, |cell, rank| cell * shares.len() + home[*rank])] += 1;
    }
    chi_squared(&counts, &cells)
}

#[test]
fn pairs_and_triples_of_replicas_fall_on_sub_clusters_as_independent_draws_do() {
    let layouts = [
        (Layout::new(&[(16, 1.0), (20, 2.0), (16, 0.5), (18, 1.5)], 16), 30_000),
        (Layout::new(&[(16, 9.0), (16, 1.0)], 16), 30_000),
        (Layout::new(&[(3, 1.0), (6, 0.5), (3, 2.0)].repeat(7), 3), 200_000),
    ];
    for placement in &BOTH {
        for (layout, keys) in &layouts {
            let layout = layout.clone().placed_by(placement);
            let map = layout.map();
            let weights: Vec<f64> = layout.groups.iter().map(|group| f64::from(group.0) * group.1).collect();
            let shares: Vec<f64> =
                weights.iter().map(|weight| weight / weights.iter().sum::<f64>()).collect();
            let home = |key| owners(&map, key).iter().map(|node| sub_cluster(&map, *node)).collect();
            let homes: Vec<Vec<usize>> = image_keys(*keys).map(home).collect();
            let (mut alone, mut pairs, mut triples) = (Vec::new(), Vec::new(), Vec::new());
            for first in 0..layout.replicas {
                alone.push(dependence(&homes, &[first], &shares));
                for second in first + 1..layout.replicas {
                    pairs.push(dependence(&homes, &[first, second], &shares));
                    // Of many replicas, some triples.
                    for third in (second + 1..layout.replicas).step_by(3) {
                        triples.push(dependence(&homes, &[first, second, third], &shares));
                    }
                }
            }
            let mean = |figures: &[f64]| figures.iter().sum::<f64>() / figures.len() as f64;
            let means = [alone, pairs, triples].map(|figures| mean(&figures));
            println!("{placement:?}, {} replicas: against chance {means:.3?}", layout.replicas);
            assert!(means[0] < 2.0 && means[1] < 1.3 && means[2] < 1.15, "{placement:?}: {means:?}");
        }
    }
}

fn any_groups(count: usize) -> impl Strategy<Value = Vec<(u32, f64)>> {
    let weight = prop_oneof![
        4 => Just(1.0),
        2 => Just(0.0),
        1 => Just(WEIGHT_MIN),
        1 => Just(WEIGHT_MAX),
        2 => 0.1..10.0f64,
    ];
    prop::collection::vec((3..8u32, weight), 2..=count)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    /// Wherever it is: the first, the last or between. As many as here are below one node of the tree.
    #[test]
    fn a_sub_cluster_that_is_drained_and_back_exchanges_replicas_with_the_others_only_itself(
        groups in any_groups(16),
        which in any::<prop::sample::Index>(),
        weight in prop_oneof![Just(1.0), Just(0.0), 0.001..1000.0f64],
        keys in prop::collection::vec(any::<u32>(), 50),
    ) {
        let which = which.index(groups.len());
        let layout = Layout::new(&groups, 3).placed_by(&PlacementSpec::RushT);
        let mut changed = layout.clone();
        changed.groups[which].1 = weight;
        let (Ok(before), Ok(after)) = (layout.try_map(), changed.try_map()) else { return Ok(()) };
        let gains = weight > groups[which].1;
        for key in keys {
            for (old, new) in owners(&before, key).into_iter().zip(owners(&after, key)) {
                let home = sub_cluster(&before, if gains { new } else { old });
                prop_assert!(old == new || home == which, "key {}: {} became {}", key, old, new);
            }
        }
    }

    #[test]
    fn marking_a_node_out_moves_its_objects_only(
        groups in any_groups(30),
        placement in prop::sample::select(&BOTH[..]),
        out_each in 2..6usize,
        node in any::<prop::sample::Index>(),
        keys in prop::collection::vec(any::<u32>(), 40),
    ) {
        let layout = Layout::new(&groups, 3).placed_by(&placement);
        let node = node.index(layout.servers());
        let mut out: Vec<_> = (0..layout.servers()).filter(|n| n % out_each != 0 && *n != node).collect();
        let before = layout.clone().with_out(&out);
        out.push(node);
        let (Ok(before), Ok(after)) = (before.try_map(), layout.with_out(&out).try_map()) else {
            return Ok(());
        };
        for key in keys {
            let (old, new) = (owners(&before, key), owners(&after, key));
            let lost: Vec<_> = old.iter().copied().filter(|node| !new.contains(node)).collect();
            let expected: &[usize] = if old.contains(&node) { &[node] } else { &[] };
            prop_assert_eq!(lost, expected, "key {}: {:?} became {:?}", key, old, new);
        }
    }
}
