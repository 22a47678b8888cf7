//! The map changes while the site is up: nodes are added, drained, taken out, replaced and lost (design section 9).

#[path = "map_change/adopted.rs"]
mod adopted;
mod common;
#[path = "map_change/offered.rs"]
mod offered;
#[path = "map_change/paused.rs"]
mod paused;
#[path = "map_change/uploads.rs"]
mod uploads;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Call, Cluster, Front, Group, Options, map, noise, wait_until};

/// `webdfs map apply` on a node: whether it went well, and what it said.
fn apply(cluster: &Cluster, node: usize, toml: &str, more: &[&str]) -> (bool, String) {
    let file = cluster.config(node).with_file_name("next.toml");
    fs::write(&file, toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["map", "apply"]).arg(&file).arg("--config").arg(cluster.config(node)).args(more);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[track_caller]
fn applied(cluster: &Cluster, node: usize, toml: &str) -> String {
    let (done, said) = apply(cluster, node, toml, &[]);
    assert!(done, "{said}");
    said
}

/// `webdfs map status --json` on a node.
fn map_status(cluster: &Cluster, node: usize) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let output =
        command.args(["map", "status", "--json", "--config"]).arg(cluster.config(node)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Starts a node that was not there before, with this map.
fn add(cluster: &Cluster, node: usize, toml: &str) {
    fs::write(cluster.config(0).parent().unwrap().join("../cluster.toml"), toml).unwrap();
    cluster.add(node);
}

/// Of two maps of one epoch, the second has its fingerprint in its name.
fn epoch_of(stem: &str) -> u64 {
    stem.split('-').next().unwrap().parse().unwrap()
}

/// The epochs of the maps that a node remembers.
fn epochs(cluster: &Cluster, node: usize) -> Vec<u64> {
    let maps = webdfs::store::remembered_maps(&cluster.root(node)).unwrap();
    let mut epochs: Vec<_> =
        maps.iter().map(|file| epoch_of(file.file_stem().unwrap().to_str().unwrap())).collect();
    epochs.sort_unstable();
    epochs
}

fn wait_until_settled(cluster: &Cluster, nodes: &[usize], epoch: u64) {
    wait_until(&format!("epoch {epoch} is settled"), || {
        nodes.iter().all(|node| epochs(cluster, *node) == [epoch])
    });
}

/// Who has a file of this path.
fn holders(cluster: &Cluster, nodes: usize, path: &str) -> Vec<usize> {
    (0..nodes).filter(|node| cluster.has_file(*node, path)).collect()
}

const FIRST: Group<'_> = ("first", 1.0, &[(0, ""), (1, ""), (2, "")]);
const SECOND: Group<'_> = ("second", 1.0, &[(3, ""), (4, ""), (5, "")]);

fn three_of_six() -> Options {
    Options { nodes: 6, members: Some(3), absent: &[3, 4, 5], ..Options::default() }
}

#[test]
fn files_move_to_new_nodes_while_they_are_read_and_written_and_no_request_fails() {
    let cluster = Cluster::start(Front::Nginx, three_of_six());
    let path = |number: usize| format!("/grow/{number}.jpg");
    let body = |number: usize| noise(number as u64, 2000);
    const FILES: usize = 200;
    for number in 0..FILES {
        cluster.put(number % 3, &path(number), body(number)).expect(201);
    }
    let next = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    for node in 3..6 {
        add(&cluster, node, &next);
    }
    wait_until_they_wait(&cluster);
    assert_eq!(Call::new("GET", &path(0)).send(cluster.side_address(3)).status, 503);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (cluster, done, served) = (&cluster, &done, &served);
            scope.spawn(move || {
                let mut number = reader;
                while !done.load(Ordering::Relaxed) {
                    number = (number + 7) % FILES;
                    let answer = cluster.get(reader, &path(number));
                    assert_eq!(answer.status, 200, "{answer}");
                    assert_eq!(answer.body, body(number), "{}", path(number));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let said = applied(&cluster, 0, &next);
        assert!(said.contains("epoch 2 is in force on 6 of 6 nodes"), "{said}");
        wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
        done.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) > 0);
    for number in 0..FILES {
        let path = path(number);
        let mut owners = cluster.owners(&path);
        owners.sort_unstable();
        assert_eq!(holders(&cluster, 6, &path), owners, "{path}");
        assert_eq!(cluster.get(5, &path).expect(200).body, body(number));
    }
    assert!((0..FILES).any(|number| cluster.owners(&path(number)).iter().any(|owner| *owner > 2)));
}

/// Waits until the three new nodes of a cluster wait for their map.
fn wait_until_they_wait(cluster: &Cluster) {
    wait_until("the new nodes wait for their map", || {
        (3..6).all(|node| cluster.log(node).contains("is not in force yet"))
    });
}

/// A cluster of three that holds some files, and of which three more are a part by a map that is not settled, since one of
/// the first three is down.
fn moving() -> (Cluster, Vec<String>) {
    let cluster = Cluster::start(Front::Embedded, three_of_six());
    let paths: Vec<_> = (0..60).map(|number| format!("/move/{number}.jpg")).collect();
    for path in &paths {
        let stored = cluster.put(0, path, "old").expect(201);
        assert_eq!(stored.header("webdfs-replicas"), Some("3/3"));
    }
    let next = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    (3..6).for_each(|node| add(&cluster, node, &next));
    wait_until_they_wait(&cluster);
    cluster.kill(2);
    let said = applied(&cluster, 1, &next);
    assert!(said.contains("epoch 2 is in force on 5 of 6 nodes"), "{said}");
    // Writes are refused until the new nodes know that they lack nothing that was written to them.
    [0, 1, 3, 4, 5].iter().for_each(|node| cluster.wait_until_ready(*node));
    (cluster, paths)
}

#[test]
fn what_is_written_and_deleted_while_files_move_outdoes_what_older_owners_hold() {
    let (cluster, paths) = moving();
    let now: Vec<_> = cluster.owners_of(&paths);
    assert!(now.iter().any(|owners| !owners.contains(&2)) && now.iter().any(|owners| owners.contains(&2)));
    let (replaced, deleted) = paths.split_at(30);
    for (number, path) in replaced.iter().enumerate() {
        cluster.put(number % 2, path, "new").expect(204);
        let stale = cluster.send(0, &Call::new("PUT", path).header("If-None-Match", "*").body("other"));
        stale.expect(412);
    }
    for (number, path) in deleted.iter().enumerate() {
        cluster.delete([0, 4][number % 2], path).expect(204);
    }
    for node in [0, 1, 3, 4, 5] {
        // What a node owns no more is left to its web server for a moment.
        for path in replaced {
            wait_until("the older copy is gone", || cluster.get(node, path).expect(200).body == b"new");
        }
        for path in deleted {
            wait_until("what was deleted is gone", || cluster.get(node, path).status == 404);
        }
    }
    // It holds all of it as it was, and is the last that the settling waits for.
    assert_eq!(epochs(&cluster, 0), [1, 2]);
    cluster.restart(2);
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
    for (path, owners) in paths.iter().zip(&now) {
        let mut owners = owners.clone();
        owners.sort_unstable();
        if deleted.contains(path) {
            owners.clear();
        }
        assert_eq!(holders(&cluster, 6, path), owners, "{path}");
        for node in 0..6 {
            let answer = cluster.get(node, path);
            assert_eq!(answer.status, if owners.is_empty() { 404 } else { 200 }, "{path} through {node}");
            assert!(owners.is_empty() || answer.body == b"new");
        }
    }
}

#[test]
fn a_name_that_does_not_exist_is_known_not_to_while_files_move_and_a_new_one_is_new() {
    let (cluster, _) = moving();
    for node in [0, 1, 3, 4, 5] {
        wait_until("a node knows that a name is missing", || {
            cluster.get(node, &format!("/missing/{}.jpg", fastrand::u64(..))).status == 404
        });
        cluster.put(node, &format!("/fresh/{node}.jpg"), "fresh").expect(201);
        for other in [0, 1, 3, 4, 5] {
            assert_eq!(cluster.get(other, &format!("/fresh/{node}.jpg")).expect(200).body, b"fresh");
        }
    }
}

#[test]
fn a_move_that_is_killed_anywhere_goes_on() {
    let cluster = Cluster::start(Front::Embedded, three_of_six());
    let paths: Vec<_> = (0..300).map(|number| format!("/kill/{number}.jpg")).collect();
    paths.iter().for_each(|path| _ = cluster.put(0, path, path.as_bytes()).expect(201));
    let next = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    (3..6).for_each(|node| add(&cluster, node, &next));
    applied(&cluster, 0, &next);
    for round in 0..12 {
        let node = round % 6;
        cluster.kill(node);
        cluster.restart(node);
        let path = &paths[fastrand::usize(..paths.len())];
        wait_until("it is served", || cluster.get((node + 1) % 6, path).status == 200);
    }
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
    for (path, mut owners) in paths.iter().zip(cluster.owners_of(&paths)) {
        owners.sort_unstable();
        assert_eq!(holders(&cluster, 6, path), owners, "{path}");
        assert_eq!(cluster.get(5, path).expect(200).body, path.as_bytes());
    }
}

#[test]
fn a_drained_sub_cluster_ends_empty_and_a_node_that_is_out_too() {
    let cluster = Cluster::start(Front::Embedded, Options { nodes: 6, ..Options::default() });
    let paths: Vec<_> = (0..100).map(|number| format!("/drain/{number}.jpg")).collect();
    paths.iter().for_each(|path| _ = cluster.put(0, path, path.as_bytes()).expect(201));
    let one = |node| -> Vec<(usize, &str)> {
        (0..6).map(|of| (of, if of == node { "state = \"out\"" } else { "" })).collect()
    };
    let next = map(&cluster, 2, (3, 2), &[("first", 1.0, &one(4))]);
    applied(&cluster, 0, &next);
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
    assert!(paths.iter().all(|path| !cluster.has_file(4, path)));
    let standing = map_status(&cluster, 4);
    assert_eq!(
        (standing["passed"].as_u64(), standing["settlers"].as_u64()),
        (Some(5), Some(5)),
        "{standing}"
    );
    // A sub-cluster more, and the first one empty.
    let next = map(&cluster, 3, (3, 2), &[("first", 0.0, &one(4)), ("second", 1.0, &[])]);
    let (done, said) = apply(&cluster, 0, &next, &[]);
    assert!(!done && said.contains("second"), "{said}");
    for path in &paths {
        assert_eq!(cluster.get(1, path).expect(200).body, path.as_bytes());
    }
}

#[test]
fn nodes_that_were_drained_and_switched_off_are_no_witnesses_of_what_the_others_have() {
    let groups = |weight| [("first", weight, FIRST.2), ("second", 1.0, &SECOND.2[..2])];
    let options =
        Options { nodes: 5, replicas: 2, subclusters: vec![(3, 1.0), (2, 1.0)], ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    applied(
        &cluster,
        0,
        &map(&cluster, 2, (2, 2), &groups(0.0)).replace("first", "s0").replace("second", "s1"),
    );
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4], 2);
    (0..3).for_each(|node| cluster.kill(node));
    cluster.kill(3);
    let number = |text: &str| text.split_once('-').unwrap().0.parse::<u64>().unwrap();
    let identity = fs::read_to_string(cluster.root(3).join(".webdfs/node.toml")).unwrap();
    let before = number(identity.split_once("stamp = \"").unwrap().1);
    cluster.restart(3);
    // As every hour. An older copy of the root would not be known as one else.
    wait_until("its stamp is raised", || {
        number(&fs::read_to_string(cluster.root(4).join(".webdfs/stamps/img4")).unwrap()) > before
    });
    cluster.wait_until_ready(3);
}

#[test]
fn a_new_machine_takes_over_the_slot_of_one_that_runs_and_gets_its_files() {
    let options = Options { nodes: 4, members: Some(3), absent: &[3], ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    let paths: Vec<_> = (0..50).map(|number| format!("/slot/{number}.jpg")).collect();
    paths.iter().for_each(|path| _ = cluster.put(0, path, path.as_bytes()).expect(201));
    let next = map(&cluster, 2, (3, 2), &[("first", 1.0, &[(0, ""), (3, ""), (2, "")])]);
    add(&cluster, 3, &next);
    applied(&cluster, 0, &next);
    wait_until_settled(&cluster, &[0, 2, 3], 2);
    for path in &paths {
        assert_eq!(holders(&cluster, 4, path), [0, 2, 3], "{path}");
        assert_eq!(cluster.get(3, path).expect(200).body, path.as_bytes());
    }
    assert_eq!(epochs(&cluster, 1), [1, 2], "it would not know who it is without");
}

#[test]
fn a_node_that_was_away_or_lost_its_disk_during_a_change_catches_up() {
    let (cluster, paths) = moving();
    fs::remove_dir_all(cluster.root(2)).unwrap();
    fs::create_dir(cluster.root(2)).unwrap();
    // Its file has the first map still: it learns of the second by the first message.
    cluster.restart(2);
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
    for (path, mut owners) in paths.iter().zip(cluster.owners_of(&paths)) {
        owners.sort_unstable();
        assert_eq!(holders(&cluster, 6, path), owners, "{path}");
    }
}

#[test]
fn a_lost_node_is_not_waited_for_and_has_returned_when_it_comes_back() {
    let (cluster, paths) = moving();
    let groups: [Group<'_>; 2] = [("first", 1.0, &[(0, ""), (1, ""), (2, "state = \"lost\"")]), SECOND];
    let lost = map(&cluster, 3, (3, 2), &groups);
    applied(&cluster, 0, &lost);
    wait_until_settled(&cluster, &[0, 1, 3, 4, 5], 3);
    cluster.delete(0, &paths[0]).expect(204);
    cluster.restart(2);
    wait_until("what it held is out of the way", || {
        paths.iter().all(|path| !cluster.has_file(2, path)) && epochs(&cluster, 2).contains(&3)
    });
    let identity = fs::read_to_string(cluster.root(2).join(".webdfs/node.toml")).unwrap();
    assert!(identity.contains("complete = false") && identity.contains("returned"), "{identity}");
    cluster.get(0, &paths[0]).expect(404);
    // Taken back, it gets what it owns.
    let back = map(&cluster, 4, (3, 2), &[FIRST, SECOND]);
    applied(&cluster, 0, &back);
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 4);
    cluster.wait_until_ready(2);
    for (path, mut owners) in paths.iter().zip(cluster.owners_of(&paths)).skip(1) {
        owners.sort_unstable();
        assert_eq!(holders(&cluster, 6, path), owners, "{path}");
    }
}

#[test]
fn a_node_that_is_given_up_and_taken_back_while_it_runs_keeps_no_map_from_being_settled() {
    let cluster = Cluster::start(Front::Embedded, Options { nodes: 5, ..Options::default() });
    let paths: Vec<_> = (0..60).map(|number| format!("/back/{number}.jpg")).collect();
    paths.iter().for_each(|path| _ = cluster.put(0, path, path.as_bytes()).expect(201));
    let all = |state| {
        map(&cluster, 2, (3, 2), &[("first", 1.0, &[(0, ""), (1, ""), (2, ""), (3, state), (4, "")])])
    };
    for epoch in 2..8 {
        let state = if epoch % 2 == 0 { "state = \"lost\"" } else { "" };
        let next = all(state).replace("epoch = 2", &format!("epoch = {epoch}"));
        applied(&cluster, epoch as usize % 3, &next);
    }
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4], 7);
    for path in &paths {
        let mut owners = cluster.owners(path);
        owners.sort_unstable();
        assert_eq!(holders(&cluster, 5, path), owners, "{path}");
        assert_eq!(cluster.get(4, path).expect(200).text(), *path);
    }
}

#[test]
fn two_maps_of_one_epoch_are_never_mixed_and_a_higher_one_ends_it() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    cluster.put(0, "/a.jpg", "a").expect(201);
    let one = map(&cluster, 2, (3, 1), &[FIRST]);
    let other = map(&cluster, 2, (3, 3), &[FIRST]);
    cluster.kill(2);
    applied(&cluster, 0, &one);
    cluster.kill(0);
    cluster.kill(1);
    cluster.restart(2);
    wait_until("it answers", || Call::new("GET", "/a.jpg").try_send(cluster.address(2)).is_ok());
    applied(&cluster, 2, &other);
    cluster.restart(0);
    cluster.restart(1);
    wait_until("both fingerprints are in the log", || {
        cluster.log(0).contains("works by map") && cluster.log(0).contains("apply a map of a higher epoch")
    });
    let (done, said) = apply(&cluster, 0, &other, &[]);
    assert!(!done && said.contains("OBJECTION epoch"), "{said}");
    assert_eq!(cluster.get(0, "/a.jpg").expect(200).body, b"a");
    // A node that is down keeps the map from being settled.
    cluster.kill(1);
    applied(&cluster, 0, &map(&cluster, 3, (3, 2), &[FIRST]));
    wait_until("both maps of epoch 2 are remembered by all", || {
        let count = |node| webdfs::store::remembered_maps(&cluster.root(node)).unwrap().len();
        count(0) == 4 && count(2) == 4
    });
    cluster.restart(1);
    wait_until_settled(&cluster, &[0, 1, 2], 3);
    wait_until("all work by one map again", || {
        (0..3).all(|node| cluster.put(node, "/b.jpg", "b").header("webdfs-replicas") == Some("3/3"))
    });
}

/// A map of the first three nodes that is placed by a CRUSH map.
fn crush(cluster: &Cluster, epoch: u64, file: &str) -> String {
    let text = map(cluster, epoch, (3, 2), &[FIRST]).replace("weight = 1.0\n", "");
    text.replacen('\n', &format!("\nplacement = \"crush\"\ncrush_map = \"{file}\"\n"), 1)
}

#[test]
fn a_map_that_makes_no_sense_is_refused_and_the_old_one_stays() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let devices: String = (0..3).map(|node| format!("device {node} {}\n", cluster.name(node))).collect();
    let bucket = |name: &str, id: i32, item: &str| {
        format!("root {name} {{\nid {id}\nalg straw2\nhash 0\nitem {item} weight 1.000\n}}\n")
    };
    let rule =
        "rule one {\nid 0\ntype replicated\nstep take a\nstep choose firstn 0 type osd\nstep emit\n}\n";
    let cyclic = [&devices, "type 0 osd\ntype 1 root\n", &bucket("a", -1, "b"), &bucket("b", -2, "a"), rule];
    fs::write(cluster.config(0).with_file_name("cyclic.txt"), cyclic.concat()).unwrap();
    for (toml, reason) in [
        ("epoch = 2\n".to_owned(), "replicas"),
        (String::new(), "epoch"),
        ("epoch = [".to_owned(), "next.toml"),
        (format!("# {}", "x".repeat(9 << 20)), "larger than the 8388608 bytes that a map may have"),
        (map(&cluster, 2, (3, 2), &[("first", 1.0, &[(0, ""), (1, ""), (1, "")])]), "listed twice"),
        (map(&cluster, 2, (4, 2), &[FIRST]), "replicas"),
        (map(&cluster, 1, (3, 3), &[FIRST]), "OBJECTION epoch"),
        (map(&cluster, 3, (3, 3), &[FIRST]), "OBJECTION jump"),
        (crush(&cluster, 2, "missing.txt"), "missing.txt cannot be read"),
        (crush(&cluster, 2, "cyclic.txt"), "cyclic.txt:"),
        (map(&cluster, 2, (3, 2), &[("first", 1.0, &[(1, ""), (0, ""), (2, "")])]), "OBJECTION slots"),
        (map(&cluster, 2, (3, 2), &[("other", 1.0, &[(0, ""), (1, ""), (2, "")])]), ""),
    ] {
        let (done, said) = apply(&cluster, 0, &toml, &[]);
        assert!(!done || reason.is_empty(), "{said}");
        assert!(said.contains(reason), "{reason}: {said}");
        assert!(reason.is_empty() || epochs(&cluster, 0) == [1], "{reason}");
    }
    let folder = cluster.root(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let output = command.args(["map", "apply"]).arg(&folder).arg("--config").arg(cluster.config(0)).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("Is a directory"), "{said}");
}

#[test]
fn a_node_that_was_given_up_while_it_was_away_has_returned_although_it_is_taken_back_by_then() {
    let (cluster, paths) = moving();
    let groups: [Group<'_>; 2] = [("first", 1.0, &[(0, ""), (1, ""), (2, "state = \"lost\"")]), SECOND];
    applied(&cluster, 0, &map(&cluster, 3, (3, 2), &groups));
    wait_until_settled(&cluster, &[0, 1, 3, 4, 5], 3);
    let deleted = &paths[..20];
    deleted.iter().for_each(|path| _ = cluster.delete(0, path).expect(204));
    // As a day later: nobody remembers the deletions any more.
    for node in [0, 1, 3, 4, 5] {
        cluster.kill(node);
        fs::remove_dir_all(cluster.root(node).join(".webdfs/tombstones")).unwrap();
        cluster.restart(node);
    }
    [0, 1, 3, 4, 5].iter().for_each(|node| cluster.wait_until_ready(*node));
    applied(&cluster, 0, &map(&cluster, 4, (3, 2), &[FIRST, SECOND]));
    cluster.restart(2);
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 4);
    cluster.wait_until_ready(2);
    for path in deleted {
        assert_eq!(holders(&cluster, 6, path), Vec::<usize>::new(), "{path}");
        cluster.get(2, path).expect(404);
    }
}

#[test]
fn a_node_that_starts_two_changes_after_it_was_added_becomes_complete() {
    let cluster = Cluster::start(Front::Embedded, three_of_six());
    cluster.put(0, "/two.jpg", "two").expect(201);
    applied(&cluster, 0, &map(&cluster, 2, (3, 2), &[FIRST, SECOND]));
    let public = [(0, "public_url = \"http://images.example.com\""), (1, ""), (2, "")];
    let next = map(&cluster, 3, (3, 2), &[("first", 1.0, &public), SECOND]);
    applied(&cluster, 0, &next);
    (3..6).for_each(|node| add(&cluster, node, &next));
    (0..6).for_each(|node| cluster.wait_until_ready(node));
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 3);
}

#[test]
fn a_map_that_a_process_stored_and_died_before_it_said_so_comes_into_force_by_the_next_message() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    cluster.put(0, "/said.jpg", "said").expect(201);
    let public = [(0, "public_url = \"http://images.example.com\""), (1, ""), (2, "")];
    let next = map(&cluster, 2, (3, 2), &[("first", 1.0, &public)]);
    fs::write(cluster.root(1).join(".webdfs/maps/2.toml"), &next).unwrap();
    applied(&cluster, 0, &next);
    wait_until_settled(&cluster, &[0, 1, 2], 2);
    assert_eq!(cluster.put(1, "/said.jpg", "again").expect(204).header("webdfs-replicas"), Some("3/3"));
}
