//! Forms, COPY and MOVE: objects that are stored in other ways than by PUT.

mod common;

use common::{Call, Front, assert_missing, assert_stored, noise, shared};

on_both_fronts!(
    a_form_stores_its_files,
    a_copy_is_another_object,
    a_move_leaves_nothing_behind,
    a_copy_does_not_overwrite_what_it_must_not,
    a_destination_that_makes_no_sense_is_refused,
);

/// The methods there are, as every refusal of another names them.
const ALLOW: &str = "GET, HEAD, PUT, DELETE, POST, COPY, MOVE, OPTIONS";

fn a_form_stores_its_files(front: Front) {
    let cluster = shared(front);
    let (one, two) = (noise(1, 200_000), noise(2, 50));
    let call = Call::form(
        "/form/",
        &[
            ("name=\"title\"", b"not a file"),
            ("name=\"f\"; filename=\"one.jpg\"", &one),
            ("name=\"f\"; filename=\"C:\\Pictures\\two two.jpg\"", &two),
            ("name=\"f\"; filename=\"\"", b""),
        ],
    );
    let answer = cluster.send(0, &call).expect(201);
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["files"][0]["path"], "/form/one.jpg");
    assert_eq!(said["files"][1]["path"], "/form/two%20two.jpg");
    assert_eq!(said["files"].as_array().unwrap().len(), 2);
    assert_stored(&cluster, "/form/one.jpg", &one);
    assert_stored(&cluster, "/form/two%20two.jpg", &two);
    // One of them must not be stored.
    let call = Call::form(
        "/form/",
        &[("name=\"f\"; filename=\"a.php\"", b"<?php"), ("name=\"f\"; filename=\"b.jpg\"", b"b")],
    );
    let answer = cluster.send(1, &call);
    assert!((400..500).contains(&answer.status), "{answer}");
    assert_missing(&cluster, "/form/a.php");
    assert_stored(&cluster, "/form/b.jpg", b"b");
    cluster.send(2, &Call::form("/form/", &[("name=\"title\"", b"no file at all")])).expect(400);
    let wrong = Call::new("POST", "/form/").header("Content-Type", "text/plain").body("x");
    cluster.send(0, &wrong).expect(415);
    let to_file = Call::new("POST", "/form/one.jpg").body("x");
    assert_eq!(cluster.send(0, &to_file).expect(405).header("Allow"), Some(ALLOW));
}

fn to(method: &str, from: &str, destination: &str) -> Call {
    Call::new(method, from).header("Destination", destination)
}

fn a_copy_is_another_object(front: Front) {
    let cluster = shared(front);
    let body = noise(1, 300_000);
    let original = cluster.put(0, "/copy/a.jpg", body.clone()).expect(201);
    let copied = cluster.send(1, &to("COPY", "/copy/a.jpg", "http://example.com/copy/b%20c.jpg")).expect(201);
    assert_ne!(copied.header("Webdfs-Replicas"), None);
    assert_stored(&cluster, "/copy/b%20c.jpg", &body);
    cluster.send(2, &to("COPY", "/copy/a.jpg", "/copy/b%20c.jpg")).expect(204);
    cluster.delete(0, "/copy/b%20c.jpg").expect(204);
    assert_stored(&cluster, "/copy/a.jpg", &body);
    assert_eq!(cluster.get(0, "/copy/a.jpg").etag(), original.etag());
}

fn a_move_leaves_nothing_behind(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/move/a.jpg", "moved").expect(201);
    cluster.send(1, &to("MOVE", "/move/a.jpg", "/move/there/b.jpg")).expect(201);
    assert_missing(&cluster, "/move/a.jpg");
    assert_stored(&cluster, "/move/there/b.jpg", b"moved");
    cluster.send(1, &to("MOVE", "/move/a.jpg", "/move/c.jpg")).expect(404);
}

fn a_copy_does_not_overwrite_what_it_must_not(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/overwrite/a.jpg", "a").expect(201);
    cluster.put(0, "/overwrite/b.jpg", "b").expect(201);
    for method in ["COPY", "MOVE"] {
        let call = to(method, "/overwrite/a.jpg", "/overwrite/b.jpg").header("Overwrite", "F");
        cluster.send(1, &call).expect(412);
        assert_stored(&cluster, "/overwrite/b.jpg", b"b");
        assert_stored(&cluster, "/overwrite/a.jpg", b"a");
    }
    let call = to("MOVE", "/overwrite/a.jpg", "/overwrite/b.jpg").header("Overwrite", "T");
    cluster.send(1, &call).expect(204);
    assert_stored(&cluster, "/overwrite/b.jpg", b"a");
    assert_missing(&cluster, "/overwrite/a.jpg");
}

fn a_destination_that_makes_no_sense_is_refused(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/destination/a.jpg", "a").expect(201);
    let wrong = [
        ("", 400),
        ("/", 400),
        ("/destination/", 400),
        ("/../etc/passwd", 400),
        ("/a%00b", 400),
        ("/a%2Fb", 400),
        ("/.webdfs/node.toml", 400),
        ("/destination/a.php", 403),
        ("/destination/a.jpg", 403),
        ("mailto:a@example.com", 400),
    ];
    for (destination, status) in wrong {
        for method in ["COPY", "MOVE"] {
            let answer = cluster.send(0, &to(method, "/destination/a.jpg", destination));
            assert_eq!(answer.status, status, "{method} to {destination:?}: {answer}");
        }
    }
    for method in ["COPY", "MOVE"] {
        cluster.send(0, &Call::new(method, "/destination/a.jpg")).expect(400);
    }
    assert_stored(&cluster, "/destination/a.jpg", b"a");
}
