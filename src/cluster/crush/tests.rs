//! What the constructor refuses, and what an accepted map answers.

use super::*;

const HOST: u32 = 1;
const ROOT: u32 = 2;

/// Two hosts of two devices each under a root, and a rule over hosts.
fn spec() -> CrushSpec {
    let device = |id| DeviceSpec { id, name: format!("d{id}"), class: None };
    let item = |id| ItemSpec { id, weight: WEIGHT_ONE };
    let bucket = |id, name: &str, type_id, items: [i32; 2]| BucketSpec {
        id,
        name: name.to_owned(),
        type_id,
        kind: BucketKind::Straw2,
        items: items.map(item).to_vec(),
        shadow_class: None,
    };
    CrushSpec {
        tunables: Tunables::JEWEL,
        devices: (0..5).map(device).collect(),
        types: vec![
            TypeSpec { id: ROOT, name: "root".to_owned() },
            TypeSpec { id: HOST, name: "host".to_owned() },
        ],
        buckets: vec![
            bucket(-1, "all", ROOT, [-2, -3]),
            bucket(-2, "a", HOST, [0, 1]),
            bucket(-3, "b", HOST, [2, 3]),
        ],
        rules: vec![rule(vec![Step::Take(-1), choose(true, HOST), Step::Emit])],
    }
}

fn rule(steps: Vec<Step>) -> RuleSpec {
    RuleSpec { id: 0, name: "spread".to_owned(), steps }
}

fn choose(leaf: bool, type_id: u32) -> Step {
    Step::Choose(Choice { leaf, order: Order::Firstn, count: 0, type_id })
}

/// Checks that the map, changed so, is refused at `place` for `fault`.
#[track_caller]
fn refuses(change: impl FnOnce(&mut CrushSpec), place: CrushPlace, fault: CrushFault) {
    let mut spec = spec();
    change(&mut spec);
    assert_eq!(CrushMap::new(spec).err(), Some(CrushError { place, fault }));
}

#[track_caller]
fn refuses_steps(steps: Vec<Step>, place: CrushPlace, fault: CrushFault) {
    refuses(|spec| spec.rules = vec![rule(steps)], place, fault);
}

#[test]
fn names_and_ids_are_checked() {
    use CrushFault::*;
    let name = |name: &str| name.to_owned();
    for bad in ["", "a b", "a~ssd", "{", "#x", "bücket", &"x".repeat(256)] {
        let fault = Name(bad.chars().take(255).collect());
        refuses(|spec| spec.devices[1].name = name(bad), CrushPlace::Device(1), fault.clone());
        refuses(|spec| spec.types[1].name = name(bad), CrushPlace::Type(1), fault.clone());
        refuses(|spec| spec.buckets[1].name = name(bad), CrushPlace::Bucket(1), fault.clone());
        refuses(|spec| spec.rules[0].name = name(bad), CrushPlace::Rule(0), fault);
    }
    refuses(|spec| spec.devices[1].name = name("d0"), CrushPlace::Device(1), DuplicateName(name("d0")));
    refuses(|spec| spec.buckets[1].name = name("d0"), CrushPlace::Bucket(1), DuplicateName(name("d0")));
    refuses(|spec| spec.types[1].name = name("root"), CrushPlace::Type(1), DuplicateName(name("root")));
    refuses(|spec| spec.devices[1].id = 0, CrushPlace::Device(1), DuplicateId(0));
    refuses(|spec| spec.buckets[1].id = -1, CrushPlace::Bucket(1), DuplicateId(-1));
    refuses(|spec| spec.types[1].id = ROOT, CrushPlace::Type(1), DuplicateId(ROOT.into()));
    refuses(|spec| spec.devices[1].id = -1, CrushPlace::Device(1), DeviceId(-1));
    refuses(|spec| spec.devices[1].id = DEVICE_ID_MAX + 1, CrushPlace::Device(1), DeviceId(1 << 20));
    refuses(|spec| spec.buckets[1].id = 0, CrushPlace::Bucket(1), BucketId(0));
    refuses(|spec| spec.types[1].id = TYPE_ID_MAX + 1, CrushPlace::Type(1), TypeId(TYPE_ID_MAX + 1));
    refuses(|spec| spec.buckets[1].type_id = DEVICE_TYPE, CrushPlace::Bucket(1), BucketType(DEVICE_TYPE));
    refuses(|spec| spec.buckets[1].type_id = 9, CrushPlace::Bucket(1), BucketType(9));
}

#[test]
fn a_hierarchy_that_is_no_tree_is_refused() {
    let name = |name: &str| name.to_owned();
    let unknown = |item| CrushFault::UnknownItem { bucket: name("a"), item };
    refuses(|spec| spec.buckets[1].items[1].id = 9, CrushPlace::Item(1, 1), unknown(9));
    refuses(|spec| spec.buckets[1].items[1].id = -9, CrushPlace::Item(1, 1), unknown(-9));
    refuses(|spec| spec.buckets[1].items[1].id = i32::MAX, CrushPlace::Item(1, 1), unknown(i32::MAX));
    let twice = |bucket: &str, item: &str, earlier: &str| CrushFault::DuplicateItem {
        bucket: name(bucket),
        item: name(item),
        earlier: name(earlier),
    };
    refuses(|spec| spec.buckets[1].items[1].id = 0, CrushPlace::Item(1, 1), twice("a", "d0", "a"));
    refuses(|spec| spec.buckets[2].items[1].id = 0, CrushPlace::Item(2, 1), twice("b", "d0", "a"));
    refuses(|spec| spec.buckets[1].items[1].id = -3, CrushPlace::Item(1, 1), twice("a", "b", "all"));
    refuses(|spec| spec.buckets[1].items[1].id = -1, CrushPlace::Bucket(0), CrushFault::Cycle(name("all")));
    let alone = |spec: &mut CrushSpec| {
        spec.buckets[0].items.clear();
        spec.buckets[1].items[1].id = -2;
    };
    refuses(alone, CrushPlace::Bucket(1), CrushFault::Cycle(name("a")));
    refuses(|spec| chain(spec, DEPTH_MAX), CrushPlace::Bucket(3), CrushFault::TooDeep(name("c100")));
    let mut deep = spec();
    chain(&mut deep, DEPTH_MAX - 1);
    assert!(CrushMap::new(deep).is_ok());
}

/// Puts so many buckets, one in the other, on top of the root.
fn chain(spec: &mut CrushSpec, count: usize) {
    spec.rules.clear();
    let root = spec.buckets.remove(0);
    for (at, id) in (0..count as i32).zip((-100 - count as i32..=-100).rev()) {
        let name = format!("c{}", -id);
        let below = if at == 0 { vec![] } else { vec![ItemSpec { id: id + 1, weight: 1 }] };
        spec.buckets.push(BucketSpec { id, name, items: below, ..root.clone() });
    }
    // The root goes to the top, so that there is one more.
    let top = ItemSpec { id: -99 - count as i32, weight: 1 };
    spec.buckets.insert(0, BucketSpec { items: vec![top], ..root });
}

#[test]
fn copies_for_a_class_hold_what_belongs_to_them() {
    let with_copy = |spec: &mut CrushSpec, item: i32, class: &str| {
        spec.devices[4].class = Some("ssd".to_owned());
        spec.buckets.push(BucketSpec {
            id: -4,
            name: "a~ssd".to_owned(),
            items: vec![ItemSpec { id: item, weight: 1 }],
            shadow_class: Some(class.to_owned()),
            ..spec.buckets[1].clone()
        });
    };
    let mut good = spec();
    with_copy(&mut good, 4, "ssd");
    good.buckets[1].items.push(ItemSpec { id: 4, weight: 1 });
    let map = CrushMap::new(good).unwrap();
    assert_eq!(map.parent(4), Some(-2), "not the copy");
    assert_eq!(map.bucket(-4).unwrap().shadow_class(), Some("ssd"));
    let foreign = |item: &str| CrushFault::ForeignItem { bucket: "a~ssd".to_owned(), item: item.to_owned() };
    refuses(|spec| with_copy(spec, 4, "hdd"), CrushPlace::Item(3, 0), foreign("d4"));
    refuses(|spec| with_copy(spec, 0, "ssd"), CrushPlace::Item(3, 0), foreign("d0"));
    refuses(|spec| with_copy(spec, -3, "ssd"), CrushPlace::Item(3, 0), foreign("b"));
    let in_main = |spec: &mut CrushSpec| {
        with_copy(spec, 4, "ssd");
        spec.buckets[0].items[0].id = -4;
    };
    let fault = CrushFault::ForeignItem { bucket: "all".to_owned(), item: "a~ssd".to_owned() };
    refuses(in_main, CrushPlace::Item(0, 0), fault);
}

#[test]
fn weights_that_a_bucket_cannot_work_with_are_refused() {
    use BucketKind::*;
    let change = |kind, weights: [u32; 2]| {
        move |spec: &mut CrushSpec| {
            spec.buckets[1].kind = kind;
            (0..2).for_each(|at| spec.buckets[1].items[at].weight = weights[at]);
        }
    };
    let a = || "a".to_owned();
    for kind in BucketKind::ALL {
        let equal = [1 << 31; 2];
        refuses(change(kind, equal), CrushPlace::Bucket(1), CrushFault::WeightSum(a()));
        let mut accepted = spec();
        change(kind, [0, 0])(&mut accepted);
        assert!(CrushMap::new(accepted).is_ok(), "{kind:?}");
    }
    refuses(change(Uniform, [1, 2]), CrushPlace::Bucket(1), CrushFault::UnequalWeights(a()));
    refuses(change(Straw, [1, 1 << 31]), CrushPlace::Bucket(1), CrushFault::Straws(a()));
    let many =
        |spec: &mut CrushSpec| spec.buckets[1].items = vec![ItemSpec { id: 0, weight: 0 }; ITEMS_MAX + 1];
    let fault = CrushFault::TooManyItems { name: a(), count: ITEMS_MAX + 1 };
    refuses(many, CrushPlace::Bucket(1), fault);
}

#[test]
fn searches_without_end_are_refused() {
    use CrushFault::{Tries, TriesProduct, VaryR};
    let tunable = CrushPlace::Tunable;
    refuses(
        |spec| spec.tunables.choose_local_tries = 1_001,
        tunable("choose_local_tries"),
        Tries { given: 1_001 },
    );
    let local = |spec: &mut CrushSpec| spec.tunables.choose_local_fallback_tries = u32::MAX;
    refuses(local, tunable("choose_local_fallback_tries"), Tries { given: u32::MAX });
    refuses(
        |spec| spec.tunables.choose_total_tries = 1_000,
        tunable("choose_total_tries"),
        Tries { given: 1_001 },
    );
    let most = |spec: &mut CrushSpec| spec.tunables.choose_total_tries = u32::MAX;
    refuses(most, tunable("choose_total_tries"), Tries { given: u32::MAX });
    refuses(|spec| spec.tunables.chooseleaf_vary_r = 33, tunable("chooseleaf_vary_r"), VaryR(33));
    let steps = [
        Step::SetChooseTries(1_001),
        Step::SetChooseleafTries(1_001),
        Step::SetChooseLocalTries(1_001),
        Step::SetChooseLocalFallbackTries(1_001),
    ];
    for step in steps {
        refuses_steps(vec![step], CrushPlace::Step(0, 0), Tries { given: 1_001 });
    }
    refuses_steps(vec![Step::SetChooseleafVaryR(33)], CrushPlace::Step(0, 0), VaryR(33));
    let search = |leaf_tries, leaf| {
        let tries = [Step::SetChooseTries(1_000), Step::SetChooseleafTries(leaf_tries)];
        let search = [Step::Take(-1), choose(leaf, HOST), Step::Emit];
        [&tries[..], &search].concat()
    };
    let fault = TriesProduct { tries: 1_000, leaf_tries: 263 };
    refuses_steps(search(263, true), CrushPlace::Step(0, 3), fault);
    for (leaf_tries, leaf) in [(262, true), (1_000, false)] {
        let mut accepted = spec();
        accepted.rules = vec![rule(search(leaf_tries, leaf))];
        assert!(CrushMap::new(accepted).is_ok(), "{leaf_tries} {leaf}");
    }
    let again = |spec: &mut CrushSpec| {
        spec.tunables.chooseleaf_descend_once = false;
        spec.tunables.choose_total_tries = 999;
    };
    refuses(again, CrushPlace::Step(0, 1), TriesProduct { tries: 1_000, leaf_tries: 1_000 });
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    use CrushFault::*;
    let (take, emit) = (Step::Take(-1), Step::Emit);
    let name = || "spread".to_owned();
    refuses_steps(vec![], CrushPlace::Rule(0), StepCount { name: name(), count: 0 });
    refuses_steps(vec![emit; 257], CrushPlace::Rule(0), StepCount { name: name(), count: 257 });
    refuses_steps(vec![Step::Take(-9)], CrushPlace::Step(0, 0), UnknownTake(-9));
    refuses_steps(vec![choose(true, HOST), emit], CrushPlace::Step(0, 0), ChooseWithoutTake);
    refuses_steps(vec![take, emit, choose(true, HOST)], CrushPlace::Step(0, 2), ChooseWithoutTake);
    refuses_steps(vec![emit], CrushPlace::Step(0, 0), EmitWithoutTake);
    refuses_steps(vec![take, choose(true, HOST)], CrushPlace::Rule(0), NoEmit(name()));
    refuses_steps(vec![take, choose(true, 9), emit], CrushPlace::Step(0, 1), UnknownType(9));
    for count in [COUNT_MAX + 1, -COUNT_MAX - 1, i32::MIN] {
        let step = Step::Choose(Choice { leaf: false, order: Order::Firstn, count, type_id: HOST });
        refuses_steps(vec![take, step, emit], CrushPlace::Step(0, 1), Count(count));
    }
    let leaf_of_device = Choice { leaf: true, order: Order::Indep, count: 0, type_id: DEVICE_TYPE };
    refuses_steps(vec![take, Step::Choose(leaf_of_device), emit], CrushPlace::Step(0, 1), LeafOfDevice);
    refuses(|spec| spec.rules.push(spec.rules[0].clone()), CrushPlace::Rule(1), DuplicateId(0));
    let renumbered = |spec: &mut CrushSpec| spec.rules.push(RuleSpec { id: 1, ..spec.rules[0].clone() });
    refuses(renumbered, CrushPlace::Rule(1), DuplicateName(name()));
    let many = |spec: &mut CrushSpec| spec.rules = vec![spec.rules[0].clone(); RULES_MAX + 1];
    refuses(many, CrushPlace::Map, TooManyRules(RULES_MAX + 1));
}

#[test]
fn a_map_says_who_is_where() {
    let map = CrushMap::new(spec()).unwrap();
    assert_eq!(
        (map.parent(3), map.parent(-3), map.parent(-1), map.parent(4)),
        (Some(-3), Some(-1), None, None)
    );
    assert_eq!(map.ancestor_of_type(3, HOST), Some(-3));
    assert_eq!(map.ancestor_of_type(3, ROOT), Some(-1));
    assert_eq!(map.ancestor_of_type(3, DEVICE_TYPE), Some(3));
    assert_eq!((map.ancestor_of_type(4, HOST), map.ancestor_of_type(3, 9)), (None, None));
    assert_eq!(
        (map.type_of(0), map.type_of(-2), map.type_of(-1)),
        (Some(DEVICE_TYPE), Some(HOST), Some(ROOT))
    );
    for absent in [5, -4, i32::MAX, i32::MIN] {
        assert_eq!((map.type_of(absent), map.item_name(absent)), (None, None), "{absent}");
        assert!(map.bucket(absent).is_none() && map.device(absent).is_none(), "{absent}");
    }
    assert_eq!((map.item_named("b"), map.item_named("d4"), map.item_named("c")), (Some(-3), Some(4), None));
    assert_eq!(
        (map.item_name(-3), map.item_name(4), map.type_name(HOST)),
        (Some("b"), Some("d4"), Some("host"))
    );
    let ids: Vec<u32> = map.types().iter().map(|one| one.id).collect();
    assert_eq!(ids, [HOST, ROOT]);
}

#[test]
fn a_rule_reaches_what_no_weight_of_zero_cuts_off() {
    let mut spec = spec();
    let map = CrushMap::new(spec.clone()).unwrap();
    let rule_0 = &map.rules()[0];
    assert_eq!(map.reachable(rule_0), [0, 1, 2, 3]);
    assert_eq!(map.domains(rule_0, HOST), [-3, -2]);
    spec.buckets[1].items[0].weight = 0;
    spec.buckets[0].items[1].weight = 0;
    let map = CrushMap::new(spec.clone()).unwrap();
    let rule_0 = &map.rules()[0];
    assert_eq!((map.reachable(rule_0), map.domains(rule_0, HOST)), (vec![1], vec![-2]));
    assert_eq!(map.domains(rule_0, DEVICE_TYPE), [1]);
    spec.buckets[1].items[1].weight = 0;
    spec.rules =
        vec![rule(vec![Step::Take(-2), choose(false, DEVICE_TYPE), Step::Emit, Step::Take(4), Step::Emit])];
    let map = CrushMap::new(spec).unwrap();
    let rule_0 = &map.rules()[0];
    assert_eq!((map.reachable(rule_0), map.domains(rule_0, HOST)), (vec![4], vec![]));
}

#[test]
fn a_rule_says_what_it_ends_with() {
    let about = |steps: Vec<Step>| {
        let mut spec = spec();
        spec.rules = vec![rule(steps)];
        let map = CrushMap::new(spec).unwrap();
        (map.rules()[0].yields_devices(), map.rules()[0].domain_type())
    };
    let (take, emit) = (Step::Take(-1), Step::Emit);
    assert_eq!(about(vec![take, choose(true, HOST), emit]), (true, HOST));
    assert_eq!(about(vec![take, choose(false, HOST), choose(false, DEVICE_TYPE), emit]), (true, HOST));
    assert_eq!(about(vec![take, choose(false, DEVICE_TYPE), emit]), (true, DEVICE_TYPE));
    assert_eq!(about(vec![take, choose(false, HOST), emit]), (false, HOST));
    assert_eq!(about(vec![take, emit, take, choose(true, HOST), emit]), (false, HOST));
    assert_eq!(about(vec![Step::Take(0), emit]), (true, DEVICE_TYPE));
    assert_eq!(about(vec![Step::SetChooseTries(5)]), (false, DEVICE_TYPE));
}

#[test]
fn buckets_too_large_to_be_searched_as_often_as_they_have_items_are_refused() {
    let wide = |spec: &mut CrushSpec, count: usize| {
        let ids = 100..100 + count as i32;
        spec.devices.extend(ids.clone().map(|id| DeviceSpec { id, name: format!("d{id}"), class: None }));
        spec.buckets[1].items = ids.map(|id| ItemSpec { id, weight: 1 }).collect();
        spec.buckets[0].items.iter_mut().for_each(|item| item.weight = 1);
    };
    let legacy = |spec: &mut CrushSpec| spec.tunables = Tunables::LEGACY;
    let mut largest = spec();
    legacy(&mut largest);
    wide(&mut largest, FALLBACK_ITEMS_MAX);
    assert!(CrushMap::new(largest).is_ok());
    let too_large = |spec: &mut CrushSpec| wide(spec, FALLBACK_ITEMS_MAX + 1);
    let choose = spec().rules[0].steps.iter().position(|step| matches!(step, Step::Choose(_))).unwrap();
    let fault = CrushFault::FallbackItems(FALLBACK_ITEMS_MAX + 1);
    refuses(
        |spec| {
            legacy(spec);
            too_large(spec);
        },
        CrushPlace::Step(0, choose),
        fault.clone(),
    );
    refuses(
        |spec| {
            too_large(spec);
            spec.rules[0].steps.insert(0, Step::SetChooseLocalFallbackTries(1));
        },
        CrushPlace::Step(0, choose + 1),
        fault,
    );
    let mut newer = spec();
    too_large(&mut newer);
    assert!(CrushMap::new(newer).is_ok());
}
