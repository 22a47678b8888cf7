//! Apache httpd with the shipped configurations.

mod common;

use common::{Cluster, Front, Options, noise};

fn put_get(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let body = noise(1, 8 << 20);
    let answer = cluster.put(0, "/a/b%20c.jpg", body.clone());
    assert_eq!(answer.status, 201, "{answer:?}");
    for node in 0..3 {
        let answer = cluster.get(node, "/a/b%20c.jpg");
        assert_eq!(answer.status, 200);
        assert!(answer.body == body);
    }
}

#[test]
fn proxy() {
    put_get(Front::ApacheProxy);
}

#[test]
fn fcgid() {
    put_get(Front::ApacheFcgid);
}
