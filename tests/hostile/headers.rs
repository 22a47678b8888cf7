//! Headers by which one might pass for somebody else.

use super::scene::{OTHERS, assert_tells_nothing, kept, options, snapshot};
use crate::common::{Call, Cluster, Front};

/// Headers by which one might pass for somebody else, or for a web server.
const FORGED: &[(&str, &str)] = &[
    ("Remote-User", "admin"),
    ("REMOTE_USER", "admin"),
    ("Remote_User", "admin"),
    ("remote_user", "admin"),
    ("X-Remote-User", "admin"),
    ("HTTP_REMOTE_USER", "admin"),
    ("Redirect-Remote-User", "admin"),
    ("Auth-User", "admin"),
    ("Remote-Addr", "203.0.113.5"),
    ("REMOTE_ADDR", "203.0.113.5"),
    ("Remote_Addr", "203.0.113.5"),
    ("X-Forwarded-For", "203.0.113.5"),
    ("X_Forwarded_For", "203.0.113.5"),
    ("Forwarded", "for=203.0.113.5"),
    ("X-Real-IP", "203.0.113.5"),
    ("Client-IP", "203.0.113.5"),
    ("Authorization", "Basic YWRtaW46YWRtaW4="),
    ("Proxy-Authorization", "Basic YWRtaW46YWRtaW4="),
    ("Webdfs-Hop", "1795369613:00000000000000000000000000000000"),
    ("Webdfs_Hop", "1795369613:00000000000000000000000000000000"),
    ("WEBDFS_HOP", "x"),
    ("wEbDfS-hOp", ":"),
    ("Webdfs-Signature", "00"),
    ("Webdfs_Signature", "00"),
    ("Webdfs-From", "img2"),
    ("Webdfs-To", "img1"),
    ("Webdfs-Epoch", "99"),
    ("Webdfs-Version", "1"),
    ("Webdfs-Crc32", "00000000"),
    ("Webdfs-Range", "bytes=0-0"),
    ("Webdfs-If-None-Match", "*"),
    ("Webdfs-Peer", "127.0.0.1:1"),
    ("Webdfs-Failed-Peer", "127.0.0.1:1"),
    ("WEBDFS_FAILED_PEER", "127.0.0.1:1"),
    ("Webdfs-Failed-File", "1"),
    ("WEBDFS_FAILED_FILE", "1"),
    ("WEBDFS_SENDFILE", "1"),
    ("Webdfs-Sendfile", "1"),
    ("X-Sendfile", "/etc/passwd"),
    ("X_Sendfile", "/etc/passwd"),
    ("X-LIGHTTPD-send-file", "/etc/passwd"),
    ("X-Accel-Redirect", "/_webdfs/file/.webdfs/node.toml"),
    ("Status", "200 OK"),
    ("Script-Name", "/x.jpg"),
    ("Request-Uri", "/forged.jpg"),
    ("REQUEST_URI", "/forged.jpg"),
    ("REQUEST_METHOD", "PUT"),
    ("X-HTTP-Method-Override", "PUT"),
    ("X-Original-URL", "/forged.jpg"),
    ("X-Rewrite-URL", "/forged.jpg"),
    ("Content_Length", "0"),
    ("Proxy", "http://127.0.0.1:1"),
    ("Host", "localhost"),
];

pub fn no_header_makes_a_writer(front: Front, static_first: bool) {
    let cluster = Cluster::start(front, options(static_first, OTHERS));
    let before = snapshot(&cluster);
    let plain = [("X-Nothing", "nothing")];
    for (name, value) in FORGED.iter().chain(&plain) {
        let calls = [
            Call::new("PUT", "/forged.jpg").body("forged"),
            Call::new("PUT", "/kept.jpg").body("forged"),
            Call::new("DELETE", "/kept.jpg"),
            Call::new("COPY", "/kept.jpg").header("Destination", "/forged.jpg"),
            Call::new("MOVE", "/kept.jpg").header("Destination", "/forged.jpg"),
            Call::form("/", &[("name=\"f\"; filename=\"forged.jpg\"", b"forged")]),
        ];
        for call in calls {
            let answer = cluster.send(0, &call.clone().header(name, value));
            assert!(matches!(answer.status, 400 | 403), "{name}: {value}: {call:?}: {answer}");
        }
    }
    // Nor does anybody pass for a node.
    let messages = [
        ("POST", "/_webdfs/v1/hello"),
        ("GET", "/_webdfs/v1/object/kept.jpg"),
        ("GET", "/_webdfs/v1/ask/kept.jpg"),
        ("POST", "/_webdfs/v1/ask/kept.jpg"),
        ("DELETE", "/_webdfs/v1/object/kept.jpg"),
        ("POST", "/_webdfs/v1/delete/kept.jpg"),
        ("PUT", "/_webdfs/v1/spool/00000000000000000000000000000000/forged.jpg"),
        ("PUT", "/_webdfs/v1/prepare/00000000000000000000000000000000/forged.jpg"),
        ("POST", "/_webdfs/v1/commit/00000000000000000000000000000000/forged.jpg"),
        ("POST", "//_webdfs/v1/hello"),
        ("POST", "/x/../_webdfs/v1/hello"),
        ("POST", "/%5fwebdfs/v1/hello"),
    ];
    for (method, target) in messages {
        let call = Call::new(method, target).body("{\"version\":1}");
        let node = |call: Call| {
            FORGED
                .iter()
                .filter(|(name, _)| name.starts_with("Webdfs-"))
                .fold(call, |call, (name, value)| call.header(name, value))
        };
        for call in [call.clone(), node(call)] {
            let answer = cluster.send(0, &call);
            assert!(matches!(answer.status, 400 | 403 | 404 | 405 | 421), "{call:?}: {answer}");
        }
    }
    assert_eq!(snapshot(&cluster), before, "the disks are as before");
}

pub fn no_header_changes_what_is_read(front: Front, static_first: bool) {
    let cluster = Cluster::start(front, options(static_first, OTHERS));
    let before = snapshot(&cluster);
    for (name, value) in FORGED {
        for node in 0..2 {
            let answer = cluster.send(node, &Call::new("GET", "/kept.jpg").header(name, value));
            let right = answer.status == 200 && answer.body == kept();
            assert!(right || answer.status == 400, "{name}: {value}: {answer}");
            let answer = cluster.send(node, &Call::new("GET", "/missing.jpg").header(name, value));
            assert!(matches!(answer.status, 404 | 400), "{name}: {value}: {answer}");
            assert_tells_nothing(&answer, name);
        }
    }
    assert_eq!(snapshot(&cluster), before, "the disks are as before");
}
