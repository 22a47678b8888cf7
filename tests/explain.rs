//! `webdfs explain --probe`: what it finds on the nodes of a running cluster, and whether it says rightly that all is
//! well.

mod common;

use std::fs;
use std::process::Command;

use common::{Cluster, Front, Options, wait_until};
use serde_json::Value;

on_both_fronts!(
    a_file_that_every_owner_holds_is_as_it_should_be,
    a_replica_that_is_gone_and_one_that_should_not_be_there_are_named,
    a_deleted_file_is_told_from_one_that_never_was,
    a_node_that_does_not_answer_is_told_with_the_reason,
    a_node_of_an_older_map_alone_is_asked_under_that_map,
);

/// Four nodes, three of them owners.
fn start(front: Front) -> Cluster {
    Cluster::start(front, Options { nodes: 4, ..Options::default() })
}

/// Exit code, standard output, standard error.
fn explain(cluster: &Cluster, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.args(["explain", "--probe", "--config"]).arg(cluster.config(0)).args(arguments);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

/// The exit code, and what the probe of one path found.
fn probe(cluster: &Cluster, path: &str) -> (i32, Value) {
    let (code, out, err) = explain(cluster, &["--json", path]);
    let mut answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let probe = answer[0]["probe"].take();
    assert_eq!(probe["healthy"] == true, code == 0, "{probe}");
    (code, probe)
}

/// Waits until all is as it should be: the last owner may take a moment longer than the answer to the client.
fn wait_until_well(cluster: &Cluster, path: &str) {
    wait_until(&format!("{path} is as it should be"), || probe(cluster, path).0 == 0);
}

/// What the probe says of a node.
fn told<'a>(probe: &'a Value, node: &str) -> &'a Value {
    probe["nodes"].as_array().unwrap().iter().find(|told| told["node"] == node).expect("the node was asked")
}

fn a_file_that_every_owner_holds_is_as_it_should_be(front: Front) {
    let cluster = start(front);
    cluster.put(0, "/well/a%20b.jpg", "there").expect(201);
    wait_until_well(&cluster, "/well/a%20b.jpg");
    let (_, probe) = probe(&cluster, "/well/a%20b.jpg");
    assert_eq!(probe["verdict"], "as it should be: all 3 owners hold the same version");
    let owners = cluster.owners("/well/a%20b.jpg");
    for node in 0..4 {
        let told = told(&probe, &cluster.name(node));
        let rank = owners.iter().position(|owner| *owner == node);
        assert_eq!(told["owner"].as_u64(), rank.map(|rank| rank as u64 + 1), "{told}");
        assert_eq!(told["complete"], true);
        if rank.is_none() {
            assert_eq!((&told["holds"], &told["role"]), (&"nothing".into(), &"no owner".into()));
            continue;
        }
        let file = fs::metadata(cluster.file(node, "/well/a b.jpg")).unwrap();
        let since = file.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(told["holds"], "file");
        assert_eq!(
            told["version"].as_u64().map(u128::from),
            Some(since.as_nanos()),
            "the version is the mtime"
        );
        assert_eq!(told["size"], 5);
        assert_eq!(told["crc32"], format!("{:08x}", crc32fast::hash(b"there")));
        assert_eq!(told["time"], httpdate::fmt_http_date(file.modified().unwrap()));
    }
    let (code, text, _) = explain(&cluster, &["/well/a%20b.jpg"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("    1 other node holds nothing\n  as it should be: all 3 owners"), "{text}");
}

fn a_replica_that_is_gone_and_one_that_should_not_be_there_are_named(front: Front) {
    let cluster = start(front);
    for path in ["/gone/a.jpg", "/gone/stray.jpg", "/gone/well.jpg"] {
        cluster.put(0, path, "there").expect(201);
        wait_until_well(&cluster, path);
    }
    let owners = cluster.owners("/gone/a.jpg");
    fs::remove_file(cluster.file(owners[1], "/gone/a.jpg")).unwrap();
    let (code, found) = probe(&cluster, "/gone/a.jpg");
    let lacking = cluster.name(owners[1]);
    assert_eq!((code, &found["verdict"]), (1, &"not as it should be".into()));
    assert_eq!(found["wrong"], serde_json::json!([format!("{lacking}, owner 2, lacks it")]));
    assert_eq!(told(&found, &lacking)["holds"], "nothing");

    let owners = cluster.owners("/gone/stray.jpg");
    let other = (0..4).find(|node| !owners.contains(node)).unwrap();
    let stray = cluster.file(other, "/gone/stray.jpg");
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, "put here by hand, and later").unwrap();
    let (code, found) = probe(&cluster, "/gone/stray.jpg");
    assert_eq!(code, 1);
    let name = cluster.name(other);
    let expected = format!("{name}, no owner, holds a stray copy that is newer than what the owners hold");
    assert_eq!(found["wrong"], serde_json::json!([expected]));
    assert_eq!(told(&found, &name)["crc32"], Value::Null, "no checksum yet");

    // Each of several files has a verdict of its own, and the exit code is that of the worst.
    let (code, text, errors) = explain(&cluster, &["/gone/a.jpg", "/gone/well.jpg"]);
    assert_eq!((code, errors.as_str()), (1, "webdfs: 1 of 2 files not as they should be\n"));
    assert!(
        text.contains(&format!("  not as it should be\n    WRONG {lacking}, owner 2, lacks it\n")),
        "{text}"
    );
    assert!(text.contains("  as it should be: all 3 owners hold the same version\n"), "{text}");
}

fn a_deleted_file_is_told_from_one_that_never_was(front: Front) {
    let cluster = start(front);
    cluster.put(0, "/deleted/a.jpg", "there").expect(201);
    cluster.delete(1, "/deleted/a.jpg").expect(204);
    wait_until_well(&cluster, "/deleted/a.jpg");
    let (_, deleted) = probe(&cluster, "/deleted/a.jpg");
    assert_eq!(deleted["verdict"], "as it should be: deleted, and all 3 owners hold the tombstone");
    let owners = cluster.owners("/deleted/a.jpg");
    let versions: Vec<_> =
        owners.iter().map(|node| told(&deleted, &cluster.name(*node))["version"].as_u64()).collect();
    assert!(versions[0].is_some() && versions.iter().all(|version| *version == versions[0]), "{deleted}");
    let (_, never) = probe(&cluster, "/deleted/never.jpg");
    assert_eq!(never["verdict"], "as it should be: there is no such file, nor a tombstone of one");
}

fn a_node_that_does_not_answer_is_told_with_the_reason(front: Front) {
    let cluster = start(front);
    let owned = cluster.path_owned("/down", |owners| owners.contains(&3));
    let other = cluster.path_owned("/down", |owners| !owners.contains(&3));
    for path in [&owned, &other] {
        cluster.put(0, path, "there").expect(201);
        wait_until_well(&cluster, path);
    }
    cluster.kill(3);
    let (code, found) = probe(&cluster, &owned);
    assert_eq!(code, 1);
    let error = told(&found, "img4")["error"].as_str().unwrap();
    assert!(error.starts_with("does not answer: Connection refused"), "{error}");
    assert_eq!(found["wrong"].as_array().unwrap().len(), 1);
    assert!(found["wrong"][0].as_str().unwrap().ends_with(&format!("cannot say what it holds: it {error}")));
    // What it has nothing to do with is well without it, as far as can be known.
    let (code, found) = probe(&cluster, &other);
    assert_eq!(code, 0, "{found}");
    assert!(found["notes"][0].as_str().unwrap().starts_with("img4, no owner, cannot say"), "{found}");
}

fn a_node_of_an_older_map_alone_is_asked_under_that_map(front: Front) {
    let cluster = start(front);
    let path = cluster.path_owned("/older", |owners| owners.contains(&3));
    cluster.put(0, &path, "there").expect(201);
    wait_until_well(&cluster, &path);
    // The map that the nodes work by is the older one here: a newer one, without node 3, has reached this root alone.
    let map = cluster.config(0).with_file_name("../cluster.toml");
    let text = fs::read_to_string(&map).unwrap();
    let last = text.rfind("[[subcluster.node]]").unwrap();
    let newer = text[..last].replace("epoch = 1", "epoch = 2");
    fs::write(cluster.root(0).join(".webdfs/maps/2.toml"), newer).unwrap();
    let (code, out, _) = explain(&cluster, &["--json", &path]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, answer[0]["maps"][1]["change"]["went"].to_string()), (1, r#"["img4"]"#.to_owned()));
    let probe = &answer[0]["probe"];
    let former = told(probe, "img4");
    assert_eq!((&former["role"], &former["holds"]), (&"owner under epoch 1".into(), &"file".into()));
    assert!(told(probe, "img1")["error"].is_null(), "{probe}");
    assert!(probe["notes"][0].as_str().unwrap().ends_with("still holds it"), "{probe}");
}
