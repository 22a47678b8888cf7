//! Reading: what clients get, whichever node they ask and however it is delivered.

mod common;

use common::{Front, noise, shared};

on_both_fronts!(what_is_put_through_any_node_is_read_through_every_node);

fn what_is_put_through_any_node_is_read_through_every_node(front: Front) {
    let cluster = shared(front);
    for through in 0..3 {
        let path = format!("/put-through-each/{through}.jpg");
        let body = noise(through as u64, 20_000);
        let stored = cluster.put(through, &path, body.clone()).expect(201);
        for node in 0..3 {
            let answer = cluster.get(node, &path).expect(200);
            assert!(answer.body == body, "the bytes through node {node}");
            assert_eq!(answer.etag(), stored.etag());
            assert_eq!(answer.header("Last-Modified"), stored.header("Last-Modified"));
        }
    }
}
