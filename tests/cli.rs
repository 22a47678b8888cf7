//! The binary as a person or a script meets it: output, error lines and exit codes.

use std::path::Path;
use std::process::{Command, Output};

fn webdfs(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_webdfs")).args(arguments).output().unwrap()
}

fn shipped_map() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/cluster.toml").display().to_string()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn locate_answers_in_json_with_the_owners_alone() {
    let output = webdfs(&["locate", "--map", &shipped_map(), "--json", "/cat.jpg", "/b%20c.png"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let answer = answer.as_array().unwrap();
    assert_eq!(answer.len(), 2);
    assert_eq!((&answer[0]["path"], &answer[0]["epoch"]), (&"/cat.jpg".into(), &1.into()));
    let owners = answer[0]["owners"].as_array().unwrap();
    let mut names: Vec<_> = owners.iter().map(|owner| owner["node"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["img1", "img2", "img3"], "three replicas on three nodes");
    assert!(owners.iter().all(|owner| owner["url"].as_str().unwrap().starts_with("http://10.0.0.")));
    assert_eq!(owners[0].as_object().unwrap().len(), 2);
}

#[test]
fn locate_names_the_paths_it_refuses_and_answers_the_others() {
    let output = webdfs(&["locate", "--map", &shipped_map(), "/cat.jpg", "/../etc/passwd", "/a%2fb"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).starts_with("/cat.jpg (epoch 1)\n  1 img"), "{}", text(&output.stdout));
    let errors: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].starts_with("webdfs: /../etc/passwd: "), "{errors:?}");
    assert!(errors[1].starts_with("webdfs: /a%2fb: "), "{errors:?}");
    assert_eq!(errors[2], "webdfs: 2 of 3 paths refused");
}

#[test]
fn a_bad_configuration_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, "epoch = 1\nreplica = 3\n").unwrap();
    let output = webdfs(&["locate", "--map", path.to_str().unwrap(), "/cat.jpg"]);
    assert_eq!(output.status.code(), Some(1));
    let expected =
        format!("webdfs: {}:2: replica: there is no such setting; did you mean replicas?\n", path.display());
    assert_eq!(text(&output.stderr), expected);
    assert!(output.stdout.is_empty());
}

#[test]
fn a_missing_configuration_is_named_with_what_the_system_says() {
    let output = webdfs(&["locate", "--config", "/nonexistent/node.toml", "/cat.jpg"]);
    assert_eq!(output.status.code(), Some(1));
    let line = text(&output.stderr);
    assert!(line.starts_with("webdfs: /nonexistent/node.toml: cannot be read: No such file"), "{line}");
}

#[test]
fn help_and_version_need_no_configuration() {
    for argument in ["--help", "--version"] {
        let output = webdfs(&[argument]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("webdfs"));
    }
    let output = webdfs(&["locate", "/cat.jpg"]);
    assert_eq!(output.status.code(), Some(2), "neither --config nor --map");
}
