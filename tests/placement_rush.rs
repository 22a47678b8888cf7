//! What RUSH_P and RUSH_T promise beyond the suite of all placements: that they are what their descriptions say, and
//! how evenly the objects of a node are held by others, measured over fixed keys.

mod placement_support;

use std::collections::BTreeSet;

use placement_support::{Layout, check_owners, image_keys, naive, owners, spread};
use proptest::prelude::*;
use webdfs::cluster::{ClusterMap, Place, PlacementSpec};
use webdfs::placement::{Event, ObjectKey, locate_traced};

const BOTH: [PlacementSpec; 2] = [PlacementSpec::RushP, PlacementSpec::RushT];

fn any_weight() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => Just(1.0),
        1 => Just(0.0),
        1 => Just(0.001),
        1 => Just(1_000_000.0),
        2 => 0.001..100.0f64,
    ]
}

/// Up to `groups` sub-clusters that can hold all replicas; those of weight 0 may be smaller.
fn any_layout(groups: usize) -> impl Strategy<Value = Layout> {
    let sizes = prop::collection::vec((0..16u32, any_weight()), 1..=groups);
    (1..=16usize, sizes, prop::sample::select(&BOTH[..]), 0..15u64, any::<u64>()).prop_filter_map(
        "enough nodes in service of weight above 0",
        |(replicas, groups, placement, out_share, seed)| {
            let size = |(extra, weight): (u32, f64)| {
                (if weight > 0.0 { replicas as u32 + extra } else { 1 + extra }, weight)
            };
            let groups: Vec<_> = groups.into_iter().map(size).collect();
            let layout = Layout::new(&groups, replicas).placed_by(&placement);
            // Chosen by hash, so that a smaller case keeps the choice; up to 14 of 16.
            let hash = |node: usize| (node as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
            let is_out = |node: &usize| hash(*node) < out_share;
            let out: Vec<usize> = (0..layout.servers()).filter(is_out).collect();
            let layout = layout.with_out(&out);
            layout.try_map().is_ok().then_some(layout)
        },
    )
}

fn check_against_naive(layout: &Layout, map: &ClusterMap, key: u32) -> Result<(), TestCaseError> {
    let found = check_owners(map, key)?;
    prop_assert_eq!(owners(map, key), naive::owners(layout, key));
    let mut events: Vec<Event> = Vec::new();
    prop_assert_eq!(locate_traced(map, ObjectKey::from_number(key), &mut events), found);
    prop_assert!(!events.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(placement_support::cases(100))]

    #[test]
    fn the_owners_are_distinct_usable_nodes_and_those_of_the_naive_version(
        layout in any_layout(40),
        keys in prop::collection::vec(any::<u32>(), 20),
    ) {
        let map = layout.map();
        for key in keys {
            check_against_naive(&layout, &map, key)?;
        }
    }

    #[test]
    fn rush_p_moves_replicas_onto_a_new_sub_cluster_only(
        layout in any_layout(20),
        weight in any_weight(),
        keys in prop::collection::vec(any::<u32>(), 50),
    ) {
        let layout = layout.placed_by(&PlacementSpec::RushP).with_out(&[]);
        let first_new = layout.servers();
        let (before, after) = (layout.map(), layout.clone().with_group(16, weight).map());
        for key in keys {
            for (old, new) in owners(&before, key).into_iter().zip(owners(&after, key)) {
                prop_assert!(old == new || new >= first_new, "key {key}: {old} became {new}");
            }
        }
    }
}

proptest! {
    #![proptest_config(placement_support::cases(4))]

    #[test]
    fn large_maps_are_placed_as_the_naive_version_does(
        groups in prop::collection::vec((3..17u32, any_weight()), 600..1_000),
        keys in prop::collection::vec(any::<u32>(), 5),
    ) {
        for placement in &BOTH {
            let layout = Layout::new(&groups, 3).placed_by(placement);
            let map = layout.map();
            for key in &keys {
                check_against_naive(&layout, &map, *key)?;
            }
        }
    }
}

#[test]
fn a_sub_cluster_smaller_than_the_replicas_is_refused_unless_it_weighs_nothing() {
    for placement in &BOTH {
        let small = Layout::new(&[(4, 1.0), (2, 0.0), (3, 1.0), (2, 1.0)], 3).placed_by(placement);
        let error = small.try_map().expect_err("the last is too small");
        assert_eq!(error.place(), Place::SubCluster(3));
        let expected = "sub-cluster s3 has 2 of the 3 nodes that rush_";
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(Layout::new(&[(4, 1.0), (2, 0.0), (3, 1.0)], 3).placed_by(placement).try_map().is_ok());
    }
}

#[test]
fn a_trace_ends_with_the_server_of_each_replica() {
    for placement in &BOTH {
        let map = Layout::equal(40, 5, 3).placed_by(placement).map();
        for key in image_keys(200) {
            let mut events: Vec<Event> = Vec::new();
            let found = locate_traced(&map, ObjectKey::from_number(key), &mut events);
            let picked: BTreeSet<_> = events
                .iter()
                .filter_map(
                    |event| if let Event::Pick { node, .. } = event { Some(node.get()) } else { None },
                )
                .collect();
            assert_eq!(picked, found.iter().map(|node| node.get()).collect());
            // Each choice of RUSH_T has one winner, at two heights; each replica of RUSH_P falls somewhere once, or
            // is left for the oldest.
            let won = |event: &&Event| {
                matches!(event, Event::Wait { shortest: true, .. } | Event::Draw { hit: true, .. })
            };
            let expected = if *placement == PlacementSpec::RushT { 6 } else { 3 };
            assert_eq!(events.iter().filter(won).count(), expected);
        }
    }
}

#[test]
fn the_objects_of_a_node_are_held_by_all_others_alike() {
    for placement in &BOTH {
        // One sub-cluster of a size that is no prime, where a step from server to server would leave some out.
        for (layout, most) in [(Layout::equal(1, 12, 3), 1.35), (Layout::equal(10, 10, 3), 1.35)] {
            let (map, mut shared) = (layout.clone().placed_by(placement).map(), vec![0; layout.servers()]);
            for key in image_keys(100_000) {
                let owners = owners(&map, key);
                if owners.contains(&7) {
                    owners.iter().filter(|node| **node != 7).for_each(|node| shared[*node] += 1);
                }
            }
            let mut weights = layout.weights();
            weights[7] = 0.0;
            let spread = spread(&shared, &weights);
            println!("{placement:?}, {} nodes: spread against pure chance {spread:.3}", shared.len());
            assert!(spread < most, "{placement:?}: {spread} of {shared:?}");
        }
    }
}
