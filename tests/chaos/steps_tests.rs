//! Each step is really come to. By chance a run of the machine comes to most of them; this does to all.

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;

use webdfs::peer::batch::BATCH_FILE_BYTES_MAX;

use crate::common::{Cluster, Front, Options, clock_off_by, wait_until};

use super::repairs::{self, PASS, Repair, SCRUB};
use super::returns::{copy_root, wait_until_older};
use super::steps::{names, noted_in, noting};

/// The node that has all the bad luck. Nodes 1 and 2 own what it owns, and node 3 does not.
const UNLUCKY: usize = 0;
const OTHER: usize = 1;
const STRANGER: usize = 3;
/// So far is a clock ahead that a file put there now has come to rest by it.
const AHEAD: i64 = 600;
/// After so many seconds a deletion is forgotten that all know of.
const LONG: i64 = 25 * 3600;

fn notes() -> Vec<(String, String)> {
    vec![("FAILPOINTS".to_owned(), noting(None))]
}

fn repair(cluster: &Cluster, node: usize, repair: Repair) {
    let mut webdfs = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let output = webdfs.args(repair).arg("--config").arg(cluster.config(node)).output().expect("webdfs runs");
    assert!(output.status.success(), "{repair:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Stores an object on nodes 0, 1 and 2.
fn stored(cluster: &Cluster, folder: &str) -> String {
    let path = cluster.path_owned(folder, |owners| !owners.contains(&STRANGER));
    cluster.put(UNLUCKY, &path, "x".repeat(1000)).expect(201);
    wait_until("all owners have it", || (0..3).all(|node| cluster.has_file(node, &path)));
    path
}

fn restart(cluster: &Cluster, node: usize) {
    cluster.restart(node);
    cluster.wait_until_ready(node);
}

/// Writes, overwrites, deletes, and a node that misses a write.
fn write(cluster: &Cluster) {
    let path = stored(cluster, "/folder");
    cluster.put(OTHER, &path, "y").expect(204);
    cluster.delete(OTHER, &path).expect(204);
    let missed = cluster.path_owned("/missed", |owners| !owners.contains(&STRANGER));
    cluster.kill(UNLUCKY);
    cluster.put(OTHER, &missed, "missed").expect(201);
    restart(cluster, UNLUCKY);
    wait_until("it has what it missed", || cluster.has_file(UNLUCKY, &missed));
}

/// What is lost, rotten, in the wrong place or put there by hand.
fn damage_and_repair(cluster: &Cluster) {
    let path = stored(cluster, "/damaged");
    let file = cluster.file(UNLUCKY, &path);
    for repairer in [OTHER, UNLUCKY] {
        fs::remove_file(&file).expect("it is there");
        repair(cluster, repairer, PASS);
        assert!(file.exists());
    }
    let mtime = fs::metadata(&file).and_then(|known| known.modified()).expect("a time");
    let rotten = fs::File::options().write(true).open(&file).expect("it opens");
    rotten.write_all_at(b"!", 10).and_then(|()| rotten.set_modified(mtime)).expect("a byte is changed");
    drop(rotten);
    repair(cluster, UNLUCKY, SCRUB);
    wait_until("what has rotted is fetched again", || file.exists());

    let stray = cluster.file(STRANGER, &path);
    fs::create_dir_all(stray.parent().expect("a folder")).expect("it is made");
    let mut copy = Command::new("cp");
    copy.args(["--preserve=xattr,timestamps"]).args([cluster.file(OTHER, &path), stray.clone()]);
    assert!(copy.status().expect("cp runs").success());
    repair(cluster, STRANGER, PASS);
    assert!(!stray.exists());

    let by_hand = cluster.path_owned("/damaged/by-hand", |owners| !owners.contains(&STRANGER));
    cluster.kill(UNLUCKY);
    cluster.set_environment(UNLUCKY, [notes(), clock_off_by(AHEAD)].concat());
    let file = cluster.file(UNLUCKY, &by_hand);
    fs::create_dir_all(file.parent().expect("a folder")).expect("it is made");
    // Too large to be sent together with others.
    let large = usize::try_from(BATCH_FILE_BYTES_MAX).expect("it fits in memory") + 1;
    fs::write(file, vec![b'h'; large]).expect("it is written");
    restart(cluster, UNLUCKY);
    repair(cluster, UNLUCKY, PASS);
    wait_until("the others have it, too", || (1..3).all(|node| cluster.has_file(node, &by_hand)));
    cluster.set_environment(UNLUCKY, notes());
}

/// An older copy of a root, whose files others have still.
fn return_a_disk(cluster: &Cluster) {
    let path = stored(cluster, "/returned");
    let (root, copy) = (cluster.root(UNLUCKY), cluster.root(UNLUCKY).with_extension("copy"));
    cluster.kill(UNLUCKY);
    copy_root(&root, &copy);
    cluster.restart(UNLUCKY);
    wait_until_older(cluster, UNLUCKY, cluster.present(), &copy);
    cluster.kill(UNLUCKY);
    fs::remove_dir_all(&root).expect("it is there");
    fs::rename(&copy, &root).expect("it is put back");
    cluster.restart(UNLUCKY);
    wait_until("the root is known as an older copy", || {
        cluster.log(UNLUCKY).contains("or an older copy of it")
    });
    cluster.wait_until_ready(UNLUCKY);
    assert!(cluster.has_file(UNLUCKY, &path));
}

/// A deletion that all have known of for long.
fn forget(cluster: &Cluster) {
    let pass = |node| wait_until("a pass is finished", || repairs::repair(cluster, node, PASS, || false));
    (0..4).for_each(pass);
    (0..4).for_each(|node| cluster.kill(node));
    for node in 0..4 {
        cluster.set_environment(node, [notes(), clock_off_by(LONG)].concat());
        cluster.restart(node);
    }
    (0..4).for_each(|node| cluster.wait_until_ready(node));
    (0..4).for_each(pass);
}

#[test]
fn only_what_a_log_names_was_come_to() {
    let log = "[now INFO  fail] failpoint store.rename executed.\n[now INFO  webdfs] store.unlink\n";
    assert_eq!(noted_in(log), ["store.rename"].into());
    assert!(noting(None).contains("store.unlink=1*print"));
    assert!(!noting(Some("store.unlink")).contains("store.unlink="));
}

#[test]
fn every_step_at_which_webdfs_may_be_stopped_is_come_to() {
    let prepare = |cluster: &Cluster| (0..4).for_each(|node| cluster.set_environment(node, notes()));
    let options = Options { nodes: 4, durability: "sync", prepare, ..Options::default() };
    let cluster = Cluster::start(Front::Embedded, options);
    write(&cluster);
    damage_and_repair(&cluster);
    return_a_disk(&cluster);
    forget(&cluster);
    let mut noted = std::collections::BTreeSet::new();
    (0..4).for_each(|node| noted.extend(noted_in(&cluster.log(node))));
    let missed: Vec<_> = names().filter(|name| !noted.contains(name)).collect();
    assert!(missed.is_empty(), "nothing came to {missed:?}");
}
