//! Maps of the original webDFS: accepted exactly if all that can be looked up in them is found, on distinct nodes of
//! weight above 0.

mod placement_support;

use placement_support::Layout;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use webdfs::cluster::{MapError, Place, PlacementSpec, WebdfsFault};
use webdfs::php::{Group, Kind, Locator, PhpVersion, Seed};
use webdfs::placement::{ObjectKey, locate, locate_traced};

/// Few sub-clusters, small ones among them, and weights at which the original stumbles.
fn any_layout() -> impl Strategy<Value = Layout> {
    let weight = prop_oneof![
        4 => Just(1.0),
        2 => Just(2.0),
        1 => Just(0.0),
        1 => Just(0.001),
        1 => Just(1_000_000.0),
        2 => 0.001..10.0f64,
    ];
    let placement = prop_oneof![
        Just(PlacementSpec::WebdfsRushR(PhpVersion::V5_2)),
        Just(PlacementSpec::WebdfsRushR(PhpVersion::V7_1)),
        Just(PlacementSpec::WebdfsRushP(PhpVersion::V5_2)),
        Just(PlacementSpec::WebdfsRushP(PhpVersion::V7_1)),
    ];
    let replicas = prop_oneof![4 => 1..4usize, 1 => 1..17usize];
    (prop::collection::vec((1..9u32, weight), 1..7), replicas, placement)
        .prop_map(|(groups, replicas, placement)| Layout::new(&groups, replicas).placed_by(&placement))
        .prop_filter("enough nodes of weight", |layout| {
            layout.weights().iter().filter(|weight| **weight > 0.0).count() >= layout.replicas
        })
}

fn parts(layout: &Layout) -> (Kind, PhpVersion, Locator) {
    let (kind, php) = match layout.placement {
        PlacementSpec::WebdfsRushR(php) => (Kind::RushR, php),
        PlacementSpec::WebdfsRushP(php) => (Kind::RushP, php),
        _ => panic!("{layout:?}"),
    };
    let groups: Vec<Group> = layout.groups.iter().map(|&(nodes, weight)| Group { nodes, weight }).collect();
    (kind, php, Locator::new(kind, &groups, layout.replicas).expect("not too heavy"))
}

/// What a single lookup by the original's steps gives, if it is as it should be.
fn sound(layout: &Layout, php: PhpVersion, locator: &Locator, seed: Seed) -> Option<Vec<u32>> {
    let mut nodes: Vec<u32> = Vec::new();
    locator.locate(php.into(), i64::from(seed.get()), &mut nodes).ok()?;
    let weights = layout.weights();
    let weighted = nodes.iter().all(|node| weights[*node as usize] > 0.0);
    let distinct = nodes.iter().collect::<std::collections::BTreeSet<_>>().len() == layout.replicas;
    (weighted && distinct && nodes.len() == layout.replicas).then_some(nodes)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_map_is_refused_exactly_if_the_original_fails_for_some_name(layout in any_layout()) {
        let (_, php, locator) = parts(&layout);
        match layout.try_map() {
            Ok(map) => {
                for seed in Seed::all() {
                    let key = ObjectKey::from_number(u32::from(seed.get()) << 16);
                    let expected = sound(&layout, php, &locator, seed);
                    let owners: Vec<u32> = locate(&map, key).iter().map(|node| node.get() as u32).collect();
                    prop_assert_eq!(Some(&owners), expected.as_ref(), "{:?}", seed);
                    if seed.get() % 997 == 0 {
                        let traced = locate_traced(&map, key, &mut Vec::new());
                        prop_assert!(traced.iter().map(|node| node.get() as u32).eq(owners));
                    }
                }
            }
            Err(error) => {
                let MapError::WebdfsPlacement { example, fault, hint, .. } = &error else {
                    panic!("{error}");
                };
                prop_assert_eq!(sound(&layout, php, &locator, Seed::of(example.as_bytes())), None, "{}", error);
                prop_assert!(!hint.is_empty());
                let place = match fault {
                    WebdfsFault::Lookup(_) => Place::Field("placement"),
                    WebdfsFault::Repeat { subcluster, node } => Place::Node(*subcluster, *node),
                    WebdfsFault::Weightless { subcluster } => Place::SubCluster(*subcluster),
                };
                prop_assert_eq!(error.place(), place);
                match place {
                    Place::Node(at, node) => prop_assert!(node < layout.groups[at].0 as usize),
                    Place::SubCluster(at) => prop_assert_eq!(layout.groups[at].1, 0.0),
                    _ => {}
                }
            }
        }
    }
}
