//! `webdfs sim` as a person or a script meets it: tables, JSON, plots, and what it refuses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const OBJECTS: &str = "5000";

/// A folder with maps in it.
struct Maps(tempfile::TempDir);

impl Maps {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a map of sub-clusters, each of so many nodes of such weight: img1, img2 ... through all of them.
    fn write(&self, name: &str, replicas: usize, subclusters: &[(usize, f64)]) -> String {
        let mut text = format!("epoch = 1\nreplicas = {replicas}\nwrite_quorum = 1\n");
        let mut number = 0;
        for (at, (nodes, weight)) in subclusters.iter().enumerate() {
            text += &format!("[[subcluster]]\nname = \"rack{at}\"\nweight = {weight:?}\n");
            for _ in 0..*nodes {
                number += 1;
                text += &format!(
                    "[[subcluster.node]]\nname = \"img{number}\"\nurl = \"http://10.0.0.{number}\"\n"
                );
            }
        }
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn sim(arguments: &[&str]) -> Output {
    sim_with_threads(2, arguments)
}

fn sim_with_threads(threads: usize, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.env("RAYON_NUM_THREADS", threads.to_string());
    command.args(["sim", "--objects", OBJECTS]).args(arguments).output().unwrap()
}

#[track_caller]
fn answer(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    // On a slow machine it also says how far it is.
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.lines().all(|line| line.is_empty() || line.starts_with("webdfs: placing: ")), "{errors}");
    std::str::from_utf8(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.stdout.is_empty());
    std::str::from_utf8(&output.stderr).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(answer(&sim(&arguments))).unwrap()
}

/// The sum of a count over a list.
fn sum(list: &Value, count: &str) -> u64 {
    list.as_array().unwrap().iter().map(|entry| entry[count].as_u64().unwrap()).sum()
}

#[test]
fn one_map_is_answered_with_loads_failures_and_speed() {
    let maps = Maps::new();
    let map = maps.write("cluster.toml", 2, &[(3, 1.0), (2, 2.0)]);
    let found = json(&[&map]);
    assert_eq!(found["map"]["placement"], "rush_r");
    let load = &found["load"];
    assert_eq!((sum(&load["nodes"], "copies"), sum(&load["subclusters"], "copies")), (10_000, 10_000));
    assert_eq!(load["nodes"][4]["node"], "img5");
    let failures = found["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 5, "each of the few nodes fails in turn");
    for (failure, node) in failures.iter().zip(load["nodes"].as_array().unwrap()) {
        assert_eq!((&failure["node"], &failure["held"]), (&node["node"], &node["copies"]));
        assert_eq!(failure["moved"], failure["held"], "only its own objects move");
        assert_eq!(sum(&failure["survivors"], "took"), failure["held"].as_u64().unwrap());
    }
    for speed in ["one_core", "all_cores"] {
        assert!(found["speed"][speed].as_f64().unwrap() > 0.0);
    }
    let output = sim(&[&map]);
    let text = answer(&output);
    assert!(text.contains(": epoch 1, rush_r, 5 nodes in 2 sub-clusters, 2 replicas\n"), "{text}");
    for part in ["| img5 ", "| rack1 ", "When a node fails", "Lookups per second: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_node_named_with_fail_has_its_survivors_listed() {
    let maps = Maps::new();
    let map = maps.write("cluster.toml", 2, &[(5, 1.0)]);
    let found = json(&[&map, "--fail", "img2"]);
    assert_eq!(found["failures"].as_array().unwrap().len(), 1);
    let survivors = found["failures"][0]["survivors"].as_array().unwrap();
    let names: Vec<_> = survivors.iter().map(|survivor| survivor["node"].as_str().unwrap()).collect();
    assert_eq!(names, ["img1", "img3", "img4", "img5"]);
    let output = sim(&[&map, "--fail", "img2"]);
    assert!(answer(&output).contains("Who takes over from img2"), "{}", answer(&output));
}

#[test]
fn two_maps_are_answered_with_what_moves() {
    let maps = Maps::new();
    let before = maps.write("before.toml", 2, &[(4, 1.0)]);
    let after = maps.write("after.toml", 2, &[(4, 1.0), (4, 1.0)]);
    let movement = &json(&[&before, &after])["movement"];
    let moved = movement["moved"].as_u64().unwrap();
    assert_eq!((sum(&movement["nodes"], "arrived"), sum(&movement["nodes"], "left")), (moved, moved));
    assert_eq!(sum(&movement["pairs"], "copies"), moved);
    assert_eq!(movement["optimum"], 5_000.0);
    assert!((movement["against_optimum"].as_f64().unwrap() - 1.0).abs() < 0.1);
    assert_eq!((&movement["astray"], &movement["nodes"][4]["before"]), (&0.into(), &Value::Null));
    for side in ["before", "after"] {
        assert_eq!(sum(&movement[side]["nodes"], "copies"), 10_000);
    }
    let output = sim(&[&before, &after, "--rows", "3"]);
    let text = answer(&output);
    assert!(text.contains(&format!("{moved} of 10000 copies move")), "{text}");
    assert!(text.contains("\nWARNING the epoch must rise, and goes from 1 to 1\n"), "{text}");
    assert!(text.contains("3 of 8 rows, those that receive and lose most"), "{text}");
}

#[test]
fn what_speaks_against_a_change_is_told_and_so_are_other_replicas() {
    let maps = Maps::new();
    let before = maps.write("before.toml", 3, &[(4, 1.0), (3, 1.0)]);
    let after = maps.write("after.toml", 2, &[(5, 1.0), (2, 1.0)]);
    let newer = std::fs::read_to_string(&after).unwrap().replace("epoch = 1", "epoch = 2");
    std::fs::write(&after, newer).unwrap();
    let warnings = json(&[&before, &after])["warnings"].clone();
    let warnings: Vec<_> = warnings.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(warnings[0].starts_with("img5, img6 and img7 are not in the slot of before"), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.starts_with("replicas goes from 3 to 2")), "{warnings:?}");
    assert!(
        warnings.iter().any(|warning| warning.starts_with("sub-cluster rack0 has 5 nodes and had 4")),
        "{warnings:?}"
    );
    let output = sim(&[&before, &after]);
    let text = answer(&output);
    assert_eq!(text.matches("\nWARNING ").count(), warnings.len(), "{text}");
    assert!(text.contains("\nFewer replicas: 5000 copies are given up.\n"), "{text}");
    let fewer = maps.write("fewer.toml", 2, &[(4, 1.0), (3, 1.0)]);
    let output = sim(&[&before, &fewer]);
    assert!(answer(&output).contains("0 of 15000 copies move (0.00 %), none has to. 5000 of 5000"));
    let output = sim(&[&fewer, &before]);
    assert!(answer(&output).contains("\nMore replicas: 5000 copies are added.\n"), "{}", answer(&output));
}

#[test]
fn answers_do_not_depend_on_the_number_of_threads() {
    let maps = Maps::new();
    let before = maps.write("before.toml", 3, &[(4, 1.0), (3, 2.5)]);
    let after = maps.write("after.toml", 3, &[(4, 1.0), (3, 0.0), (2, 4.0)]);
    let with = |threads| answer(&sim_with_threads(threads, &[&before, &after, "--json"])).to_owned();
    assert_eq!(with(1), with(5));
}

#[test]
fn all_algorithms_are_compared_in_one_table() {
    let compare = ["--compare", "--nodes", "12", "--per-subcluster", "4", "--replicas", "2"];
    let found = json(&compare);
    assert_eq!((&found["nodes"], &found["replicas"]), (&12.into(), &2.into()));
    let algorithms = found["algorithms"].as_array().unwrap();
    let rush_r = algorithms.iter().find(|algorithm| algorithm["algorithm"] == "rush_r").unwrap();
    for movement in ["add", "drain_newest", "drain_middle", "drain_oldest", "node_out"] {
        assert!(rush_r[movement].as_f64().unwrap() > 0.9, "{movement}: {rush_r}");
    }
    assert!(rush_r["nanoseconds"].as_f64().unwrap() > 0.0);
    let output = sim(&compare);
    let text = answer(&output);
    for algorithm in algorithms {
        assert!(text.contains(&format!("| {} ", algorithm["algorithm"].as_str().unwrap())), "{text}");
    }
}

#[test]
fn what_cannot_be_simulated_is_refused_with_the_reason() {
    let maps = Maps::new();
    let map = maps.write("cluster.toml", 3, &[(3, 1.0)]);
    let bad = maps.write("bad.toml", 4, &[(3, 1.0)]);
    let cases: [(&[&str], &str); 7] = [
        (&["/nonexistent/cluster.toml"], "webdfs: /nonexistent/cluster.toml: cannot be read: "),
        (&[&map, &bad], "bad.toml:2: replicas is 4, but only 3 of the nodes can hold one"),
        (&[&map, "--fail", "img9"], "cluster.toml: there is no node img9\n"),
        (&[&map, "--fail", "img1"], "webdfs: node img1 cannot be taken out: replicas is 3, but only 2 "),
        (&[&map, &map, "--fail", "img1"], "webdfs: --fail goes with one map"),
        (&["--compare", "--nodes", "2"], "no algorithm can place files on these nodes"),
        (&["--compare", "--per-subcluster", "0"], "a sub-cluster has at least one node"),
    ];
    for (arguments, expected) in cases {
        let output = sim(arguments);
        let error = refused(&output);
        assert!(error.contains(expected) && error.lines().count() == 1, "{arguments:?}: {error}");
    }
    let output = sim(&[&map]);
    assert!(answer(&output).contains("No node can fail for good"), "{}", answer(&output));
    let blocked = maps.path("blocked");
    std::fs::write(&blocked, "").unwrap();
    let output = sim(&[&map, "--svg", blocked.to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("blocked: cannot be written: "), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn plots_are_xml_that_names_every_node_and_cuts_nothing_off() {
    let maps = Maps::new();
    let one = maps.write("one.toml", 2, &[(3, 1.0), (3, 2.0)]);
    let two = maps.write("two.toml", 2, &[(3, 1.0), (3, 2.0), (3, 2.0)]);
    let names =
        |numbers: std::ops::RangeInclusive<u32>| numbers.map(|number| format!("img{number}")).collect();
    let plots: [(&[&str], &str, Vec<String>); 6] = [
        (&[&one], "load.svg", names(1..=6)),
        (&[&one], "takeover.svg", names(1..=6)),
        (&[&one, "--fail", "img6"], "takeover.svg", names(1..=6)),
        (&[&one, &two], "load.svg", names(1..=9)),
        (&[&one, &two], "movement.svg", names(1..=9)),
        (&["--compare", "--nodes", "20"], "comparison.svg", vec!["rush_r".into(), "drain oldest".into()]),
    ];
    for (number, (arguments, file, names)) in plots.iter().enumerate() {
        let folder = maps.path(&format!("plots{number}"));
        let arguments: Vec<_> =
            arguments.iter().copied().chain(["--svg", folder.to_str().unwrap()]).collect();
        answer(&sim(&arguments));
        let texts = texts_within(&folder.join(file));
        for name in names {
            let found = texts.iter().any(|text| text.split(' ').any(|word| word == name) || text == name);
            assert!(found, "{arguments:?}: {name} is not in {texts:?}");
        }
    }
}

/// The texts of a plot, each of which must lie within it, by a cautious guess of how wide its letters are.
fn texts_within(svg: &Path) -> BTreeSet<String> {
    let source = std::fs::read_to_string(svg).unwrap();
    let document =
        roxmltree::Document::parse(&source).unwrap_or_else(|error| panic!("{}: {error}", svg.display()));
    let root = document.root_element();
    let number =
        |node: roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
    let (width, height) = (number(root, "width"), number(root, "height"));
    let mut found = BTreeSet::new();
    for text in document.descendants().filter(|node| node.has_tag_name("text")) {
        let words = text.text().unwrap_or_default().trim();
        let long = words.chars().count() as f64 * number(text, "font-size") * 0.6;
        let (before, behind) = match text.attribute("text-anchor").unwrap() {
            "start" => (0.0, long),
            "middle" => (long / 2.0, long / 2.0),
            _ => (long, 0.0),
        };
        let (x, y) = (number(text, "x"), number(text, "y"));
        // A text turned by 270 degrees is read upwards.
        let (left, right, top, bottom) = match text.attribute("transform") {
            Some(turn) => {
                assert!(turn.starts_with("rotate(270"), "{turn}");
                (x, x, y - behind, y + before)
            }
            None => (x - before, x + behind, y, y),
        };
        let inside = left >= 0.0 && right <= width && top >= 0.0 && bottom <= height;
        assert!(inside, "{}: {words:?} leaves the {width} x {height} of the plot", svg.display());
        found.insert(words.to_owned());
    }
    found
}
