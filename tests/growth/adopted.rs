//! A large docroot, as it is, becomes the root of the first node, and is spread over the nodes that are added. `make million`.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use crate::common::{Call, Cluster, Front, Options, wait_until};
use crate::{Step, change, objects, wait_until_settled};

const FILES: u64 = 1_000_000;
/// What a process may need of memory.
const LIMIT: u64 = 64 << 20;

/// Two nodes join the one that has had all.
const SPREAD: Step = Step {
    what: "a docroot is spread",
    groups: &[("first", 1.0, &[(0, "")]), ("second", 1.0, &[(1, ""), (2, "")])],
    starts: &[1, 2],
    empty: &[],
    nodes: &[0, 1, 2],
};

fn name(number: u64) -> String {
    format!("/album/{:03}/picture-{number:07}.jpg", number % 997)
}

fn bytes(number: u64) -> Vec<u8> {
    format!("picture {number}").into_bytes()
}

/// Lays the docroot down as some other program has left it: no attribute, and older than anything webdfs has done.
fn lay_docroot(cluster: &Cluster) {
    let root = cluster.root(0);
    let old = SystemTime::now() - Duration::from_secs(86_400);
    (0..997).for_each(|folder| fs::create_dir_all(root.join(format!("album/{folder:03}"))).unwrap());
    for number in 0..FILES {
        let mut file = File::create(cluster.file(0, &name(number))).unwrap();
        file.write_all(&bytes(number)).unwrap();
        file.set_modified(old).unwrap();
    }
    fs::write(root.join("index.php"), "<?php").unwrap();
}

#[test]
#[ignore = "makes three million files, which takes many minutes: make million"]
fn a_docroot_of_a_million_files_is_served_in_place_at_once_and_spread() {
    let options = Options {
        members: Some(1),
        replicas: 1,
        write_quorum: 1,
        absent: &[1, 2],
        prepare: lay_docroot,
        ..Options::default()
    };
    let begun = Instant::now();
    let cluster = Cluster::start(Front::Nginx, options);
    println!("{FILES} files made, and the node started, in {:.0} s", begun.elapsed().as_secs_f64());
    let inode = |number: u64| fs::metadata(cluster.file(0, &name(number))).unwrap().ino();
    let some: Vec<_> = (0..FILES).step_by(9_973).collect();
    let before: Vec<_> = some.iter().map(|number| inode(*number)).collect();

    // At once, and most of them not looked at yet.
    cluster.kill(0);
    cluster.restart(0);
    let begun = Instant::now();
    wait_until("the first file is served", || {
        Call::new("GET", &name(FILES - 1))
            .try_send(cluster.address(0))
            .is_ok_and(|answer| answer.status == 200)
    });
    println!("a file is served {:.2} s after the start", begun.elapsed().as_secs_f64());
    some.iter()
        .for_each(|number| assert_eq!(cluster.get(0, &name(*number)).expect(200).body, bytes(*number)));

    let next = crate::map(&cluster, 2, (2, 2), SPREAD.groups);
    crate::start(&cluster, &SPREAD, &next);
    let begun = Instant::now();
    change(&cluster);
    wait_until_settled(&cluster, &SPREAD, 2, Duration::from_millis(200));
    println!("spread over three nodes after {:.0} s", begun.elapsed().as_secs_f64());
    let held: Vec<_> = (0..3).map(|node| objects(&cluster, node)).collect();
    assert_eq!(held.iter().sum::<usize>(), 2 * FILES as usize + 1, "two copies, and the script: {held:?}");
    assert!(cluster.file(0, "/index.php").exists(), "what is excluded is left alone");
    for (number, inode_before) in some.iter().zip(before) {
        for node in 0..3 {
            assert_eq!(cluster.get(node, &name(*number)).expect(200).body, bytes(*number));
        }
        let path = cluster.file(0, &name(*number));
        assert!(!path.exists() || inode(*number) == inode_before, "what stays is neither copied nor renamed");
    }
    for (node, held) in held.into_iter().enumerate() {
        let peak = cluster.with_webdfs(node, |webdfs| webdfs.peak_memory()).expect("it runs");
        println!("{}: {held} objects, at most {} KiB resident (VmHWM)", cluster.name(node), peak >> 10);
        assert!(peak < LIMIT, "{peak} bytes");
    }
}
