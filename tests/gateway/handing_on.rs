//! What webdfs tells its web server of an owner, and the mark on what comes from there: who bears it is not handed on
//! again.

use std::os::unix::net::UnixStream;

use webdfs::clock;
use webdfs::config::Secrets;
use webdfs::peer::sign::{self, LIFETIME, Signer};

use super::super::{TWO_OF_THREE, shared};
use crate::common::setup::SECRET;
use crate::common::{Cluster, Front, Options, PATIENCE, fcgi};

#[test]
fn behind_nginx_the_bytes_of_other_nodes_do_not_pass_through_the_responder() {
    let cluster = shared(Front::Nginx);
    let path = cluster.path_owned("/by-nginx", |owners| !owners.contains(&0));
    cluster.put(0, &path, "x").expect(201);
    let reply = asked(cluster, "GET", &path, "");
    assert_eq!((reply.status(), reply.header("X-Accel-Redirect")), (200, Some("@webdfs_peer")));
    let owner = cluster.address(cluster.owners(&path)[0]).to_string();
    assert_eq!((reply.header("Webdfs-Peer"), reply.body()), (Some(owner.as_str()), &b""[..]));
}

#[test]
fn a_request_that_was_handed_on_is_never_handed_on_again() {
    let cluster = shared(Front::Nginx);
    let [path, other] = ["/hop/one", "/hop/other"].map(|folder| {
        let path = cluster.path_owned(folder, |owners| !owners.contains(&0));
        cluster.put(0, &path, "x").expect(201);
        path
    });
    for method in ["GET", "HEAD"] {
        for query in ["", "?a=%0D%0A&b"] {
            let (path, other) = (format!("{path}{query}"), format!("{other}{query}"));
            let handed_on = asked(cluster, method, &path, "");
            assert_eq!(handed_on.header("X-Accel-Redirect"), Some("@webdfs_peer"));
            let hop = handed_on.header("Webdfs-Hop").expect("a hop mark");
            // This node owns nothing of it, and asks the owners itself.
            let answer = asked(cluster, method, &path, hop);
            assert_eq!((answer.status(), answer.header("X-Accel-Redirect")), (200, None), "{method} {path}");
            assert_eq!(answer.body(), if method == "GET" { &b"x"[..] } else { b"" });
            assert!(
                asked(cluster, method, &other, hop).header("X-Accel-Redirect").is_some(),
                "a mark for another request"
            );
        }
    }
}

#[test]
fn a_hop_mark_holds_for_its_own_request_whole_and_in_time_alone() {
    let cluster = shared(Front::Nginx);
    let path = cluster.path_owned("/hop/marked", |owners| !owners.contains(&0));
    cluster.put(0, &path, "x").expect(201);
    let heeds = |mark: &str| asked(cluster, "GET", &path, mark).header("X-Accel-Redirect").is_none();
    let signer = Signer::new(&Secrets::parse(SECRET.as_bytes()).unwrap());
    let (now, lifetime, minute) = (clock::seconds(), LIFETIME.as_secs(), 60);
    let made = |target: &str, time| sign::hop(&signer, target.as_bytes(), time);
    let genuine = made(&path, now);
    assert!(heeds(&genuine), "a genuine mark");
    assert!(heeds(&made(&path, now - lifetime + minute)), "a mark that is just alive");

    for other in [format!("{path}?"), format!("{path}?v=1"), format!("/{path}"), path.to_uppercase()] {
        assert!(!heeds(&made(&other, now)), "a mark for {other}");
    }
    assert!(!heeds(&made(&path, now - lifetime - minute)), "a mark that has expired");
    assert!(!heeds(&made(&path, now + lifetime + minute)), "a mark from the future");
    let strange = Signer::new(&Secrets::parse(b"the secret of another cluster").unwrap());
    assert!(!heeds(&sign::hop(&strange, path.as_bytes(), now)), "a mark of another cluster");
    for at in 0..genuine.len() {
        let altered: String = genuine
            .chars()
            .enumerate()
            .map(|(index, c)| match c {
                _ if index != at => c,
                '0' => '1',
                _ => '0',
            })
            .collect();
        assert!(!heeds(&altered), "{altered}");
        assert!(!heeds(&genuine[..at]), "{}", &genuine[..at]);
        assert!(!heeds(&format!("{}{}", &genuine[..at], &genuine[at + 1..])), "without byte {at}");
    }
    for added in [format!("{genuine}0"), format!("{genuine}00"), format!("0{genuine}"), format!("+{genuine}")]
    {
        assert!(!heeds(&added), "{added}");
    }
}

#[test]
fn no_target_splits_the_head_of_a_redirect() {
    let cluster =
        Cluster::start(Front::Nginx, Options { deliver: "remote = \"redirect\"", ..TWO_OF_THREE() });
    let path = cluster.path_owned("/split", |owners| !owners.contains(&0));
    cluster.put(0, &path, "x").expect(201);
    assert_eq!(asked(&cluster, "GET", &format!("{path}?v=1"), "").status(), 307);
    // nginx takes no such request; another web server might.
    for end in
        ["?\r\nX-Split: yes", "?\nX-Split: yes", "?\rX-Split: yes", "?\0", "?\t", "?\x7f", "\r\nX-Split: yes"]
    {
        for target in [format!("{path}{end}"), format!("http://elsewhere{path}{end}")] {
            let reply = asked(&cluster, "GET", &target, "");
            assert_eq!(reply.header("X-Split"), None, "{target:?}");
            assert_eq!(reply.header("Location"), None, "{target:?}");
            let lines = reply.head().replace("\r\n", "");
            assert!(!lines.chars().any(|c| c.is_ascii_control()), "{target:?}: {lines:?}");
        }
    }
}

/// What a node's webdfs answers to its web server.
fn asked(cluster: &Cluster, method: &str, target: &str, hop: &str) -> fcgi::Reply {
    let stream = UnixStream::connect(cluster.socket(0)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let pairs = [("REQUEST_METHOD", method), ("REQUEST_URI", target), ("HTTP_WEBDFS_HOP", hop)];
    fcgi::Client::new(stream).get(&pairs)
}
