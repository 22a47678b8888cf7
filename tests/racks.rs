//! A cluster over racks, placed by CRUSH: by the nodes' locations, and by a text map that cluster.toml names. Replicas
//! are kept apart by racks, so a rack may fail; and every command reads the same map, wherever it is called.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use common::{Cluster, Front, Options, noise, wait_until};
use rustix::process::Signal;

on_both_fronts!(a_file_is_in_every_rack_once_and_outlives_one, a_text_map_places_and_is_read_again);

/// The rack of each node: in both forms the first two, the next two and the last two share one.
fn rack(node: usize) -> usize {
    node / 2
}

const LOCATIONS: &[&str] = &[
    r#"{ rack = "r0", host = "h0" }"#,
    r#"{ rack = "r0", host = "h1" }"#,
    r#"{ rack = "r1", host = "h2" }"#,
    r#"{ rack = "r1", host = "h3" }"#,
    r#"{ rack = "r2", host = "h4" }"#,
    r#"{ rack = "r2", host = "h5" }"#,
];

fn by_locations() -> Options {
    let map = "placement = \"crush\"\nfailure_domain = \"rack\"".to_owned();
    Options { nodes: 6, map, locations: LOCATIONS, ..Options::default() }
}

fn by_text_map() -> Options {
    let map = "placement = \"crush\"\ncrush_map = \"map.txt\"".to_owned();
    let prepare = |cluster: &Cluster| fs::write(text_map_of(cluster), text_map()).unwrap();
    Options { nodes: 6, map, prepare, ..Options::default() }
}

/// Beside cluster.toml, which names it without a folder.
fn text_map_of(cluster: &Cluster) -> PathBuf {
    let folder = cluster.config(0).parent().and_then(|folder| folder.parent()).unwrap().to_owned();
    assert!(folder.join("cluster.toml").is_file());
    folder.join("map.txt")
}

/// The nodes as devices in three racks.
fn text_map() -> String {
    let devices: String = (0..6).map(|node| format!("device {node} img{}\n", node + 1)).collect();
    let rack = |rack: usize| {
        let items = (0..6).filter(|node| self::rack(*node) == rack);
        let items: String = items.map(|node| format!("item img{} weight 1.000\n", node + 1)).collect();
        format!("rack r{rack} {{\nid -{}\nalg straw2\nhash 0\n{items}}}\n", rack + 2)
    };
    let racks = [rack(0), rack(1), rack(2)].concat();
    let items: String = (0..3).map(|rack| format!("item r{rack} weight 2.000\n")).collect();
    format!(
        "tunable chooseleaf_stable 1\n{devices}type 0 osd\ntype 1 rack\ntype 2 root\n{racks}\
         root top {{\nid -1\nalg straw2\nhash 0\n{items}}}\n\
         rule spread {{\nid 0\ntype replicated\nstep take top\nstep chooseleaf firstn 0 type rack\nstep emit\n}}\n"
    )
}

/// Stores files through every node in turn, and finds each on its owners, one in every rack, and from everywhere.
fn store_and_find(cluster: &Cluster, folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut stored = Vec::new();
    for number in 0..12 {
        let (path, body) = (format!("{folder}/{number}.jpg"), noise(number as u64, 5_000 + 1_000 * number));
        cluster.put(number % 6, &path, body.clone()).expect(201);
        let owners = cluster.owners(&path);
        let racks: BTreeSet<usize> = owners.iter().map(|node| rack(*node)).collect();
        assert_eq!((owners.len(), racks.len()), (3, 3), "{path} is on {owners:?}");
        wait_until(&format!("{path} is on {owners:?}"), || {
            owners.iter().all(|node| cluster.has_file(*node, &path))
        });
        for node in 0..6 {
            assert_eq!(cluster.has_file(node, &path), owners.contains(&node), "{path} on node {node}");
            assert!(cluster.get(node, &path).expect(200).body == body, "{path} from node {node}");
        }
        stored.push((path, body));
    }
    stored
}

fn a_file_is_in_every_rack_once_and_outlives_one(front: Front) {
    let cluster = Cluster::start(front, by_locations());
    let stored = store_and_find(&cluster, "/racks");
    // The whole of a rack goes dark.
    cluster.kill(2);
    cluster.kill(3);
    for (path, body) in &stored {
        for node in [0, 1, 4, 5] {
            assert!(cluster.get(node, path).expect(200).body == *body, "{path} from node {node}");
        }
    }
    cluster.put(5, "/racks/meanwhile.jpg", "there").expect(201);
    for node in [0, 1, 4, 5] {
        assert_eq!(cluster.get(node, "/racks/meanwhile.jpg").expect(200).text(), "there");
    }
}

/// Runs a command of webdfs from a folder that has nothing to do with the cluster.
fn webdfs(arguments: &[&str], cluster: &Cluster) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.current_dir("/").args(arguments).arg("--config").arg(cluster.config(0));
    command.output().expect("webdfs runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn a_text_map_places_and_is_read_again(front: Front) {
    let cluster = Cluster::start(front, by_text_map());
    let stored = store_and_find(&cluster, "/text");
    let (path, _) = &stored[0];
    let first = format!("img{}", cluster.owners(path)[0] + 1);
    for arguments in [&["check"][..], &["locate", path], &["explain", "--probe", path]] {
        let output = webdfs(arguments, &cluster);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        assert!(arguments[0] == "check" || text(&output).contains(&first), "{}", text(&output));
    }
    let mut sim = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    sim.current_dir("/").args(["sim", "--objects", "2000"]);
    let output = sim.arg(text_map_of(&cluster).with_file_name("cluster.toml")).output().unwrap();
    assert!(output.status.success() && text(&output).contains("img6"), "{}", text(&output));

    let hang_up = |word: &str| {
        let seen = cluster.log(0).matches(word).count();
        cluster.with_webdfs(0, |webdfs| webdfs.signal(Signal::HUP));
        wait_until(&format!("the log says once more: {word}"), || {
            cluster.log(0).matches(word).count() > seen
        });
    };
    // The same map in other words.
    fs::write(text_map_of(&cluster), format!("# a new comment\n{}", text_map())).unwrap();
    hang_up("the configuration was read again");
    // Another map moves files; none does because of a signal, nor one that has the epoch of the map in force.
    let other = text_map().replace("item img6 weight 1.000", "item img6 weight 3.000");
    fs::write(text_map_of(&cluster), other).unwrap();
    hang_up("is not the map of epoch 1 that is in force");
    let output = webdfs(&["check"], &cluster);
    assert!(text(&output).contains("is not the map of epoch 1 that is in force"), "{}", text(&output));
    // No map at all.
    fs::write(text_map_of(&cluster), text_map().replace("alg straw2", "alg straw3")).unwrap();
    hang_up("map.txt:13: unknown bucket algorithm");
    let output = webdfs(&["check"], &cluster);
    assert!(!output.status.success() && text(&output).contains("map.txt:13: "), "{}", text(&output));
    for (path, body) in &stored {
        assert!(cluster.get(0, path).expect(200).body == *body, "{path}");
    }
}
