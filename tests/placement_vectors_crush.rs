//! CRUSH against Ceph's own answers: `tests/vectors/crush`, whose README says where they come from and describes the
//! files. Another folder of the same shape is read when `WEBDFS_VECTORS` names the folder above it. What is missing or
//! empty fails the tests.

mod placement_support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use placement_support::{csv_rows, number, parse_numbers, read_vectors, report};
use serde_json::Value;
use webdfs::cluster::crush::{
    Bucket, BucketKind, BucketSpec, Choice, CrushMap, CrushSpec, DeviceSpec, ItemSpec, Order, RuleSpec, Step,
    StrawCalculation, Tunables, TypeSpec, WEIGHT_ONE,
};
use webdfs::placement::crush::{HOLE, hash1, hash2, hash3, hash4, hash5, log2, run};

#[test]
fn the_hashes_and_straws_meet_the_unit_vectors() {
    let (path, text) = read("units.csv");
    let rows = csv_rows(&path, &text, "kind,arguments,result");
    let mut kinds = BTreeSet::new();
    for row in &rows {
        let &[kind, arguments, result] = row.as_slice() else { unreachable!("checked by csv_rows") };
        let words: Vec<u32> = parse_numbers(arguments);
        let computed = match (kind, words.as_slice()) {
            ("hash1", &[a]) => vec![hash1(a)],
            ("hash2", &[a, b]) => vec![hash2(a, b)],
            ("hash3", &[a, b, c]) => vec![hash3(a, b, c)],
            ("hash4", &[a, b, c, d]) => vec![hash4(a, b, c, d)],
            ("hash5", &[a, b, c, d, e]) => vec![hash5(a, b, c, d, e)],
            ("straws0", weights) => straws(weights, StrawCalculation::Original),
            ("straws1", weights) => straws(weights, StrawCalculation::Corrected),
            _ => panic!("{row:?}: unknown kind or wrong number of arguments"),
        };
        assert_eq!(computed, parse_numbers::<u32>(result), "{row:?}");
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 7, "some kinds have no rows: {kinds:?}");
    report(&path, rows.len());
}

#[test]
fn the_logarithm_meets_every_entry_of_its_vector() {
    let (path, text) = read("crush_ln.csv.gz");
    let rows = csv_rows(&path, &text, "u,crush_ln");
    let inputs: BTreeSet<u32> = rows
        .iter()
        .map(|row| {
            let u = number(row[0]);
            assert_eq!(log2(u), number::<u64>(row[1]), "input {u}");
            u
        })
        .collect();
    assert!(inputs.into_iter().eq(0..=0xffff), "the inputs are not those from 0 to 65535");
    report(&path, rows.len());
}

#[test]
fn every_map_of_the_vectors_is_read_and_places_as_ceph_does() {
    let (cases_path, cases) = read("cases.csv");
    let cases = cases_rows(&cases_path, &cases);
    for case in &cases {
        let (map_path, text) = read(&format!("{}.map.txt", case.name));
        let map =
            CrushMap::from_text(&text).unwrap_or_else(|error| panic!("{}: {error}", map_path.display()));
        let (json_path, json) = read(&format!("{}.json", case.name));
        let json: Value =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{}: {error}", json_path.display()));
        let compared = compare_map(&map, &json["map"], &case.name);
        report(&map_path, compared);

        assert_eq!(json["num_rep"], case.replicas, "{}", case.name);
        assert_eq!(json["min_x"], case.first, "{}", case.name);
        assert_eq!(map.devices().len(), case.devices, "{}", case.name);
        assert_eq!(map.buckets().count(), case.buckets, "{}", case.name);
        let reweight = reweights(&json, case);
        let (path, text) = read(&format!("{}.csv.gz", case.name));
        let rows = csv_rows(&path, &text, "x,osds");
        let (mut incomplete, mut inputs) = (0, Vec::new());
        for row in &rows {
            let (x, expected) = (number::<u32>(row[0]), parse_numbers::<i32>(row[1]));
            let found = run(&map, &map.rules()[0], x, case.replicas, &reweight, &mut ());
            let found: Vec<i32> = found.iter().map(|item| if *item == HOLE { -1 } else { *item }).collect();
            assert_eq!(found, expected, "{} input {x}", case.name);
            incomplete += usize::from(found.len() < case.replicas || found.contains(&-1));
            inputs.push(x);
        }
        assert_eq!(incomplete, case.incomplete, "{}: rows short or with holes", case.name);
        assert!(
            inputs.into_iter().eq(case.first..=number(&json["max_x"].to_string())),
            "{}: inputs",
            case.name
        );
        report(&path, rows.len());
    }
    report(&cases_path, cases.len());
}

/// The anchors were made from a million inputs; these are fewer, and held to what chance allows for so many.
const ANCHOR_INPUTS: u32 = 10_000;

#[test]
fn loads_and_movement_are_those_of_the_anchor_vectors() {
    let (path, text) = read("anchors.csv");
    let rows = csv_rows(&path, &text, "configuration,kind,figures");
    let compare = |row: &Vec<&str>| {
        let figure = |name: &str| -> f64 {
            let found = row[2].split(' ').find_map(|figure| figure.strip_prefix(name)?.strip_prefix('='));
            number(found.unwrap_or_else(|| panic!("{row:?}: no {name}")))
        };
        let (kind, change) = row[0].split_once(' ').unwrap_or_else(|| panic!("{row:?}: no change"));
        let kind = BucketKind::ALL.into_iter().find(|known| known.as_str() == kind);
        let kind = kind.unwrap_or_else(|| panic!("{row:?}: unknown kind"));
        match row[1] {
            "load" => {
                let ratio = load_variation(kind) / multinomial_variation();
                let expected = figure("cv") / figure("multinomial_cv");
                assert!((ratio - expected).abs() < 0.35, "{row:?}: {ratio}");
            }
            "moved" => {
                let (found, expected) = (moved(kind, change), figure("moved"));
                let deviation = (expected * (1.0 - expected) / f64::from(3 * ANCHOR_INPUTS)).sqrt();
                assert!((found - expected).abs() < 5.0 * deviation, "{row:?}: {found} moved");
            }
            other => panic!("{row:?}: unknown kind of figures {other}"),
        }
    };
    std::thread::scope(|scope| {
        let (some, others) = rows.split_at(rows.len() / 2);
        let some = scope.spawn(move || some.iter().for_each(compare));
        others.iter().for_each(compare);
        some.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    report(&path, rows.len());
}

/// The coefficient of variation of the loads of the hundred devices.
fn load_variation(kind: BucketKind) -> f64 {
    let (map, reweight) = anchor_map(kind, "10x10");
    let mut loads = [0f64; 100];
    for x in 0..ANCHOR_INPUTS {
        run(&map, &map.rules()[0], x, 3, &reweight, &mut ())
            .iter()
            .for_each(|device| loads[*device as usize] += 1.0);
    }
    let mean = loads.iter().sum::<f64>() / 100.0;
    (loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / 100.0).sqrt() / mean
}

/// That of so many replicas thrown at random.
fn multinomial_variation() -> f64 {
    (0.99 / (f64::from(3 * ANCHOR_INPUTS) * 0.01)).sqrt()
}

/// The share of the replicas whose device leaves the set when the map changes so.
fn moved(kind: BucketKind, change: &str) -> f64 {
    let ((before, in_before), (after, in_after)) = (anchor_map(kind, "10x10"), anchor_map(kind, change));
    let gone = (0..ANCHOR_INPUTS).map(|x| {
        let old = run(&before, &before.rules()[0], x, 3, &in_before, &mut ());
        let new = run(&after, &after.rules()[0], x, 3, &in_after, &mut ());
        assert_eq!((old.len(), new.len()), (3, 3), "{kind:?} {change} input {x}");
        old.iter().filter(|device| !new.contains(device)).count()
    });
    gone.sum::<usize>() as f64 / f64::from(3 * ANCHOR_INPUTS)
}

/// Ten hosts of ten devices under one root, after `change`, with the reweights.
fn anchor_map(kind: BucketKind, change: &str) -> (CrushMap, Vec<u32>) {
    let hosts = if change == "10x10 -> 11x10" { 11 } else { 10 };
    let at = |before: &str, after: &str| {
        change.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).map(number::<usize>)
    };
    let (empty, out) = (at("host ", " weight 0"), at("osd ", " out"));
    assert!(change.starts_with("10x10") || empty.is_some() || out.is_some(), "unknown change {change:?}");
    let mut spec = flat_map(kind, &[], Tunables::JEWEL);
    let bucket = |id, name, type_id, items| BucketSpec { id, name, type_id, kind, items, shadow_class: None };
    spec.types.push(TypeSpec { id: 2, name: "host".to_owned() });
    for host in 0..hosts {
        let devices = (10 * host..).take(10);
        spec.devices.extend(devices.clone().map(|id| DeviceSpec {
            id,
            name: format!("osd.{id}"),
            class: None,
        }));
        let items = devices.map(|id| ItemSpec { id, weight: WEIGHT_ONE }).collect();
        spec.buckets.push(bucket(-2 - host, format!("host{host}"), 2, items));
        let weight = if empty == Some(host as usize) { 0 } else { 10 * WEIGHT_ONE };
        spec.buckets[0].items.push(ItemSpec { id: -2 - host, weight });
    }
    spec.rules[0].steps[1] = Step::Choose(Choice { leaf: true, order: Order::Firstn, count: 0, type_id: 2 });
    let mut reweight = vec![WEIGHT_ONE; spec.devices.len()];
    if let Some(device) = out {
        reweight[device] = 0;
    }
    (CrushMap::new(spec).unwrap_or_else(|error| panic!("{kind:?} {change}: {error}")), reweight)
}

/// One line of `cases.csv`.
struct Case {
    name: String,
    replicas: usize,
    first: u32,
    reweighted: usize,
    buckets: usize,
    devices: usize,
    incomplete: usize,
}

/// Notes may be quoted and hold commas; all other fields are plain.
fn cases_rows(path: &Path, text: &str) -> Vec<Case> {
    let mut lines = text.lines();
    let header = "case,note,num_rep,min_x,reweighted_devices,buckets,devices,rows_short_or_with_holes";
    assert_eq!(lines.next(), Some(header), "{}: the header", path.display());
    let case = |line: &str| {
        let (name, rest) = line.split_once(',')?;
        let numbers: Vec<&str> = rest.rsplitn(7, ',').collect();
        let &[incomplete, devices, buckets, reweighted, first, replicas, _note] = numbers.as_slice() else {
            return None;
        };
        Some(Case {
            name: name.to_owned(),
            replicas: number(replicas),
            first: number(first),
            reweighted: number(reweighted),
            buckets: number(buckets),
            devices: number(devices),
            incomplete: number(incomplete),
        })
    };
    lines.map(|line| case(line).unwrap_or_else(|| panic!("{}: {line:?}", path.display()))).collect()
}

/// The reweight of each device by its id: 1 where the case says nothing else.
fn reweights(json: &Value, case: &Case) -> Vec<u32> {
    let mut weights = vec![WEIGHT_ONE; case.devices];
    let given = json["reweight_16_16"].as_object().unwrap_or_else(|| panic!("{}: reweights", case.name));
    for (device, weight) in given {
        weights[number::<usize>(device)] = number(&weight.to_string());
    }
    assert_eq!(given.len(), case.reweighted, "{}: reweighted devices", case.name);
    weights
}

/// Compares a map with the same one as numbers: tunables, types, devices, buckets and the rule. Gives how many parts.
fn compare_map(map: &CrushMap, json: &Value, case: &str) -> usize {
    let tunables = map.tunables();
    let expected = json["tunables"].as_object().unwrap_or_else(|| panic!("{case}: tunables"));
    for (name, value) in expected {
        let found = match name.as_str() {
            "choose_local_tries" => tunables.choose_local_tries,
            "choose_local_fallback_tries" => tunables.choose_local_fallback_tries,
            "choose_total_tries" => tunables.choose_total_tries,
            "chooseleaf_descend_once" => tunables.chooseleaf_descend_once.into(),
            "chooseleaf_vary_r" => tunables.chooseleaf_vary_r,
            "chooseleaf_stable" => tunables.chooseleaf_stable.into(),
            "straw_calc_version" => (tunables.straw_calc_version == StrawCalculation::Corrected).into(),
            _ => panic!("{case}: unknown tunable {name}"),
        };
        assert_eq!(*value, found, "{case}: {name}");
    }
    assert_eq!(expected.len(), 7, "{case}: tunables");
    let types: Vec<(String, &str)> =
        map.types().iter().map(|one| (one.id.to_string(), one.name.as_str())).collect();
    let expected = json["types"].as_object().unwrap_or_else(|| panic!("{case}: types"));
    assert!(
        expected.iter().all(|(id, name)| types.contains(&(id.clone(), name.as_str().unwrap()))),
        "{case}: {types:?}"
    );
    assert_eq!(types.len(), expected.len(), "{case}: types");
    assert_eq!(json["devices"], map.devices().len(), "{case}");
    assert!((0..).zip(map.devices()).all(|(id, device)| device.id() == id), "{case}: devices");

    let expected = json["buckets"].as_array().unwrap_or_else(|| panic!("{case}: buckets"));
    assert_eq!(map.buckets().count(), expected.len(), "{case}: buckets");
    for bucket in expected {
        let id = bucket["id"].as_i64().unwrap_or_else(|| panic!("{case}: {bucket}")) as i32;
        let found = map.bucket(id).unwrap_or_else(|| panic!("{case}: no bucket {id}"));
        compare_bucket(found, bucket, &format!("{case}: bucket {id}"));
    }
    let steps = json["rule"].as_array().unwrap_or_else(|| panic!("{case}: rule"));
    let found: Vec<Value> = map.rules()[0].steps().iter().map(|step| step_json(map, step)).collect();
    assert_eq!(&found, steps, "{case}: the rule");
    1 + types.len() + map.devices().len() + expected.len() + steps.len()
}

fn compare_bucket(bucket: Bucket<'_>, json: &Value, context: &str) {
    assert_eq!(json["name"], bucket.name(), "{context}");
    assert_eq!(json["type"], bucket.type_id(), "{context}");
    assert_eq!(json["alg"], bucket.kind().as_str(), "{context}");
    let items: Vec<Value> = bucket
        .items()
        .iter()
        .zip(bucket.weights())
        .map(|(id, weight)| serde_json::json!([id, weight]))
        .collect();
    assert_eq!(json["items"].as_array(), Some(&items), "{context}");
    assert_eq!(json["weight"], bucket.weights().iter().sum::<u32>(), "{context}");
}

/// A step as the vectors write it.
fn step_json(map: &CrushMap, step: &Step) -> Value {
    let set = |name: &str, number: u32| serde_json::json!({ "op": name, "num": number });
    match *step {
        Step::Take(item) => {
            serde_json::json!({ "op": "take", "item": item, "item_name": map.item_name(item) })
        }
        Step::Choose(Choice { leaf, order, count, type_id }) => {
            let choose = if leaf { "chooseleaf" } else { "choose" };
            let order = if order == Order::Firstn { "firstn" } else { "indep" };
            let op = format!("{choose}_{order}");
            serde_json::json!({ "op": op, "num": count, "type": map.type_name(type_id) })
        }
        Step::Emit => serde_json::json!({ "op": "emit" }),
        Step::SetChooseTries(tries) => set("set_choose_tries", tries),
        Step::SetChooseleafTries(tries) => set("set_chooseleaf_tries", tries),
        Step::SetChooseLocalTries(tries) => set("set_choose_local_tries", tries),
        Step::SetChooseLocalFallbackTries(tries) => set("set_choose_local_fallback_tries", tries),
        Step::SetChooseleafVaryR(vary_r) => set("set_chooseleaf_vary_r", vary_r),
        Step::SetChooseleafStable(stable) => set("set_chooseleaf_stable", stable.into()),
    }
}

/// The straws of a bucket of items of these weights.
fn straws(weights: &[u32], calculation: StrawCalculation) -> Vec<u32> {
    let spec =
        flat_map(BucketKind::Straw, weights, Tunables { straw_calc_version: calculation, ..Tunables::JEWEL });
    let map = CrushMap::new(spec).unwrap_or_else(|error| panic!("{weights:?}: {error}"));
    map.bucket(-1).expect("the only bucket").straws().to_vec()
}

/// A map of one bucket of devices of these weights.
fn flat_map(kind: BucketKind, weights: &[u32], tunables: Tunables) -> CrushSpec {
    let devices = (0..).zip(weights);
    CrushSpec {
        tunables,
        types: vec![TypeSpec { id: 1, name: "root".to_owned() }],
        devices: devices
            .clone()
            .map(|(id, _)| DeviceSpec { id, name: format!("osd.{id}"), class: None })
            .collect(),
        buckets: vec![BucketSpec {
            id: -1,
            name: "default".to_owned(),
            type_id: 1,
            kind,
            items: devices.map(|(id, weight)| ItemSpec { id, weight: *weight }).collect(),
            shadow_class: None,
        }],
        rules: vec![RuleSpec {
            id: 0,
            name: "flat".to_owned(),
            steps: vec![
                Step::Take(-1),
                Step::Choose(Choice { leaf: false, order: Order::Firstn, count: 0, type_id: 0 }),
                Step::Emit,
            ],
        }],
    }
}

fn read(name: &str) -> (PathBuf, String) {
    read_vectors("crush", name)
}
