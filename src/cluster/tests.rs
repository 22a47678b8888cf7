//! Behaviour of the map's constructor and fingerprint.

use super::*;

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
    check(&refused(|s| s.epoch = 0), Place::Field("epoch"), "start at 1");
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
    check(&error, Place::Field("replicas"), "only 2 of the nodes can hold one (1 out, 2 of weight 0)");
    let mut right = spec();
    right.subclusters[0].weight = 0.0;
    assert!(!ClusterMap::new(right).unwrap().any_out());
    let mut right = spec();
    right.subclusters[1].nodes[1].state = NodeState::Out;
    assert!(ClusterMap::new(right).unwrap().any_out());
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
    let changes: [fn(&mut MapSpec); 11] = [
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
    assert_eq!(error, "unknown placement \"rush_x\"; known: rush_r, rush_p, rush_t, crush");
}
