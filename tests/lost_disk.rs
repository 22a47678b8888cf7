//! Disks that are not what the other nodes know: empty ones, older copies, another node's. Also roots that are new.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::signed::{Seal, signed};
use common::{Answer, Call, Cluster, Front, Options, assert_missing, wait_until};
use webdfs::name::ObjectName;
use webdfs::peer::message::Operation;

/// The node whose disk it is.
const NODE: usize = 0;
/// Those that know it.
const OTHERS: [usize; 2] = [1, 2];
/// Files at the top of a root: enough that moving them takes a while.
const MANY: usize = 2000;

fn identity(cluster: &Cluster) -> String {
    fs::read_to_string(cluster.root(NODE).join(".webdfs/node.toml")).unwrap_or_default()
}

/// The stamp of the root, or what another node remembers of it.
fn stamp(cluster: &Cluster) -> Option<String> {
    let text = identity(cluster);
    let line = text.lines().find_map(|line| line.strip_prefix("stamp = \""))?;
    Some(line.trim_end_matches('"').to_owned())
}

fn remembered(cluster: &Cluster, by: usize) -> Option<String> {
    let path = cluster.root(by).join(".webdfs/stamps").join(cluster.name(NODE));
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// Waits until both others have taken the stamp of this root, which is another than it was.
fn wait_until_known(cluster: &Cluster, before: Option<&str>) -> String {
    wait_until("the others know the root's newest stamp", || {
        let stamp = stamp(cluster);
        stamp.is_some()
            && stamp.as_deref() != before
            && OTHERS.iter().all(|other| remembered(cluster, *other) == stamp)
    });
    stamp(cluster).expect("just seen")
}

/// A copy of the node's root as it is by now, and the stamp that the others know it by afterwards: a start raises it, as an
/// hour does.
fn backed_up(cluster: &Cluster) -> (PathBuf, String) {
    wait_until_known(cluster, None);
    cluster.kill(NODE);
    let backup = cluster.root(NODE).with_extension("backup");
    copy(&cluster.root(NODE), &backup);
    cluster.restart(NODE);
    cluster.wait_until_ready(NODE);
    let stamp = wait_until_known(cluster, stamp_in(&backup).as_deref());
    (backup, stamp)
}

/// Puts such a copy in the place of the root, whose node does not run.
fn put_back(cluster: &Cluster, backup: &Path) {
    fs::remove_dir_all(cluster.root(NODE)).unwrap();
    fs::rename(backup, cluster.root(NODE)).unwrap();
}

fn number(stamp: &str) -> u64 {
    stamp.split_once('-').and_then(|(number, _)| number.parse().ok()).expect("NUMBER-DRAW")
}

fn is_complete(cluster: &Cluster) -> bool {
    identity(cluster).contains("complete = true")
}

fn has_returned(cluster: &Cluster) -> bool {
    let text = identity(cluster);
    text.contains("returned = ") && !text.contains("returning = ")
}

/// Every file of an object on the node's disk where nobody serves it.
fn quarantined(cluster: &Cluster) -> Vec<PathBuf> {
    let (mut ahead, mut found) = (vec![cluster.root(NODE).join(".webdfs/quarantine/returned")], Vec::new());
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.expect("an entry");
            let list = if entry.file_type().expect("known").is_dir() { &mut ahead } else { &mut found };
            list.push(entry.path());
        }
    }
    found
}

fn ends(paths: &[PathBuf], with: &str) -> usize {
    paths.iter().filter(|path| path.ends_with(with)).count()
}

/// As a backup would: times and attributes, too.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to].map(OsStr::new)).status().expect("cp runs");
    assert!(status.success());
}

fn wipe(cluster: &Cluster) {
    fs::remove_dir_all(cluster.root(NODE)).expect("the root was there");
    fs::create_dir(cluster.root(NODE)).expect("an empty root");
}

#[track_caller]
fn expect_everywhere(answer: Answer) {
    let answer = answer.expect(201);
    assert_eq!(answer.header("webdfs-replicas"), Some("3/3"), "{answer}");
}

#[test]
fn a_wiped_root_under_its_old_name_is_incomplete_until_every_other_node_has_offered_what_it_lacks() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let old = wait_until_known(&cluster, None);
    expect_everywhere(cluster.put(1, "/before.jpg", "before"));
    cluster.kill(NODE);
    cluster.kill(2);
    wipe(&cluster);
    cluster.restart(NODE);
    wait_until("the node that answers knows another root", || {
        stamp(&cluster).is_some_and(|new| number(&new) > number(&old) && remembered(&cluster, 1) == Some(new))
    });
    wait_until("that one has offered what it has", || cluster.has_file(NODE, "/before.jpg"));
    assert!(!is_complete(&cluster) && has_returned(&cluster), "{}", identity(&cluster));
    assert_eq!(cluster.get(NODE, "/before.jpg").expect(200).body, b"before");
    // What it lacks counts nowhere: of two nodes that answer one is not enough.
    for node in [NODE, 1] {
        cluster.get(node, "/never.jpg").expect(503);
        cluster.put(node, "/never.jpg", "too few know whether there is one").expect(503);
    }
    cluster.restart(2);
    cluster.wait_until_ready(2);
    cluster.put(NODE, "/after.jpg", "after").expect(201);
    wait_until("all others have offered what they have", || is_complete(&cluster));
    assert_missing(&cluster, "/never.jpg");
    assert_eq!(cluster.get(NODE, "/after.jpg").expect(200).body, b"after");
}

#[test]
fn an_older_copy_of_a_root_is_recognised_and_nothing_of_it_is_served_or_spread() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    for name in ["/shop/replaced.jpg", "/shop/deleted.jpg", "/shop/kept.jpg", "/shop/same.jpg"] {
        expect_everywhere(cluster.put(1, name, "old"));
    }
    let (backup, before) = backed_up(&cluster);
    cluster.put(1, "/shop/replaced.jpg", "new").expect(204);
    cluster.delete(1, "/shop/deleted.jpg").expect(204);
    // Long ago: nobody remembers the deletion any more.
    cluster.kill(NODE);
    for node in OTHERS {
        cluster.kill(node);
        fs::remove_dir_all(cluster.root(node).join(".webdfs/tombstones")).unwrap();
        cluster.restart(node);
        cluster.wait_until_ready(node);
    }
    put_back(&cluster, &backup);
    // And the copy comes with marks from then.
    for (node, name) in
        [("img2", "shop/deleted.jpg"), ("img3", "shop/deleted.jpg"), ("img1", "shop/same.jpg")]
    {
        mark_dirty(&cluster.root(NODE), node, name);
    }
    cluster.restart(NODE);
    let after = wait_until_known(&cluster, Some(&before));
    assert!(number(&after) > number(&before), "{after} after {before}");
    assert!(cluster.log(NODE).contains("not the one that other nodes know"), "{}", cluster.log(NODE));
    // What other owners confirm moves back; what they have otherwise comes from them; what nobody knows stays aside.
    wait_until("all others have offered what they have", || is_complete(&cluster));
    for name in ["shop/kept.jpg", "shop/same.jpg"] {
        assert_eq!(fs::read(cluster.file(NODE, &format!("/{name}"))).unwrap(), b"old", "{name}");
        assert_eq!(ends(&quarantined(&cluster), name), 0, "{name}");
    }
    assert_eq!(fs::read(cluster.file(NODE, "/shop/replaced.jpg")).unwrap(), b"new");
    for name in ["shop/replaced.jpg", "shop/deleted.jpg"] {
        assert_eq!(ends(&quarantined(&cluster), name), 1, "{name}");
    }
    assert_missing(&cluster, "/shop/deleted.jpg");
    // The marks were from then, and lead to nothing.
    wait_until("the marks are settled", || {
        let marks = |node| fs::read_dir(cluster.root(NODE).join(".webdfs/dirty").join(node));
        ["img2", "img3"].iter().all(|node| marks(node).is_ok_and(|mut marks| marks.next().is_none()))
    });
    for node in [NODE, 1, 2] {
        assert!(!cluster.has_file(node, "/shop/deleted.jpg"), "node {node} has it again");
    }
}

#[test]
fn what_a_root_has_returned_with_is_taken_back_by_the_first_read_that_confirms_it() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    // In the place where a return leaves them, and not a word of it to the background work.
    let returned = cluster.root(NODE).join(".webdfs/quarantine/returned/0123456789abcdef/root");
    fs::create_dir_all(&returned).unwrap();
    for name in ["same.jpg", "replaced.jpg", "rotten.jpg"] {
        expect_everywhere(cluster.put(1, &format!("/{name}"), "old"));
        fs::rename(cluster.file(NODE, name), returned.join(name)).unwrap();
    }
    cluster.put(1, "/replaced.jpg", "new").expect(204);
    fs::remove_file(cluster.file(NODE, "replaced.jpg")).unwrap();
    let modified = fs::metadata(returned.join("rotten.jpg")).unwrap().modified().unwrap();
    fs::write(returned.join("rotten.jpg"), "odd").unwrap();
    let rotten = fs::File::options().write(true).open(returned.join("rotten.jpg")).unwrap();
    rotten.set_modified(modified).unwrap();

    let inode = fs::metadata(returned.join("same.jpg")).unwrap().ino();
    for (name, body, moves) in
        [("same.jpg", "old", true), ("replaced.jpg", "new", false), ("rotten.jpg", "old", false)]
    {
        assert_eq!(cluster.get(NODE, &format!("/{name}")).expect(200).body, body.as_bytes(), "{name}");
        wait_until(&format!("{name} is there"), || {
            fs::read(cluster.file(NODE, name)).is_ok_and(|bytes| bytes == body.as_bytes())
        });
        assert_eq!(returned.join(name).exists(), !moves, "{name}");
    }
    assert_eq!(fs::metadata(cluster.file(NODE, "same.jpg")).unwrap().ino(), inode, "it came from elsewhere");
}

#[test]
fn an_older_copy_of_a_root_is_served_as_long_as_nobody_can_tell_it_from_the_newest_one() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    expect_everywhere(cluster.put(1, "/x.jpg", "old"));
    let (backup, _) = backed_up(&cluster);
    cluster.put(1, "/x.jpg", "new").expect(204);
    for node in [NODE, 1, 2] {
        cluster.kill(node);
    }
    put_back(&cluster, &backup);
    cluster.restart(NODE);
    wait_until("it answers, cut off from all others", || {
        Call::new("GET", "/x.jpg").try_send(cluster.address(NODE)).is_ok_and(|answer| answer.status == 200)
    });
    assert_eq!(cluster.get(NODE, "/x.jpg").body, b"old");
    cluster.restart(1);
    wait_until("another node knows better", || has_returned(&cluster));
    wait_until("it serves what that one has", || cluster.get(NODE, "/x.jpg").body == b"new");
}

fn stamp_in(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(".webdfs/node.toml")).ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix("stamp = \""))?.trim_end_matches('"').to_owned())
}

/// Remembers on a root that nobody uses that a node lacks something.
fn mark_dirty(root: &Path, node: &str, name: &str) {
    let name = webdfs::name::ObjectName::from_bytes(name.as_bytes()).expect("a name");
    let path = root.join(webdfs::store::layout::NameHash::of(&name).dirty(node));
    fs::create_dir_all(path.parent().expect("a folder")).unwrap();
    fs::write(path, name.as_bytes()).unwrap();
}

#[test]
fn the_disk_of_another_node_is_refused() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    expect_everywhere(cluster.put(1, "/x.jpg", "x"));
    cluster.kill(NODE);
    cluster.kill(1);
    let [own, other, aside] = [cluster.root(NODE), cluster.root(1), cluster.root(1).with_extension("aside")];
    for (from, to) in [(&own, &aside), (&other, &own), (&aside, &other)] {
        fs::rename(from, to).unwrap();
    }
    for node in [NODE, 1] {
        cluster.restart(node);
        wait_until("the node has ended", || !cluster.is_alive(node));
        assert!(cluster.log(node).contains("belongs to node \"img"), "{}", cluster.log(node));
        assert!(cluster.has_file(node, "/x.jpg"), "nothing is touched");
    }
}

#[test]
fn a_move_to_quarantine_that_is_killed_is_resumed_and_loses_nothing() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let old = wait_until_known(&cluster, None);
    // Found on the disk, as in a root that was adopted.
    for number in 0..MANY {
        fs::write(cluster.file(NODE, &format!("/{number}.jpg")), "old").unwrap();
    }
    cluster.kill(NODE);
    // Its node has gone on with another disk meanwhile.
    for node in OTHERS {
        let newer = format!("{}-0123456789abcdef\n", number(&old) + 1000);
        fs::write(cluster.root(node).join(".webdfs/stamps/img1"), newer).unwrap();
    }
    cluster.restart(NODE);
    wait_until("some files are moved", || !quarantined(&cluster).is_empty());
    cluster.kill(NODE);
    let (left, moved) = (MANY - ends_in_jpg(&quarantined(&cluster)), ends_in_jpg(&quarantined(&cluster)));
    assert!(moved > 0, "{left} are left");
    // As a kill between two files leaves it, wherever this one came.
    let text = identity(&cluster);
    if !text.contains("returning = true") {
        fs::write(cluster.root(NODE).join(".webdfs/node.toml"), text + "returning = true\n").unwrap();
    }
    fs::write(cluster.file(NODE, "/left.jpg"), "old").unwrap();
    cluster.restart(NODE);
    wait_until_known(&cluster, None);
    // It may be complete again by now: the others have nothing for it.
    assert!(is_complete(&cluster) || has_returned(&cluster), "{}", identity(&cluster));
    assert_eq!(ends_in_jpg(&quarantined(&cluster)), MANY + 1, "nothing is lost");
    for name in ["/0.jpg", "/left.jpg"] {
        assert!(!cluster.has_file(NODE, name), "{name}");
        assert_missing(&cluster, name);
    }
    expect_everywhere(cluster.put(NODE, "/0.jpg", "new"));
}

fn ends_in_jpg(paths: &[PathBuf]) -> usize {
    paths.iter().filter(|path| path.extension() == Some(OsStr::new("jpg"))).count()
}

#[test]
fn a_new_cluster_becomes_complete_and_the_others_know_each_root() {
    let cluster = Cluster::launch(Front::Embedded, Options { absent: &[2], ..Options::default() });
    wait_until("the one that runs knows the other", || {
        remembered(&cluster, 1).is_some() && remembered(&cluster, 1) == stamp(&cluster)
    });
    assert!(!is_complete(&cluster), "one answers, and two have to");
    drop(cluster);
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let stamp = wait_until_known(&cluster, None);
    assert!(is_complete(&cluster) && !has_returned(&cluster));
    // What a start raises becomes known, too.
    cluster.kill(NODE);
    cluster.restart(NODE);
    assert!(number(&wait_until_known(&cluster, Some(&stamp))) > number(&stamp));
    assert!(is_complete(&cluster));
}

#[test]
fn a_root_with_files_under_a_map_of_one_node_is_complete_at_once() {
    let prepare = |cluster: &Cluster| fs::write(cluster.file(NODE, "/found.jpg"), "found").unwrap();
    let cluster = Cluster::start(Front::Embedded, Options::one_node(prepare));
    assert!(is_complete(&cluster));
    assert_eq!(cluster.get(NODE, "/found.jpg").expect(200).body, b"found");
}

#[test]
fn an_older_copy_of_a_root_counts_nowhere_before_another_node_has_said_which_root_it_knows() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    let (backup, _) = backed_up(&cluster);
    // One owner misses it, one loses it with its disk, and one hangs.
    cluster.kill(2);
    cluster.put(NODE, "/acknowledged.jpg", "x").expect(201);
    cluster.kill(NODE);
    put_back(&cluster, &backup);
    cluster.pause(1);
    cluster.restart(2);
    cluster.restart(NODE);
    wait_until("the copy is known as one", || {
        for node in [NODE, 2] {
            if let Ok(answer) = common::Call::new("GET", "/acknowledged.jpg").try_send(cluster.address(node))
            {
                assert_ne!(answer.status, 404, "through node {node}: {answer}");
            }
        }
        has_returned(&cluster)
    });
    cluster.resume(1);
    cluster.wait_until_ready(NODE);
    assert_eq!(cluster.get(NODE, "/acknowledged.jpg").expect(200).body, b"x");
}

#[test]
fn a_root_that_is_being_filled_leaves_that_to_those_who_bring_the_files_in_batches() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    wait_until_known(&cluster, None);
    for number in 0..300 {
        expect_everywhere(cluster.put(1, &format!("/many/{number}.jpg"), "many"));
    }
    cluster.kill(NODE);
    wipe(&cluster);
    cluster.restart(NODE);
    cluster.wait_until_ready(NODE);
    let after_that = || cluster.log(NODE).split_once("it is put off while").map(|(_, log)| log.to_owned());
    wait_until("its own pass, due since its start, is over", || {
        after_that().is_some_and(|log| log.contains("a pass is over: "))
    });
    assert!(is_complete(&cluster));
    assert!(after_that().is_some_and(|log| log.contains(" 0 sent, 0 fetched")), "{}", cluster.log(NODE));
    assert!((0..300).all(|number| cluster.has_file(NODE, &format!("/many/{number}.jpg"))));
}

#[test]
fn another_node_gets_no_copy_before_it_is_known_which_root_a_node_has() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    expect_everywhere(cluster.put(1, "/kept.jpg", "old"));
    let (backup, _) = backed_up(&cluster);
    cluster.put(1, "/kept.jpg", "new").expect(204);
    cluster.kill(NODE);
    put_back(&cluster, &backup);
    // As long as they hang, the node knows nothing.
    OTHERS.iter().for_each(|node| cluster.pause(*node));
    cluster.restart(NODE);
    let operation = Operation::Object(ObjectName::from_bytes(b"kept.jpg").unwrap());
    let asking = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let ask =
                || signed(&cluster, NODE, &operation, b"", Seal::default()).try_send(cluster.address(NODE));
            let mut answer = ask();
            wait_until("it answers", || {
                if answer.is_err() {
                    answer = ask();
                }
                answer.is_ok()
            });
            answer.unwrap()
        });
        wait_until("it listens", || std::net::TcpStream::connect(cluster.address(NODE)).is_ok());
        OTHERS.iter().for_each(|node| cluster.resume(*node));
        asking.join().unwrap()
    });
    assert_ne!(asking.body, b"old", "{asking}");
}
