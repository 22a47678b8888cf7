//! Targets that lead out of the root, or to what is no object.

use std::fs;

use super::scene::{assert_tells_nothing, options, snapshot};
use crate::common::setup::SECRET;
use crate::common::{Call, Cluster, Front};

/// Targets that lead out of the root, into webdfs's own folder, to scripts and to hidden files.
const OUTSIDE: &[&str] = &[
    "/../secret",
    "/..%2fsecret",
    "/%2e%2e/secret",
    "/%2e%2e%2fsecret",
    "/.%2e/secret",
    "/folder/../../secret",
    "/folder/%2e%2e/%2e%2e/secret",
    "/..%5csecret",
    "/%2e%2e%5csecret",
    "/folder%5c..%5c..%5csecret",
    "/..%252fsecret",
    "/%252e%252e/secret",
    "/%c0%ae%c0%ae/secret",
    "//../secret",
    "/.//..//secret",
    "/..;/secret",
    "/kept.jpg/../../secret",
    "/kept.jpg%00.php",
    "/%00/../secret",
    "/../secret%00.jpg",
    "/../../../../../../etc/passwd",
    "/.webdfs/node.toml",
    "/.webdfs%2fnode.toml",
    "/%2ewebdfs/node.toml",
    "/.Webdfs/../.webdfs/node.toml",
    "//.webdfs//node.toml",
    "/folder/../.webdfs/node.toml",
    "/.webdfs/./node.toml",
    "/.webdfs/agent.lock",
    "/_webdfs/file/.webdfs/node.toml",
    "/_webdfs/file/kept.jpg/../.webdfs/node.toml",
    "/_webdfs/file/../secret",
    "/_webdfs/client",
    "/script.php",
    "/script.PHP",
    "/script.php/",
    "/script.php/kept.jpg",
    "/script%2ephp",
    "/script.php%20",
    "/script.php?x=/kept.jpg",
    "/folder/script.PHP",
    "/folder//script.PHP",
    "/.htpasswd",
    "/%2ehtpasswd",
    "/folder/../.htpasswd",
    "http://localhost/../secret",
    "http://localhost/.webdfs/node.toml",
    "http://localhost/script.php",
];

/// Links that stand in the root.
const LINKS: &[&str] =
    &["/link.jpg", "/out/secret", "/out/node.toml", "/records/node.toml", "/etc/passwd", "//etc/passwd"];

pub fn nothing_but_objects_is_ever_sent(front: Front, static_first: bool) {
    let cluster = Cluster::start(front, options(static_first, r#"["127.0.0.0/8"]"#));
    let before = snapshot(&cluster);
    // These follow links themselves, as they do for any site, where they look for files first.
    let apache = matches!(front, Front::ApacheFcgid | Front::ApacheProxy);
    let follows = static_first && (apache || matches!(front, Front::Nginx | Front::Lighttpd | Front::Caddy));
    let links = if follows { &[] } else { LINKS };
    for target in OUTSIDE.iter().chain(links) {
        for method in ["GET", "HEAD", "POST"] {
            let answer = cluster.send(0, &Call::new(method, target));
            assert!((300..500).contains(&answer.status), "{method} {target}: {answer}");
            assert_tells_nothing(&answer, target);
        }
        let answer = cluster.send(0, &Call::new("GET", target).header("Range", "bytes=0-9"));
        assert!((300..500).contains(&answer.status), "{target}: {answer}");
        // As a source, and as a destination: those that are odd names inside the root may be written.
        let copied = cluster.send(0, &Call::new("COPY", target).header("Destination", "/stolen.jpg"));
        assert!((400..500).contains(&copied.status), "COPY {target}: {copied}");
    }
    for target in OUTSIDE
        .iter()
        .filter(|target| !target.contains("%25") && !target.contains("%5c") && !target.contains("%c0"))
    {
        let target = target.replace("http://localhost", "");
        for method in ["COPY", "MOVE"] {
            let call = Call::new(method, "/kept.jpg").header("Destination", &target);
            let answer = cluster.send(0, &call);
            let is_inside = matches!(target.as_str(), "/..;/secret" | "/script.php%20");
            assert!(is_inside || (400..500).contains(&answer.status), "{method} to {target}: {answer}");
            if is_inside {
                break;
            }
        }
    }
    let after = snapshot(&cluster);
    for (path, bytes) in before {
        assert!(after.get(&path) == Some(&bytes), "{path} is as before");
    }
    let stolen = |path: &&String| path.contains("stolen");
    assert_eq!(after.keys().find(stolen), None, "nothing was copied from outside");
    let out = fs::read(cluster.root(0).parent().unwrap().join("secret")).unwrap();
    assert!(out == SECRET.as_bytes(), "the secret is as before");
}
