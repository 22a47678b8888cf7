//! The commands that write the next map, and the one that tells what a change of maps is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use webdfs::cluster::{ClusterMap, NodeState, PlacementKind};
use webdfs::config::{load_map, parse_map};

/// Two sub-clusters, a comment, and a public URL.
const MAP: &str = r#"# made by hand
epoch = 4
replicas = 2
write_quorum = 2
[[subcluster]]
name = "first"
[[subcluster.node]]
name = "img1"
url = "http://10.0.0.1/_webdfs"
public_url = "https://img1.example.com"
[[subcluster.node]]
name = "img2"
url = "http://10.0.0.2/_webdfs"
[[subcluster.node]]
name = "img3"
url = "http://10.0.0.3/_webdfs"
[[subcluster]]
name = "second"
weight = 2
node = [{ name = "img4", url = "http://10.0.0.4/_webdfs" }]
"#;

/// A folder with the node.toml of a node, whose secret is nobody's business, and its map.
struct Node(TempDir);

impl Node {
    fn new(map: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cluster.toml"), map).unwrap();
        fs::write(folder.path().join("node.toml"), "name = \"img1\"\nroot = \"root\"\n").unwrap();
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Puts a map among those that the root remembers.
    fn remember(&self, file: &str, text: &str) {
        let maps = self.path("root/.webdfs/maps");
        fs::create_dir_all(&maps).unwrap();
        fs::write(maps.join(file), text).unwrap();
    }

    /// The command, with `--config`.
    fn run(&self, arguments: &str) -> Output {
        let mut command = webdfs(&arguments.split(' ').collect::<Vec<_>>());
        command.arg("--config").arg(self.path("node.toml")).output().unwrap()
    }

    /// The map that the command prints, and what it tells.
    #[track_caller]
    fn prints(&self, arguments: &str) -> (ClusterMap, String) {
        let output = self.run(arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {told}");
        let printed = text(&output.stdout);
        let map =
            parse_map(&printed, Path::new("printed")).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        (map, told)
    }

    /// What the command says when it does nothing.
    #[track_caller]
    fn refuses(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        let told = text(&output.stderr);
        assert!(told.starts_with("webdfs: ") && told.lines().count() == 1, "{told}");
        told
    }
}

fn webdfs(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn state(map: &ClusterMap, node: &str) -> NodeState {
    map.node(map.index_of(&node.parse().unwrap()).unwrap()).state()
}

#[test]
fn a_node_goes_out_is_lost_and_comes_back() {
    let node = Node::new(MAP);
    let (out, told) = node.prints("node out img3");
    assert_eq!((out.epoch().get(), state(&out, "img3")), (5, NodeState::Out));
    assert!(told.starts_with("epoch 5, from epoch 4 of "), "{told}");
    assert!(told.contains("\nimg3 goes out of service\n"), "{told}");
    assert!(told.contains(" % of all copies move, 1.0"), "{told}");
    assert_eq!(text(&fs::read(node.path("cluster.toml")).unwrap()), MAP, "nothing else is written");
    let (lost, _) = node.prints("node lost img3");
    assert_eq!(state(&lost, "img3"), NodeState::Lost);
    let node =
        Node::new(&MAP.replace("/_webdfs\"\n[[subcluster]]", "/_webdfs\"\nstate = \"lost\"\n[[subcluster]]"));
    let (back, told) = node.prints("node in img3");
    assert_eq!((back.epoch().get(), state(&back, "img3")), (5, NodeState::In));
    assert!(told.contains("\nimg3 is in service again\n"), "{told}");
    assert_eq!(back.nodes()[0].public_url().unwrap().to_string(), "https://img1.example.com");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let node = Node::new(MAP);
    let unknown = node.refuses("node out img7");
    assert!(
        unknown.contains("cluster.toml: there is no node img7 in the map of epoch 4; its nodes are img1,")
    );
    assert!(node.refuses("node in img3").contains("node img3 is in service already"));
    let weight = node.refuses("subcluster weight first 0");
    assert!(
        weight.contains("the map would be refused: replicas is 2, but only 1 of the nodes can"),
        "{weight}"
    );
    assert!(node.refuses("subcluster weight third 0").contains("there is no sub-cluster third"));
    assert!(
        node.refuses("subcluster weight second 2").contains("sub-cluster second has the weight 2 already")
    );
    let add = |arguments: &str| node.refuses(&format!("subcluster add {arguments}"));
    assert!(add("first --node a=http://a").contains("the name first is taken by sub-cluster 1"));
    assert!(add("third --node img1=http://a").contains("node img1 is listed twice"));
    assert!(add("third --node a=http://10.0.0.1/_webdfs").contains("is that of node img1"));
    assert!(add("third --node a=ftp://a").contains("right would be http://"));
    assert!(add("third --node a=http://a --public-url b=http://b").contains("--node b=URL is missing"));
    assert!(add("third --node a=http://a --location a=r1").contains("right would be a=rack:r4,host:h7"));
    let unused = add("third --node a=http://a --location a=rack:r1");
    assert!(unused.contains("location is of no use here"), "{unused}");
    for usage in ["subcluster add third", "subcluster add third --node a", "node out", "node out a/b"] {
        assert_eq!(node.run(usage).status.code(), Some(2), "{usage}");
    }
    fs::write(node.path("cluster.toml"), "epoch = 0").unwrap();
    assert!(node.refuses("node out img3").contains("cluster.toml"));
}

#[test]
fn a_sub_cluster_is_added_and_takes_a_weight() {
    let node = Node::new(MAP);
    let (grown, told) = node.prints(
        "subcluster add third --weight 1.5 --node b=http://b:81/x --node a=http://a --public-url a=https://a.example.com",
    );
    let third = &grown.subclusters()[2];
    assert_eq!((third.name().as_str(), third.weight()), ("third", 1.5));
    let nodes: Vec<_> =
        grown.nodes_of(third).iter().map(|node| (node.name().as_str(), node.url().to_string())).collect();
    assert_eq!(nodes, [("b", "http://b:81/x".to_owned()), ("a", "http://a".to_owned())]);
    assert_eq!(grown.nodes_of(third)[1].public_url().unwrap().to_string(), "https://a.example.com");
    assert!(told.contains("\nsub-cluster third is added: 2 nodes of weight 1.5\n"), "{told}");
    let (drained, told) = node.prints("subcluster weight second 0");
    assert_eq!(drained.subclusters()[1].weight(), 0.0);
    assert!(told.contains("\nWARNING sub-cluster second is drained: "), "{told}");
}

#[test]
fn the_newest_map_that_the_root_remembers_goes_before_that_of_node_toml() {
    let node = Node::new(MAP);
    node.remember("9.toml", &MAP.replace("epoch = 4", "epoch = 9"));
    node.remember("10.toml", &MAP.replace("epoch = 4", "epoch = 10").replace("weight = 2", "weight = 3"));
    let (next, told) = node.prints("node out img3");
    assert_eq!((next.epoch().get(), next.subclusters()[1].weight()), (11, 3.0));
    assert!(told.contains("of ") && told.contains("/root/.webdfs/maps/10.toml\n"), "{told}");
    node.remember("10-other.toml", &MAP.replace("epoch = 4", "epoch = 10"));
    assert!(node.refuses("node out img3").contains("are different maps of epoch 10"));
}

#[test]
fn a_map_is_written_to_a_new_file_and_never_over_another() {
    let node = Node::new(MAP);
    let file = node.path("next.toml");
    let output = node.run(&format!("node out img3 --output {}", file.display()));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{}", text(&output.stderr));
    assert_eq!(state(&load_map(&file).unwrap(), "img3"), NodeState::Out);
    let written = fs::read(&file).unwrap();
    let told = node.refuses(&format!("node out img2 --output {}", file.display()));
    assert!(told.contains("next.toml: cannot be written: File exists"), "{told}");
    assert_eq!(fs::read(&file).unwrap(), written);
}

#[test]
fn racks_are_told_with_the_nodes_that_stand_in_them() {
    let places = MAP
        .replace("epoch = 4", "epoch = 4\nplacement = \"crush\"\nfailure_domain = \"rack\"")
        .replace("1/_webdfs\"", "1/_webdfs\"\nlocation = { rack = \"r1\" }")
        .replace("2/_webdfs\"", "2/_webdfs\"\nlocation = { rack = \"r2\" }")
        .replace("3/_webdfs\"", "3/_webdfs\"\nlocation = { rack = \"r1\" }")
        .replace("4/_webdfs\"", "4/_webdfs\", location = { rack = \"r2\" }");
    let node = Node::new(&places);
    let (grown, _) = node.prints("subcluster add third --node a=http://a --location a=rack:r3");
    assert_eq!(grown.placement(), PlacementKind::Crush);
    assert_eq!(grown.nodes()[4].location().places()[0].1.as_str(), "r3");
    assert!(
        node.refuses("subcluster add third --node a=http://a")
            .contains("the levels of its location are none")
    );
}

#[test]
fn a_crush_map_of_its_own_goes_with_the_map() {
    let crush = "device 0 img1\ndevice 1 img2\ndevice 2 img3\ndevice 3 img4\ntype 0 osd\ntype 1 root\nroot top {\n\
                 id -1\nalg straw2\nitem img1 weight 1\nitem img2 weight 1\nitem img3 weight 1\nitem img4 weight 0.3\n}\n\
                 rule r {\nid 0\ntype replicated\nstep take top\nstep choose firstn 0 type osd\nstep emit\n}\n";
    let map = MAP.replace("epoch = 4", "epoch = 4\nplacement = \"crush\"\ncrush_map = \"of-ceph.txt\"");
    let map = map.replace("weight = 2\n", "");
    let node = Node::new(&map);
    fs::write(node.path("of-ceph.txt"), crush).unwrap();
    assert!(node.refuses("node out img3").contains("name a file for both with --output"));
    fs::create_dir(node.path("next")).unwrap();
    let file = node.path("next/cluster.toml");
    let output = node.run(&format!("node out img3 --output {}", file.display()));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let next = load_map(&file).unwrap();
    assert_eq!((next.epoch().get(), state(&next, "img3")), (5, NodeState::Out));
    assert!(node.path("next/5.crush").exists());
    assert!(node.refuses("subcluster weight second 2").contains("the weights are those of the CRUSH map"));
    // A root keeps it under its own name, whatever the map calls it.
    node.remember("7.toml", &map.replace("epoch = 4", "epoch = 7"));
    node.remember("7.crush", crush);
    assert!(node.refuses("node in img3").contains("7.toml: node img3 is in service already"));
}

#[test]
fn two_maps_are_compared_and_what_speaks_against_the_change_ends_in_exit_code_one() {
    let node = Node::new(MAP);
    let write = |file: &str, text: String| {
        fs::write(node.path(file), text).unwrap();
        node.path(file).display().to_string()
    };
    let old = node.path("cluster.toml").display().to_string();
    let diff = |new: &str, json: bool| {
        let arguments: &[&str] =
            if json { &["map", "diff", &old, new, "--json"] } else { &["map", "diff", &old, new] };
        let output = webdfs(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let good = write("good.toml", MAP.replace("epoch = 4", "epoch = 5").replace("10.0.0.3", "10.0.0.33"));
    let (code, told, errors) = diff(&good, false);
    assert_eq!((code, errors.as_str()), (0, ""), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with(&format!("old: {old}: epoch 4, fingerprint ")), "{told}");
    assert!(lines[1].starts_with(&format!("new: {good}: epoch 5, fingerprint ")), "{told}");
    assert_eq!(lines[2..], ["img3: another url", "0.00 % of all copies move, none has to"]);

    let bad = write(
        "bad.toml",
        MAP.replace("img3", "img9").replace("img2", "img3").replace("replicas = 2", "replicas = 3"),
    );
    let (code, told, errors) = diff(&bad, false);
    assert_eq!((code, errors.as_str()), (1, "webdfs: 4 objections to this change\n"), "{told}");
    assert!(told.contains("\nOBJECTION epoch: the epoch must rise, and goes from 4 to 4\n"), "{told}");
    assert!(told.contains("\nOBJECTION slots: img3 is not in the slot of before"), "{told}");
    assert!(told.contains("\nOBJECTION dropped: img2 holds files and is in the new map no more"), "{told}");
    assert!(told.contains("\nOBJECTION dropped: img3 has the url of img2, which holds files"), "{told}");
    let (code, json, _) = diff(&bad, true);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["old"]["epoch"], &json["new"]["epoch"]), (1, &4.into(), &4.into()));
    let words: Vec<_> =
        json["objections"].as_array().unwrap().iter().map(|one| one["word"].as_str().unwrap()).collect();
    assert_eq!(words, ["epoch", "slots", "dropped", "dropped"]);
    assert_eq!(
        (&json["objections"][0]["can_be_forced"], &json["objections"][1]["can_be_forced"]),
        (&false.into(), &true.into())
    );
    assert!(json["differences"].as_array().unwrap().contains(&"replicas goes from 2 to 3".into()), "{json}");
    assert_eq!(json["moves"]["objects"], 50_000);
    assert_eq!(json["warnings"], serde_json::json!([]));
    let (code, _, errors) = diff("/nonexistent.toml", false);
    assert!(code == 1 && errors.starts_with("webdfs: /nonexistent.toml: cannot be read"), "{errors}");
}
