//! Mistakes in cluster.toml: each is refused with its line and what would be right. Those about CRUSH are in
//! `config_crush.rs`.

mod config_support;

use std::path::Path;

use config_support::assert_says;
use webdfs::config::parse_map;

/// A map that is right, for [`MAP_REFUSED`] to spoil.
const MAP: &str = r#"epoch = 1
replicas = 2
write_quorum = 2
placement = "rush_r"
[[subcluster]]
name = "first"
weight = 1.0
[[subcluster.node]]
name = "img1"
url = "http://10.0.0.1/_webdfs"
[[subcluster.node]]
name = "img2"
url = "http://10.0.0.2/_webdfs"
state = "in"
"#;

/// (what is replaced in [`MAP`], by what, the line of the mistake or 0 for none, what the error says)
const MAP_REFUSED: &[(&str, &str, usize, &str)] = &[
    ("epoch = 1\n", "", 0, "epoch: is missing; add a line such as epoch = 1"),
    ("replicas = 2\n", "", 0, "replicas: is missing"),
    ("write_quorum = 2\n", "", 0, "write_quorum: is missing"),
    ("epoch = 1", "epoch = 0", 1, "epoch"),
    ("epoch = 1", "epoch = -1", 1, "epoch = -1: use a whole number of 1 or more"),
    ("epoch = 1", "epoch = 99999999999999999999", 1, "epoch = 9"),
    (
        "epoch = 1",
        "epoch = \"1\"",
        1,
        "epoch = \"1\": this is string \"1\"; use a whole number, without quotes",
    ),
    ("replicas = 2", "replicas = 3", 2, "replicas is 3, but only 2 of the nodes can hold one"),
    ("replicas = 2", "replicas = 0", 2, "replicas"),
    ("write_quorum = 2", "write_quorum = 3", 3, "write_quorum"),
    ("rush_r", "rush_x", 4, "known: rush_r, rush_p, rush_t, crush, webdfs_rush_r, webdfs_rush_p"),
    (
        "placement = \"rush_r\"",
        "placement = \"rush_p\"\n[[subcluster]]\nname = \"small\"\n[[subcluster.node]]\n\
         name = \"img0\"\nurl = \"http://10.0.0.9\"",
        5,
        "sub-cluster small has 1 of the 2 nodes that rush_p needs in each of weight above 0",
    ),
    (
        "placement = \"rush_r\"",
        "placement = \"rush_t\"\n[[subcluster]]\nname = \"small\"\n[[subcluster.node]]\n\
         name = \"img0\"\nurl = \"http://10.0.0.9\"",
        5,
        "sub-cluster small has 1 of the 2 nodes that rush_t needs in each of weight above 0",
    ),
    ("rush_r", "webdfs_rush_r", 4, "php: is missing; add a line such as php = \"5.2\""),
    ("\"rush_r\"", "\"webdfs_rush_p\"\nphp = \"\"", 5, "php: is missing"),
    ("\"rush_r\"", "\"webdfs_rush_p\"\nphp = \"5.3\"", 5, "php = \"5.3\": use \"5.2\" for"),
    (
        "\"rush_r\"",
        "\"rush_r\"\nphp = \"5.2\"",
        5,
        "there is a use for it with placement = \"webdfs_rush_r\" and",
    ),
    ("[[subcluster]]", "[[subclusters]]", 8, "[[subcluster.node]]: there may be several of these"),
    (
        "state = \"in\"",
        "[[subclusters]]",
        14,
        "[[subclusters]]: there is no such setting; did you mean subcluster?",
    ),
    (
        "[[subcluster]]",
        "[subcluster]",
        5,
        "[subcluster]: there may be several of these, so each starts with two brackets",
    ),
    ("name = \"first\"\n", "", 5, "[[subcluster]] name: is missing"),
    ("name = \"img2\"", "name = \"img2\"\nname = \"img3\"", 13, "duplicate key"),
    (
        "state = \"in\"",
        "[[subcluster]]\nname = \"first\"\nnode = [{ name = \"img3\", url = \"http://10.0.0.3\" }]",
        14,
        "sub-cluster 2: the name first is taken by sub-cluster 1",
    ),
    (
        "state = \"in\"",
        "[[subcluster]]\nname = \"second\"\nnode = []",
        14,
        "sub-cluster second has no nodes; it needs at least one",
    ),
    ("weight = 1.0", "weight = -1", 5, "sub-cluster first: weight is -1; it must be 0 or from 0.001"),
    ("weight = 1.0", "weight = nan", 5, "sub-cluster first: weight is NaN; it must be"),
    ("weight = 1.0", "weight = inf", 5, "sub-cluster first: weight is inf; it must be"),
    ("weight = 1.0", "weight = -inf", 5, "sub-cluster first: weight is -inf; it must be"),
    ("weight = 1.0", "weight = 1e999", 7, "weight"),
    ("weight = 1.0", "weight = 0", 2, "replicas is 2, but only 0 of the nodes can hold one"),
    ("state = \"in\"", "state = \"out\"", 2, "replicas is 2, but only 1 of the nodes can hold one"),
    ("weight = 1.0", "wait = 1.0", 7, "[[subcluster]] wait: there is no such setting"),
    ("name = \"img1\"\n", "", 8, "[[subcluster.node]] name: is missing"),
    ("name = \"img2\"", "name = \"img1\"", 11, "node img1 is listed twice"),
    ("name = \"img2\"", "name = \"img 2\"", 11, "img 2"),
    (
        "url = \"http://10.0.0.2/_webdfs\"\n",
        "",
        11,
        "[[subcluster.node]] url: is missing; add a line such as url",
    ),
    ("http://10.0.0.2", "https://10.0.0.2", 11, "https"),
    ("state = \"in\"", "state = \"dead\"", 14, "[[subcluster.node]] state = \"dead\": use in, out or lost"),
    (
        "state = \"in\"",
        "state = \"lost\"",
        2,
        "only 1 of the nodes can hold one (1 out or lost, 0 of weight 0)",
    ),
    (
        "state = \"in\"",
        "public-url = \"x\"",
        14,
        "[[subcluster.node]] public-url: there is no such setting; did you mean public_url?",
    ),
];

#[test]
fn every_mistake_in_cluster_toml_is_refused_with_its_line_and_what_is_right() {
    let file = Path::new("cluster.toml");
    assert_eq!(parse_map(MAP, file).expect("the map alone is right").nodes().len(), 2);
    for (from, to, line, fragment) in MAP_REFUSED {
        let text = MAP.replacen(from, to, 1);
        assert_ne!(text, MAP, "{from} is not in the map");
        assert_says(&parse_map(&text, file).expect_err(&text), "cluster.toml", *line, fragment);
    }
    let no_nodes = parse_map("epoch = 1\nreplicas = 1\nwrite_quorum = 1\n", file).unwrap_err();
    assert_says(&no_nodes, "cluster.toml", 0, "the map has no sub-clusters; it needs at least one");
}

/// (placement, nodes and weight of each sub-cluster, the line of the mistake, what the error says); 3 replicas. Five
/// lines come first, each sub-cluster takes 3 lines, and so does each node.
const WEBDFS_REFUSED: &[(&str, &str, usize, &str)] = &[
    ("webdfs_rush_p", "2:2 3:2", 4, "finds no place for a replica in any sub-cluster (for \""),
    ("webdfs_rush_p", "2:2 3:2", 4, "the oldest sub-cluster needs at least 3 nodes"),
    ("webdfs_rush_p", "3:1 1:2", 21, "puts two replicas on node 1 of sub-cluster 2 (for \""),
    ("webdfs_rush_p", "3:0.1 3:0.1", 4, "divides by a sum of weights below 1"),
    ("webdfs_rush_p", "3:1000000 2200:1000000", 4, "all weights together may be at most 2147483647"),
    ("webdfs_rush_r", "1:1 5:0 2:0.1", 12, "puts a replica on sub-cluster 2, whose weight is 0"),
];

#[test]
fn where_the_original_repeats_a_node_fails_or_uses_weight_0_the_map_is_refused_with_an_example() {
    use std::fmt::Write;
    let file = Path::new("cluster.toml");
    for (placement, subclusters, line, fragment) in WEBDFS_REFUSED {
        let mut text = String::from("epoch = 1\nreplicas = 3\nwrite_quorum = 2\n");
        writeln!(text, "placement = \"{placement}\"\nphp = \"5.2\"").unwrap();
        for (number, subcluster) in subclusters.split(' ').enumerate() {
            let (nodes, weight) = subcluster.split_once(':').unwrap();
            writeln!(text, "[[subcluster]]\nname = \"s{number}\"\nweight = {weight}").unwrap();
            for node in 0..nodes.parse().unwrap() {
                let name = format!("n{number}-{node}");
                writeln!(text, "[[subcluster.node]]\nname = \"{name}\"\nurl = \"http://{name}\"").unwrap();
            }
        }
        assert_says(&parse_map(&text, file).expect_err(&text), "cluster.toml", *line, fragment);
    }
}
