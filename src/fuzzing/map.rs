//! The map reader and the lookup together: whatever map is accepted must place every object on R distinct nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::cluster::crush::{DeviceSpec, TextMap};
use crate::cluster::{
    Algorithm, ClusterMap, CrushSource, FailureDomain, Level, MapSpec, NODES_MAX, NodeSpec, NodeState,
    PlacementSpec, SubClusterSpec, WEIGHT_MAX, WEIGHT_MIN,
};
use crate::config::{map_text, parse_map, parse_map_with};
use crate::placement::{ObjectKey, locate};

/// Objects that are looked up in each accepted map.
const OBJECTS: u32 = 24;

/// The most servers of one sub-cluster of a made-up map.
const SERVERS_MAX: u8 = 40;

/// Weights that bounds are made of, good and bad.
const WEIGHTS: [f64; 16] = [
    1.0,
    1.0,
    1.0,
    1.0,
    2.0,
    0.5,
    4.25,
    0.0,
    -0.0,
    WEIGHT_MIN,
    WEIGHT_MAX,
    WEIGHT_MIN / 2.0,
    WEIGHT_MAX * 2.0,
    -1.0,
    f64::NAN,
    f64::INFINITY,
];

/// The text of a cluster.toml.
pub fn fuzz_map(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse_map(text, Path::new("cluster.toml")) {
        Ok(map) => {
            check_lookups(&map);
            check_written(&map);
        }
        Err(error) => assert!(error.to_string().starts_with("cluster.toml"), "{error}: names the file"),
    }
}

/// A recipe for a map, a byte for each choice, so that chance meets more good maps than it would among texts.
pub fn fuzz_map_spec(data: &[u8]) {
    match ClusterMap::new(map_spec(&mut data.iter().copied())) {
        Ok(map) => {
            check_lookups(&map);
            check_written(&map);
        }
        Err(error) => assert!(!error.to_string().is_empty(), "{error:?} says what is wrong"),
    }
}

/// A CRUSH map as text, with a cluster map of which each of its devices is a node: whatever is accepted, with whichever
/// rule and with however many replicas, every third node out or none.
pub(super) fn check_crush_owners(map: &TextMap) {
    for (rule, replicas) in map.spec.rules.iter().flat_map(|rule| [1, 2, 3, 5].map(|count| (rule, count))) {
        for out in [0, 3] {
            let node = |(number, device): (usize, &DeviceSpec)| NodeSpec {
                name: device.name.clone(),
                url: format!("http://n{number}"),
                public_url: None,
                state: if out > 0 && number % out == 0 { NodeState::Out } else { NodeState::In },
                location: BTreeMap::new(),
            };
            let nodes = map.spec.devices.iter().enumerate().map(node).collect();
            let subcluster = SubClusterSpec { name: "all".to_owned(), weight: 1.0, nodes };
            let rule = Some(rule.name.clone());
            let source = CrushSource::Map { map: Box::new(map.spec.clone()), rule };
            let spec = MapSpec {
                epoch: 1,
                replicas,
                write_quorum: 1,
                placement: PlacementSpec::Crush(source),
                subclusters: vec![subcluster],
            };
            match ClusterMap::new(spec) {
                Ok(map) => check_lookups(&map),
                Err(error) => assert!(!error.to_string().is_empty(), "{error:?} says what is wrong"),
            }
        }
    }
}

/// What is accepted can be written down, and is read as it was.
fn check_written(map: &ClusterMap) {
    let text = map_text(map);
    let beside = |_: &Path| text.crush.clone().map(String::into_bytes).ok_or(io::ErrorKind::NotFound.into());
    let again = parse_map_with(&text.toml, Path::new("cluster.toml"), &beside);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{}", text.toml));
    assert_eq!(again.fingerprint(), map.fingerprint(), "{}", text.toml);
}

/// Every object has R distinct owners that may hold it, and the same ones when asked again.
fn check_lookups(map: &ClusterMap) {
    assert!((1..=NODES_MAX).contains(&map.nodes().len()), "a map has nodes");
    for number in 0..OBJECTS {
        // The ends of the range of keys, and some between.
        let key = ObjectKey::from_number(match number {
            0 => 0,
            1 => u32::MAX,
            number => number.wrapping_mul(0x9e37_79b9),
        });
        let owners = locate(map, key);
        let distinct: BTreeSet<usize> = owners.iter().map(|owner| owner.get()).collect();
        assert_eq!(distinct.len(), map.replicas(), "key {key}: {owners:?} are distinct nodes, one a replica");
        for owner in &owners {
            let node = map.node(*owner);
            assert_eq!(node.state(), NodeState::In, "key {key}: node {} is in service", node.name());
            assert!(map.weight_of(*owner) > 0.0, "key {key}: node {} has a weight above 0", node.name());
        }
        if let Algorithm::Crush(table) = map.algorithm() {
            let domains: BTreeSet<_> = owners.iter().map(|owner| table.domain_of(*owner)).collect();
            assert!(!domains.contains(&None), "key {key}: {owners:?} can all hold a replica");
            assert_eq!(
                domains.len(),
                distinct.len(),
                "key {key}: {owners:?} are in different failure domains"
            );
        }
        assert_eq!(locate(map, key), owners, "key {key}: the same answer twice");
    }
}

/// Where a node stands: some in the racks of their hosts, some in others.
fn location(node: usize, choice: u8) -> BTreeMap<String, String> {
    let host = node / 2;
    let rack = if choice == u8::MAX { node } else { host } % 5;
    BTreeMap::from([("rack".to_owned(), format!("r{rack}")), ("host".to_owned(), format!("h{host}"))])
}

/// Reads a specification from choices; where they end, all further ones are 0.
fn map_spec(choices: &mut impl Iterator<Item = u8>) -> MapSpec {
    let mut next = || choices.next().unwrap_or(0);
    let first = next();
    let replicas = usize::from(first % 20);
    let placement = match first / 20 {
        1 | 7 => PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Node)),
        2 | 8 => PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(Level::Rack))),
        3 | 9 => PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(Level::Host))),
        4 | 10 => PlacementSpec::RushP,
        5 | 11 => PlacementSpec::RushT,
        _ => PlacementSpec::default(),
    };
    let is_crush = matches!(placement, PlacementSpec::Crush(_));
    let write_quorum = usize::from(next() % 20).min(replicas);
    let subclusters = next() % 24;
    let mut number = 0;
    let subclusters = (0..subclusters).map(|subcluster| {
        let (servers, weight, out) = (next() % SERVERS_MAX, next(), next());
        let nodes = (0..servers).map(|server| {
            number += 1;
            let is_out = out > 0 && server % out == 0;
            NodeSpec {
                name: format!("n{number}"),
                url: format!("http://n{number}"),
                public_url: None,
                state: if is_out { NodeState::Out } else { NodeState::In },
                location: if is_crush { location(number, weight) } else { BTreeMap::new() },
            }
        });
        SubClusterSpec {
            name: format!("s{subcluster}"),
            weight: WEIGHTS[usize::from(weight) % WEIGHTS.len()],
            nodes: nodes.collect(),
        }
    });
    MapSpec { epoch: 1, replicas, write_quorum, placement, subclusters: subclusters.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::PlacementKind;

    /// Those of the original are left out: checking such a map looks up every object there is.
    #[test]
    fn recipes_make_maps_of_every_placement_but_those_of_the_original() {
        let recipe = |number: u8| [number * 20 + 3, 2, 3, 6, 0, 0, 7, 4, 3, 8, 0, 0].into_iter();
        let maps = (0..=u8::MAX / 20).map(|number| ClusterMap::new(map_spec(&mut recipe(number))));
        let made: BTreeSet<_> =
            maps.map(|map| map.expect("the recipe is for a good map").placement().as_str()).collect();
        let original = [PlacementKind::WebdfsRushR, PlacementKind::WebdfsRushP];
        let others = PlacementKind::ALL.iter().filter(|kind| !original.contains(kind));
        assert_eq!(made, others.map(|kind| kind.as_str()).collect());
    }
}
