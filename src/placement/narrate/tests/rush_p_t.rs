//! RUSH_P, whose draws are told by sub-cluster and replica, and RUSH_T, by replica and branching.

use super::*;

#[test]
fn rush_p_says_which_replica_each_draw_and_each_node_is_for() {
    let expected = [
        "third: 4 nodes of weight 1, together 4 of the 14 that it and the older ones weigh",
        "  replica 1: 0.018, below its share, 0.286: it falls here",
        "  replica 2: 0.958, not below its share, 0.286",
        "  replica 3: 0.086, below its share, 0.286: it falls here",
        "  replica 1 takes img11, node 4 of its 4",
        "  replica 3 takes img10, node 3 of its 4",
        "second: 3 nodes of weight 2, together 6 of the 10 that it and the older ones weigh",
        "  replica 2: 0.113, below its share, 0.600: it falls here",
        "  replica 2 takes img7, node 3 of its 3",
    ];
    let map = map(PlacementSpec::RushP, THREE, 3, &[]);
    assert_eq!(told(&map, "photos/cat.jpg"), expected);
    assert_eq!(brief(&map, "photos/cat.jpg"), expected);
}

#[test]
fn what_the_oldest_receives_needs_no_draw() {
    let map = map(PlacementSpec::RushP, &[("first", 2, 1.0), ("second", 2, 1.0)], 1, &[]);
    let oldest = (0..).map(|number| told(&map, &number.to_string())).find(|told| told.len() > 3).unwrap();
    assert_eq!(oldest[2], "first: 2 nodes of weight 1, the oldest with any weight");
    assert!(oldest[3].ends_with(", it falls here, for the oldest takes what is left"), "{oldest:?}");
}

#[test]
fn the_substitute_of_rush_p_takes_the_rank_of_its_replica() {
    let map = map(PlacementSpec::RushP, THREE, 3, &["img7"]);
    let expected = [
        "nodes that are out",
        "  img7 is out; in its place as owner 2 a second draw by weight gives img5, after 1 candidate that is out or an \
         owner already",
    ];
    let told = told(&map, "photos/cat.jpg");
    assert_eq!(told[told.len() - 2..], expected);
}

#[test]
fn rush_t_tells_the_way_of_one_replica_after_the_other() {
    let map = map(PlacementSpec::RushT, THREE, 3, &[]);
    let brief_expected = [
        "replica 1",
        "  of 3 branches third, with 4 of the weight of 14, waits least: 0.056, then second: 0.139",
        "  takes img11, node 4 of the 4 of third",
        "replica 2",
        "  of 3 branches third, with 4 of the weight of 14, waits least: 0.144, then second: 0.393",
        "  takes img9, node 2 of the 4 of third",
        "replica 3",
        "  of 3 branches second, with 6 of the weight of 14, waits least: 0.007, then third: 0.013",
        "  takes img6, node 2 of the 3 of second",
    ];
    assert_eq!(brief(&map, "photos/cat.jpg"), brief_expected);
    let all_of_the_first = [
        "replica 1",
        "  of 3 branches third, with 4 of the weight of 14, waits least: 0.056, then second: 0.139",
        "    first, of weight 4, waits 1.100",
        "    second, of weight 6, waits 0.139",
        "    third, of weight 4, waits 0.056: the replica goes there",
        "  takes img11, node 4 of the 4 of third",
    ];
    assert_eq!(told(&map, "photos/cat.jpg")[..6], all_of_the_first);
}

#[test]
fn rush_t_tells_each_branching_of_a_higher_tree() {
    let groups = twenty();
    let expected = [
        "replica 1",
        "  of 2 branches s17 to s20, with 8 of the weight of 40, waits least: 0.099, then s1 to s16: 0.112",
        "  of 4 branches s20, with 2 of the weight of 8, waits least: 0.192, then s17: 0.748",
        "  takes img39, node 1 of the 2 of s20",
        "replica 2",
        "  of 2 branches s1 to s16, with 32 of the weight of 40, waits least: 0.021, then s17 to s20: 0.051",
        "  of 16 branches s9, with 2 of the weight of 32, waits least: 0.065, then s11: 0.113",
        "  takes img17, node 1 of the 2 of s9",
    ];
    let two = map(PlacementSpec::RushT, &named(&groups), 2, &[]);
    assert_eq!(brief(&two, "photos/cat.jpg"), expected);
    // Also where no other replica comes between the branchings.
    let one = map(PlacementSpec::RushT, &named(&groups), 1, &[]);
    assert_eq!(brief(&one, "photos/cat.jpg"), expected[..4]);
}

#[test]
fn a_branching_is_json_with_all_that_waited() {
    let map = map(PlacementSpec::RushT, &[("first", 1, 1.0), ("second", 1, 3.0)], 1, &[]);
    let wait = |number: u32, wait, shortest| Event::Wait {
        replica: 0,
        label: 2,
        oldest: number,
        newest: number,
        weight: 1.0,
        wait,
        shortest,
    };
    let section = narrate(&map, &[wait(0, 0.75, false), wait(1, 0.0001, true)]).remove(0);
    let expected = concat!(
        r#"[{"step":"branching","replica":0,"branches":["#,
        r#"{"label":2,"oldest":"first","newest":"first","weight":1.0,"wait":0.75,"shortest":false},"#,
        r#"{"label":2,"oldest":"second","newest":"second","weight":1.0,"wait":0.0001,"shortest":true}],"#,
        r#""words":"of 2 branches second, with 1 of the weight of 2, waits least: 0.0001, then first: 0.7500"}]"#,
    );
    assert_eq!(serde_json::to_string(&section.steps).unwrap(), expected);
}
