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

/// A map of one sub-cluster of these nodes.
fn write_map(folder: &Path, epoch: u64, nodes: &[&str]) -> String {
    let nodes = nodes.iter().map(|node| format!("{{ name = \"{node}\", url = \"http://{node}/_webdfs\" }},"));
    let nodes: String = nodes.collect();
    let path = folder.join(format!("{epoch}.toml"));
    let text = format!(
        "epoch = {epoch}\nreplicas = 2\nwrite_quorum = 1\n[[subcluster]]\nname = \"s\"\nnode = [{nodes}]"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn explain_names_the_owners_that_locate_names() {
    let map = shipped_map();
    let paths = ["/cat.jpg", "/b%20c.png", "/sub/"];
    let json = |command| {
        let output = webdfs(&[&[command, "--map", &map, "--json"], &paths[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let (located, explained) = (json("locate"), json("explain"));
    for at in 0..paths.len() {
        assert_eq!(explained[at]["path"], paths[at]);
        assert_eq!(explained[at]["maps"][0]["owners"], located[at]["owners"]);
        assert_eq!(explained[at]["maps"][0]["epoch"], located[at]["epoch"]);
        assert_eq!(explained[at]["maps"].as_array().unwrap().len(), 1);
    }
    // crc32 of "b c.png", decoded once; a folder means its index.
    assert_eq!(explained[1]["hash"], format!("{:08x}", crc32fast::hash(b"b c.png")));
    assert_eq!(explained[2]["name"], "sub/index.html");
}

#[test]
fn explain_tells_in_text_the_hash_the_steps_and_the_owners_under_older_maps() {
    let folder = tempfile::tempdir().unwrap();
    let new = write_map(folder.path(), 3, &["n1", "n2", "n3"]);
    let old = [write_map(folder.path(), 1, &["n1", "n2"]), write_map(folder.path(), 2, &["n1", "n2", "n4"])];
    let output = webdfs(&["explain", "--map", &new, "--older", &old[0], "--older", &old[1], "/cat.jpg"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines[..2], ["/cat.jpg", "  name  cat.jpg"]);
    assert!(lines[2].starts_with("  hash  118c0800, "), "{lines:?}");
    let maps: Vec<&&str> = lines.iter().filter(|line| line.starts_with("  epoch ")).collect();
    let epochs: Vec<&str> = maps.iter().map(|line| &line[..9]).collect();
    assert_eq!(epochs, ["  epoch 3", "  epoch 2", "  epoch 1"], "newest first");
    assert!(maps[0].ends_with("rush_r places 2 replicas on 3 nodes in 1 sub-cluster"), "{maps:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("      picks n")).count(), 2, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("    since then ")).count(), 2, "{lines:?}");
}

#[test]
fn explain_refuses_older_maps_that_are_not_and_paths_that_name_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (write_map(folder.path(), 3, &["n1", "n2"]), write_map(folder.path(), 2, &["n1", "n2"]));
    let output = webdfs(&["explain", "--map", &old, "--older", &new, "/cat.jpg"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), format!("webdfs: {new}: epoch 3 is not older than epoch 2 of {old}\n"));
    let output = webdfs(&["explain", "--map", &new, "/../x", "/cat.jpg"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).starts_with("/cat.jpg\n"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).ends_with("webdfs: 1 of 2 paths refused\n"), "{}", text(&output.stderr));
    let output = webdfs(&["explain", "--map", &new, "--probe", "/cat.jpg"]);
    assert_eq!(output.status.code(), Some(2), "only a node has the secret that it takes to ask the others");
}

#[test]
fn explain_shows_the_maps_that_a_root_remembers_and_says_which_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let remembered = folder.path().join("root/.webdfs/maps");
    std::fs::create_dir_all(&remembered).unwrap();
    for (epoch, nodes) in [(1, &["n1", "n2"][..]), (2, &["n1", "n3"])] {
        write_map(&remembered, epoch, nodes);
    }
    std::fs::write(remembered.join("0.toml"), "epoch = 0").unwrap();
    write_map(folder.path(), 3, &["n3", "n2"]);
    let config = folder.path().join("node.toml");
    std::fs::write(&config, "name = \"n1\"\nroot = \"root\"\nmap = \"3.toml\"\n").unwrap();
    let output = webdfs(&["explain", "--config", config.to_str().unwrap(), "--json", "/cat.jpg"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let maps = answer[0]["maps"].as_array().unwrap();
    let epochs: Vec<_> = maps.iter().map(|map| map["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [2, 1]);
    assert_eq!((&maps[1]["change"]["came"][0], &maps[1]["change"]["went"][0]), (&"n3".into(), &"n2".into()));
    let notes: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("webdfs: left out: ") && notes[0].contains("0.toml"), "{notes:?}");
    assert!(notes[1].contains("3.toml is map ") && notes[1].contains("is in force"), "{notes:?}");
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
