//! Behaviour of [`CrushTable`]: what locations become, what rules reach, and what is refused.

use std::collections::BTreeMap;

use super::*;
use crate::cluster::crush::{CrushPlace, parse_text};
use crate::cluster::{
    Algorithm, ClusterMap, Level, MapSpec, NodeSpec, NodeState, Place, PlacementSpec, SubClusterSpec,
};

/// A node as `NAME LEVEL=PLACE ...`, `out` among them if it is.
fn node(text: &str) -> NodeSpec {
    let mut words = text.split(' ');
    let name = words.next().unwrap();
    let mut node = NodeSpec {
        name: name.into(),
        url: format!("http://{name}"),
        public_url: None,
        state: NodeState::In,
        location: BTreeMap::new(),
    };
    for word in words {
        match word.split_once('=') {
            Some((level, place)) => drop(node.location.insert(level.into(), place.into())),
            None => node.state = NodeState::Out,
        }
    }
    node
}

/// A map of one sub-cluster for each list of nodes, with its weight.
fn spec(source: CrushSource, replicas: usize, subclusters: &[(f64, &[&str])]) -> MapSpec {
    let subcluster = |(number, (weight, nodes)): (usize, &(f64, &[&str]))| SubClusterSpec {
        name: format!("s{number}"),
        weight: *weight,
        nodes: nodes.iter().map(|text| node(text)).collect(),
    };
    let subclusters = subclusters.iter().enumerate().map(subcluster).collect();
    MapSpec { epoch: 1, replicas, write_quorum: 1, placement: PlacementSpec::Crush(source), subclusters }
}

fn table(spec: MapSpec) -> Result<CrushTable, MapError> {
    match ClusterMap::new(spec)?.algorithm() {
        Algorithm::Crush(table) => Ok((**table).clone()),
        other => panic!("{other:?} is not CRUSH"),
    }
}

fn racks() -> CrushSource {
    CrushSource::Locations(FailureDomain::Level(Level::Rack))
}

/// Three racks with two hosts each and a node on each.
const RACKS: &[&str] = &[
    "a rack=r1 host=h1",
    "b rack=r1 host=h2",
    "c rack=r2 host=h3",
    "d rack=r2 host=h4",
    "e rack=r3 host=h5",
    "f rack=r3 host=h6",
];

#[track_caller]
fn check(spec: MapSpec, place: Place, expected: &str) {
    let error = table(spec).expect_err("the map should be refused");
    assert_eq!(error.place(), place, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn locations_become_a_tree_of_places() {
    let made = table(spec(racks(), 3, &[(1.0, RACKS), (2.5, &["g rack=r1 host=h1"])])).unwrap();
    let map = made.map();
    let bucket = |name: &str| map.bucket(map.item_named(name).unwrap()).unwrap();
    let root = bucket("root");
    assert_eq!(made.roots(), [(root.id(), 0x8_8000)]);
    let names: Vec<_> = root.items().iter().map(|item| map.item_name(*item).unwrap()).collect();
    assert_eq!(names, ["rack.r1", "rack.r2", "rack.r3"]);
    assert_eq!(root.weights(), [0x4_8000, 0x2_0000, 0x2_0000]);
    assert_eq!(bucket("host.h1").items(), [0, 6]);
    assert_eq!(bucket("host.h1").weights(), [0x1_0000, 0x2_8000]);
    assert_eq!(made.seats().len(), 7);
    assert_eq!((made.domain_count(), made.domain_type()), (3, "rack"));
    let domains: Vec<_> = (0..7).map(|node| made.domain_of(NodeIndex::new(node)).unwrap()).collect();
    assert_eq!(domains, [0, 0, 1, 1, 2, 2, 0]);
    assert!((0..7).all(|device| made.node_of(device) == Some(NodeIndex::new(device as u32))));
    assert!([-1, 7, i32::MIN, i32::MAX].iter().all(|device| made.node_of(*device).is_none()));
}

#[test]
fn without_locations_the_sub_clusters_are_the_tree() {
    let source = || CrushSource::Locations(FailureDomain::default());
    let made = table(spec(source(), 2, &[(1.0, &["a", "b"]), (0.0, &["c"]), (3.0, &["d"])])).unwrap();
    let root = made.map().bucket(made.roots()[0].0).unwrap();
    assert_eq!(root.weights(), [0x2_0000, 0, 0x3_0000]);
    assert_eq!((made.domain_count(), made.domain_type()), (3, "node"));
    assert_eq!((made.domain_of(NodeIndex::new(2)), made.node_of(2)), (None, None));
}

#[test]
fn the_id_of_a_place_never_changes() {
    // Computed by a second program.
    let known = [("root", -1), ("rack.r1", -1_691_353_109), ("host.h7", -340_034_428)];
    let before = table(spec(racks(), 1, &[(1.0, &["a rack=r1 host=h7"])])).unwrap();
    let ids: Vec<_> = known.iter().map(|(name, _)| before.map().item_named(name).unwrap()).collect();
    assert_eq!(ids, known.map(|(_, id)| id));
    // Others come before, behind and into it.
    let more: &[&str] = &["z rack=r0 host=h0", "a rack=r1 host=h7", "y rack=r2 host=h2", "x rack=r1 host=h1"];
    let after = table(spec(racks(), 1, &[(1.0, more)])).unwrap();
    assert!(known.iter().all(|(name, id)| after.map().item_named(name) == Some(*id)));
    let source = CrushSource::Locations(FailureDomain::Node);
    let made = table(spec(source, 1, &[(1.0, &["a"])])).unwrap();
    assert_eq!(made.map().item_named("subcluster.0"), Some(-2));
}

#[test]
fn the_id_of_a_place_does_not_hang_on_the_other_places() {
    let ids = |numbers: std::ops::Range<u32>| {
        let nodes: Vec<String> = numbers.map(|i| format!("n{i} rack=r{} host=h{i}", i % 3)).collect();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let made = table(spec(racks(), 3, &[(1.0, &nodes)])).unwrap();
        let buckets = made.map().buckets().map(|bucket| (bucket.name().to_owned(), bucket.id()));
        buckets.collect::<BTreeMap<String, i32>>()
    };
    let all = ids(0..4_000);
    assert_eq!(all.len(), 4_004);
    for (name, id) in ids(2_000..4_000) {
        assert_eq!(all[&name], id, "{name} had another id without those before it");
    }
}

#[test]
fn places_that_chance_gives_one_id_are_refused_by_name() {
    let other = "x rack=r9 host=h100246";
    let map = spec(racks(), 1, &[(1.0, &["a rack=r1 host=h4005"]), (1.0, &["b rack=r1 host=h2", other])]);
    let error = "node x: host h100246 and host h4005 get the same id in CRUSH";
    check(map, Place::Node(1, 1), error);
}

#[test]
fn large_sub_clusters_are_divided_into_blocks() {
    let nodes: Vec<String> = (0..600).map(|i| format!("n{i}")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let source = CrushSource::Locations(FailureDomain::Node);
    let made = table(spec(source, 3, &[(1.0, &nodes[..256]), (2.0, &nodes[256..])])).unwrap();
    let map = made.map();
    let bucket = |name: &str| map.bucket(map.item_named(name).unwrap()).unwrap();
    assert_eq!((bucket("root").items(), bucket("subcluster.0").size()), (&[-2, -3][..], 256));
    let blocks: Vec<i32> = [256, 512].iter().map(|first| -2 - 65_536 - first).collect();
    assert_eq!((bucket("subcluster.1").id(), bucket("subcluster.1").items()), (-3, &blocks[..]));
    assert_eq!(bucket("subcluster.1").weights(), [512 << 16, 176 << 16]);
    assert_eq!(bucket("block.1.1").items(), (512..600).collect::<Vec<_>>());
    assert_eq!((made.domain_count(), made.domain_type()), (600, "node"));
}

#[test]
fn locations_that_do_not_fit_together_are_refused() {
    let with = |text: &'static str| spec(racks(), 2, &[(1.0, RACKS), (1.0, &["x rack=r9 host=h9", text])]);
    let refused: [(&str, &str); 6] = [
        ("g rack=r2 host=h1", "node g: host h1 is in rack r2 here, but in rack r1 at node a"),
        ("g rack=r2", "node g: the levels of its location are rack, but those of node a are rack, host"),
        ("g", "its location are none, but"),
        ("g rack=r2 host=h7 row=r", "row, rack, host"),
        ("g shelf=2", "node g: location: \"shelf\" is no level"),
        ("g rack=.2", "node g: location: rack: the name \".2\" starts with '.'"),
    ];
    for (text, expected) in refused {
        check(with(text), Place::Node(1, 1), expected);
    }
    let row = CrushSource::Locations(FailureDomain::Level(Level::Row));
    check(spec(row, 2, &[(1.0, RACKS)]), Place::Field("failure_domain"), "do not name a row");
    let mut other = spec(racks(), 2, &[(1.0, RACKS)]);
    other.placement = PlacementSpec::RushR;
    check(other, Place::Node(0, 0), "only placement = \"crush\" looks at it");
}

#[test]
fn there_must_be_as_many_usable_failure_domains_as_replicas() {
    let error = "replicas is 4, but only 3 failure domains of type rack have";
    check(spec(racks(), 4, &[(1.0, RACKS)]), Place::Field("replicas"), error);
    let out = ["a rack=r1", "b rack=r1", "c rack=r2", "d rack=r2 out", "e rack=r3 out", "f rack=r3 out"];
    let error =
        "replicas is 3, but only 2 failure domains of type rack have a node in service of weight above 0 (3";
    check(spec(racks(), 3, &[(1.0, &out)]), Place::Field("replicas"), error);
    assert_eq!(table(spec(racks(), 2, &[(1.0, &out)])).unwrap().domain_count(), 3);
    let drained = spec(racks(), 3, &[(1.0, &["a rack=r1", "b rack=r2", "c rack=r1"]), (0.0, &["d rack=r3"])]);
    check(drained, Place::Field("replicas"), "only 2 failure domains");
}

#[test]
fn weights_that_crush_cannot_count_are_refused() {
    let weights = |last| spec(racks(), 1, &[(65_534.0, &["a rack=r1"]), (last, &["b rack=r1"])]);
    assert!(table(weights(1.99)).is_ok());
    check(weights(2.0), Place::Map, "add up to 65536;");
}

/// Two racks of two hosts of two devices, one of them of weight 0, with a rule of these steps.
fn text_map(steps: &str) -> String {
    let mut text = String::new();
    (0..8).for_each(|i| text += &format!("device {i} n{i}\n"));
    text += "type 0 osd\ntype 1 host\ntype 2 rack\ntype 3 root\n";
    let bucket = |type_name: &str, name: &str, id: i32, items: [(String, f64); 2]| {
        let [first, second] = items.map(|(item, weight)| format!("item {item} weight {weight:.3}\n"));
        format!("{type_name} {name} {{\nid {id}\nalg straw2\nhash 0\n{first}{second}}}\n")
    };
    for host in 0..4 {
        let weight = if host == 3 { 0.0 } else { 1.0 };
        let items = [(format!("n{}", 2 * host), 1.0), (format!("n{}", 2 * host + 1), weight)];
        text += &bucket("host", &format!("h{host}"), -2 - host, items);
    }
    for rack in 0..2 {
        let items = [(format!("h{}", 2 * rack), 2.0), (format!("h{}", 2 * rack + 1), 2.0)];
        text += &bucket("rack", &format!("r{rack}"), -10 - rack, items);
    }
    text += &bucket("root", "top", -1, [("r0".into(), 4.0), ("r1".into(), 3.0)]);
    let steps: String = steps.split("; ").map(|step| format!("step {step}\n")).collect();
    text + &format!("rule one {{\nid 0\ntype replicated\n{steps}}}\n")
}

fn given(text: &str, rule: Option<&str>) -> CrushSource {
    let map = parse_text(text).unwrap_or_else(|error| panic!("{text}\n{error}")).spec;
    CrushSource::Map { map: Box::new(map), rule: rule.map(str::to_owned) }
}

/// Not in the order of the devices.
const NODES: &[&str] = &["n7", "n3", "n0", "n1", "n2", "n6", "n5", "n4"];

fn by_rule(steps: &str, replicas: usize) -> MapSpec {
    spec(given(&text_map(steps), None), replicas, &[(1.0, NODES)])
}

#[test]
fn failure_domains_are_those_of_the_last_step_that_chooses_several() {
    let cases: [(&str, usize, &str, usize); 12] = [
        (
            "take r0; chooseleaf firstn 1 type host; emit; take top; chooseleaf firstn -1 type rack; emit",
            2,
            "rack",
            2,
        ),
        ("take h0; chooseleaf firstn 1 type osd; emit; take h1; choose firstn 1 type osd; emit", 2, "osd", 4),
        ("take top; chooseleaf firstn 0 type rack; emit", 2, "rack", 2),
        ("take top; chooseleaf firstn 0 type host; emit", 3, "host", 4),
        ("take top; choose firstn 0 type osd; emit", 3, "osd", 7),
        ("take top; choose indep 0 type osd; emit", 3, "osd", 7),
        ("take top; choose firstn 2 type rack; chooseleaf firstn 2 type host; emit", 4, "host", 4),
        (
            "take top; choose firstn 0 type rack; choose firstn 1 type host; choose firstn 1 type osd; emit",
            2,
            "rack",
            2,
        ),
        ("take top; choose firstn 0 type rack; chooseleaf firstn -1 type host; emit", 2, "host", 4),
        (
            "take r0; chooseleaf firstn 1 type host; emit; take r1; chooseleaf firstn -1 type host; emit",
            3,
            "host",
            4,
        ),
        ("take r1; choose firstn 1 type host; chooseleaf firstn 0 type osd; emit", 2, "osd", 3),
        ("take h0; chooseleaf firstn 0 type osd; emit", 2, "osd", 2),
    ];
    for (steps, replicas, domain, count) in cases {
        let made = table(by_rule(steps, replicas)).unwrap_or_else(|error| panic!("{steps}: {error}"));
        assert_eq!((made.domain_type(), made.domain_count()), (domain, count), "{steps}");
    }
}

#[test]
fn nodes_are_devices_by_name() {
    let made = table(by_rule("take r1; chooseleaf firstn 0 type host; emit", 2)).unwrap();
    let nodes: Vec<_> = (0..8).map(|device| made.node_of(device).map(NodeIndex::get)).collect();
    // Those of r0 are not reached, and n7 weighs nothing.
    assert_eq!(nodes, [None, None, None, None, Some(7), Some(6), Some(5), None]);
    let seats: Vec<_> = made.seats().iter().map(|seat| (seat.node.get(), seat.device)).collect();
    assert_eq!(seats, [(5, 6), (6, 5), (7, 4)]);
    assert_eq!(made.domain_of(NodeIndex::new(6)), made.domain_of(NodeIndex::new(7)));
    assert_ne!(made.domain_of(NodeIndex::new(6)), made.domain_of(NodeIndex::new(5)));
}

#[test]
fn devices_of_two_classes_in_one_host_share_its_failure_domain() {
    let mut text = "device 0 n0 class ssd\ndevice 1 n1 class hdd\n".to_owned();
    text += "device 2 n2 class ssd\ndevice 3 n3 class hdd\ntype 0 osd\ntype 1 host\ntype 2 root\n";
    for host in 0..2 {
        text += &format!(
            "host h{host} {{\nid -{}\nid -{} class ssd\nid -{} class hdd\n",
            host + 2,
            host + 12,
            host + 22
        );
        let (ssd, hdd) = (2 * host, 2 * host + 1);
        text += &format!("alg straw2\nhash 0\nitem n{ssd} weight 1.000\nitem n{hdd} weight 1.000\n}}\n");
    }
    text += "root top {\nid -1\nid -11 class ssd\nid -21 class hdd\nalg straw2\nhash 0\n";
    text += "item h0 weight 2.000\nitem h1 weight 2.000\n}\n";
    text += "rule one {\nid 0\ntype replicated\nstep take top class ssd\nstep chooseleaf firstn 1 type host\nstep emit\n";
    text += "step take top class hdd\nstep chooseleaf firstn -1 type host\nstep emit\n}\n";
    let made = table(spec(given(&text, None), 2, &[(1.0, &["n0", "n1", "n2", "n3"])])).unwrap();
    let domains: Vec<_> = (0..4).map(|node| made.domain_of(NodeIndex::new(node)).unwrap()).collect();
    assert_eq!((domains, made.domain_count()), (vec![0, 0, 1, 1], 2));
    assert_eq!(made.roots().len(), 2);
    let many = spec(given(&text, None), 3, &[(1.0, &["n0", "n1", "n2", "n3"])]);
    check(many, Place::Field("replicas"), "only 2 failure domains of type host");
}

#[test]
fn rules_that_cannot_place_the_replicas_are_refused() {
    let refused: [(&str, usize, CrushPlace, &str); 6] = [
        (
            "take top; choose firstn 0 type host; emit",
            2,
            CrushPlace::Step(0, 2),
            "ends with items of type host",
        ),
        ("take n0; emit", 1, CrushPlace::Step(0, 1), "emits what it takes"),
        (
            "take top; chooseleaf firstn 2 type host; emit",
            3,
            CrushPlace::Rule(0),
            "chooses at most 2, but replicas is 3",
        ),
        (
            "take top; choose firstn 1 type rack; chooseleaf firstn 2 type host; emit",
            3,
            CrushPlace::Rule(0),
            "at most 2",
        ),
        ("take top; chooseleaf firstn -3 type host; emit", 3, CrushPlace::Rule(0), "at most 0"),
        (
            "take r0; chooseleaf firstn 2 type host; emit; take r1; choose firstn 2 type osd; emit",
            4,
            CrushPlace::Step(0, 5),
            "apart by host in one part and by osd in another",
        ),
    ];
    for (steps, replicas, place, expected) in refused {
        check(by_rule(steps, replicas), Place::CrushMap(place), expected);
    }
    let few = by_rule("take top; chooseleaf firstn 0 type rack; emit", 3);
    check(few, Place::Field("replicas"), "only 2 failure domains of type rack");
}

#[test]
fn the_nodes_and_the_given_map_must_fit_together() {
    let text = text_map("take top; chooseleaf firstn 0 type host; emit");
    let with = |rule, nodes: &[&str]| spec(given(&text, rule), 2, &[(1.0, nodes)]);
    // n7 cannot be chosen, so it need not be a node.
    assert!(table(with(None, &["n0", "n1", "n2", "n3", "n4", "n5", "n6"])).is_ok());
    let few = with(None, &["n0", "n1", "n2", "n3", "n4", "n6", "n7"]);
    check(few, Place::CrushMap(CrushPlace::Device(5)), "device n5 can be chosen by rule one, but no node");
    let more = with(None, &["n0", "n1", "n2", "n3", "n4", "n5", "n6", "h0"]);
    check(more, Place::Node(0, 7), "node h0: the crush_map has no device of this name");
    let heavy = spec(given(&text, None), 2, &[(1.0, &NODES[..4]), (2.0, &NODES[4..])]);
    check(heavy, Place::SubCluster(1), "sub-cluster s1: weight is 2, but with crush_map");
    check(with(None, &["n0", "n1 rack=r1"]), Place::Node(0, 1), "the crush_map says where nodes are");
    check(with(Some("two"), NODES), Place::Field("crush_rule"), "has no rule \"two\"; known: one");
    assert!(table(with(Some("one"), NODES)).is_ok());
}

#[test]
fn of_several_rules_one_is_named() {
    let one = text_map("take top; chooseleaf firstn 0 type host; emit");
    let two = format!(
        "{one}rule two {{\nid 1\ntype replicated\nstep take r0\nstep choose firstn 0 type osd\nstep emit\n}}\n"
    );
    let with = |text: &str, rule| spec(given(text, rule), 2, &[(1.0, NODES)]);
    check(with(&two, None), Place::Field("crush_map"), "has 2 rules: one, two; name the one");
    assert_eq!(table(with(&two, Some("two"))).unwrap().domain_type(), "osd");
    let none = one.split("rule one").next().unwrap();
    check(with(none, None), Place::Field("crush_map"), "has no rule");
}

#[test]
fn the_fingerprint_tells_locations_and_maps_apart() {
    let text = text_map("take top; chooseleaf firstn 0 type host; emit");
    let other_weight = text.replace("item n2 weight 1.000", "item n2 weight 2.000");
    let other_step = text.replace("firstn 0", "firstn 3");
    let other_kind = text.replace("alg straw2", "alg straw");
    let tunable = format!("tunable choose_total_tries 51\n{text}");
    let elsewhere: Vec<String> = RACKS.iter().map(|text| text.replace("host=h6", "host=h7")).collect();
    let elsewhere: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
    let mut specs = vec![
        spec(racks(), 2, &[(1.0, RACKS)]),
        spec(CrushSource::Locations(FailureDomain::Node), 2, &[(1.0, RACKS)]),
        spec(CrushSource::Locations(FailureDomain::Level(Level::Host)), 2, &[(1.0, RACKS)]),
        spec(racks(), 2, &[(1.0, &elsewhere)]),
        spec(CrushSource::Locations(FailureDomain::Node), 2, &[(1.0, NODES)]),
    ];
    for text in [&text, &other_weight, &other_step, &other_kind, &tunable] {
        specs.push(spec(given(text, None), 2, &[(1.0, NODES)]));
    }
    let count = specs.len();
    let fingerprint = |spec| ClusterMap::new(spec).unwrap().fingerprint();
    let fingerprints: BTreeSet<_> = specs.into_iter().map(fingerprint).collect();
    assert_eq!(fingerprints.len(), count);
    // The same values in other words.
    let spaced = text.replace("weight 1.000", "weight  1.0  # one");
    let of = |text: &str, rule| fingerprint(spec(given(text, rule), 2, &[(1.0, NODES)]));
    assert_eq!(of(&spaced, Some("one")), of(&text, None));
}
