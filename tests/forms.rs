//! Forms: what a browser posts to a folder, and what no browser would.

mod common;

use common::{Call, Front, assert_missing, assert_stored, noise, shared};

on_both_fronts!(
    every_file_of_a_form_is_stored_and_its_other_fields_are_not,
    a_file_that_is_refused_does_not_keep_the_next_from_being_stored,
    a_form_with_a_head_that_does_not_end_is_refused,
    a_form_with_too_many_parts_is_refused_behind_those,
);

fn every_file_of_a_form_is_stored_and_its_other_fields_are_not(front: Front) {
    let cluster = shared(front);
    let (large, text) = (noise(1, 3_000_000), noise(2, 500_000));
    let form = Call::form(
        "/forms/all/",
        &[
            ("name=\"text\"", &text),
            ("name=\"f\"; filename=\"large.jpg\"", &large),
            ("name=\"f\"; filename=\"empty.jpg\"", b""),
            ("name=\"none\"; filename=\"\"", b""),
            ("name=\"f\"; filename=\"C:\\\\photos\\\\small.jpg\"", b"small"),
        ],
    );
    let answer = cluster.send(1, &form).expect(201);
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["files"].as_array().unwrap().len(), 3, "{answer}");
    assert_stored(&cluster, "/forms/all/large.jpg", &large);
    assert_stored(&cluster, "/forms/all/empty.jpg", b"");
    assert_stored(&cluster, "/forms/all/small.jpg", b"small");
}

fn a_file_that_is_refused_does_not_keep_the_next_from_being_stored(front: Front) {
    let cluster = shared(front);
    let refused = noise(1, 500_000);
    let form = Call::form(
        "/forms/refused/",
        &[("name=\"f\"; filename=\"a.php\"", &refused), ("name=\"f\"; filename=\"b.jpg\"", b"b")],
    );
    cluster.send(2, &form).expect(400);
    assert_missing(&cluster, "/forms/refused/a.php");
    assert_stored(&cluster, "/forms/refused/b.jpg", b"b");
}

fn a_form_with_a_head_that_does_not_end_is_refused(front: Front) {
    let cluster = shared(front);
    let long = format!("name=\"f\"; filename=\"{}\"", "x".repeat(100_000));
    let form = Call::form("/forms/head/", &[("name=\"f\"; filename=\"first.jpg\"", b"first"), (&long, b"1")]);
    let answer = cluster.send(0, &form).expect(400);
    assert!(answer.text().contains("belong to no part"), "{answer}");
    assert_stored(&cluster, "/forms/head/first.jpg", b"first");
}

fn a_form_with_too_many_parts_is_refused_behind_those(front: Front) {
    let cluster = shared(front);
    let mut parts = vec![("name=\"text\"", &b""[..]); 4999];
    parts.insert(0, ("name=\"f\"; filename=\"first.jpg\"", b"first"));
    parts.push(("name=\"f\"; filename=\"last.jpg\"", b"last"));
    cluster.send(0, &Call::form("/forms/parts/", &parts)).expect(413);
    assert_stored(&cluster, "/forms/parts/first.jpg", b"first");
    assert_missing(&cluster, "/forms/parts/last.jpg");
}
