//! What the settings of the original are in webdfs: lines for `node.toml`, or advice.

use super::nodes::Found;
use super::value::{Key, List, Located, Value, lossy};
use crate::php::PhpVersion;

/// Settings that need no counterpart, and why.
const NOT_NEEDED: [(&str, &str); 17] = [
    (
        "tmpRoot",
        "webdfs keeps uploads in progress in .webdfs/tmp below root; what lies in tmpRoot is left over",
    ),
    ("locatorClassPath", "the locator is built in"),
    ("magicDbPath", "the Content-Type comes from the file's extension"),
    ("disconnectAfterSpooling", "a client is answered once write_quorum nodes have the file on their disks"),
    ("spoolReadSize", "not needed"),
    ("inputStream", "not needed"),
    ("debug", "webdfs logs to standard error; set RUST_LOG=webdfs=debug for more"),
    ("autoMove", "webdfs always finds and moves files after a change of the map"),
    ("useDio", "not needed"),
    ("fsync", "every write is on the disks before it is acknowledged; see durability in node.toml"),
    ("ttl", "the map is read anew when it changes"),
    ("lastConfigCheck", "not needed"),
    ("debugMsgs", "not needed"),
    ("errMsgs", "not needed"),
    ("exceptionMsgs", "not needed"),
    ("reqMethodSettings", "not needed; who may upload and delete is [write] allow in node.toml"),
    ("pathSeparator", "it is \"/\""),
];

/// Settings that were looked at elsewhere.
const TAKEN: [&str; 7] = [
    "data",
    "clusters",
    "replicationDegree",
    "locatorClassName",
    "storageRoot",
    "usePathHashing",
    "thisProxyUrl",
];

/// Lines for `node.toml`, and notes.
pub(super) fn advice(
    config: &List,
    state: &List,
    php: PhpVersion,
    found: &Found,
) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    this_node(config, found, &mut lines, &mut notes);
    match state.get("storageRoot").map(|root| &root.value) {
        Some(Value::Text(root)) => lines.push(format!("root = {}", quoted(&String::from_utf8_lossy(root)))),
        Some(other) => notes.push(format!("storageRoot is {}: set root in node.toml by hand.", other.kind())),
        None => notes.push("storageRoot is missing: set root in node.toml by hand.".to_owned()),
    }
    layout(config.get("usePathHashing"), php, &mut lines, &mut notes);
    match &found.path {
        Some(path) if path.is_empty() => {}
        Some(path) => lines.push(format!("prefix = {}", quoted(&format!("{path}/")))),
        None => {
            let note = "The paths in the proxyUrls differ: set prefix in each node.toml to its own, with a slash at the end, \
                        or let all nodes have the same.";
            notes.push(note.to_owned());
        }
    }
    let mut plain = Vec::new();
    for (key, value) in config.entries().iter().chain(state.entries()) {
        let Key::Text(key) = key else {
            notes.push(format!("line {}: an entry without a name is not taken over.", value.line));
            continue;
        };
        let key = lossy(key);
        match NOT_NEEDED.iter().find(|(name, _)| *name == key) {
            Some((_, "not needed")) => plain.push(key),
            Some((_, why)) => notes.push(format!("{key} (line {}): {why}.", value.line)),
            None if TAKEN.contains(&key.as_str()) => {}
            None => notes.push(format!(
                "{key} (line {}) is no setting that webdfs knows. It was not taken over; look up what it did.",
                value.line
            )),
        }
    }
    if !plain.is_empty() {
        notes.push(format!("Not needed any more: {}.", plain.join(", ")));
    }
    (lines, notes)
}

/// Which node the file was of.
fn this_node(config: &List, found: &Found, lines: &mut Vec<String>, notes: &mut Vec<String>) {
    let Some(Value::Text(own)) = config.get("thisProxyUrl").map(|own| &own.value) else { return };
    let own = String::from_utf8_lossy(own);
    match found.names.iter().find(|(written, _)| *written == own) {
        Some((_, name)) => {
            lines.push(format!("name = {}    # on the node whose file this was", quoted(name)))
        }
        None => notes.push(format!(
            "thisProxyUrl is {}, which is the proxyUrl of no node: this node held no files.",
            lossy(own.as_bytes())
        )),
    }
}

fn layout(hashing: Option<&Located>, php: PhpVersion, lines: &mut Vec<String>, notes: &mut Vec<String>) {
    let is_hashed = match hashing.map(|hashing| &hashing.value) {
        Some(Value::Bool(hashing)) => *hashing,
        Some(Value::Int(hashing)) => *hashing != 0,
        Some(Value::Null) => false,
        Some(other) => {
            let note = "usePathHashing is {}: with it set layout = \"webdfs_hashed\" and php, without it layout = \"path\".";
            return notes.push(note.replace("{}", other.kind()));
        }
        None => {
            let note = "usePathHashing is missing: releases without it always hashed paths. They also dropped / \\ : * ? | < > \" \
                        and % from names, so that /pets/cat.jpg was the file petscat.jpg, and is found as /petscat.jpg. Names \
                        with slashes are taken over from releases that have usePathHashing; look how files lie below \
                        storageRoot.";
            notes.push(note.to_owned());
            true
        }
    };
    if is_hashed {
        lines.push("layout = \"webdfs_hashed\"".to_owned());
        lines.push(format!("php = \"{php}\""));
    } else {
        lines.push("layout = \"path\"".to_owned());
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
