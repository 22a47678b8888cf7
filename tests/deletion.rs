//! A DELETE answers 404 only when it has written no tombstone, and that only when there is certainly nothing to delete.

mod common;

use std::fs;

use common::{Call, Cluster, Front, Options, assert_missing, remembered, tombstone, wait_until};

const ALL: [usize; 3] = [0, 1, 2];
const NEVER: &str = "/never/was.jpg";

/// Files in the folders of tombstones, on all nodes.
fn tombstones(cluster: &Cluster) -> usize {
    let folders =
        |node: usize| fs::read_dir(cluster.root(node).join(".webdfs/tombstones")).unwrap().flatten();
    let files = |node| folders(node).flat_map(|folder| fs::read_dir(folder.path()).unwrap()).count();
    ALL.into_iter().map(files).sum()
}

#[test]
fn what_every_owner_lacks_is_not_found_and_nothing_is_written() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    for node in ALL {
        cluster.delete(node, NEVER).expect(404);
    }
    assert_eq!(tombstones(&cluster), 0);
    // Neither when all have the same tombstone.
    cluster.put(0, "/a.jpg", "a").expect(201);
    cluster.delete(0, "/a.jpg").expect(204);
    wait_until("all have it", || remembered(&cluster, "/a.jpg") == ALL);
    let written = |node| fs::metadata(tombstone(&cluster, node, "/a.jpg")).unwrap().modified().unwrap();
    let before = ALL.map(written);
    for node in ALL {
        cluster.delete(node, "/a.jpg").expect(404);
    }
    assert_eq!((ALL.map(written), tombstones(&cluster)), (before, 3));
}

#[test]
fn what_an_owner_that_is_silent_may_have_is_deleted() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    cluster.put(0, "/a.jpg", "a").expect(201);
    cluster.kill(2);
    cluster.delete(0, NEVER).expect(204);
    assert_eq!(remembered(&cluster, NEVER), [0, 1]);
    cluster.restart(2);
    wait_until("it is told", || remembered(&cluster, NEVER) == ALL);
    // Where too few could say what they have, none is written.
    cluster.kill(1);
    cluster.kill(2);
    for path in ["/never/either.jpg", "/a.jpg"] {
        cluster.delete(0, path).expect(503);
        assert!(remembered(&cluster, path).is_empty());
    }
    assert!(cluster.has_file(0, "/a.jpg"));
}

#[test]
fn what_an_owner_that_lacks_something_may_have_had_is_deleted() {
    // As long as one node is silent, nobody can say that another has been offered everything.
    let cluster = Cluster::start(Front::Embedded, Options { nodes: 4, absent: &[3], ..Options::default() });
    let path = cluster.path_owned("/never", |owners| !owners.contains(&3));
    cluster.delete(0, &path).expect(404);
    cluster.kill(2);
    let identity = cluster.root(2).join(".webdfs/node.toml");
    let text = fs::read_to_string(&identity).unwrap();
    assert!(text.contains("complete = true"), "{text}");
    let returned = "complete = false\nreturned = \"1-0123456789abcdef\"";
    fs::write(&identity, text.replace("complete = true", returned)).unwrap();
    cluster.restart(2);
    wait_until("it answers", || Call::new("GET", &path).try_send(cluster.address(2)).is_ok());
    cluster.get(0, &path).expect(404);
    cluster.delete(0, &path).expect(204);
    wait_until("all owners have it", || remembered(&cluster, &path) == ALL);
}

#[test]
fn what_one_owner_alone_has_is_deleted_whether_it_is_a_copy_or_a_tombstone() {
    let cluster = Cluster::start(Front::Embedded, Options::default());
    for path in ["/copy.jpg", "/tombstone.jpg"] {
        cluster.put(0, path, "a").expect(201);
        wait_until("all have it", || ALL.iter().all(|node| cluster.has_file(*node, path)));
    }
    for node in [1, 2] {
        fs::remove_file(cluster.file(node, "/copy.jpg")).unwrap();
    }
    cluster.delete(1, "/copy.jpg").expect(204);
    cluster.delete(1, "/tombstone.jpg").expect(204);
    wait_until("all have it", || remembered(&cluster, "/tombstone.jpg") == ALL);
    for node in [1, 2] {
        fs::remove_file(tombstone(&cluster, node, "/tombstone.jpg")).unwrap();
    }
    cluster.delete(1, "/tombstone.jpg").expect(204);
    for path in ["/copy.jpg", "/tombstone.jpg"] {
        wait_until("all have a tombstone", || remembered(&cluster, path) == ALL);
        assert_missing(&cluster, path);
        cluster.delete(2, path).expect(404);
    }
}
