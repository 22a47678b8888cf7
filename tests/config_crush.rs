//! What cluster.toml says about CRUSH: both forms are read, and every mistake is refused with its file, its line and
//! what would be right, in the text map as well.

mod config_support;

use std::fs;
use std::path::Path;

use config_support::assert_says;
use tempfile::TempDir;
use webdfs::cluster::{Algorithm, ClusterMap, CrushTable, PlacementKind};
use webdfs::config::{load_map, parse_map, parse_map_with};

/// Three racks of one node, by their locations.
const PLACES: &str = r#"epoch = 1
replicas = 3
write_quorum = 2
placement = "crush"
failure_domain = "rack"
[[subcluster]]
name = "first"
[[subcluster.node]]
name = "a"
url = "http://a"
location = { rack = "r1", host = "h1" }
[[subcluster.node]]
name = "b"
url = "http://b"
location = { rack = "r2", host = "h2" }
[[subcluster.node]]
name = "c"
url = "http://c"
location = { rack = "r3", host = "h3" }
"#;

/// (what is replaced in [`PLACES`], by what, the line of the mistake or 0 for none, what the error says)
const PLACES_REFUSED: &[(&str, &str, usize, &str)] = &[
    (
        "\"crush\"",
        "\"rush_r\"",
        5,
        "failure_domain = \"rack\": only placement = \"crush\" has this, and placement is \"rush_r\"",
    ),
    ("failure_domain = \"rack\"", "crush_map = \"m\"", 5, "crush_map = \"m\": m cannot be read"),
    ("failure_domain = \"rack\"", "crush_rule = \"r\"", 5, "a rule of a crush_map, and there is none"),
    (
        "\"rack\"",
        "\"shelf\"",
        5,
        "\"shelf\" is no failure domain; use node, or a level of the locations: region,",
    ),
    ("\"rack\"", "\"row\"", 5, "failure_domain is row, but the locations of the nodes do not name a row"),
    ("\"rack\"", "\"rack\"\ncrush_map = \"m\"", 5, "leave one of the two out"),
    ("rack = \"r3\"", "rack = \"r2\"", 2, "replicas is 3, but only 2 failure domains of type rack have"),
    (
        "name = \"c\"",
        "name = \"c\"\nstate = \"out\"",
        2,
        "replicas is 3, but only 2 of the nodes can hold one",
    ),
    ("host = \"h3\"", "host = \"h1\"", 16, "node c: host h1 is in rack r3 here, but in rack r1 at node a"),
    (
        "rack = \"r3\", ",
        "",
        16,
        "node c: the levels of its location are host, but those of node a are rack, host",
    ),
    ("rack = \"r3\", ", "rack = \"r3\", rack = \"r4\", ", 19, "duplicate key"),
    ("host = \"h3\"", "shelf = \"h3\"", 16, "node c: location: \"shelf\" is no level of a location"),
    ("host = \"h3\"", "host = \"h 3\"", 16, "node c: location: host: the name \"h 3\" contains ' '"),
    ("host = \"h3\"", "host = 3", 19, "integer 3; use a text in quotes"),
    (
        "location = { rack = \"r3\", host = \"h3\" }",
        "location = \"r3\"",
        19,
        "this is string \"r3\"; use a table: { rack = \"r2\", host = \"h7\" }",
    ),
    ("name = \"first\"", "name = \"first\"\nweight = 40000", 0, "the weights of all nodes add up to 120000"),
];

/// Six hosts in three racks, each a device.
fn text_map() -> String {
    let mut text = String::new();
    for number in 0..6 {
        text += &format!("device {number} n{number}\n");
    }
    text += "type 0 osd\ntype 1 host\ntype 2 rack\ntype 3 root\n";
    for number in 0..3 {
        let (first, second) = (2 * number, 2 * number + 1);
        text += &format!("rack r{number} {{\nid -{}\nalg straw2\nhash 0\n", number + 2);
        text += &format!("item n{first} weight 1.000\nitem n{second} weight 1.000\n}}\n");
    }
    text += "root top {\nid -1\nalg straw2\nhash 0\n";
    text += "item r0 weight 2.000\nitem r1 weight 2.000\nitem r2 weight 2.000\n}\n";
    text + "rule one {\nid 0\ntype replicated\nstep take top\nstep chooseleaf firstn 0 type rack\nstep emit\n}\n"
}

/// The cluster map for [`text_map`].
fn on_text_map() -> String {
    let mut text =
        "epoch = 1\nreplicas = 3\nwrite_quorum = 2\nplacement = \"crush\"\ncrush_map = \"map.txt\"\n"
            .to_owned();
    text += "[[subcluster]]\nname = \"all\"\n";
    for number in 0..6 {
        text += &format!("[[subcluster.node]]\nname = \"n{number}\"\nurl = \"http://n{number}\"\n");
    }
    text
}

/// A folder with both.
fn folder(cluster_toml: &str, map: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.toml"), cluster_toml).unwrap();
    fs::write(folder.path().join("map.txt"), map).unwrap();
    folder
}

fn table(map: &ClusterMap) -> &CrushTable {
    match map.algorithm() {
        Algorithm::Crush(table) => table,
        other => panic!("{other:?} is not CRUSH"),
    }
}

#[test]
fn locations_are_read() {
    let map = parse_map(PLACES, Path::new("cluster.toml")).unwrap();
    assert_eq!(map.placement(), PlacementKind::Crush);
    assert_eq!((table(&map).domain_type(), table(&map).domain_count()), ("rack", 3));
    let location = map.nodes()[1].location();
    let places: Vec<_> = location.places().iter().map(|(level, name)| format!("{level} {name}")).collect();
    assert_eq!(places, ["rack r2", "host h2"]);
    let default = PLACES.replace("failure_domain = \"rack\"\n", "");
    let map = parse_map(&default, Path::new("cluster.toml")).unwrap();
    assert_eq!(table(&map).domain_type(), "node");
}

#[test]
fn every_mistake_about_locations_is_refused_with_its_line_and_what_is_right() {
    let file = Path::new("cluster.toml");
    for (from, to, line, expected) in PLACES_REFUSED {
        let text = PLACES.replacen(from, to, 1);
        assert_ne!(text, PLACES, "{from} is not in the map");
        assert_says(&parse_map(&text, file).expect_err(&text), "cluster.toml", *line, expected);
    }
}

#[test]
fn a_text_map_is_read_from_the_folder_of_cluster_toml() {
    let folder = folder(&on_text_map(), &text_map());
    let map = load_map(&folder.path().join("cluster.toml")).unwrap();
    assert_eq!((table(&map).domain_type(), table(&map).domain_count()), ("rack", 3));
    let text = text_map();
    let read = |path: &Path| {
        assert_eq!(path, Path::new("/etc/webdfs/map.txt"));
        Ok(text.clone().into_bytes())
    };
    let same = parse_map_with(&on_text_map(), Path::new("/etc/webdfs/cluster.toml"), &read).unwrap();
    assert_eq!(same.fingerprint(), map.fingerprint());
    let error = parse_map(&on_text_map(), Path::new("cluster.toml")).unwrap_err();
    assert_says(&error, "cluster.toml", 5, "map.txt cannot be read");
}

#[test]
fn one_cluster_toml_with_two_text_maps_is_two_maps() {
    let fingerprint = |map: &str| {
        let folder = folder(&on_text_map(), map);
        load_map(&folder.path().join("cluster.toml")).unwrap().fingerprint()
    };
    let map = text_map();
    for (from, to) in [
        ("item n5 weight 1.000", "item n5 weight 1.001"),
        ("id -4", "id -9"),
        ("alg straw2", "alg straw"),
        ("device 5 n5", "device 7 n5"),
        ("item n0 weight 1.000\nitem n1 weight 1.000", "item n1 weight 1.000\nitem n0 weight 1.000"),
        ("step take top", "step set_choose_tries 9\nstep take top"),
        ("device 0", "tunable choose_total_tries 9\ndevice 0"),
    ] {
        let other = map.replacen(from, to, 1);
        assert_ne!(other, map, "{from} is not in the map");
        assert_ne!(fingerprint(&other), fingerprint(&map), "{to}");
    }
    assert_eq!(fingerprint(&format!("# another comment\n{map}")), fingerprint(&map));
}

#[test]
fn every_mistake_about_a_text_map_is_refused_where_it_stands() {
    let (cluster, map) = (on_text_map(), text_map());
    // (what is replaced in which of the two, by what, the file and line of the mistake, what the error says)
    let refused: &[(bool, &str, &str, &str, usize, &str)] = &[
        (true, "device 5 n5\n", "device 5 n5\ndevice 6 n5\n", "map.txt", 7, "the name n5 is used twice"),
        (true, "alg straw2", "alg straw3", "map.txt", 13, "straw3"),
        (true, "firstn 0 type rack", "firstn 0 type row", "map.txt", 44, "row"),
        (
            true,
            "firstn 0 type rack",
            "firstn 2 type rack",
            "map.txt",
            40,
            "rule one chooses at most 2, but replicas is 3",
        ),
        (true, "chooseleaf", "choose", "map.txt", 45, "ends with items of type rack"),
        (
            true,
            "step take top\nstep chooseleaf firstn 0 type rack\n",
            "step take n0\n",
            "map.txt",
            44,
            "without a choose",
        ),
        (
            true,
            "item r2 weight 2.000",
            "item r2 weight 0.000",
            "cluster.toml",
            2,
            "only 2 failure domains of type rack",
        ),
        (
            false,
            "name = \"n5\"",
            "name = \"n6\"",
            "cluster.toml",
            23,
            "node n6: the crush_map has no device of this name",
        ),
        (
            false,
            "[[subcluster.node]]\nname = \"n5\"\nurl = \"http://n5\"\n",
            "",
            "map.txt",
            6,
            "device n5 can be chosen by rule one",
        ),
        (
            false,
            "url = \"http://n5\"",
            "url = \"http://n5\"\nlocation = { rack = \"r2\" }",
            "cluster.toml",
            23,
            "the crush_map says where nodes are",
        ),
        (
            false,
            "name = \"all\"",
            "name = \"all\"\nweight = 2.0",
            "cluster.toml",
            6,
            "weight is 2, but with crush_map",
        ),
        (
            false,
            "crush_map = ",
            "crush_rule = \"two\"\ncrush_map = ",
            "cluster.toml",
            5,
            "has no rule \"two\"; known: one",
        ),
        (false, "\"map.txt\"", "\"none.txt\"", "cluster.toml", 5, "none.txt cannot be read: No such file"),
        (
            false,
            "replicas = 3",
            "replicas = 4",
            "cluster.toml",
            2,
            "replicas is 4, but only 3 failure domains",
        ),
    ];
    for (in_map, from, to, file, line, expected) in refused {
        let spoilt = if *in_map { &map } else { &cluster }.replacen(from, to, 1);
        assert!(spoilt != map && spoilt != cluster, "{from} is not there");
        let folder = if *in_map { folder(&cluster, &spoilt) } else { folder(&spoilt, &map) };
        let error = load_map(&folder.path().join("cluster.toml")).expect_err(&spoilt);
        assert_says(&error, file, *line, expected);
    }
}

#[test]
fn a_text_map_that_is_no_text_is_refused_with_its_line() {
    let folder = folder(&on_text_map(), "");
    fs::write(folder.path().join("map.txt"), b"device 0 n0\n\xff").unwrap();
    let error = load_map(&folder.path().join("cluster.toml")).unwrap_err();
    assert_says(&error, "map.txt", 2, "not UTF-8");
}
