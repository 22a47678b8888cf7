//! Behaviour of the map's constructor and fingerprint.

use super::*;
use crate::php::{PhpVersion, Seed};

fn node(name: &str) -> NodeSpec {
    NodeSpec {
        name: name.into(),
        url: format!("http://{name}"),
        public_url: None,
        state: NodeState::In,
        location: Default::default(),
    }
}

fn subcluster(name: &str, weight: f64, nodes: &[&str]) -> SubClusterSpec {
    SubClusterSpec { name: name.into(), weight, nodes: nodes.iter().map(|name| node(name)).collect() }
}

fn spec() -> MapSpec {
    MapSpec {
        epoch: 7,
        replicas: 3,
        write_quorum: 2,
        placement: PlacementSpec::RushR,
        subclusters: vec![subcluster("old", 1.0, &["a", "b"]), subcluster("new", 2.0, &["c", "d", "e"])],
    }
}

/// The error after `change`.
fn refused(change: impl FnOnce(&mut MapSpec)) -> MapError {
    let mut spec = spec();
    change(&mut spec);
    ClusterMap::new(spec).expect_err("the change should be refused")
}

#[track_caller]
fn check(error: &MapError, place: Place, expected: &str) {
    assert_eq!(error.place(), place, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn nodes_are_numbered_through_the_sub_clusters() {
    let map = ClusterMap::new(spec()).unwrap();
    assert_eq!((map.epoch().get(), map.replicas(), map.write_quorum()), (7, 3, 2));
    let names: Vec<_> = map.nodes().iter().map(|node| node.name().as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    for (number, node) in map.nodes().iter().enumerate() {
        let index = map.index_of(node.name()).unwrap();
        assert_eq!(index.get(), number);
        assert_eq!(map.node(index), node);
    }
    assert_eq!(map.index_of(&"z".parse().unwrap()), None);
    let new = &map.subclusters()[1];
    assert_eq!((new.name().as_str(), new.weight(), new.node_count()), ("new", 2.0, 3));
    assert_eq!((new.first_node().get(), map.nodes_of(new).len()), (2, 3));
    assert_eq!(map.nodes_of(new)[0].subcluster(), 1);
}

#[test]
fn counts_outside_their_bounds_are_refused() {
    for epoch in [0, Epoch::MAX + 1, u64::MAX] {
        check(&refused(|s| s.epoch = epoch), Place::Field("epoch"), "from 1 to 9223372036854775807");
    }
    for replicas in [0, REPLICAS_MAX + 1, usize::MAX] {
        check(&refused(|s| s.replicas = replicas), Place::Field("replicas"), "from 1 to 16");
    }
    for quorum in [0, 4] {
        check(&refused(|s| s.write_quorum = quorum), Place::Field("write_quorum"), "from 1 to replicas");
    }
    check(&refused(|s| s.subclusters.clear()), Place::Map, "no sub-clusters");
    let many = refused(|s| s.subclusters[0].nodes = vec![node("x"); NODES_MAX - 2]);
    check(&many, Place::Map, "65537 nodes");
}

#[test]
fn names_must_be_valid_and_unique() {
    check(&refused(|s| s.subclusters[1].name = "a b".into()), Place::SubCluster(1), "contains ' '");
    check(&refused(|s| s.subclusters[1].name = "old".into()), Place::SubCluster(1), "taken by sub-cluster 1");
    check(&refused(|s| s.subclusters[1].nodes.clear()), Place::SubCluster(1), "new has no nodes");
    check(&refused(|s| s.subclusters[1].nodes[2].name = "".into()), Place::Node(1, 2), "a name is empty");
    let twice = refused(|s| s.subclusters[1].nodes[2].name = "b".into());
    check(&twice, Place::Node(1, 2), "node b is listed twice, first in sub-cluster 1");
}

#[test]
fn weights_are_zero_or_within_their_bounds() {
    let wrong =
        [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, WEIGHT_MIN / 2.0, WEIGHT_MAX * 2.0, 1e-300];
    for weight in wrong {
        check(&refused(|s| s.subclusters[1].weight = weight), Place::SubCluster(1), "from 0.001 to 1000000");
    }
    for weight in [0.0, -0.0, WEIGHT_MIN, WEIGHT_MAX] {
        let mut right = spec();
        right.subclusters[0].weight = weight;
        assert!(ClusterMap::new(right).is_ok(), "{weight}");
    }
}

#[test]
fn urls_are_checked_and_belong_to_one_node() {
    check(&refused(|s| s.subclusters[1].nodes[0].url = "c".into()), Place::Node(1, 0), "node c: url \"c\"");
    let tls = refused(|s| s.subclusters[1].nodes[0].url = "https://c".into());
    check(&tls, Place::Node(1, 0), "do not speak TLS");
    let public = refused(|s| s.subclusters[1].nodes[0].public_url = Some("ftp://c".into()));
    check(&public, Place::Node(1, 0), "public_url \"ftp://c\"");
    let shared = refused(|s| s.subclusters[1].nodes[0].url = "HTTP://A:80/".into());
    check(&shared, Place::Node(1, 0), "the url http://a is that of node a");
    let mut right = spec();
    right.subclusters[0].nodes[0].public_url = Some("https://img.example.org/".into());
    let map = ClusterMap::new(right).unwrap();
    assert_eq!(map.nodes()[0].public_url().unwrap().to_string(), "https://img.example.org");
}

#[test]
fn there_must_be_as_many_usable_nodes_as_replicas() {
    let error = refused(|s| {
        s.subclusters[0].weight = 0.0;
        s.subclusters[1].nodes[1].state = NodeState::Out;
    });
    check(
        &error,
        Place::Field("replicas"),
        "only 2 of the nodes can hold one (1 out or lost, 2 of weight 0)",
    );
    let mut right = spec();
    right.subclusters[0].weight = 0.0;
    assert!(!ClusterMap::new(right).unwrap().any_out());
    for state in [NodeState::Out, NodeState::Lost] {
        let mut right = spec();
        right.subclusters[1].nodes[1].state = state;
        assert!(ClusterMap::new(right).unwrap().any_out());
    }
}

#[test]
fn the_fingerprint_is_the_same_for_the_same_values_however_they_are_spelled() {
    let map = ClusterMap::new(spec()).unwrap();
    // Nodes of different releases compare it, so it never changes. Computed by a second program.
    assert_eq!(map.fingerprint().to_string(), "59938c50040e0a3c899d80e6ce431743");
    assert_eq!(map.fingerprint().to_string().parse(), Ok(map.fingerprint()));
    let mut same = spec();
    same.subclusters[0].nodes[0].url = "HTTP://A:80/".into();
    assert_eq!(ClusterMap::new(same).unwrap().fingerprint(), map.fingerprint());
    let drained = |zero: f64| {
        let mut spec = spec();
        spec.subclusters[0].weight = zero;
        ClusterMap::new(spec).unwrap().fingerprint()
    };
    assert_eq!(drained(0.0), drained(-0.0));
}

#[test]
fn the_fingerprint_changes_with_every_value() {
    let changes: [fn(&mut MapSpec); 12] = [
        |_| (),
        |s| s.epoch = 8,
        |s| s.replicas = 2,
        |s| s.write_quorum = 3,
        |s| s.subclusters[0].name = "older".into(),
        |s| s.subclusters[0].weight = 1.5,
        |s| s.subclusters[0].nodes[0].name = "aa".into(),
        |s| s.subclusters[0].nodes[0].url = "http://a:81".into(),
        |s| s.subclusters[0].nodes[0].public_url = Some("http://a".into()),
        |s| s.subclusters[0].nodes[0].state = NodeState::Out,
        |s| s.subclusters[0].nodes[0].state = NodeState::Lost,
        |s| s.subclusters.reverse(),
    ];
    let fingerprints: std::collections::HashSet<_> = changes
        .iter()
        .map(|change| {
            let mut spec = spec();
            change(&mut spec);
            ClusterMap::new(spec).unwrap().fingerprint()
        })
        .collect();
    assert_eq!(fingerprints.len(), changes.len());
}

#[test]
fn placements_are_known_by_name() {
    for kind in PlacementKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(*kind));
    }
    let error = "rush_x".parse::<PlacementKind>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown placement \"rush_x\"; known: rush_r, rush_p, rush_t, crush, webdfs_rush_r, \
         webdfs_rush_p"
    );
}

#[test]
fn the_fingerprint_of_a_map_of_the_original_tells_its_php() {
    let fingerprint = |placement| ClusterMap::new(MapSpec { placement, ..spec() }).unwrap().fingerprint();
    let fingerprints: std::collections::HashSet<_> = PhpVersion::ALL
        .into_iter()
        .flat_map(|php| [PlacementSpec::WebdfsRushR(php), PlacementSpec::RushR])
        .map(fingerprint)
        .collect();
    assert_eq!(fingerprints.len(), 3);
}

#[test]
fn a_map_of_the_original_has_a_bound_on_its_sub_clusters() {
    let map = |count: usize| {
        let single = |number| subcluster(&format!("s{number}"), 1.0, &[&format!("n{number}")]);
        let placement = PlacementSpec::WebdfsRushR(PhpVersion::V5_2);
        ClusterMap::new(MapSpec { placement, subclusters: (0..count).map(single).collect(), ..spec() })
    };
    let error = map(WEBDFS_SUBCLUSTERS_MAX + 1).unwrap_err();
    check(&error, Place::Field("placement"), "at most 1024 are allowed with webdfs_rush_r");
}

/// The first sub-cluster to be asked is given nothing but what its weight gives it, so draining the newest is safe.
#[test]
fn the_original_places_nothing_on_a_drained_newest_sub_cluster() {
    for php in PhpVersion::ALL {
        for placement in [PlacementSpec::WebdfsRushR(php), PlacementSpec::WebdfsRushP(php)] {
            let mut drained = spec();
            drained.placement = placement.clone();
            drained.subclusters[0].nodes.push(node("f"));
            drained.subclusters[1].weight = 0.0;
            let map = ClusterMap::new(drained).unwrap_or_else(|error| panic!("{placement:?}: {error}"));
            let Algorithm::Webdfs(table) = map.algorithm() else { panic!("{placement:?}") };
            for seed in Seed::all() {
                assert!(table.owners(seed).all(|node| node.get() < 3), "{placement:?}");
            }
        }
    }
}

#[test]
fn a_map_written_down_again_is_the_same_map() {
    let mut asked = spec();
    asked.subclusters[1].weight = 0.5;
    let node = asked.node_mut("d").expect("there is one");
    node.state = NodeState::Out;
    node.public_url = Some("https://img.example.com".into());
    assert!(asked.node_mut("z").is_none());
    let map = ClusterMap::new(asked.clone()).unwrap();
    assert_eq!(map.to_spec(), asked);
    assert_eq!(ClusterMap::new(map.to_spec()).unwrap().fingerprint(), map.fingerprint());
}
