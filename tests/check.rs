//! `webdfs check`: what it says of a running cluster, and of what is wrong with one.

mod common;

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use common::{Cluster, Front, Options, wait_until};

on_both_fronts!(
    a_cluster_that_is_well_passes_every_test,
    a_node_that_does_not_answer_is_named_and_ends_in_exit_code_one,
    a_lost_node_need_not_answer,
    a_secret_that_others_may_read_is_refused_with_its_mode,
    a_web_server_that_serves_files_itself_is_found_out_where_every_read_is_to_be_compared,
    a_file_by_hand_that_webdfs_may_not_mark_is_named_with_its_owner,
);

/// Exit code, and everything that was printed.
fn check(cluster: &Cluster, node: usize) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    let output = command.arg("check").arg("--config").arg(cluster.config(node)).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("an exit code"), String::from_utf8(text).unwrap())
}

/// Asserts that a line begins with a word and what it is about, and contains a text.
fn assert_line(report: &str, word: &str, about: &str, text: &str) {
    let start = format!("{word:<5} {about}: ");
    let found = report.lines().any(|line| line.starts_with(&start) && line.contains(text));
    assert!(found, "no line \"{start}...{text}\" in:\n{report}");
}

fn a_cluster_that_is_well_passes_every_test(front: Front) {
    let cluster = common::shared(front);
    let (code, report) = check(&cluster, 0);
    assert_eq!(code, 0, "{report}");
    assert_line(&report, "set", "name", &cluster.name(0));
    assert_line(&report, "ok", "root", "user attributes");
    assert_line(&report, "ok", "node.toml of the root", "complete");
    assert_line(&report, "ok", "map", "3 nodes, 3 replicas, 2 of them for a write");
    for node in 0..3 {
        assert_line(&report, "ok", &format!("node {}", cluster.name(node)), "answers at");
    }
    assert_line(&report, "ok", ".webdfs", "is not served");
    assert!(!report.contains(common::setup::SECRET), "{report}");
}

fn a_node_that_does_not_answer_is_named_and_ends_in_exit_code_one(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    cluster.kill(2);
    let (code, report) = check(&cluster, 0);
    assert_eq!(code, 1, "{report}");
    assert_line(&report, "WRONG", &format!("node {}", cluster.name(2)), "does not answer");
    assert!(report.contains("1 of "), "{report}");
}

fn a_lost_node_need_not_answer(front: Front) {
    fn the_last_is_lost(cluster: &Cluster) {
        let map = cluster.config(0).with_file_name("../cluster.toml");
        let text = std::fs::read_to_string(&map).unwrap();
        std::fs::write(&map, format!("{text}state = \"lost\"\n")).unwrap();
    }
    let options = Options { nodes: 4, absent: &[3], prepare: the_last_is_lost, ..Options::default() };
    let cluster = Cluster::start(front, options);
    let about = format!("node {}", cluster.name(3));
    let (code, report) = check(&cluster, 0);
    assert_eq!(code, 0, "{report}");
    assert_line(&report, "-", &about, "is lost, says the map (");
    cluster.add(3);
    wait_until("the lost node answers", || check(&cluster, 0).1.contains("says the map, and answers"));
    let (code, report) = check(&cluster, 0);
    assert_eq!(code, 0, "{report}");
    assert_line(&report, "warn", &about, "is lost, says the map, and answers");
}

fn a_secret_that_others_may_read_is_refused_with_its_mode(front: Front) {
    let cluster = Cluster::start(front, Options::default());
    let secret = cluster.config(0).with_file_name("secret");
    std::fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let (code, report) = check(&cluster, 0);
    assert_eq!(code, 1, "{report}");
    assert!(report.contains("0644") && report.contains("chmod 600"), "{report}");
}

fn a_web_server_that_serves_files_itself_is_found_out_where_every_read_is_to_be_compared(front: Front) {
    for static_first in [true, false] {
        let options = Options { top: "read = \"quorum\"", static_first, ..Options::default() };
        let cluster = Cluster::start(front, options);
        let before = names(&cluster);
        let (code, report) = check(&cluster, 0);
        assert_line(&report, "set", "read", "quorum");
        assert_line(&report, "set", "deliver.remote", "proxy");
        // The embedded front has no files of its own.
        if static_first && front == Front::Nginx {
            assert_eq!(code, 1, "{report}");
            assert_line(&report, "WRONG", "read", "serves files itself");
        } else {
            assert_eq!(code, 0, "{report}");
            assert_line(&report, "ok", "read", "asks webdfs for every file");
        }
        assert_eq!(names(&cluster), before, "nothing is left behind in the root");
    }
}

/// What lies in a node's root.
fn names(cluster: &Cluster) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        std::fs::read_dir(cluster.root(0)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Needs the right to give files away.
fn a_file_by_hand_that_webdfs_may_not_mark_is_named_with_its_owner(front: Front) {
    let cluster = Cluster::start(front, Options::one_node(|_| ()));
    cluster.put(0, "/ours.jpg", "ours").expect(201);
    let file = cluster.file(0, "/theirs.jpg");
    std::fs::write(&file, "theirs").unwrap();
    assert_line(&check(&cluster, 0).1, "ok", "files by hand", "may make replicas");
    chown(cluster.root(0).join(".webdfs"), Some(65534), Some(65534)).unwrap();
    let (code, report) = check(&cluster, 0);
    assert_eq!(code, 0, "{report}");
    assert_line(&report, "warn", "files by hand", "theirs.jpg belongs to user 0");
    assert_line(&report, "warn", "files by hand", "chown them to user 65534");
    std::fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    assert_line(&check(&cluster, 0).1, "ok", "files by hand", "may make replicas");
}
