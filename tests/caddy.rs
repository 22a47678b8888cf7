//! Caddy in front, with the shipped file: facts that webdfs relies on, pinned against the real server.

mod common;

use common::{Call, Front, noise, shared};

const FRONT: Front = Front::Caddy;

#[test]
fn a_name_of_any_characters_is_stored_read_moved_and_deleted() {
    let cluster = shared(FRONT);
    let body = noise(1, 3000);
    for name in [
        "a%20b",
        "%22q%22",
        "100%25",
        "what%3F",
        "%23x",
        "%c3%a9",
        "%e9",
        "semi;colon",
        "plus+",
        "a'b",
        "%5Cb",
    ] {
        let (target, moved) = (format!("/names/{name}.jpg"), format!("/moved/{name}.jpg"));
        cluster.put(0, &target, body.clone()).expect(201);
        assert_eq!(cluster.get(1, &target).expect(200).body, body);
        cluster.send(1, &Call::new("MOVE", &target).header("Destination", &moved)).expect(201);
        cluster.get(2, &target).expect(404);
        assert_eq!(cluster.get(2, &moved).expect(200).body, body);
        cluster.delete(0, &moved).expect(204);
        cluster.get(1, &moved).expect(404);
    }
}
