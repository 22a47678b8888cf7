//! CRUSH: over locations, over the sub-clusters, and over a map of the user's own.

use std::collections::BTreeMap;

use super::*;
use crate::cluster::crush::parse_text;
use crate::cluster::{CrushSource, FailureDomain, Level, NodeIndex};
use crate::placement::crush::HOLE;

/// Six nodes in three racks, the first one out.
fn racks() -> ClusterMap {
    let placement = PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(Level::Rack)));
    let mut spec = spec(placement, &[("first", 6, 1.0)], 3, &["img1"]);
    for (number, node) in spec.subclusters[0].nodes.iter_mut().enumerate() {
        node.location = BTreeMap::from([("rack".to_owned(), format!("r{}", number / 2 + 1))]);
    }
    ClusterMap::new(spec).unwrap()
}

#[test]
fn each_draw_is_a_way_down_the_hierarchy() {
    let expected = [
        "replicas are kept apart by rack",
        "  starts at root",
        "  draw 1: root > rack r1 > img1",
        "  draw 2: root > rack r2 > img3",
        "  draw 3: root > rack r2, which was found before",
        "  draw 4: root > rack r2, which was found before",
        "  draw 5: root > rack r3 > img6",
        "  found: img1, img3, img6",
        "nodes that are out, or were not found",
        "  img1 is out; in its place as owner 1 a second draw by weight gives img2",
    ];
    assert_eq!(told(&racks(), "cats/13.jpg"), expected);
}

#[test]
fn many_draws_in_a_row_that_lead_to_nothing_are_told_in_one_line() {
    let expected = [
        "replicas are kept apart by rack",
        "  starts at root",
        "  draw 1: root > rack r3 > img5",
        "  draw 2: root > rack r2 > img4",
        "  3 draws lead to what was found before",
        "  draw 6: root > rack r1 > img2",
        "  found: img5, img4, img2",
    ];
    assert_eq!(brief(&racks(), "cats/3.jpg"), expected);
    assert_eq!(told(&racks(), "cats/3.jpg").len(), expected.len() + 2);
}

#[test]
fn without_locations_the_sub_clusters_are_named() {
    let placement = PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Node));
    let map = map(placement, &[("first", 3, 1.0), ("second", 2, 2.0)], 3, &[]);
    let expected = [
        "replicas are kept apart by node",
        "  starts at root",
        "  draw 1: root > sub-cluster second > img5",
        "  draw 2: root > sub-cluster second > img5, which was found before",
        "  draw 3: root > sub-cluster second > img5, which was found before",
        "  draw 4: root > sub-cluster second > img4",
        "  7 draws lead to what was found before",
        "  draw 10: root > sub-cluster first > img3",
        "  found: img5, img4, img3",
    ];
    assert_eq!(brief(&map, "cats/14.jpg"), expected);
}

const TEXT: &str = "\
device 0 img1
device 1 img2
device 2 img3
device 3 img4
type 0 osd
type 1 host
type 2 root
host h1 {
 id -2
 alg straw2
 hash 0
 item img1 weight 1.000
 item img2 weight 1.000
}
host h2 {
 id -3
 alg straw2
 hash 0
 item img3 weight 1.000
 item img4 weight 1.000
}
root default {
 id -1
 alg straw2
 hash 0
 item h1 weight 2.000
 item h2 weight 2.000
}
rule erasure {
 id 0
 type erasure
 step set_chooseleaf_tries 5
 step take default
 step chooseleaf indep 0 type host
 step emit
}
";

fn own() -> ClusterMap {
    let crush = Box::new(parse_text(TEXT).unwrap().spec);
    let placement = PlacementSpec::Crush(CrushSource::Map { map: crush, rule: None });
    map(placement, &[("first", 4, 1.0)], 2, &[])
}

#[test]
fn a_map_of_the_users_own_is_told_by_its_names() {
    let expected = [
        "rule erasure, which keeps replicas apart by host",
        "  starts at default",
        "  draw 1: default > h1 > img2",
        "  draw 2: default > h1, which was found before",
        "  draw 4: default > h2, by draw 5 > img4",
        "  found: img2, img4",
    ];
    assert_eq!(told(&own(), "photos/cat.jpg"), expected);
}

#[test]
fn what_cannot_be_used_is_told_with_the_reason() {
    let choose = |bucket, attempt, item| Event::CrushChoose { bucket, attempt, item };
    let node = |number| NodeIndex::new(number);
    let events = [
        choose(-1, 0, -2),
        choose(-2, 0, 1),
        Event::CrushOut { device: 1 },
        choose(-2, 1, 0),
        Event::CrushOut { device: 0 },
        Event::CrushNoDevice { bucket: -2 },
        choose(-1, 1, -3),
        Event::CrushEmpty { bucket: -3 },
        Event::CrushEmpty { bucket: -1 },
        Event::CrushGaveUp { rank: 1 },
        Event::CrushOwner { rank: 0, device: 2, node: Some(node(2)) },
        Event::CrushOwner { rank: 1, device: HOLE, node: None },
        Event::CrushOwner { rank: 2, device: 2, node: None },
        Event::Substitute { rank: 1, out: None, node: node(0), passed_over: 2 },
    ];
    let sections = narrate(&own(), &events);
    let expected = [
        "rule erasure, which keeps replicas apart by host",
        "  draw 1: default > h1 > img2, which is out",
        "  draw 2: h1 > img1, which is out",
        "  h1 leads to no node that can be used",
        "  draw 2: default > h2, which has nothing to choose from",
        "  default has nothing to choose from",
        "  gives up looking for number 2: too many draws failed",
        "  found: img3, nothing as owner 2, img3, which is in the failure domain of another owner \
         or holds nothing",
        "nodes that are out, or were not found",
        "  no node was found as owner 2; a second draw by weight gives img1, after 2 candidates that are out or whose \
         failure domain holds an owner",
    ];
    assert_eq!(lines(&sections, true), expected);
    let sum = "  5 draws lead nowhere: 2 to what is out, 1 to what leads to no node that can be used, 2 to what has \
               nothing to choose from";
    assert_eq!(lines(&sections, false)[1], sum);
}

#[test]
fn a_way_down_is_json_with_each_choice() {
    let choice = Event::CrushChoose { bucket: -1, attempt: 3, item: -2 };
    let section = narrate(&own(), &[choice, Event::CrushCollision { item: -2 }]).remove(0);
    let expected = concat!(
        r#"[{"step":"crush_descent","from":"default","choices":[{"draw":4,"item":"h1"}],"#,
        r#""failure":"was found before","words":"draw 4: default > h1, which was found before"}]"#,
    );
    assert_eq!(serde_json::to_string(&section.steps).unwrap(), expected);
}
