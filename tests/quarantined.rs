//! Keys of which something lies in quarantine: that a node has none to serve says nothing about what it once acknowledged.

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;

use common::{Call, Cluster, Front, Options, wait_until};

on_both_fronts!(
    what_has_rotted_everywhere_is_not_said_to_be_missing,
    one_node_with_a_rotten_copy_leaves_enough_to_judge
);

const BODY: &[u8] = b"bytes that rot";
const READS: [&str; 2] = ["read = \"any\"", "read = \"quorum\""];

fn start(front: Front, top: &'static str) -> Cluster {
    Cluster::start(front, Options { top, static_first: false, ..Options::default() })
}

/// A byte of a node's copy changes, and nothing that is known of it.
fn rot(cluster: &Cluster, node: usize, target: &str) {
    let path = cluster.file(node, target);
    let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"B", 0).unwrap();
    file.set_modified(modified).unwrap();
}

/// Has a node read all it holds.
fn scrub(cluster: &Cluster, node: usize) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let output = command.arg("scrub").arg("--config").arg(cluster.config(node)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn store(cluster: &Cluster, target: &str) {
    cluster.put(0, target, BODY).expect(201);
    wait_until("all have it", || cluster.present().all(|node| cluster.has_file(node, target)));
}

/// Judged by a person: thrown away.
fn empty_quarantine(cluster: &Cluster, node: usize) {
    let quarantine = cluster.root(node).join(".webdfs/quarantine");
    for entry in fs::read_dir(quarantine).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
}

fn what_has_rotted_everywhere_is_not_said_to_be_missing(front: Front) {
    const TARGET: &str = "/rotten/everywhere.jpg";
    for top in READS {
        let cluster = start(front, top);
        store(&cluster, TARGET);
        // All before the first is found, which would be fetched from another.
        cluster.present().for_each(|node| rot(&cluster, node, TARGET));
        cluster.present().for_each(|node| scrub(&cluster, node));
        wait_until("nobody serves it", || cluster.present().all(|node| !cluster.has_file(node, TARGET)));
        for node in cluster.present() {
            cluster.get(node, TARGET).expect(503);
            cluster.head(node, TARGET).expect(503);
            cluster.delete(node, TARGET).expect(503);
            let copy = Call::new("COPY", TARGET).header("Destination", "/rotten/copy.jpg");
            copy.send(cluster.address(node)).expect(503);
        }
        // One node less in doubt is not enough, two are.
        for (node, status) in [(0, 503), (1, 404)] {
            empty_quarantine(&cluster, node);
            // What was found before is believed for a moment.
            wait_until("what is known has changed", || {
                cluster.present().all(|node| cluster.get(node, TARGET).status == status)
            });
        }
        cluster.put(2, TARGET, BODY).expect(201);
        for node in cluster.present() {
            assert_eq!(cluster.get(node, TARGET).expect(200).body, BODY);
        }
    }
}

fn one_node_with_a_rotten_copy_leaves_enough_to_judge(front: Front) {
    const TARGET: &str = "/rotten/once.jpg";
    for top in READS {
        let cluster = start(front, top);
        store(&cluster, TARGET);
        rot(&cluster, 0, TARGET);
        scrub(&cluster, 0);
        for node in cluster.present() {
            assert_eq!(cluster.get(node, TARGET).expect(200).body, BODY, "{top}, node {node}");
        }
        wait_until("it is fetched anew", || {
            fs::read(cluster.file(0, TARGET)).is_ok_and(|bytes| bytes == BODY)
        });
        cluster.delete(1, TARGET).expect(204);
        for node in cluster.present() {
            cluster.get(node, TARGET).expect(404);
        }
    }
}
