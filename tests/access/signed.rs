use super::scene::{assert_bare, lay_key, put, signed};
use crate::common::{Call, Cluster, Front, Options, assert_missing, assert_stored};
use crate::on_both_fronts;

on_both_fronts!(a_signed_url_uploads_what_it_says_and_nothing_else,);

fn a_signed_url_uploads_what_it_says_and_nothing_else(front: Front) {
    let cluster = Cluster::start(
        front,
        Options {
            allow: "[]",
            write: "[access]\nsign_keys = [\"sign.key\"]",
            prepare: lay_key,
            ..Options::default()
        },
    );
    let url = signed(&cluster, &["--method", "PUT", "--max-size", "10B", "/in/a%20b.jpg"]);
    let send = |call: &Call| cluster.send(1, call);
    send(&put(&url, "0123456789")).expect(201);
    send(&put(&url, "again")).expect(204);
    send(&put(&url, "01234567890")).expect(413);
    assert_stored(&cluster, "/in/a%20b.jpg", b"again");
    // A page of another site may use it: it was made for whoever has it.
    send(&put(&url, "page").header("Sec-Fetch-Site", "cross-site")).expect(204);
    let (path, query) = url.split_once('?').unwrap();
    let changed = |from: &str, to: &str| {
        let changed = url.replacen(from, to, 1);
        assert_ne!(changed, url, "{from}");
        put(&changed, "x")
    };
    let refused = [
        put(path, "x"),
        put(&format!("/in/other.jpg?{query}"), "x"),
        put(&format!("/in/?{query}"), "x"),
        changed("webdfs-max-size=10", "webdfs-max-size=11"),
        changed("&webdfs-max-size=10", ""),
        changed("webdfs-expires=", "webdfs-expires=9"),
        changed("webdfs-key=site1", "webdfs-key=site2"),
        changed("webdfs-key=site1&", ""),
        changed("webdfs-signature=", "webdfs-signature=0"),
        changed("webdfs-max-size", "webdfs-from=127.0.0.0/8&webdfs-max-size"),
        changed("?", "?webdfs-expires=9999999999&"),
        Call::new("DELETE", &url),
        Call::form(&format!("/in/?{query}"), &[("name=\"f\"; filename=\"other.jpg\"", b"1")]),
        Call::new("COPY", &url).header("Destination", "/in/other.jpg"),
        Call::new("MOVE", &url).header("Destination", "/in/other.jpg"),
    ];
    for call in refused {
        let answer = send(&call);
        assert_bare(&answer);
    }
    let expired =
        signed(&cluster, &["--method", "PUT", "--expires", "2001-09-09T01:46:40Z", "/in/other.jpg"]);
    assert_bare(&send(&put(&expired, "x")));
    let elsewhere = signed(&cluster, &["--method", "PUT", "--from", "192.0.2.0/24", "/in/other.jpg"]);
    assert_bare(&send(&put(&elsewhere, "x")));
    let reader = signed(&cluster, &["/in/other.jpg"]);
    assert_bare(&send(&put(&reader, "x")));
    assert_missing(&cluster, "/in/other.jpg");
    assert_stored(&cluster, "/in/a%20b.jpg", b"page");
    let here = signed(&cluster, &["--method", "PUT", "--from", "127.0.0.0/8", "/in/other.jpg"]);
    send(&put(&here, "x")).expect(201);
    let log = cluster.log(1);
    for says in [
        "PUT /in/a%20b.jpg is allowed by a URL signed by key site1",
        "PUT /in/other.jpg from 127.",
        "it has expired",
        "it is for other addresses",
        "such URLs are for GET, HEAD and PUT alone",
        "no key has the id that it names",
    ] {
        assert!(log.contains(says), "{says}");
    }
    for node in cluster.present() {
        assert!(!cluster.log(node).contains(url.rsplit_once('=').unwrap().1), "no signature is in the log");
    }
}
