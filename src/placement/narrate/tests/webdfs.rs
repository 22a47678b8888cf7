//! The placements of the original webDFS.

use super::*;
use crate::php::PhpVersion;

const SEED: [&str; 2] = [
    "the seed of the original's random numbers",
    "  15 bits of the hash, 15981: names that share them share their nodes",
];

#[test]
fn rush_r_of_the_original_is_told_by_sub_cluster() {
    let map = map(PlacementSpec::WebdfsRushR(PhpVersion::V5_2), THREE, 3, &[]);
    let expected = [
        "third: 4 nodes of weight 1, together 4 of the 14 that it and the older ones weigh",
        "  draw 1: 0.998, not below its share, 0.286",
        "  draw 2: 0.854, not below its share, 0.308",
        "  draw 3: 0.465, not below its share, 0.333",
        "second: 3 nodes of weight 2, together 6 of the 10 that it and the older ones weigh",
        "  draw 1: 0.463, below its share, 0.600: a replica",
        "  draw 2: 0.277, below its share, 0.500: a replica",
        "  draw 3: 0.793, not below its share, 0.333",
        "  receives 2 replicas",
        "  picks img7, node 3 of its 3",
        "  picks img6, node 2 of its 3",
        "first: 4 nodes of weight 1, the oldest with any weight",
        "  receives 1 replica: what is left",
        "  picks img1, node 1 of its 4",
    ];
    let told = told(&map, "photos/cat.jpg");
    assert_eq!((&told[..2], &told[2..]), (&SEED.map(str::to_owned)[..], &expected.map(str::to_owned)[..]));
}

#[test]
fn rush_p_of_the_original_is_told_by_replica() {
    let map = map(PlacementSpec::WebdfsRushP(PhpVersion::V7_1), THREE, 3, &[]);
    let expected = [
        "replica 1",
        "  third: 0.143, below its share, 0.286: it falls here",
        "  takes img11, node 4 of the 4 of third",
        "replica 2",
        "  third: 0.500, not below its share, 0.286",
        "  second: 0.800, not below its share, 0.600",
        "  first: 0.500, it falls here, for the oldest takes what is left",
        "  takes img4, node 4 of the 4 of first",
        "replica 3",
        "  third: 0.857, not below its share, 0.286",
        "  second: 0.500, below its share, 0.600: it falls here",
        "  takes img5, node 1 of the 3 of second",
    ];
    let told = told(&map, "photos/cat.jpg");
    assert_eq!((&told[..2], &told[2..]), (&SEED.map(str::to_owned)[..], &expected.map(str::to_owned)[..]));
}

#[test]
fn sub_clusters_that_a_replica_passes_are_one_line() {
    let groups = twenty();
    let map = map(PlacementSpec::WebdfsRushP(PhpVersion::V7_1), &named(&groups), 2, &[]);
    let expected = [
        "replica 1",
        "  6 sub-clusters from s20 to s15: no draw below its share",
        "  s14: 0.036, below its share, 0.071: it falls here",
        "  takes img27, node 1 of the 2 of s14",
        "replica 2",
        "  4 sub-clusters from s20 to s17: no draw below its share",
        "  s16: 0.000, below its share, 0.062: it falls here",
        "  takes img32, node 2 of the 2 of s16",
    ];
    assert_eq!(brief(&map, "photos/cat.jpg")[2..], expected);
    assert_eq!(told(&map, "photos/cat.jpg").len(), 2 + 8 + 5 + 3);
}
