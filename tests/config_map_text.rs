//! A map that is written down and read again is the same map, whatever is in it.

mod placement_support;

use std::io;
use std::path::Path;

use placement_support::crush::{Places, on_text_map};
use placement_support::{Layout, cases, read_vectors};
use proptest::prelude::*;
use webdfs::cluster::crush::parse_text;
use webdfs::cluster::{
    ClusterMap, CrushSource, FailureDomain, Level, MapSpec, NodeState, NodeUrl, PlacementSpec,
};
use webdfs::config::{crush_file, map_text, parse_map_with};
use webdfs::php::PhpVersion;

/// Reads again what is written of a map, as a file in some folder with the CRUSH map beside it.
fn written_and_read(map: &ClusterMap) -> ClusterMap {
    let text = map_text(map);
    let beside = |path: &Path| match &text.crush {
        Some(crush) if path == Path::new("/maps").join(crush_file(map.epoch())) => {
            Ok(crush.clone().into_bytes())
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    parse_map_with(&text.toml, Path::new("/maps/7.toml"), &beside)
        .unwrap_or_else(|error| panic!("{error}\n{}", text.toml))
}

/// The map that is read again means the same, and is written as it was.
#[track_caller]
fn check(map: &ClusterMap) {
    let again = written_and_read(map);
    assert_eq!(again.fingerprint(), map.fingerprint(), "{}", map_text(map).toml);
    assert_eq!(map_text(&again), map_text(map));
}

fn any_placement() -> impl Strategy<Value = PlacementSpec> {
    prop_oneof![
        Just(PlacementSpec::RushR),
        Just(PlacementSpec::RushP),
        Just(PlacementSpec::RushT),
        Just(PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Node))),
        Just(PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(Level::Rack)))),
    ]
}

fn any_state() -> impl Strategy<Value = NodeState> {
    prop_oneof![3 => Just(NodeState::In), 1 => Just(NodeState::Out), 1 => Just(NodeState::Lost)]
}

/// Names that are allowed and look like something else in TOML, too.
const NAMES: &str = "[A-Za-z0-9_][A-Za-z0-9._-]{0,20}|true|1\\.5|inf|1979-05-27|a\\.b";

/// What a URL may have behind its host, as far as its parser lets it.
const PATHS: &str = "(/[a-z\"'\\\\äß世{}|%~ ]{0,8}){0,3}";

/// Sub-clusters with their weights, and of each node its state, what its name ends with and the paths of its URLs.
type Nodes = Vec<(f64, Vec<(NodeState, String, String, Option<String>)>)>;

fn any_nodes() -> impl Strategy<Value = Nodes> {
    let weight = prop_oneof![3 => Just(1.0), 1 => Just(0.0), 3 => 0.001..1_000.0f64];
    let node = (any_state(), NAMES, PATHS, prop::option::of(PATHS));
    prop::collection::vec((weight, prop::collection::vec(node, 1..8)), 1..6)
}

/// The specification, with names that no two share.
fn spec(placement: PlacementSpec, epoch: u64, replicas: usize, parts: Nodes) -> MapSpec {
    let groups: Vec<(u32, f64)> = parts.iter().map(|(weight, nodes)| (nodes.len() as u32, *weight)).collect();
    let mut spec = MapSpec { epoch, ..Layout::new(&groups, replicas).spec(placement) };
    spec.write_quorum = 1 + epoch as usize % replicas;
    let mut number = 0;
    for (subcluster, (_, nodes)) in spec.subclusters.iter_mut().zip(parts) {
        for (node, (state, name, path, public)) in subcluster.nodes.iter_mut().zip(nodes) {
            number += 1;
            node.name = format!("{name}.{number}");
            node.url = format!("http://host-{number}:{number}{path}");
            node.public_url = public.map(|path| format!("https://[::{number}]{path}"));
            node.state = state;
        }
    }
    spec
}

/// The map with as much of the odd paths as is accepted: what is no URL is no part of a map.
fn accepted(mut spec: MapSpec) -> Option<ClusterMap> {
    for node in spec.subclusters.iter_mut().flat_map(|subcluster| &mut subcluster.nodes) {
        if NodeUrl::between_nodes(&node.url).is_err() {
            node.url = format!("http://{}", node.name.replace('_', "-").trim_start_matches('-'));
        }
        node.public_url = node.public_url.take().filter(|url| NodeUrl::public(url).is_ok());
    }
    ClusterMap::new(spec).ok()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn every_map_is_read_as_it_was_written(
        placement in any_placement(),
        epoch in prop_oneof![1..10u64, Just(i64::MAX as u64)],
        replicas in 1..5usize,
        nodes in any_nodes(),
    ) {
        let map = accepted(spec(placement, epoch, replicas, nodes));
        prop_assume!(map.is_some());
        check(&map.unwrap());
    }
}

#[test]
fn maps_of_the_original_name_their_php() {
    for php in PhpVersion::ALL {
        for placement in [PlacementSpec::WebdfsRushR(php), PlacementSpec::WebdfsRushP(php)] {
            let map = Layout::equal(2, 3, 2).placed_by(&placement).with_out(&[4]).map();
            check(&map);
            assert!(map_text(&map).toml.contains(&format!("\nphp = \"{php}\"\n")));
        }
    }
}

#[test]
fn locations_are_written_from_the_largest_place_to_the_smallest() {
    let map = Places::racks(3, 2, 2, &[1.0, 0.5]).map();
    check(&map);
    let toml = map_text(&map).toml;
    assert!(toml.contains("failure_domain = \"rack\"\n"), "{toml}");
    assert!(toml.contains("\nlocation = { rack = \"p0\", host = \"p0\" }\n"), "{toml}");
}

#[test]
fn a_map_with_a_crush_map_of_its_own_has_that_beside_it() {
    let mut seen = 0;
    for number in 0..51 {
        let (path, text) = read_vectors("crush", &format!("s{number:02}.map.txt"));
        // Not every one of these has a rule that could place replicas on all its devices.
        let Ok(map) = on_text_map(&text, 2, &[]) else { continue };
        seen += 1;
        let text = map_text(&map);
        assert!(text.toml.contains("\ncrush_map = \"1.crush\"\n"), "{}", path.display());
        assert!(!text.toml.contains("weight"), "the weights are those of the CRUSH map");
        check(&map);
    }
    assert!(seen > 5, "only {seen} maps");
}

#[test]
fn a_rule_of_a_crush_map_keeps_its_name() {
    for rule in ["true", "1.5", "a.b-c_D", "1979-05-27"] {
        let crush = format!(
            "device 0 a\ndevice 1 b\ntype 0 osd\ntype 1 root\nroot top {{\nid -1\nalg straw2\nitem a weight 1\n\
             item b weight 0.1\n}}\nrule {rule} {{\nid 0\ntype replicated\nstep take top\n\
             step choose firstn 0 type osd\nstep emit\n}}\nrule other {{\nid 1\ntype erasure\nstep take top\n\
             step choose firstn 0 type osd\nstep emit\n}}\n"
        );
        let map = parse_text(&crush).unwrap_or_else(|error| panic!("{error}\n{crush}"));
        let source = CrushSource::Map { map: Box::new(map.spec), rule: Some(rule.to_owned()) };
        let mut spec = Layout::new(&[(2, 1.0)], 2).spec(PlacementSpec::Crush(source));
        spec.subclusters[0].nodes[0].name = "a".to_owned();
        spec.subclusters[0].nodes[1].name = "b".to_owned();
        check(&ClusterMap::new(spec).unwrap());
    }
}

#[test]
fn urls_are_quoted_whatever_is_in_them() {
    let mut tried = 0;
    for odd in ["\"", "'", "'''", "\"\"\"", "{}", "ä世", "%22%5c", "\\", "#", "\t", "]"] {
        let mut spec = Layout::new(&[(2, 1.0)], 2).spec(PlacementSpec::RushR);
        spec.subclusters[0].nodes[0].url = format!("http://n/x{odd}y");
        spec.subclusters[0].nodes[1].public_url = Some(format!("https://n/{odd}"));
        // Not all of these are URLs.
        if let Ok(map) = ClusterMap::new(spec) {
            tried += 1;
            check(&map);
        }
    }
    assert!(tried >= 6, "only {tried} are URLs");
}

#[test]
fn the_text_is_one_that_a_person_reads() {
    let mut spec = Layout::new(&[(2, 1.0), (1, 0.0)], 1).spec(PlacementSpec::RushR);
    spec.subclusters[0].nodes[1].state = NodeState::Lost;
    spec.subclusters[0].nodes[1].public_url = Some("https://img.example.com".to_owned());
    let text = map_text(&ClusterMap::new(spec).unwrap());
    assert_eq!(text.crush, None);
    assert_eq!(
        text.toml,
        r#"# The cluster map, the same on every node. A map that differs in anything has a higher epoch.
epoch = 1
replicas = 1
write_quorum = 1
placement = "rush_r"

# Sub-clusters and the nodes in them never change their order: files lie by it. Grow at the end.

[[subcluster]]
name = "s0"
weight = 1.0

[[subcluster.node]]
name = "n0"
url = "http://n0"

[[subcluster.node]]
name = "n1"
url = "http://n1"
public_url = "https://img.example.com"
state = "lost"

[[subcluster]]
name = "s1"
weight = 0.0

[[subcluster.node]]
name = "n2"
url = "http://n2"
"#
    );
}
