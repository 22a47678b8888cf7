//! Older copies of roots that are put back, as after a failed upgrade of a disk or from a backup of the machine. Each is
//! taken before one round and put back in a later one, and the root has gone on meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Cluster, wait_until};

use super::machine::Machine;
use super::schedule::{COPY_AGE_MAX, Fault, NODES};

impl Machine {
    /// Takes the copies that later rounds put back, before a round.
    pub(super) fn take_copies(&self, round: u64) {
        for later in round + 1..=round + COPY_AGE_MAX {
            for event in self.settings.plan.round(later).events {
                if let Fault::Return { node, age, .. } = event.fault
                    && later - age == round
                    && !self.copy_for(node, later).exists()
                {
                    self.take_copy(node, later);
                }
            }
        }
    }

    fn take_copy(&self, node: usize, later: u64) {
        self.cluster.kill_webdfs(node);
        let copy = self.copy_for(node, later);
        copy_root(&self.cluster.root(node), &copy);
        self.start_node(node);
        let others = self.running.iter().copied().filter(|other| !self.lost.contains(other));
        wait_until_older(&self.cluster, node, others, &copy);
    }

    /// Puts the copy for a round back. The node is down, and its root empty.
    pub(super) fn put_back(&self, node: usize, round: u64) {
        let copy = self.copy_for(node, round);
        copy_root(&copy, &self.cluster.root(node));
        fs::remove_dir_all(copy).expect("it was just read");
    }

    /// A person has looked at what roots have returned with and nobody knows, and needs it no more: disks are small.
    pub(super) fn clear_returned(&self) {
        for node in 0..NODES {
            let _ = fs::remove_dir_all(self.cluster.root(node).join(".webdfs/quarantine/returned"));
        }
    }

    fn copy_for(&self, node: usize, round: u64) -> PathBuf {
        self.cluster.root(node).with_extension(format!("before-{round}"))
    }
}

/// Waits until a copy of a root is known as one when it is put back: all others know that the root has gone on since. A
/// start raises the stamp, as an hour does; a younger copy is not known as one.
pub fn wait_until_older(cluster: &Cluster, node: usize, others: impl Iterator<Item = usize>, copy: &Path) {
    cluster.wait_until_ready(node);
    let before = stamp(&fs::read_to_string(copy.join(".webdfs/node.toml")).expect("an identity"));
    let name = cluster.name(node);
    let others: Vec<_> = others.filter(|other| *other != node).collect();
    wait_until("the others know that the root has gone on", || {
        others.iter().all(|other| {
            let remembered = cluster.root(*other).join(".webdfs/stamps").join(&name);
            fs::read_to_string(remembered).is_ok_and(|text| number(text.trim_end()) > before)
        })
    });
}

/// Copies all that lies in a root nobody uses, with times and attributes.
pub fn copy_root(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp runs");
    assert!(status.success(), "a copy of {}: {status}", from.display());
}

/// The number of the stamp in an identity.
fn stamp(identity: &str) -> u64 {
    let stamp = identity.lines().find_map(|line| line.strip_prefix("stamp = \""));
    number(stamp.expect("a root with a stamp"))
}

fn number(stamp: &str) -> u64 {
    stamp.split_once('-').and_then(|(number, _)| number.parse().ok()).expect("NUMBER-DRAW")
}
