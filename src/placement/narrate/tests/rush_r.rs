//! RUSH_R, whose draws are told by sub-cluster.

use super::*;
use crate::cluster::NodeIndex;

fn rush_r(groups: &[(&str, usize, f64)], replicas: usize, out: &[&str]) -> ClusterMap {
    map(PlacementSpec::RushR, groups, replicas, out)
}

#[test]
fn a_lookup_is_told_from_the_newest_sub_cluster_to_the_oldest() {
    let map = rush_r(&[("first", 4, 1.0), ("second", 2, 2.0), ("third", 4, 1.0)], 3, &[]);
    let expected = [
        "third: 4 nodes of weight 1, together 4 of the 12 that it and the older ones weigh",
        "  draw 1: 0.018, below its share, 0.333: a replica",
        "  draw 2: 0.780, not below its share, 0.273",
        "  draw 3: 0.519, not below its share, 0.300",
        "  receives 1 replica",
        "  picks img10, node 4 of its 4",
        "second: 2 nodes of weight 2, together 4 of the 8 that it and the older ones weigh",
        "  draw 1: 0.378, below its share, 0.500: a replica",
        "  draw 2: 0.408, not below its share, 0.333",
        "  receives 1 replica",
        "  picks img5, node 1 of its 2",
        "first: 4 nodes of weight 1, the oldest with any weight",
        "  receives 1 replica: what is left",
        "  picks img1, node 1 of its 4",
    ];
    assert_eq!(told(&map, "photos/cat.jpg"), expected);
}

#[test]
fn an_owner_that_is_out_is_told_with_its_substitute() {
    let map = rush_r(&[("first", 4, 1.0)], 3, &["img1"]);
    let expected = [
        "nodes that are out",
        "  img1 is out; in its place as owner 3 a second draw by weight gives img2, after 5 candidates that are out or \
         owners already",
    ];
    assert_eq!(told(&map, "a.jpg")[5..], expected);
}

#[test]
fn an_owner_that_is_lost_is_told_as_lost() {
    let mut spec = spec(PlacementSpec::RushR, &[("first", 4, 1.0)], 3, &[]);
    spec.subclusters[0].nodes[0].state = NodeState::Lost;
    let map = ClusterMap::new(spec).unwrap();
    let told = told(&map, "a.jpg");
    assert!(told[6].starts_with("  img1 is lost; in its place as owner 3 a second draw"), "{told:?}");
}

#[test]
fn what_the_older_ones_cannot_hold_is_told_as_such() {
    let map = rush_r(&[("first", 1, 1.0), ("second", 3, 0.001)], 3, &[]);
    let expected = [
        "second: 3 nodes of weight 0.001, together 0.003 of the 1.003 that it and the older ones weigh",
        "  draw 1: 0.316, not below its share, 0.003",
        "  draw 2: 0.190, not below its share, 0.003",
        "  draw 3: 0.682, not below its share, 0.003",
        "  receives 2 replicas, since the older ones have too few nodes",
        "  picks img3, node 2 of its 3",
        "  picks img4, node 3 of its 3",
        "first: 1 node of weight 1, the oldest with any weight",
        "  receives 1 replica: what is left",
        "  picks img1, node 1 of its 1",
    ];
    assert_eq!(told(&map, "a.jpg"), expected);
}

#[test]
fn a_hit_that_no_draw_could_miss_or_no_node_can_take_is_told_as_such() {
    let map = rush_r(&[("first", 3, 0.1), ("second", 1, 10.0)], 4, &[]);
    let draw = |replica, chance, hit| Event::Draw { subcluster: 1, replica, draw: 0.5, chance, hit };
    let told = narrate(&map, &[draw(0, -1.0, true), draw(1, 0.0, false), draw(2, f64::NAN, true)]);
    let words: Vec<_> = told[0].steps.iter().map(|step| step.words.as_str()).collect();
    let expected = [
        "draw 1: 0.500, a replica whatever was drawn, no other weight is left",
        "draw 2: 0.500, does not count, each node has a replica",
        "draw 3: 0.500, does not count, each node has a replica",
    ];
    assert_eq!(words, expected);
    assert!(matches!(told[0].steps[0].values, Values::Draw { chance: 1.0, .. }));
}

#[test]
fn a_draw_is_told_by_what_came_of_it_whatever_the_algorithm_makes_of_equal_numbers() {
    let map = rush_r(&[("first", 3, 1.0), ("second", 3, 1.0)], 1, &[]);
    let words = |chance, hit| {
        let event = Event::Draw { subcluster: 1, replica: 0, draw: 0.5, chance, hit };
        narrate(&map, &[event])[0].steps[0].words.clone()
    };
    assert_eq!(
        words(0.75, false),
        "draw 1: 0.500, below its share, 0.750, but it has no node for this replica"
    );
    assert_eq!(words(0.5, true), "draw 1: 0.500, exactly its share: a replica");
    assert_eq!(words(0.5, false), "draw 1: 0.500, exactly its share, so not below it");
}

#[test]
fn a_sub_cluster_that_receives_nothing_is_quiet() {
    let map = rush_r(&[("first", 4, 1.0), ("second", 4, 0.0), ("third", 1, 0.001)], 2, &[]);
    let mut events = Vec::new();
    locate_traced(&map, ObjectKey::of(b"a.jpg"), &mut events);
    let sections = narrate(&map, &events);
    let quiet: Vec<_> = sections.iter().map(|section| (section.about, section.is_quiet())).collect();
    assert_eq!(quiet, [(About::SubCluster(2), true), (About::SubCluster(0), false)]);
}

#[test]
fn many_quiet_sub_clusters_are_told_in_one_line_unless_all_are_wanted() {
    let groups = [("first", 4, 1.0), ("second", 1, 0.001), ("third", 1, 0.001), ("fourth", 1, 0.001)];
    let map = rush_r(&groups, 2, &[]);
    let expected = [
        "3 sub-clusters from fourth to second: 6 draws, none of them below its share, so they receive nothing",
        "first: 4 nodes of weight 1, the oldest with any weight",
        "  receives 2 replicas: what is left",
        "  picks img3, node 3 of its 4",
        "  picks img4, node 4 of its 4",
    ];
    assert_eq!(brief(&map, "a.jpg"), expected);
    assert_eq!(told(&map, "a.jpg").len(), 3 * 3 + 4);
    assert_eq!(lines(&[], false), [""; 0]);
}

#[test]
fn steps_are_json_with_names_and_exact_numbers() {
    let map = rush_r(&[("first", 2, 1.0)], 1, &[]);
    let section =
        narrate(&map, &[Event::Pick { subcluster: 0, replica: 0, node: NodeIndex::new(1) }]).remove(0);
    let json = serde_json::to_string(&section.steps).unwrap();
    let expected = r#"[{"step":"pick","subcluster":"first","replica":0,"node":"img2","words":"picks img2, node 2 of its 2"}]"#;
    assert_eq!(json, expected);
}
