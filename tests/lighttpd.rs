//! webdfs behind lighttpd, with the shipped configuration: started by lighttpd, and connected to.

mod common;

use common::{Cluster, Front, Options, noise};

/// lighttpd in both roles.
const FRONTS: [Front; 2] = [Front::Lighttpd, Front::LighttpdSpawned];

#[test]
fn a_file_is_stored_on_every_node_and_read_from_every_node() {
    for front in FRONTS {
        for static_first in [true, false] {
            let cluster = Cluster::start(front, Options { static_first, ..Options::default() });
            let body = noise(1, 100_000);
            let answer = cluster.put(0, "/a/b%20c.jpg", body.clone());
            assert_eq!(answer.status, 201, "{front:?} {answer:?}");
            for node in cluster.present() {
                let answer = cluster.get(node, "/a/b%20c.jpg");
                assert_eq!(
                    (answer.status, answer.body == body),
                    (200, true),
                    "{front:?} {}",
                    cluster.name(node)
                );
            }
            assert_eq!(cluster.delete(1, "/a/b%20c.jpg").status, 204);
            assert_eq!(cluster.get(2, "/a/b%20c.jpg").status, 404);
        }
    }
}
