use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Cluster, Front, Options, lay_down};

/// What a command shows on a terminal, and its exit code.
fn on_terminal(arguments: &str, config: &Path) -> (i32, String) {
    let command = format!("{} {arguments} --config {}", env!("CARGO_BIN_EXE_webdfs"), config.display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env("TERM", "xterm");
    let output = script.stdin(Stdio::null()).output().expect("script(1) runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("no signal"), shown)
}

/// Whether there was a bar that went from left to right.
fn has_bar(shown: &str) -> bool {
    shown.contains('█') && shown.contains(" %, ") && shown.contains("\x1b[")
}

#[test]
fn on_a_terminal_a_command_has_a_bar_that_is_gone_in_the_end_and_the_same_exit_codes() {
    let prepare = |cluster: &Cluster| {
        for number in 0..3 {
            lay_down(&cluster.root(0), &format!("{number}.jpg"), &[number; 1 << 20]);
        }
    };
    // Slow enough for a bar to be seen; due long after this.
    let agent = "bytes_per_second = \"1MiB\"\nscrub_every = \"never\"";
    let mut options =
        Options { nodes: 2, replicas: 2, write_quorum: 1, agent, prepare, ..Options::default() };
    options.map = String::new();
    let cluster = Cluster::start(Front::Embedded, options);
    let (code, shown) = on_terminal("scrub", &cluster.config(0));
    assert!(code == 0 && has_bar(&shown), "{code}: {shown}");
    assert!(!shown.contains("webdfs: scrub"), "no plain lines: {shown}");
    let last = shown.trim_end().rsplit(['\n', '\r', '\u{1b}']).next().unwrap();
    assert!(last.ends_with("scrub is finished: 3 keys, 3.00 MiB"), "{shown}");

    let (code, shown) = on_terminal("reconcile --once", &cluster.config(0));
    assert!(code == 0 && shown.contains("reconcile is finished: 3 keys"), "{code}: {shown}");
    cluster.kill(1);
    let (code, shown) = on_terminal("reconcile --once", &cluster.config(0));
    assert!(code == 1 && shown.contains("webdfs: reconcile is not finished: "), "{code}: {shown}");
    assert!(shown.contains("node img2"), "{shown}");
    cluster.kill(0);
    let (code, shown) = on_terminal("scrub", &cluster.config(0));
    assert!(code == 1 && shown.contains("no webdfs does the background work of"), "{code}: {shown}");
}
