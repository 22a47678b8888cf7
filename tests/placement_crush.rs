//! CRUSH's lookups against slow and obvious versions of their parts, on generated maps; and what every lookup keeps to:
//! no item twice, the same answer when it is traced, an end for every map that is accepted.

use proptest::prelude::*;
use webdfs::cluster::crush::{
    BucketKind, BucketSpec, Choice, CrushMap, CrushSpec, DEVICE_TYPE, DeviceSpec, ItemSpec, Order, RuleSpec,
    Step, StrawCalculation, Tunables, TypeSpec, WEIGHT_ONE,
};
use webdfs::placement::Event;
use webdfs::placement::crush::{HOLE, Mapping, hash3, log2, run};

const HOST: u32 = 1;
const ROOT: u32 = 2;

/// A root of hosts of devices: each device's weight, by host; every bucket of that kind.
fn spec(kind: BucketKind, hosts: &[Vec<u32>], steps: Vec<Step>) -> CrushSpec {
    let mut spec = CrushSpec {
        types: vec![
            TypeSpec { id: HOST, name: "host".to_owned() },
            TypeSpec { id: ROOT, name: "root".to_owned() },
        ],
        rules: vec![RuleSpec { id: 0, name: "rule".to_owned(), steps }],
        ..CrushSpec::default()
    };
    let mut top = Vec::new();
    for (at, weights) in (0..).zip(hosts) {
        let items: Vec<ItemSpec> = (spec.devices.len() as i32..)
            .zip(weights)
            .map(|(id, weight)| ItemSpec { id, weight: *weight })
            .collect();
        let device = |item: &ItemSpec| DeviceSpec { id: item.id, name: format!("d{}", item.id), class: None };
        spec.devices.extend(items.iter().map(device));
        top.push(ItemSpec { id: -2 - at, weight: weights.iter().sum() });
        spec.buckets.push(bucket(-2 - at, HOST, kind, items));
    }
    spec.buckets.push(bucket(-1, ROOT, kind, top));
    spec
}

fn bucket(id: i32, type_id: u32, kind: BucketKind, items: Vec<ItemSpec>) -> BucketSpec {
    BucketSpec { id, name: format!("b{}", -id), type_id, kind, items, shadow_class: None }
}

fn over(order: Order, leaf: bool, type_id: u32) -> Vec<Step> {
    vec![Step::Take(-1), Step::Choose(Choice { leaf, order, count: 0, type_id }), Step::Emit]
}

/// What the rule finds in a map of one bucket, the first attempt of which never fails.
fn first_choice(kind: BucketKind, weights: &[u32], x: u32) -> Option<i32> {
    let mut flat = spec(kind, &[weights.to_vec()], over(Order::Firstn, false, DEVICE_TYPE));
    flat.rules[0].steps[0] = Step::Take(-2);
    let map = CrushMap::new(flat).unwrap();
    run(&map, &map.rules()[0], x, 1, &vec![WEIGHT_ONE; weights.len()], &mut ()).first().copied()
}

/// Straw2 as it is defined: one division an item, the highest draw, the first on ties.
fn straw2_as_defined(weights: &[u32], x: u32) -> i32 {
    let draw = |(id, weight): (i32, &u32)| match weight {
        0 => (i64::MIN, id),
        _ => {
            let ln = log2(hash3(x, id as u32, 0) & 0xffff) as i64 - (1 << 48);
            (ln / i64::from(*weight), id)
        }
    };
    let draws = (0..).zip(weights).map(draw);
    draws.reduce(|best, next| if next.0 > best.0 { next } else { best }).expect("items").1
}

/// The shuffle of a uniform bucket, done on a list: all positions of it.
fn shuffled(size: u32, x: u32, id: i32) -> Vec<i32> {
    let mut items: Vec<i32> = (0..size as i32).collect();
    for p in 0..size.saturating_sub(1) {
        items.swap(p as usize, (p + hash3(x, id as u32, p) % (size - p)) as usize);
    }
    items
}

/// Weights of all sizes, and often equal ones or 0.
fn weights() -> impl Strategy<Value = Vec<u32>> {
    let one = prop_oneof![
        3 => Just(WEIGHT_ONE),
        1 => Just(0),
        2 => 1u32..10 * WEIGHT_ONE,
        1 => (0u32..26).prop_flat_map(|bits| 1u32..=1 << bits),
    ];
    prop_oneof![1 => prop::collection::vec(one, 1..60), 1 => (1usize..60).prop_map(|n| vec![WEIGHT_ONE; n])]
}

fn kinds() -> impl Strategy<Value = BucketKind> {
    prop::sample::select(&BucketKind::ALL[..])
}

fn tunables() -> impl Strategy<Value = Tunables> {
    (0u32..4, 0u32..6, 0u32..30, any::<bool>(), 0u32..4, any::<bool>()).prop_map(
        |(local, fallback, total, once, vary_r, stable)| Tunables {
            choose_local_tries: local,
            choose_local_fallback_tries: fallback,
            choose_total_tries: total,
            chooseleaf_descend_once: once,
            chooseleaf_vary_r: vary_r,
            chooseleaf_stable: stable,
            straw_calc_version: StrawCalculation::Corrected,
            allowed_bucket_algs: 0,
        },
    )
}

proptest! {
    #[test]
    fn straw2_with_bounds_chooses_as_the_definition_does(weights in weights(), start: u32) {
        for x in (0..50).map(|i| start.wrapping_add(i)) {
            let found = first_choice(BucketKind::Straw2, &weights, x);
            prop_assert_eq!(found, Some(straw2_as_defined(&weights, x)), "input {}", x);
        }
    }

    #[test]
    fn a_uniform_bucket_gives_out_its_shuffle_in_order(size in 1u32..40, x: u32) {
        let mut flat = spec(BucketKind::Uniform, &[vec![WEIGHT_ONE; size as usize]], over(Order::Firstn, false, 0));
        flat.rules[0].steps[0] = Step::Take(-2);
        let map = CrushMap::new(flat).unwrap();
        let found = run(&map, &map.rules()[0], x, 16, &vec![WEIGHT_ONE; size as usize], &mut ());
        prop_assert_eq!(&found[..], &shuffled(size, x, -2)[..size.min(16) as usize]);
    }

    #[test]
    fn every_lookup_ends_repeats_nothing_and_is_the_same_when_traced(
        kind in kinds(),
        hosts in prop::collection::vec(prop::collection::vec(0u32..3, 0..6), 0..8),
        tunables in tunables(),
        order in prop::sample::select(&[Order::Firstn, Order::Indep][..]),
        type_id in 0..=ROOT,
        replicas in 0usize..20,
        reweight in prop::collection::vec(0u32..2 * WEIGHT_ONE, 0..40),
        x: u32,
    ) {
        let leaf = type_id != DEVICE_TYPE;
        // A uniform bucket has one weight, and a straw bucket no extremes.
        let even = |weights: Vec<u32>| vec![WEIGHT_ONE * weights.first().copied().unwrap_or(1).min(1); weights.len()];
        let hosts: Vec<Vec<u32>> = hosts.into_iter().map(|host| if kind == BucketKind::Uniform { even(host) } else { host }).collect();
        let mut spec = spec(kind, &hosts, over(order, leaf, type_id));
        if kind == BucketKind::Uniform {
            spec.buckets.last_mut().unwrap().items.iter_mut().for_each(|item| item.weight = WEIGHT_ONE);
        }
        spec.tunables = tunables;
        let map = CrushMap::new(spec).unwrap();
        let rule = &map.rules()[0];
        let found = run(&map, rule, x, replicas, &reweight, &mut ());
        let mut events = Vec::new();
        prop_assert_eq!(found, run(&map, rule, x, replicas, &reweight, &mut events));
        prop_assert!(found.len() <= replicas.min(16));
        let devices: Vec<i32> = found.iter().copied().filter(|item| *item != HOLE).collect();
        for (at, device) in devices.iter().enumerate() {
            prop_assert!(map.device(*device).is_some(), "{} is no device", device);
            prop_assert!(!devices[..at].contains(device), "{} is there twice", device);
            prop_assert!(reweight.get(*device as usize).is_some_and(|weight| *weight > 0), "{} is out", device);
            let chosen = |event: &Event| matches!(event, Event::CrushChoose { item, .. } if item == device);
            prop_assert!(events.iter().any(chosen), "{} comes from nowhere", device);
        }
        let gave_up = events.iter().filter(|event| matches!(event, Event::CrushGaveUp { .. })).count();
        let holes = found.len() - devices.len();
        prop_assert!(gave_up >= holes, "{} holes, {} given up", holes, gave_up);
    }
}

#[test]
fn a_device_that_is_out_loses_its_inputs_only() {
    let spec = spec(BucketKind::Straw2, &vec![vec![WEIGHT_ONE; 4]; 8], over(Order::Firstn, true, HOST));
    let map = CrushMap::new(spec).unwrap();
    let everyone = vec![WEIGHT_ONE; 32];
    let mut without = everyone.clone();
    without[5] = 0;
    let place = |x, reweight: &[u32]| -> Mapping { run(&map, &map.rules()[0], x, 3, reweight, &mut ()) };
    let mut lost = 0;
    for x in 0..2_000 {
        let (before, after) = (place(x, &everyone), place(x, &without));
        assert_eq!(after.len(), 3, "input {x}");
        assert!(!after.contains(&5), "input {x}");
        if before.contains(&5) {
            lost += 1;
        } else {
            assert_eq!(before, after, "input {x}");
        }
    }
    assert!((120..260).contains(&lost), "{lost} of 2000 inputs, expected 3 in 32");
}

#[test]
fn a_trace_tells_the_way_down_and_what_failed_on_it() {
    let spec = spec(
        BucketKind::Straw2,
        &[vec![WEIGHT_ONE; 2], vec![WEIGHT_ONE; 2]],
        over(Order::Firstn, true, HOST),
    );
    let map = CrushMap::new(spec).unwrap();
    // Device 0 and 1 are the first host's: it is found, and has nothing to give.
    let mut events = Vec::new();
    let found = run(&map, &map.rules()[0], 1, 2, &[0, 0, WEIGHT_ONE, WEIGHT_ONE], &mut events);
    assert_eq!(found.len(), 1);
    assert_eq!(events[0], Event::CrushTake { item: -1 });
    let host = |item| matches!(item, Event::CrushChoose { bucket: -1, item: -2 | -3, .. });
    assert!(host(events[1].clone()), "{events:?}");
    assert!(events.contains(&Event::CrushNoDevice { bucket: -2 }), "{events:?}");
    assert!(
        events.contains(&Event::CrushOut { device: 0 }) || events.contains(&Event::CrushOut { device: 1 })
    );
    assert!(events.contains(&Event::CrushCollision { item: -3 }), "{events:?}");
    assert_eq!(events.last(), Some(&Event::CrushGaveUp { rank: 1 }));
}

#[test]
fn a_tree_of_weight_zero_gives_nothing_and_an_empty_bucket_neither() {
    for kind in BucketKind::ALL {
        assert_eq!(first_choice(kind, &[], 7), None, "{kind:?}");
        assert_eq!(first_choice(kind, &[0], 7), Some(0), "{kind:?}");
    }
    let inputs = 0..200;
    assert!(inputs.clone().all(|x| first_choice(BucketKind::Straw2, &[0, 0, 0], x) == Some(0)));
    assert!(inputs.clone().all(|x| first_choice(BucketKind::Straw, &[0, 0, 0], x) == Some(0)));
    assert!(inputs.clone().all(|x| first_choice(BucketKind::List, &[0, 0, 0], x) == Some(0)));
    assert!(inputs.clone().all(|x| first_choice(BucketKind::Tree, &[0, 0, 0], x).is_none()));
    assert!(inputs.clone().all(|x| first_choice(BucketKind::Tree, &[0, 1, 0], x) == Some(1)));
}
