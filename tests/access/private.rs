use super::scene::{assert_bare, lay_key, put, signed, token, with_token};
use crate::common::printed::as_printed;
use crate::common::{Call, Cluster, Front, Options, noise, wait_until};

const PRIVATE: &str = "[access]\nprivate = [\"/members/\"]\nsign_keys = [\"sign.key\"]";

fn prepare(cluster: &Cluster) {
    lay_key(cluster);
    if cluster.front != Front::Embedded {
        as_printed(cluster);
    }
}

/// Two of three nodes have each file, so that one has to ask them, or to send clients there.
fn options() -> Options {
    Options { replicas: 2, write: PRIVATE, prepare, ..Options::default() }
}

fn only_who_has_a_right_reads_what_is_private(front: Front) {
    let cluster = Cluster::start(front, options());
    // One that webdfs sends, and one that the web server sends when it is told to.
    for (path, length) in [("/members/small.jpg", 1000), ("/members/large.jpg", 600_000)] {
        let body = noise(length as u64, length);
        cluster.put(0, path, body.clone()).expect(201);
        let url = signed(&cluster, &[path]);
        let other = signed(&cluster, &["/members/other.jpg"]);
        let upload = signed(&cluster, &["--method", "PUT", path]);
        let query = |url: &str| url.split_once('?').unwrap().1.to_owned();
        for node in cluster.present() {
            let answer = cluster.get(node, &url).expect(200);
            assert!(answer.body == body, "{front:?} {node} {path}");
            assert_eq!(answer.header("Cache-Control"), Some("private"), "{front:?} {node} {path}");
            cluster.head(node, &url).expect(200);
            let part = Call::new("GET", &url).header("Range", "bytes=10-19");
            assert!(cluster.send(node, &part).expect(206).body == body[10..20]);
            let rest = &path["/members".len()..];
            for odd in [
                path.to_owned(),
                format!("/%6dembers{rest}"),
                format!("//members/{rest}"),
                format!("/./members{rest}"),
                format!("/x/../members{rest}"),
                format!("/x/%2e%2e/members{rest}"),
                format!("{path}?v=1"),
                format!("{path}?{}", query(&other)),
                format!("{path}?{}", query(&upload)),
                url.replacen("webdfs-signature=", "webdfs-signature=0", 1),
            ] {
                let answer = cluster.get(node, &odd);
                assert_eq!(answer.status, 403, "{front:?} {node} {odd}: {answer}");
                let answer = cluster.head(node, &odd);
                assert_eq!(answer.status, 403, "{front:?} {node} HEAD {odd}: {answer}");
            }
            assert_bare(&cluster.get(node, path));
        }
    }
    // Nor is it said what there is.
    assert_bare(&cluster.get(0, "/members/missing.jpg"));
    assert_bare(&cluster.get(0, "/members/"));
    let missing = signed(&cluster, &["/members/missing.jpg"]);
    cluster.get(0, &missing).expect(404);
    // Who may write may not make it public.
    for method in ["COPY", "MOVE"] {
        let call = Call::new(method, "/members/small.jpg").header("Destination", "/public.jpg");
        assert_bare(&cluster.send(0, &call));
    }
    cluster.get(0, "/public.jpg").expect(404);
    cluster.put(0, "/membersx.jpg", "public").expect(201);
    assert_eq!(cluster.get(1, "/membersx.jpg").expect(200).header("Cache-Control"), None);
}

#[test]
fn only_who_has_a_right_reads_what_is_private_on_the_embedded_front() {
    only_who_has_a_right_reads_what_is_private(Front::Embedded);
}

#[test]
fn only_who_has_a_right_reads_what_is_private_behind_nginx() {
    only_who_has_a_right_reads_what_is_private(Front::Nginx);
}

#[test]
fn only_who_has_a_right_reads_what_is_private_behind_lighttpd() {
    only_who_has_a_right_reads_what_is_private(Front::Lighttpd);
}

#[test]
fn only_who_has_a_right_reads_what_is_private_behind_apache() {
    only_who_has_a_right_reads_what_is_private(Front::ApacheProxy);
}

#[test]
fn only_who_has_a_right_reads_what_is_private_behind_caddy() {
    only_who_has_a_right_reads_what_is_private(Front::Caddy);
}

#[test]
fn a_signature_goes_with_a_client_that_is_sent_elsewhere_and_a_token_sends_nobody() {
    let cluster = Cluster::start(Front::Nginx, Options { deliver: "remote = \"redirect\"", ..options() });
    let token = token(&cluster, &["--name", "ann", "--prefix", "/members", "--methods", "GET"]);
    let path = cluster.path_owned("/members", |owners| !owners.contains(&0));
    cluster.put(0, &path, "for members").expect(201);
    let url = signed(&cluster, &[&path]);
    let answer = cluster.get(0, &url).expect(307);
    let location = answer.header("Location").unwrap();
    let there = location.split_once("://").unwrap().1;
    let (host, target) = there.split_at(there.find('/').unwrap());
    assert_eq!(target, url);
    assert_eq!(Call::new("GET", target).send(host.parse().unwrap()).expect(200).text(), "for members");
    assert_bare(&cluster.get(0, &path));
    let read = with_token(Call::new("GET", &path), &token);
    wait_until("the token is known", || cluster.send(0, &read).status != 403);
    assert_eq!(cluster.send(0, &read).expect(200).text(), "for members");
    assert_bare(&cluster.send(0, &with_token(put(&path, "x"), &token)));
}

#[test]
fn a_web_server_that_serves_what_is_private_is_found_out() {
    let check = |prepare: fn(&Cluster)| {
        let cluster = Cluster::start(Front::Nginx, Options { prepare, ..options() });
        let config = cluster.config(0);
        let output = super::scene::webdfs(&["check", "--config", config.to_str().unwrap()]);
        assert!(!cluster.file(0, "/members").exists(), "what was laid there is gone");
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, report) = check(prepare);
    assert!(report.contains("asks webdfs for what lies below /members/"), "{report}");
    assert_eq!(code, Some(0), "{report}");
    let (code, report) = check(lay_key);
    assert!(report.contains("WRONG access.private: the web server at "), "{report}");
    assert_eq!(code, Some(1), "{report}");
}
