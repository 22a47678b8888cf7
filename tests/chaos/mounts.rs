//! A small disk of its own for every node, where this program may mount: in a mount namespace that it enters by
//! starting itself again.

use std::process::Command;

use crate::common::Cluster;

use super::schedule::NODES;

/// Set in the program that may mount.
const INSIDE: &str = "WEBDFS_CHAOS_MAY_MOUNT";
/// Room on each disk.
const SIZE: &str = "size=96m";

/// Whether the nodes have disks of their own.
pub fn may_mount() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs one test of this program where it may mount. `None` if this is that program, or there is no such place here.
pub fn in_a_namespace(test: &str) -> Option<bool> {
    let unshared = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount"]).arg(command);
        unshare
    };
    if may_mount() || !unshared("true").status().is_ok_and(|status| status.success()) {
        return None;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = unshared(&program.display().to_string());
    command.args(["--exact", "--nocapture", test]).env(INSIDE, "yes");
    Some(command.status().expect("this program runs").success())
}

/// Gives each node its disk, before it starts.
pub fn prepare(cluster: &Cluster) {
    for node in (0..NODES).filter(|_| may_mount()) {
        std::fs::create_dir_all(cluster.root(node)).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "none"]).arg(cluster.root(node));
        assert!(mount.status().is_ok_and(|status| status.success()), "{mount:?}");
    }
}

/// Takes the disks away, once nobody uses them.
pub fn unmount(roots: &[std::path::PathBuf]) {
    for root in roots.iter().filter(|_| may_mount()) {
        let _ = Command::new("umount").arg("--lazy").arg(root).status();
    }
}
