//! Caddy in front of webdfs: facts about it that the shipped file relies on.

mod common;

use std::fs;

use common::{
    Call, Cluster, Connection, Front, Options, assert_nothing, assert_only_ann_may_upload, assert_stored,
    noise, shared,
};
use webdfs::name::ObjectName;
use webdfs::semantics::{FrontKind, Validators, content_type};
use webdfs::version::Version;

fn one_node(prepare: fn(&Cluster)) -> Cluster {
    Cluster::start(Front::Caddy, Options::one_node(prepare))
}

fn edit(cluster: &Cluster, changes: &[(&str, &str)]) {
    cluster.edit_server_file(0, "webdfs.caddy", changes);
}

/// The extensions and types that the shipped file lists.
fn listed() -> Vec<(String, String)> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/caddy/Caddyfile")).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("\t.")?.split_once(' '));
    lines.map(|(extension, kind)| (extension.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_listed_types_are_those_of_the_responder() {
    let listed = listed();
    assert!(listed.len() > 100);
    for (extension, kind) in listed {
        let name = ObjectName::from_bytes(format!("a.{extension}").as_bytes()).unwrap();
        assert_eq!(content_type(&name, FrontKind::Caddy26), kind, "{extension}");
    }
}

#[test]
fn a_file_on_the_disk_is_served_without_webdfs_with_the_same_headers() {
    let cluster = one_node(|_| ());
    let body = noise(1, 5000);
    let mut known = Vec::new();
    for (extension, kind) in listed() {
        let target = format!("/static/a.{extension}");
        cluster.put(0, &target, body.clone()).expect(201);
        known.push((target, kind));
    }
    // The responder's own answers, on the embedded front.
    let responder: Vec<_> =
        known.iter().map(|(target, _)| Call::new("GET", target).send(cluster.side_address(0))).collect();
    cluster.kill_webdfs(0);
    for ((target, kind), responder) in known.iter().zip(responder) {
        let answer = cluster.get(0, target).expect(200);
        assert!(answer.body == body, "{target}: {answer}");
        assert_eq!(answer.header("Content-Type"), Some(kind.as_str()), "{target}");
        for name in ["ETag", "Last-Modified", "Content-Type", "Content-Length", "Accept-Ranges"] {
            assert_eq!(answer.header(name), responder.header(name), "{target} {name}: {answer}");
        }
    }
    cluster.get(0, "/static/none.jpg").expect(502);
}

#[test]
fn the_etag_of_this_caddy_is_the_one_of_its_word() {
    let cluster = one_node(|_| ());
    for (size, nanos) in
        [(0, 1_700_000_000_000_000_001), (35, 1_706_933_106_999_999_999), (70_000, 1_234_567_890_123_456_789)]
    {
        let file = fs::File::create(cluster.file(0, "/etag.jpg")).unwrap();
        file.set_len(size).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(nanos)).unwrap();
        let version = Version::from_nanos(nanos);
        let expected = Validators { version, size, front: FrontKind::Caddy26 };
        let answer = cluster.get(0, "/etag.jpg").expect(200);
        assert_eq!(answer.etag(), expected.etag().to_str().unwrap());
        assert_eq!(answer.header("Last-Modified"), Some(expected.last_modified().to_str().unwrap()));
    }
}

#[test]
fn a_chunked_upload_of_any_size_arrives_whole() {
    let cluster = shared(Front::Caddy);
    let body = noise(2, 3 << 20);
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    connection.begin(&Call::new("PUT", "/chunked/a.jpg").header("Transfer-Encoding", "chunked")).unwrap();
    body.chunks(100_000).for_each(|chunk| connection.chunk(chunk).unwrap());
    connection.chunk(b"").unwrap();
    connection.answer("PUT").unwrap().expect(201);
    assert_stored(&cluster, "/chunked/a.jpg", &body);
}

#[test]
fn an_upload_above_the_limit_is_refused_and_leaves_nothing() {
    let cluster = one_node(|cluster| edit(cluster, &[("max_size 1GiB", "max_size 100KiB")]));
    cluster.put(0, "/limit/a.jpg", noise(3, (100 << 10) + 1)).expect(413);
    let mut connection = Connection::open(cluster.address(0)).unwrap();
    connection.begin(&Call::new("PUT", "/limit/a.jpg").header("Transfer-Encoding", "chunked")).unwrap();
    let _ = connection.chunk(&noise(4, 200 << 10));
    let _ = connection.chunk(b"");
    connection.answer("PUT").unwrap().expect(413);
    assert_nothing(&cluster, "/limit/a.jpg");
    cluster.put(0, "/limit/a.jpg", noise(3, 100 << 10)).expect(201);
}

#[test]
fn whoever_knows_the_password_may_write_once_passwords_are_switched_on() {
    let switched_on = |cluster: &Cluster| {
        cluster.write_config(0, r#"["remote-user"]"#);
        let hash =
            std::process::Command::new("caddy").args(["hash-password", "--plaintext", "secret"]).output();
        let hash = String::from_utf8(hash.expect("caddy runs").stdout).unwrap();
        edit(
            cluster,
            &[
                ("#\t@upload not method", "\t@upload not method"),
                (
                    "#\tbasicauth @upload {                        # basic_auth since Caddy 2.8",
                    "\tbasicauth @upload {",
                ),
                (
                    "#\t\tann JDJhJDE0JC...                      # caddy hash-password",
                    &format!("\t\tann {}", hash.trim()),
                ),
                ("#\t}\n#\n# That,", "\t}\n#\n# That,"),
            ],
        );
    };
    let cluster = one_node(switched_on);
    assert_only_ann_may_upload(&cluster);
}

#[test]
fn headers_with_an_underscore_do_not_pass_for_others() {
    let cluster = shared(Front::Caddy);
    // A name that Caddy leaves to webdfs.
    let etag = cluster.put(0, "/under/a", "x").expect(201).etag().to_owned();
    let call = |name: &str| Call::new("GET", "/under/a").header(name, &etag);
    cluster.send(0, &call("If-None-Match")).expect(304);
    cluster.send(0, &call("If_None_Match")).expect(200);
}

#[test]
fn caddy_writes_nothing_outside_the_folder_of_its_node() {
    let cluster = one_node(|_| ());
    let pid = cluster.with_server(0, |caddy| caddy.id());
    let dir = cluster.root(0).parent().unwrap().to_owned();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let Ok(open) = fs::read_link(entry.unwrap().path()) else { continue };
        let elsewhere = ["/dev/", "/proc/", "/sys/"].iter().any(|root| open.starts_with(root));
        let is_file = open.starts_with("/") && !elsewhere;
        assert!(!is_file || open.starts_with(&dir), "{}", open.display());
    }
}
