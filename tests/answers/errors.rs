//! What is refused, and what never leaves a node (design sections 5 and 11).

use super::case::{A, Case, Want, answer, bare, case, missing, of_a};

pub fn cases() -> Vec<Case> {
    [excluded(), reserved(), elsewhere()].concat()
}

/// Scripts and hidden files: never accepted, never served.
fn excluded() -> Vec<Case> {
    let names = [
        ("a script", "{}/a.php"),
        ("a script in capitals", "{}/a.PHP"),
        ("a script in disguise", "{}/a%2ePhp"),
        ("a shell script", "{}/a.sh"),
        ("a hidden file", "{}/.htaccess"),
        ("a file in a hidden folder", "{}/.git/config"),
        ("a file in a folder named like a script", "{}/a.php/b.jpg"),
    ];
    let mut cases = Vec::new();
    for (what, target) in names {
        let name = |method: &str| -> &'static str { format!("{method} of {what}").leak() };
        cases.push(case(name("GET"), "GET", target).expect(missing()));
        cases.push(case(name("PUT"), "PUT", target).body("<?php").expect(answer(403)));
    }
    cases.extend([
        case("HEAD of a script", "HEAD", "{}/a.php").expect(bare(404)),
        case("DELETE of a script", "DELETE", "{}/a.php").expect(answer(403)),
        case("PUT of an image with a script's name before its own", "PUT", "{}/a.php.jpg")
            .body("x")
            .expect(super::case::created())
            .then("{}/a.php.jpg", "x"),
        of_a("COPY of an image to a hidden name", "COPY")
            .header("Destination", "{}/.a.jpg")
            .expect(answer(403)),
    ]);
    cases
}

/// What is webdfs's own.
fn reserved() -> Vec<Case> {
    let own = [
        ("the node's records", "/.webdfs/node.toml"),
        ("the folder of the node's records", "/.webdfs/"),
        ("the folder of the node's records without its slash", "/.webdfs"),
        ("the node's records in disguise", "/%2ewebdfs/node.toml"),
        ("the node's records by a detour", "/x/..//.webdfs/./node.toml"),
    ];
    let mut cases = Vec::new();
    for (what, target) in own {
        let name = |method: &str| -> &'static str { format!("{method} of {what}").leak() };
        cases.push(case(name("GET"), "GET", target).expect(answer(400).with("ETag", Want::Absent)));
        cases.push(case(name("PUT"), "PUT", target).body("x").expect(answer(400)));
    }
    cases.extend([
        case("DELETE of the node's records", "DELETE", "/.webdfs/node.toml").expect(answer(400)),
        case("a folder of that name elsewhere is hidden like any other", "GET", "{}/.webdfs/a.jpg")
            .expect(missing()),
        case("GET from other nodes needs a signature", "GET", "/_webdfs/v1/object/a.jpg").expect(answer(403)),
        case("a hello from other nodes needs a signature", "POST", "/_webdfs/v1/hello")
            .body("{}")
            .expect(answer(403)),
        case("an upload from other nodes needs a signature", "PUT", "/_webdfs/v1/spool/x")
            .body("x")
            .expect(answer(403)),
        case("nothing else is there", "GET", "/_webdfs/anything").expect(missing()),
        case("nothing is stored there", "PUT", "/_webdfs/anything.jpg").body("x").expect(answer(404)),
        of_a("the way to a file inside the server is closed", "GET")
            .expect(missing())
            .at("/_webdfs/file{}/a.jpg"),
        case("the way to an index file inside the server is closed", "GET", "/_webdfs/index")
            .expect(missing()),
    ]);
    cases
}

fn elsewhere() -> Vec<Case> {
    let long = "x".repeat(20_000);
    vec![
        case("a page of another site stores nothing", "PUT", A)
            .header("Origin", "https://evil.example")
            .body("x")
            .expect(answer(403))
            .then_missing(A),
        case("a browser says that another site is behind it", "PUT", A)
            .header("Sec-Fetch-Site", "cross-site")
            .body("x")
            .expect(answer(403))
            .then_missing(A),
        case("a page of the site itself stores", "PUT", A)
            .header("Origin", "http://{host}")
            .body("x")
            .expect(super::case::created())
            .then(A, "x"),
        of_a("a page of another site deletes nothing", "DELETE")
            .header("Origin", "https://evil.example")
            .expect(answer(403)),
        of_a("a page of another site may read", "GET")
            .header("Origin", "https://other.example")
            .expect(super::case::whole(super::case::stored())),
        of_a("a request without a host is 400", "GET").without_host().expect(answer(400)),
        of_a("a request with two hosts is 400", "GET").header("Host", "other.example").expect(answer(400)),
        case("a target of 20,000 bytes is too long", "GET", format!("{{}}/{long}"))
            .expect(answer(414))
            .or(answer(400), "RFC 9112 section 3: what is longer than any name may be refused as a name")
            .or(answer(431), "RFC 6585 section 5: 431 is one way to say it"),
        of_a("a header of 2,000,000 bytes is too long", "GET")
            .header("X-Long", &"x".repeat(2_000_000))
            .expect(answer(431))
            .or(answer(400), "RFC 6585 section 5: 431 is one way to say it")
            .unanswered(),
        of_a("a header name with a space is 400", "GET").header("X Y", "z").expect(answer(400)),
        of_a("headers that mean nothing here change nothing", "GET")
            .header("Accept", "text/plain")
            .header("Accept-Encoding", "gzip, br")
            .header("Cache-Control", "no-cache")
            .header("Cookie", "a=b")
            .expect(super::case::whole(super::case::stored()).with("Content-Encoding", Want::Absent)),
    ]
}
