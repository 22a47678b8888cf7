//! Two nodes, what stands in their roots, and what must never be told.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::common::setup::SECRET;
use crate::common::{Answer, Cluster, Options, noise};

/// Who may write: somebody the web server has let in, and an address that no client here has.
pub const OTHERS: &str = r#"["remote-user", "203.0.113.0/24"]"#;
/// Two nodes, each with all objects; small files too are left to the web server where it does not look itself.
pub fn options(static_first: bool, allow: &'static str) -> Options {
    let deliver = if static_first { "" } else { "map_max = \"0B\"" };
    Options {
        nodes: 2,
        replicas: 2,
        write_quorum: 2,
        static_first,
        deliver,
        allow,
        prepare: plant,
        ..Options::default()
    }
}

/// What stands in every root: an object, scripts, hidden files, and links that lead out.
fn plant(cluster: &Cluster) {
    for node in cluster.present() {
        let root = cluster.root(node);
        fs::write(root.join("kept.jpg"), kept()).unwrap();
        fs::write(root.join("script.php"), "<?php secret(); ?>").unwrap();
        fs::write(root.join(".htpasswd"), "admin:secret").unwrap();
        fs::create_dir(root.join("folder")).unwrap();
        fs::write(root.join("folder/script.PHP"), "<?php secret(); ?>").unwrap();
        symlink("../secret", root.join("link.jpg")).unwrap();
        symlink("..", root.join("out")).unwrap();
        symlink(".webdfs", root.join("records")).unwrap();
        symlink("/etc", root.join("etc")).unwrap();
    }
}

pub fn kept() -> Vec<u8> {
    noise(1, 5000)
}

/// Everything on the disks that a write could change: the objects, and what webdfs knows of deletions and conflicts.
pub fn snapshot(cluster: &Cluster) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for node in cluster.present() {
        let root = cluster.root(node);
        read_all(&root, &mut found);
        for folder in ["tombstones", "escape", "quarantine"] {
            read_all(&root.join(".webdfs").join(folder), &mut found);
        }
    }
    found
}

fn read_all(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
        if kind.is_dir() && entry.file_name() != ".webdfs" {
            read_all(&path, found);
        } else if kind.is_file() {
            found.insert(path.to_string_lossy().into_owned(), fs::read(&path).expect("a file"));
        }
    }
}

/// Checks that nothing that is no object is in an answer, nor what servers say to each other.
#[track_caller]
pub fn assert_tells_nothing(answer: &Answer, what: &str) {
    let text = answer.text();
    for secret in [SECRET, "<?php", "admin:secret", "root:", "complete =", "[listen]"] {
        assert!(!text.contains(secret), "{what}: {answer}");
    }
    for name in ["X-Sendfile", "X-Accel-Redirect", "Webdfs-Peer", "Webdfs-Hop", "X-Split"] {
        assert!(answer.header(name).is_none(), "{what}: {answer}");
    }
}
