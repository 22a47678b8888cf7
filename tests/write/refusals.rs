use crate::common::{Answer, Call, Cluster, Front, Options, assert_missing, assert_stored, shared};
use crate::on_both_fronts;

on_both_fronts!(
    conditions_on_a_put_are_kept,
    conditions_on_a_delete_are_kept,
    methods_that_are_not_supported_are_named_in_no_answer,
    excluded_names_are_never_stored,
    who_is_not_allowed_writes_nothing,
);

fn conditions_on_a_put_are_kept(front: Front) {
    let cluster = shared(front);
    let target = "/put-if/a.jpg";
    let put = |name: &str, value: &str, body: &str| {
        cluster.send(1, &Call::new("PUT", target).header(name, value).body(body)).status
    };
    assert_eq!(put("If-Match", "*", "x"), 412);
    assert_eq!(put("If-Match", "\"x\"", "x"), 412);
    assert_missing(&cluster, target);
    assert_eq!(put("If-None-Match", "*", "first"), 201);
    assert_eq!(put("If-None-Match", "*", "second"), 412);
    let first = cluster.get(0, target).expect(200);
    assert_eq!(first.text(), "first");
    assert_eq!(put("If-Match", "\"x\"", "second"), 412);
    assert_eq!(put("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", "second"), 412);
    assert_stored(&cluster, target, b"first");
    assert_eq!(put("If-Match", first.etag(), "second"), 204);
    assert_eq!(put("If-Match", first.etag(), "third"), 412);
    assert_stored(&cluster, target, b"second");
    assert_eq!(put("If-None-Match", first.etag(), "third"), 204);
    assert_stored(&cluster, target, b"third");
}

fn conditions_on_a_delete_are_kept(front: Front) {
    let cluster = shared(front);
    let stored = cluster.put(0, "/delete-if/a.jpg", "a").expect(201);
    let delete = |value: &str| {
        cluster.send(1, &Call::new("DELETE", "/delete-if/a.jpg").header("If-Match", value)).status
    };
    assert_eq!(delete("\"x\""), 412);
    assert_stored(&cluster, "/delete-if/a.jpg", b"a");
    assert_eq!(delete(stored.etag()), 204);
    assert_missing(&cluster, "/delete-if/a.jpg");
}

const ALLOW: &str = "GET, HEAD, PUT, DELETE, POST, COPY, MOVE, OPTIONS";

fn methods_that_are_not_supported_are_named_in_no_answer(front: Front) {
    let cluster = shared(front);
    cluster.put(0, "/methods/a.jpg", "a").expect(201);
    for target in ["/methods/a.jpg", "/methods/missing.jpg", "/methods/"] {
        let options = cluster.send(0, &Call::new("OPTIONS", target)).expect(204);
        assert_eq!(options.header("Allow"), Some(ALLOW), "{options}");
        for method in ["PATCH", "PROPFIND", "MKCOL", "LOCK", "BREW"] {
            let answer = cluster.send(0, &Call::new(method, target));
            assert_eq!(answer.status, 405, "{method} {target}: {answer}");
            assert_eq!(answer.header("Allow"), Some(ALLOW), "{method} {target}: {answer}");
        }
    }
    for method in ["PUT", "DELETE"] {
        let answer = cluster.send(0, &Call::new(method, "/methods/").body("x"));
        assert_eq!(answer.status, 405, "{method}: {answer}");
    }
    assert_stored(&cluster, "/methods/a.jpg", b"a");
}

fn excluded_names_are_never_stored(front: Front) {
    let cluster = shared(front);
    // nginx as shipped says of most such names, whatever the method, that there is nothing.
    let refused = |status: u16| status == 403 || (front == Front::Nginx && status == 404);
    let names =
        ["a.php", "a.PHP", "a.py", "a.cgi", ".htaccess", ".hidden/a.jpg", "a.php/b.jpg", "a.pl%20/../a.pl"];
    for name in names {
        let target = format!("/excluded/{name}");
        let answer = cluster.put(0, &target, "<?php");
        assert!(refused(answer.status), "{target}: {answer}");
        let answer = cluster.get(1, &target);
        assert_eq!(answer.status, 404, "{target}: {answer}");
    }
    assert!(!cluster.file(0, "/excluded").exists());
    // Put there by hand, they are still not shown.
    for node in 0..3 {
        std::fs::create_dir_all(cluster.file(node, "/excluded-by-hand")).unwrap();
        std::fs::write(cluster.file(node, "/excluded-by-hand/a.php"), "<?php").unwrap();
        cluster.get(node, "/excluded-by-hand/a.php").expect(404);
        let answer = cluster.delete(node, "/excluded-by-hand/a.php");
        assert!(refused(answer.status), "{answer}");
    }
}

fn who_is_not_allowed_writes_nothing(front: Front) {
    let options = Options { allow: r#"["10.0.0.0/8", "127.0.0.2", "remote-user"]"#, ..Options::default() };
    let cluster = Cluster::start(front, options);
    let calls = [
        Call::new("PUT", "/a.jpg").body("a"),
        Call::new("DELETE", "/a.jpg"),
        Call::form("/form/", &[("name=\"f\"; filename=\"one.jpg\"", b"1")]),
        Call::new("COPY", "/a.jpg").header("Destination", "/b.jpg"),
        Call::new("MOVE", "/a.jpg").header("Destination", "/b.jpg"),
    ];
    // What a client says about itself counts for nothing.
    let forged = [("X-Forwarded-For", "10.0.0.1"), ("Remote-User", "ada"), ("REMOTE_ADDR", "10.0.0.1")];
    for call in calls {
        let refused: Answer = cluster.send(0, &call);
        assert_eq!(refused.status, 403, "{call:?}: {refused}");
        for (name, value) in forged {
            let refused = cluster.send(1, &call.clone().header(name, value));
            assert_eq!(refused.status, 403, "{call:?}, {name}: {refused}");
        }
    }
    assert_missing(&cluster, "/a.jpg");
    cluster.send(0, &Call::new("OPTIONS", "/a.jpg")).expect(204);
}
