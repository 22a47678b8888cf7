//! What every placement promises, each algorithm held to the same: distinct nodes that may hold a replica, for every
//! key and in every thread; loads by weight; little movement. Loads and movement are means over [`MAPS`] maps and
//! over fixed keys, so they never differ from run to run. `placement_golden*.rs` pins the answers themselves.

mod placement_support;

use std::collections::BTreeSet;
use std::ops::Range;

use placement_support::{Layout, check_owners, image_keys, owners, spread};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use rayon::prelude::*;
use webdfs::cluster::{
    ClusterMap, CrushSource, FailureDomain, Level, PlacementKind, PlacementSpec, REPLICAS_MAX,
};
use webdfs::php::PhpVersion;
use webdfs::placement::ObjectKey;

/// How many maps a figure is the mean of.
const MAPS: usize = 30;

const REPLICAS: usize = 3;

/// An algorithm, and what is asked of it.
struct Contender {
    label: &'static str,
    placement: PlacementSpec,
    /// Objects that a figure is measured over: fewer where a lookup takes long.
    objects: usize,
    /// What growing may move on average, against the optimum.
    growth_most: f64,
    /// Whether what it moves goes onto the new sub-cluster and nowhere else.
    grows_onto_the_new_only: bool,
    /// How few sub-clusters growing starts from.
    grows_from: usize,
    /// What draining any sub-cluster may move on average, against the optimum, where there is a bound.
    draining_most: Option<f64>,
}

impl Contender {
    fn rush(label: &'static str, placement: PlacementSpec) -> Self {
        Self {
            label,
            placement,
            objects: 20_000,
            growth_most: 1.02,
            grows_onto_the_new_only: true,
            grows_from: 2,
            draining_most: None,
        }
    }

    fn crush(label: &'static str, domain: FailureDomain) -> Self {
        Self {
            objects: 8_000,
            growth_most: 1.2,
            grows_onto_the_new_only: false,
            grows_from: REPLICAS + 1,
            ..Self::rush(label, PlacementSpec::Crush(CrushSource::Locations(domain)))
        }
    }

    fn map(&self, layout: &Layout) -> ClusterMap {
        layout.clone().placed_by(&self.placement).map()
    }

    fn keeps_sub_clusters_apart(&self) -> bool {
        matches!(
            self.placement,
            PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(Level::Rack)))
        )
    }
}

/// The algorithms whose loads and movement have bounds.
fn measured() -> [Contender; 5] {
    [
        Contender::rush("rush_r", PlacementSpec::RushR),
        Contender::rush("rush_p", PlacementSpec::RushP),
        Contender {
            growth_most: 1.6,
            grows_onto_the_new_only: false,
            draining_most: Some(1.6),
            ..Contender::rush("rush_t", PlacementSpec::RushT)
        },
        Contender::crush("crush (node)", FailureDomain::Node),
        Contender::crush("crush (rack)", FailureDomain::Level(Level::Rack)),
    ]
}

/// All algorithms.
fn all() -> Vec<Contender> {
    let mut all = Vec::from(measured());
    for php in PhpVersion::ALL {
        all.push(Contender::rush("webdfs_rush_r", PlacementSpec::WebdfsRushR(php)));
        all.push(Contender::rush("webdfs_rush_p", PlacementSpec::WebdfsRushP(php)));
    }
    let kinds: BTreeSet<&str> = all.iter().map(|contender| kind(&contender.placement).as_str()).collect();
    let known: BTreeSet<&str> = PlacementKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(kinds, known, "every algorithm takes part");
    all
}

fn kind(placement: &PlacementSpec) -> PlacementKind {
    Layout::equal(REPLICAS + 1, 5, REPLICAS).placed_by(placement).map().placement()
}

/// The sizes of the sub-clusters of a map, and how many.
fn shape(number: usize) -> (usize, u32) {
    (5 + number * 5 % 11, 4 + number as u32 * 7 % 13)
}

fn equal_maps() -> Vec<Layout> {
    (0..MAPS).map(shape).map(|(count, servers)| Layout::equal(count, servers, REPLICAS)).collect()
}

/// Weights that differ from one sub-cluster to the next.
fn unequal_maps() -> Vec<Layout> {
    const WEIGHTS: [f64; 7] = [1.0, 2.0, 0.5, 1.5, 0.75, 3.0, 1.25];
    let map = |number: usize| {
        let (count, servers) = shape(number);
        let group = |j: usize| (servers + (j % 3) as u32, WEIGHTS[(number + j) % WEIGHTS.len()]);
        Layout::new(&(0..count).map(group).collect::<Vec<_>>(), REPLICAS)
    };
    (0..MAPS).map(map).collect()
}

/// The mean of a figure over some cases, printed for those who look. Each case has keys of its own, by its number: what
/// chance does to one shall not repeat itself in all.
fn mean_of<T: Sync>(what: &str, cases: &[T], figure: impl Fn(usize, &T) -> f64 + Sync + Send) -> f64 {
    let figures: Vec<f64> = cases.par_iter().enumerate().map(|(number, case)| figure(number, case)).collect();
    let mean = figures.iter().sum::<f64>() / figures.len() as f64;
    let (least, most) = figures.iter().fold((f64::MAX, f64::MIN), |(l, m), f| (l.min(*f), m.max(*f)));
    println!("{what}: {mean:.3} ({least:.3}..{most:.3}, {} maps)", figures.len());
    mean
}

/// The keys of the made-up images of one site of many.
fn site_keys(site: usize, count: usize) -> impl Iterator<Item = u32> {
    (0..count).map(move |i| ObjectKey::of(format!("site{site}/{i}.jpg").as_bytes()).number())
}

fn load_spread(contender: &Contender, number: usize, layout: &Layout) -> f64 {
    let map = contender.map(layout);
    let mut loads = vec![0; layout.servers()];
    site_keys(number, contender.objects).flat_map(|key| owners(&map, key)).for_each(|node| loads[node] += 1);
    spread(&loads, &layout.weights())
}

#[test]
fn equal_nodes_hold_equal_loads() {
    for contender in measured() {
        let what = format!("{}: loads of equal nodes against chance", contender.label);
        let mean = mean_of(&what, &equal_maps(), |number, layout| load_spread(&contender, number, layout));
        assert!((0.8..=1.05).contains(&mean), "{what}: {mean}");
    }
}

/// Keeping racks of unequal weight apart bends loads by itself, so that is not measured here.
#[test]
fn loads_follow_the_weights() {
    for contender in measured().iter().filter(|contender| !contender.keeps_sub_clusters_apart()) {
        let what = format!("{}: loads by weight against chance", contender.label);
        let mean = mean_of(&what, &unequal_maps(), |number, layout| load_spread(contender, number, layout));
        assert!((0.8..=1.05).contains(&mean), "{what}: {mean}");
    }
}

/// Replicas whose node left the set of owners, and those of them that went to no node of `new`.
fn moved(
    before: &ClusterMap,
    after: &ClusterMap,
    keys: impl Iterator<Item = u32>,
    new: Range<usize>,
) -> (usize, usize) {
    let (mut moved, mut elsewhere) = (0, 0);
    for key in keys {
        let old = owners(before, key);
        for node in owners(after, key).into_iter().filter(|node| !old.contains(node)) {
            moved += 1;
            elsewhere += usize::from(!new.contains(&node));
        }
    }
    (moved, elsewhere)
}

#[test]
fn growing_moves_little_more_than_it_must() {
    const SERVERS: usize = 6;
    for contender in measured() {
        let sizes: Vec<usize> = (contender.grows_from..contender.grows_from + MAPS).collect();
        let what = format!("{}: moved by a new sub-cluster against the optimum", contender.label);
        let mean = mean_of(&what, &sizes, |number, &size| {
            let small = Layout::equal(size, SERVERS as u32, REPLICAS);
            let (before, after) =
                (contender.map(&small), contender.map(&small.clone().with_group(SERVERS as u32, 1.0)));
            let new = size * SERVERS..(size + 1) * SERVERS;
            let (moved, elsewhere) = moved(&before, &after, site_keys(number, contender.objects), new);
            assert!(!contender.grows_onto_the_new_only || elsewhere == 0, "{}: {elsewhere}", contender.label);
            moved as f64 / ((contender.objects * REPLICAS) as f64 / (size + 1) as f64)
        });
        assert!((0.9..=contender.growth_most).contains(&mean), "{what}: {mean}");
    }
}

#[test]
fn draining_a_sub_cluster_of_a_tree_moves_little_more_than_it_must() {
    for contender in measured() {
        let Some(most) = contender.draining_most else { continue };
        let sizes: Vec<usize> = (3..3 + MAPS).collect();
        let what = format!("{}: moved by draining a sub-cluster against the optimum", contender.label);
        let mean = mean_of(&what, &sizes, |number, &size| {
            let full = Layout::equal(size, 6, REPLICAS);
            let before = contender.map(&full);
            // The first, the last and three between.
            let drained = (0..5).map(|part| part * (size - 1) / 4);
            let ratios = drained.map(|position| {
                let mut less = full.clone();
                less.groups[position].1 = 0.0;
                let (moved, _) =
                    moved(&before, &contender.map(&less), site_keys(number, contender.objects / 4), 0..0);
                moved as f64 / ((contender.objects / 4 * REPLICAS) as f64 / size as f64)
            });
            ratios.sum::<f64>() / 5.0
        });
        assert!((0.9..=most).contains(&mean), "{what}: {mean}");
    }
}

/// The share of its objects that each other node takes over from a node that is out, by what it may take: where racks
/// are kept apart, nodes in racks of the other owners may not.
fn expected_gains(contender: &Contender, layout: &Layout, out: usize) -> Vec<f64> {
    let servers = layout.groups[0].0 as usize;
    let others = layout.groups.len() - 1;
    let free = if contender.keeps_sub_clusters_apart() {
        1.0 - (REPLICAS - 1) as f64 / others as f64
    } else {
        1.0 - (REPLICAS - 1) as f64 / (layout.servers() - 1) as f64
    };
    let gain = |node: usize| match (node == out, contender.keeps_sub_clusters_apart()) {
        (true, _) => 0.0,
        (false, true) if node / servers == out / servers => 1.0,
        _ => free,
    };
    (0..layout.servers()).map(gain).collect()
}

#[test]
fn a_node_that_is_out_loses_its_objects_only_and_the_others_share_them_evenly() {
    for contender in measured() {
        let what = format!("{}: what survivors take over against chance", contender.label);
        let mean = mean_of(&what, &equal_maps(), |number, layout| {
            let out = number * 31 % layout.servers();
            let (before, after) = (contender.map(layout), contender.map(&layout.clone().with_out(&[out])));
            let mut gains = vec![0; layout.servers()];
            for key in site_keys(number, contender.objects) {
                let (old, new) = (owners(&before, key), owners(&after, key));
                let lost: Vec<_> = old.iter().filter(|node| !new.contains(node)).collect();
                let gained: Vec<_> = new.iter().filter(|node| !old.contains(node)).collect();
                assert_eq!(lost.len(), usize::from(old.contains(&out)), "{old:?} became {new:?}");
                assert!(lost.iter().all(|node| **node == out), "{old:?} became {new:?}");
                gained.into_iter().for_each(|node| gains[*node] += 1);
            }
            spread(&gains, &expected_gains(&contender, layout, out))
        });
        assert!((0.8..=1.1).contains(&mean), "{what}: {mean}");
    }
}

/// Sub-clusters of up to 10,000 nodes in all, few ones more often; some weights 0, nearly 0 or very large, some nodes
/// out. Algorithms refuse some of them.
fn any_layout() -> impl Strategy<Value = Layout> {
    let weight = prop_oneof![
        5 => Just(1.0),
        1 => Just(0.0),
        1 => Just(0.001),
        1 => Just(500.0),
        2 => 0.001..100.0f64,
    ];
    let group = |servers: Range<u32>| (servers, weight.clone());
    let groups = prop_oneof![
        3 => prop::collection::vec(group(1..12), 1..=20),
        3 => prop::collection::vec(group(16..40), 1..=20),
        1 => prop::collection::vec(group(16..200), 1..=50),
    ];
    (groups, 1..=REPLICAS_MAX, 0..8usize).prop_map(|(groups, replicas, out)| {
        let layout = Layout::new(&groups, replicas);
        let out: Vec<usize> = (0..layout.servers()).filter(|node| out > 1 && node % out == 0).collect();
        layout.with_out(&out)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 120,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_key_has_distinct_usable_owners_under_every_accepted_map(
        layout in any_layout(),
        keys in prop::collection::vec(any::<u32>(), 20),
    ) {
        for contender in measured() {
            // What an algorithm refuses is tested with the reasons, elsewhere.
            let Ok(map) = layout.clone().placed_by(&contender.placement).try_map() else { continue };
            for key in keys.iter().chain(&[0, u32::MAX]) {
                check_owners(&map, *key)?;
            }
        }
    }
}

/// Not over generated maps, since building one looks up all there is: here all of it is checked.
#[test]
fn every_name_has_distinct_usable_owners_under_the_maps_of_the_original() {
    let layouts = [
        Layout::equal(1, 3, 3),
        Layout::equal(8, 10, 3).with_out(&[0, 17, 40, 41]),
        Layout::new(&[(5, 1.0), (5, 2.0), (5, 4.0), (4, 0.0)], 3).with_out(&[2]),
    ];
    for contender in all().into_iter().filter(|contender| contender.label.starts_with("webdfs")) {
        for layout in &layouts {
            let map = contender.map(layout);
            for seed in 0..1 << 15 {
                check_owners(&map, seed << 16).unwrap_or_else(|error| panic!("{}: {error}", contender.label));
            }
        }
    }
}

#[test]
fn every_thread_gives_the_same_answers() {
    for contender in all() {
        let map = contender.map(&Layout::equal(6, 5, REPLICAS).with_out(&[1, 23]));
        let answers = || image_keys(1_000).map(|key| owners(&map, key)).collect::<Vec<_>>();
        let expected = answers();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(answers)).collect();
            for thread in threads {
                assert!(thread.join().expect("no thread panics") == expected, "{}", contender.label);
            }
        });
    }
}

#[test]
fn nothing_falls_on_weight_zero_while_other_nodes_exist() {
    let layout = Layout::new(&[(4, 1.0), (10, 0.0), (10, 1.0), (3, 0.0), (4, 2.0)], REPLICAS);
    for contender in all() {
        // Racks of no weight are no racks, and the original is refused where it would use them.
        let Ok(map) = layout.clone().placed_by(&contender.placement).try_map() else {
            assert!(contender.label.starts_with("webdfs"), "{} takes weight 0", contender.label);
            continue;
        };
        let mut loads = vec![0; layout.servers()];
        image_keys(10_000).flat_map(|key| owners(&map, key)).for_each(|node| loads[node] += 1);
        for (load, weight) in loads.iter().zip(layout.weights()) {
            assert_eq!(*load > 0, weight > 0.0, "{}: {loads:?}", contender.label);
        }
    }
}
