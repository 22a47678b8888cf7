use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::{Answer, Call, Cluster};

/// A signing key.
pub const KEY: &str = "site1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub fn webdfs(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_webdfs")).args(arguments).output().expect("webdfs runs")
}

/// What a command prints.
#[track_caller]
pub fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text").trim_end().to_owned()
}

/// What a command that fails says.
#[track_caller]
pub fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

/// Makes a token on node 0, and brings the file to the other nodes.
pub fn token(cluster: &Cluster, arguments: &[&str]) -> String {
    let config = cluster.config(0);
    let token = said(&webdfs(&[&["token", "new", "--config", text(&config)], arguments].concat()));
    spread(cluster);
    token
}

/// Takes a token out on all nodes.
pub fn revoke(cluster: &Cluster, name: &str) {
    let config = cluster.config(0);
    said(&webdfs(&["token", "revoke", name, "--config", text(&config)]));
    spread(cluster);
}

fn spread(cluster: &Cluster) {
    let file = |node| cluster.config(node).with_file_name("tokens.toml");
    for node in cluster.present().filter(|node| *node != 0) {
        let new = file(node).with_extension("new");
        fs::copy(file(0), &new).expect("the file is copied");
        fs::rename(new, file(node)).expect("the file is replaced");
    }
}

/// The path and query of a signed URL.
pub fn signed(cluster: &Cluster, arguments: &[&str]) -> String {
    let config = cluster.config(0);
    said(&webdfs(&[&["sign", "--config", text(&config)], arguments].concat()))
}

/// Lays the signing key beside each node.toml.
pub fn lay_key(cluster: &Cluster) {
    for node in cluster.present() {
        let path = cluster.config(node).with_file_name("sign.key");
        fs::write(&path, KEY).expect("the key is written");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("a mode");
    }
}

/// A request with a token.
pub fn with_token(call: Call, token: &str) -> Call {
    call.header("Authorization", &format!("Bearer {token}"))
}

pub fn put(target: &str, body: &str) -> Call {
    Call::new("PUT", target).body(body)
}

/// Checks that an answer refuses and says no more than that.
#[track_caller]
pub fn assert_bare(answer: &Answer) {
    assert_eq!((answer.status, answer.text().as_str()), (403, "Forbidden\n"), "{answer}");
}
