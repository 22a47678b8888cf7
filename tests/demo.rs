//! `webdfs demo --check` as a user runs it, on both fronts: everything is found, and nothing is left behind.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the demo with `temporary` as the folder for temporary files.
fn demo(temporary: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.arg("demo").args(arguments).env("TMPDIR", temporary).output().expect("the demo runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_success(output: &Output, lines: &[&str]) {
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{errors}", output.status);
    for line in lines {
        assert!(out.lines().any(|found| found.starts_with(line)), "no line {line:?} in\n{out}");
    }
    assert!(!out.contains('\x1b'), "colours without a terminal");
}

#[track_caller]
fn assert_empty(folder: &Path) {
    let left: Vec<_> = std::fs::read_dir(folder).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_demo_finds_everything_behind_nginx() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = demo(dir.path(), &["--check", "--front", "nginx"]);
    assert_success(
        &output,
        &[
            "front: nginx ",
            "stored 36 of 36 images",
            "found 108 of 108 copies",
            "read back 108 of 108",
            "decoded again 36 of 36",
        ],
    );
    assert_empty(dir.path());
}

#[test]
fn the_demo_finds_everything_on_the_embedded_front_with_more_nodes_than_copies() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = demo(dir.path(), &["--check", "--front", "http", "--nodes", "4", "--replicas", "2"]);
    assert_success(
        &output,
        &[
            "front: the embedded one",
            "stored 36 of 36 images",
            "found 72 of 72 copies",
            "read back 144 of 144",
        ],
    );
    assert_empty(dir.path());
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("holiday.jpg"), "mine").expect("a file");
    let keep = dir.path().to_str().expect("text");
    let output = demo(dir.path(), &["--check", "--front", "http", "--keep", keep]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is not empty"), "{}", text(&output.stderr));
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .expect("it is there")
        .map(|entry| entry.expect("a file").file_name())
        .collect();
    assert_eq!(names, ["holiday.jpg"]);
}
