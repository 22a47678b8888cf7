//! Explanations under small maps, letter for letter.

use std::fmt::Write as _;

use super::probe::{Holds, Probe, Shown, Told};
use super::verdict::Verdict;
use super::*;
use crate::config::parse_map;

/// A map of sub-clusters of so many nodes, named img1, img2, ... through all of them.
fn from_file(epoch: u64, replicas: usize, subclusters: &[(&str, usize)]) -> FromFile {
    let mut text = format!("epoch = {epoch}\nreplicas = {replicas}\nwrite_quorum = 1\n");
    let mut number = 0;
    for (name, nodes) in subclusters {
        write!(text, "[[subcluster]]\nname = \"{name}\"\nnode = [").unwrap();
        for _ in 0..*nodes {
            number += 1;
            write!(text, "{{ name = \"img{number}\", url = \"http://10.0.0.{number}/_webdfs\" }},").unwrap();
        }
        text.push_str("]\n");
    }
    let file = PathBuf::from(format!("{epoch}.toml"));
    FromFile { map: std::sync::Arc::new(parse_map(&text, &file).unwrap()), file }
}

fn explained<'a>(maps: &[FromFile], path: &'a str) -> Explained<'a> {
    explain(
        maps,
        Layout::Path,
        path,
        ObjectName::from_bytes(path.trim_start_matches('/').as_bytes()).unwrap(),
    )
}

fn printed(explained: &[Explained<'_>], all: bool) -> String {
    let mut out = Vec::new();
    print::print(&mut out, explained, all).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_text_goes_from_the_hash_to_the_owners_under_each_map() {
    let maps = [from_file(2, 2, &[("first", 3), ("second", 3)]), from_file(1, 2, &[("first", 3)])];
    let expected = "\
/cat.jpg
  name  cat.jpg
  hash  118c0800, the CRC-32 of the name: with the map it decides every draw
  file  cat.jpg below the root of each owner

  epoch 2 (2.toml): rush_r places 2 replicas on 6 nodes in 2 sub-clusters
    The sub-clusters are asked from the newest to the oldest, until every replica has its node. Each
    makes one draw, a number from 0 to 1, for every replica that has none yet. A draw below its
    share of the weight, its own compared with that of itself and all older ones, gives it a
    replica; each draw uses up a node, so the share changes a little from draw to draw. The oldest
    takes what is left.
    second: 3 nodes of weight 1, together 3 of the 6 that it and the older ones weigh
      draw 1: 0.285, below its share, 0.500: a replica
      draw 2: 0.218, below its share, 0.400: a replica
      receives 2 replicas
      picks img4, node 1 of its 3
      picks img5, node 2 of its 3
    owners
      1 img4 http://10.0.0.4/_webdfs
      2 img5 http://10.0.0.5/_webdfs

  epoch 1 (1.toml): rush_r places 2 replicas on 3 nodes in 1 sub-cluster
    owners
      1 img3 http://10.0.0.3/_webdfs
      2 img2 http://10.0.0.2/_webdfs
    since then img4, img5 have come and img3, img2 have gone
";
    let text = printed(&[explained(&maps, "/cat.jpg")], false);
    assert_eq!(text, expected);
}

#[test]
fn all_shows_the_steps_under_older_maps_as_well() {
    let maps = [from_file(2, 2, &[("first", 3), ("second", 3)]), from_file(1, 2, &[("first", 3)])];
    let (short, all) =
        (printed(&[explained(&maps, "/cat.jpg")], false), printed(&[explained(&maps, "/cat.jpg")], true));
    let (short, all): (Vec<&str>, Vec<&str>) = (short.lines().collect(), all.lines().collect());
    let added: Vec<&&str> = all.iter().filter(|line| !short.contains(line)).collect();
    let expected = [
        "    first: 3 nodes of weight 1, the oldest with any weight",
        "      receives 2 replicas: what is left",
        "      picks img3, node 3 of its 3",
        "      picks img2, node 2 of its 3",
    ];
    assert!(added.into_iter().eq(&expected), "{all:?}");
}

#[test]
fn many_sub_clusters_that_receive_nothing_are_one_line_unless_all_are_wanted() {
    let names: Vec<String> = (0..100).map(|number| format!("s{number}")).collect();
    let subclusters: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 2)).collect();
    let maps = [from_file(1, 1, &subclusters)];
    let (short, all) =
        (printed(&[explained(&maps, "/cat.jpg")], false), printed(&[explained(&maps, "/cat.jpg")], true));
    let quiet =
        short.lines().find(|line| line.contains("receive nothing")).expect("a line for the quiet ones");
    assert!(quiet.trim_start().ends_with("none of them below its share, so they receive nothing"), "{quiet}");
    let count: usize = quiet.split_whitespace().next().unwrap().parse().unwrap();
    let draws = |text: &str| text.lines().filter(|line| line.trim_start().starts_with("draw ")).count();
    assert!(count > 2, "{quiet}");
    assert_eq!(draws(&all), draws(&short) + count);
    assert!(!all.contains("receive nothing"), "{all}");
}

#[test]
fn the_rules_are_told_once_for_several_files() {
    let maps = [from_file(1, 1, &[("first", 2)])];
    let text = printed(&[explained(&maps, "/a.jpg"), explained(&maps, "/b.jpg")], false);
    assert_eq!(text.matches("The sub-clusters are asked from the newest").count(), 1, "{text}");
}

#[test]
fn a_name_that_cannot_be_a_path_lies_in_the_escape_area() {
    let maps = [from_file(1, 1, &[("first", 2)])];
    let path = format!("/{}.jpg", "x".repeat(256));
    let explained = explained(&maps, &path);
    assert_eq!(explained.file.path, None);
    let line = format!("  file  {} below the root of each owner, as", explained.file.escape);
    assert!(printed(&[explained], false).contains(&line));
}

#[test]
fn what_became_of_the_owners_is_said() {
    let change = |then: &[&str], now: &[&str]| {
        let owners = |names: &[&str]| {
            names
                .iter()
                .map(|name| Owner { node: (*name).to_owned(), url: String::new() })
                .collect::<Vec<_>>()
        };
        print::change_in_words(&Change::between(&owners(then), &owners(now)))
    };
    assert_eq!(change(&["a", "b"], &["a", "b"]), "since then the same owners");
    assert_eq!(change(&["a", "b"], &["b", "a"]), "since then the same owners, in another order");
    assert_eq!(change(&["a", "b"], &["c", "a"]), "since then c has come and b has gone");
    assert_eq!(change(&["a"], &["a", "b", "c"]), "since then b, c have come");
    assert_eq!(change(&["a", "b"], &["b"]), "since then a has gone");
}

#[test]
fn json_has_every_step_with_its_words_and_the_owners_of_each_map() {
    let maps = [from_file(2, 2, &[("first", 3), ("second", 3)]), from_file(1, 2, &[("first", 3)])];
    let value = serde_json::to_value(explained(&maps, "/cat.jpg")).unwrap();
    assert_eq!((&value["path"], &value["name"]), (&"/cat.jpg".into(), &"cat.jpg".into()));
    assert_eq!(value["file"]["path"], "cat.jpg");
    assert!(value.get("probe").is_none());
    for (at, from) in maps.iter().enumerate() {
        let told = &value["maps"][at];
        assert_eq!(told["epoch"], from.map.epoch().get());
        assert_eq!(told["fingerprint"], from.map.fingerprint().to_string());
        let owners = placement::locate(&from.map, ObjectKey::of(b"cat.jpg"));
        let names: Vec<_> = owners.iter().map(|owner| from.map.node(*owner).name().as_str()).collect();
        let told_owners: Vec<_> =
            told["owners"].as_array().unwrap().iter().map(|owner| &owner["node"]).collect();
        assert_eq!(told_owners, names);
        let steps = told["steps"].as_array().unwrap();
        let picked: Vec<_> =
            steps.iter().filter(|step| step["step"] == "pick").map(|step| &step["node"]).collect();
        assert_eq!(picked, names);
        assert!(steps.iter().all(|step| step["words"].is_string()));
        assert_eq!(told.get("change").is_some(), at > 0);
    }
}

#[test]
fn what_nodes_hold_is_a_table_with_the_verdict_below() {
    let told = |node: &str, role: &str, holds: Option<Shown>, complete| Told {
        node: node.to_owned(),
        role: role.to_owned(),
        owner: None,
        error: holds.is_none().then(|| "does not answer: Connection refused".to_owned()),
        is_idle: holds == Some(Shown::Nothing) && role == "no owner",
        holds: holds.map(|held| Holds { held, complete }),
    };
    let time = || "Sun, 06 Nov 1994 08:49:37 GMT".to_owned();
    let file = |crc32: Option<&str>| {
        Some(Shown::File { version: 12, time: time(), size: 1, crc32: crc32.map(str::to_owned) })
    };
    let nodes = vec![
        told("img1", "owner 1", file(Some("0000000a")), true),
        told("img20", "owner 2", file(None), false),
        told("img3", "owner 3", None, true),
        told("img4", "owner under epoch 1", Some(Shown::Tombstone { version: 9, time: time() }), true),
        told("img5", "no owner", Some(Shown::Nothing), true),
        told("img6", "no owner", Some(Shown::Nothing), true),
    ];
    let wrong = vec!["img3 is gone".to_owned()];
    let verdict =
        Verdict { healthy: false, verdict: "not well".to_owned(), wrong, notes: vec!["see".to_owned()] };
    let maps = [from_file(1, 1, &[("first", 2)])];
    let explained = [Explained { probe: Some(Probe { verdict, nodes }), ..explained(&maps, "/a.jpg") }];
    let table = |all| {
        let text = printed(&explained, all);
        text[text.find("\n  what the nodes hold").expect("the table")..].to_owned()
    };
    let expected = "
  what the nodes hold
    img1   owner 1              file, version 12 (Sun, 06 Nov 1994 08:49:37 GMT), 1 byte, crc32 0000000a
    img20  owner 2              file, version 12 (Sun, 06 Nov 1994 08:49:37 GMT), 1 byte, no checksum yet; its root is not complete yet
    img3   owner 3              does not answer: Connection refused
    img4   owner under epoch 1  tombstone, version 9 (Sun, 06 Nov 1994 08:49:37 GMT)
    2 other nodes hold nothing
  not well
    WRONG img3 is gone
    note  see
";
    assert_eq!(table(false), expected);
    assert!(table(true).contains("    img6   no owner             nothing\n"), "{}", table(true));
}
