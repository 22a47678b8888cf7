//! The docroot of a machine that knows nothing of webdfs becomes the root of the first node.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use super::{FIRST, add, applied, holders, wait_until_settled};
use crate::common::{Cluster, Front, Options, clock_off_by, map};

/// More than are sent together.
const FILES: usize = 600;

fn path(number: usize) -> String {
    format!("/shop/{number}.jpg")
}

fn bytes(number: usize) -> String {
    format!("picture {number}")
}

/// Files as another program has left them. They have rested for long enough, by the clock of their node.
fn lay_docroot(cluster: &Cluster) {
    let old = SystemTime::now() - Duration::from_secs(86_400);
    fs::create_dir_all(cluster.root(0).join("shop")).unwrap();
    for number in 0..FILES {
        let file = cluster.file(0, &path(number));
        fs::write(&file, bytes(number)).unwrap();
        fs::File::open(&file).unwrap().set_modified(old).unwrap();
    }
    fs::write(cluster.file(0, "/shop/index.php"), "<?php").unwrap();
    cluster.set_environment(0, clock_off_by(120));
}

#[test]
fn the_docroot_of_one_machine_is_served_in_place_and_spread_to_the_nodes_that_are_added() {
    let options = Options {
        members: Some(1),
        replicas: 1,
        write_quorum: 1,
        absent: &[1, 2],
        prepare: lay_docroot,
        ..Options::default()
    };
    let cluster = Cluster::start(Front::Nginx, options);
    let inode = |number: usize| fs::metadata(cluster.file(0, &path(number))).map(|file| file.ino()).ok();
    let before: Vec<_> = (0..FILES).map(inode).collect();
    let check = |node: usize, number: usize| {
        assert_eq!(cluster.get(node, &path(number)).expect(200).body, bytes(number).as_bytes());
    };
    check(0, 7);
    let next = map(&cluster, 2, (2, 2), &[FIRST]);
    (1..3).for_each(|node| add(&cluster, node, &next));
    applied(&cluster, 0, &next);
    (0..FILES).step_by(7).for_each(|number| (0..2).for_each(|node| check(node, number)));
    wait_until_settled(&cluster, &[0, 1, 2], 2);
    for (number, before) in before.into_iter().enumerate() {
        let mut owners = cluster.owners(&path(number));
        owners.sort_unstable();
        // When the map is settled, all are where they belong: nothing is left to a later pass.
        assert_eq!(holders(&cluster, 3, &path(number)), owners, "{number}");
        let stays = owners.contains(&0);
        assert_eq!(inode(number), before.filter(|_| stays), "{number} is neither copied nor renamed");
    }
    // What is excluded stays where it is.
    assert_eq!(holders(&cluster, 3, "/shop/index.php"), [0]);
    assert!(cluster.log(0).contains("that were put here by hand are copies now"), "{}", cluster.log(0));
}
