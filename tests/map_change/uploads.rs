//! Uploads that are under way while the map changes.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::common::{fcgi, noise, wait_until};
use super::*;

#[test]
fn an_upload_whose_body_is_under_way_when_the_map_changes_is_stored() {
    let cluster = Cluster::start(Front::Nginx, three_of_six());
    let (path, body) = ("/slow.bin", noise(1, 3_000_000));
    let mut client = fcgi::Client::new(UnixStream::connect(cluster.socket(0)).unwrap());
    let length = body.len().to_string();
    let pairs = [
        ("REQUEST_METHOD", "PUT"),
        ("REQUEST_URI", path),
        ("CONTENT_LENGTH", length.as_str()),
        ("REMOTE_ADDR", "127.0.0.1"),
    ];
    client.send(&[fcgi::begin(1, true), fcgi::params(1, &pairs)].concat());
    // More than is kept to begin again.
    client.send_body(1, &body[..2_000_000]);
    wait_until("all owners take it in", || (0..3).all(|node| !cluster.spools(node).is_empty()));
    let next = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    for node in 3..6 {
        add(&cluster, node, &next);
    }
    applied(&cluster, 1, &next);
    client.send_body(1, &body[2_000_000..]);
    client.end_body(1);
    let reply = client.reply(1);
    assert_eq!(reply.status(), 201, "{}", reply.head());
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 2);
    let mut owners = cluster.owners(path);
    owners.sort_unstable();
    assert_eq!(holders(&cluster, 6, path), owners);
    for node in 0..6 {
        assert_eq!(cluster.get(node, path).expect(200).body, body);
    }
}

#[test]
fn no_upload_fails_because_the_map_changes_meanwhile() {
    let cluster = Cluster::start(Front::Nginx, three_of_six());
    let grown = map(&cluster, 2, (3, 2), &[FIRST, SECOND]);
    for node in 3..6 {
        add(&cluster, node, &grown);
    }
    let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (cluster, done, written) = (&cluster, &done, &written);
            scope.spawn(move || {
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    let path = format!("/{writer}/{}.jpg", number % 40);
                    let answer = cluster.put(writer, &path, noise(number, 5000));
                    assert!(matches!(answer.status, 201 | 204), "{answer}");
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for epoch in 2..8 {
            let weight = if epoch % 2 == 0 { 1.0 } else { 2.0 };
            let before = written.load(Ordering::Relaxed);
            let next = map(&cluster, epoch, (3, 2), &[FIRST, ("second", weight, SECOND.2)]);
            applied(&cluster, epoch as usize % 3, &next);
            wait_until("writes go on", || written.load(Ordering::Relaxed) > before + 30);
        }
        done.store(true, Ordering::Relaxed);
    });
    wait_until_settled(&cluster, &[0, 1, 2, 3, 4, 5], 7);
}
