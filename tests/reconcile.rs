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

/// The same after a start, as soon as the nodes know each other again.
fn reconcile_in_time(cluster: &Cluster, node: usize) {
    wait_until("a pass is finished", || webdfs(cluster, node, &["reconcile", "--once"]).status.success());
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

/// What a node has in quarantine: the bytes of each file.
fn quarantined(cluster: &Cluster, node: usize) -> Vec<Vec<u8>> {
    let (mut ahead, mut found) = (vec![cluster.root(node).join(".webdfs/quarantine")], Vec::new());
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { ahead.push(path) } else { found.push(fs::read(path).unwrap()) }
        }
    }
    found
}

/// The owners of an object, and a node that is none.
fn owners_and_stranger(cluster: &Cluster, path: &str) -> (Vec<usize>, usize) {
    let owners = cluster.owners(path);
    let stranger = cluster.present().find(|node| !owners.contains(node)).unwrap();
    (owners, stranger)
}

#[test]
fn a_copy_on_a_node_that_does_not_own_it_goes_if_every_owner_has_it_and_is_never_offered() {
    let cluster = filled();
    let (owners, stranger) = owners_and_stranger(&cluster, &path(3));
    let stray = cluster.file(stranger, &path(3));
    let put_stray = || {
        fs::create_dir_all(stray.parent().unwrap()).unwrap();
        copy(&cluster.file(owners[0], &path(3)), &stray);
    };
    put_stray();
    reconcile(&cluster, stranger);
    assert!(!stray.exists() && quarantined(&cluster, stranger).is_empty());
    // An owner that cannot be asked may have it: then it stays, and the pass says so.
    put_stray();
    cluster.kill(owners[1]);
    let unfinished = webdfs(&cluster, stranger, &["reconcile", "--once"]);
    let said = String::from_utf8_lossy(&unfinished.stderr);
    assert!(!unfinished.status.success() && said.contains("1 that belong elsewhere stay"), "{said}");
    assert_eq!(fs::read(&stray).unwrap(), body(3));
    // The owners lack it: it may have been deleted long ago.
    owners.iter().for_each(|owner| fs::remove_file(cluster.file(*owner, &path(3))).unwrap());
    cluster.restart(owners[1]);
    cluster.wait_until_ready(owners[1]);
    reconcile_in_time(&cluster, stranger);
    assert!(!stray.exists() && owners.iter().all(|owner| !cluster.has_file(*owner, &path(3))));
    assert_eq!(quarantined(&cluster, stranger), [body(3)]);
}

/// Files that a node finds have rested for a minute by its clock.
fn an_hour_later(cluster: &Cluster) {
    for node in cluster.present() {
        cluster.kill(node);
        cluster.set_environment(node, common::clock::clock_off_by(3600));
        cluster.restart(node);
    }
    cluster.present().for_each(|node| cluster.wait_until_ready(node));
}

#[test]
fn what_a_person_puts_on_a_node_that_does_not_own_it_comes_to_its_owners_and_goes_from_here() {
    let cluster = filled();
    let new = cluster.path_owned("/new", |_| true);
    let (owners, stranger) = owners_and_stranger(&cluster, &new);
    let lost = cluster.path_owned("/lost", |of| of == owners);
    let edited = (0..OBJECTS).map(path).find(|path| cluster.owners(path) == owners).unwrap();
    let gone = (0..OBJECTS).map(path).rfind(|path| cluster.owners(path) == owners).unwrap();
    let here = |path: &str| cluster.file(stranger, path);
    for path in [&new, &lost, &edited, &gone] {
        fs::create_dir_all(here(path).parent().unwrap()).unwrap();
    }
    fs::write(here(&new), "new").unwrap();
    fs::write(here(&lost), "older").unwrap();
    cluster.put(owners[0], &lost, "newer").expect(201);
    copy(&cluster.file(owners[0], &edited), &here(&edited));
    fs::write(here(&edited), "edited").unwrap();
    copy(&cluster.file(owners[0], &gone), &here(&gone));
    fs::File::open(here(&gone)).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    an_hour_later(&cluster);
    let start = |failpoints: &str| {
        cluster.kill(stranger);
        let mut environment = common::clock::clock_off_by(3600);
        environment.push(("FAILPOINTS".to_owned(), failpoints.to_owned()));
        cluster.set_environment(stranger, environment);
        cluster.restart(stranger);
    };
    // It dies when one owner has a file and another has none, and when all have all.
    for failpoint in ["agent.batch-answered=return", "agent.strays-confirmed=return"] {
        start(failpoint);
        wait_until("it is dead", || {
            webdfs(&cluster, stranger, &["reconcile", "--once"]);
            !cluster.is_alive(stranger)
        });
        assert_eq!(fs::read_to_string(here(&new)).unwrap(), "new");
        assert_eq!(fs::read_to_string(here(&edited)).unwrap(), "edited");
        assert!(quarantined(&cluster, stranger).is_empty());
    }
    start("");
    cluster.wait_until_ready(stranger);
    reconcile_in_time(&cluster, stranger);
    for (path, bytes) in [(&new, "new"), (&edited, "edited"), (&lost, "newer")] {
        assert!(!here(path).exists(), "{path} would be served when it is old");
        for owner in &owners {
            assert_eq!(fs::read_to_string(cluster.file(*owner, path)).unwrap(), bytes, "{path}");
        }
    }
    assert_eq!(quarantined(&cluster, stranger), [b"older"]);
    reconcile(&cluster, stranger);
    assert!(!here(&gone).exists(), "it was only touched");
    assert_eq!(quarantined(&cluster, stranger), [b"older"]);
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
