//! The repair loop with real processes: whatever single nodes lost, missed or hold too much of is what the others hold
//! after a pass.

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use common::{Cluster, Front, Options, assert_missing, noise, wait_until};

/// Objects in most of these tests.
const OBJECTS: usize = 300;

fn path(number: usize) -> String {
    format!("/album{}/{number}.jpg", number % 7)
}

fn body(number: usize) -> Vec<u8> {
    noise(number as u64, 100 + 37 * number)
}

/// Three nodes with two copies of each of [`OBJECTS`].
fn filled() -> Cluster {
    let cluster =
        Cluster::start(Front::Embedded, Options { replicas: 2, write_quorum: 2, ..Options::default() });
    for number in 0..OBJECTS {
        cluster.put(number % 3, &path(number), body(number)).expect(201);
    }
    cluster
}

fn webdfs(cluster: &Cluster, node: usize, command: &[&str]) -> Output {
    let mut webdfs = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    webdfs.args(command).arg("--config").arg(cluster.config(node)).output().expect("webdfs runs")
}

/// Has a node finish a pass.
fn reconcile(cluster: &Cluster, node: usize) {
    let Output { status, stdout, stderr } = webdfs(cluster, node, &["reconcile", "--once"]);
    let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if !status.success() {
        cluster.show_logs();
    }
    assert!(status.success(), "{said}");
}

/// Nobody remembers who has missed what.
fn forget_marks(cluster: &Cluster) {
    for node in cluster.present() {
        let _ = fs::remove_dir_all(cluster.root(node).join(".webdfs/dirty"));
    }
}

/// Each object lies on both its owners as it was written, with one mtime, and nowhere else.
fn assert_agreed(cluster: &Cluster) {
    let paths: Vec<_> = (0..OBJECTS).map(path).collect();
    for (number, owners) in cluster.owners_of(&paths).into_iter().enumerate() {
        let files: Vec<_> = owners.iter().map(|owner| cluster.file(*owner, &paths[number])).collect();
        for file in &files {
            assert!(fs::read(file).is_ok_and(|bytes| bytes == body(number)), "{}", file.display());
        }
        let mtimes: Vec<_> =
            files.iter().map(|file| fs::metadata(file).unwrap().modified().unwrap()).collect();
        assert!(mtimes.windows(2).all(|pair| pair[0] == pair[1]), "{}", paths[number]);
        let others = cluster.present().filter(|node| !owners.contains(node));
        others
            .for_each(|node| assert!(!cluster.has_file(node, &paths[number]), "{} on {node}", paths[number]));
    }
}

#[test]
fn a_pass_of_one_node_brings_back_what_it_lost_and_what_the_others_lost() {
    let cluster = filled();
    forget_marks(&cluster);
    let mut lost = 0;
    for number in 0..OBJECTS {
        let node = [0, 0, 1][number % 3];
        let file = cluster.file(node, &path(number));
        lost += usize::from(fs::remove_file(file).is_ok());
    }
    assert!(lost > OBJECTS / 4, "{lost} lost");
    reconcile(&cluster, 0);
    // What node 1 and node 2 share is no business of node 0.
    reconcile(&cluster, 1);
    assert_agreed(&cluster);
}

#[test]
fn a_node_that_missed_writes_and_deletes_has_them_after_a_pass_of_another() {
    let cluster =
        Cluster::start(Front::Embedded, Options { replicas: 3, write_quorum: 2, ..Options::default() });
    for target in ["/kept.jpg", "/deleted.jpg", "/overwritten.jpg"] {
        cluster.put(0, target, format!("first {target}")).expect(201);
    }
    wait_until("all three have all", || {
        cluster.present().all(|node| cluster.has_file(node, "/overwritten.jpg"))
    });
    cluster.kill(2);
    cluster.delete(0, "/deleted.jpg").expect(204);
    cluster.put(0, "/overwritten.jpg", "second").expect(204);
    cluster.put(1, "/new.jpg", "new").expect(201);
    wait_until("it is marked who missed them", || {
        cluster.root(0).join(".webdfs/dirty").join(cluster.name(2)).exists()
    });
    forget_marks(&cluster);
    cluster.restart(2);
    cluster.wait_until_ready(2);
    assert!(cluster.has_file(2, "/deleted.jpg"), "nobody has told it");
    reconcile(&cluster, 0);
    assert_missing(&cluster, "/deleted.jpg");
    for (target, bytes) in
        [("/kept.jpg", "first /kept.jpg"), ("/overwritten.jpg", "second"), ("/new.jpg", "new")]
    {
        assert_eq!(fs::read_to_string(cluster.file(2, target)).unwrap(), bytes);
    }
}

#[test]
fn a_copy_on_a_node_that_does_not_own_it_goes_once_every_owner_has_confirmed_it() {
    let cluster = filled();
    let owners = cluster.owners(&path(3));
    let stranger = cluster.present().find(|node| !owners.contains(node)).unwrap();
    let stray = cluster.file(stranger, &path(3));
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    copy(&cluster.file(owners[0], &path(3)), &stray);
    // One owner lacks it: then it stays, and the pass says so.
    fs::remove_file(cluster.file(owners[1], &path(3))).unwrap();
    let unfinished = webdfs(&cluster, stranger, &["reconcile", "--once"]);
    assert!(!unfinished.status.success() && stray.exists());
    assert!(
        String::from_utf8_lossy(&unfinished.stderr).contains("1 that belong elsewhere stay"),
        "{unfinished:?}"
    );
    reconcile(&cluster, owners[0]);
    reconcile(&cluster, stranger);
    assert!(!stray.exists());
    assert_agreed(&cluster);
}

/// With its mtime and attribute.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["--preserve=xattr,timestamps"]).arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_pass_that_a_node_did_not_take_part_in_is_not_finished_and_says_which_node() {
    let cluster = filled();
    cluster.kill(2);
    let Output { status, stderr, .. } = webdfs(&cluster, 0, &["reconcile", "--once"]);
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(1) && said.contains(&cluster.name(2)), "{said}");
    cluster.restart(2);
    cluster.wait_until_ready(2);
    reconcile(&cluster, 0);
}

#[test]
fn a_scrub_finds_rot_and_another_owner_heals_it() {
    let cluster = filled();
    let node = cluster.owners(&path(5))[0];
    let file = cluster.file(node, &path(5));
    let (before, mtime) = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());
    let rotten = fs::File::options().read(true).write(true).open(&file).unwrap();
    rotten.write_all_at(&[before[50] ^ 0x10], 50).unwrap();
    rotten.set_modified(mtime).unwrap();
    drop(rotten);
    assert!(webdfs(&cluster, node, &["scrub"]).status.success());
    wait_until("the rotten copy is replaced", || fs::read(&file).is_ok_and(|bytes| bytes == before));
    let status = webdfs(&cluster, node, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["quarantine"], 1, "{status}");
    assert_agreed(&cluster);
}

#[test]
fn a_wiped_node_asks_all_others_for_what_it_should_have_and_is_complete_then() {
    let cluster = filled();
    cluster.kill(1);
    fs::remove_dir_all(cluster.root(1)).unwrap();
    fs::create_dir(cluster.root(1)).unwrap();
    cluster.restart(1);
    let identity = || fs::read_to_string(cluster.root(1).join(".webdfs/node.toml")).unwrap_or_default();
    wait_until("the others have offered what they have", || identity().contains("complete = true"));
    assert_agreed(&cluster);
}
