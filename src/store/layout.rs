//! Object name -> path under the root (design section 5).  Pure: nothing here looks at the disk.
//!
//! A replica lies under its own name where that can be a path. Two names cannot both be paths if one is a folder of
//! the other (`/a` and `/a/b`), and a segment over [`SEGMENT_BYTES_MAX`] cannot be one at all: such a replica lies in
//! the escape area under the hash of its name, with the name inside.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::name::ObjectName;

/// What webdfs keeps for itself under the root.
pub const PRIVATE: &str = ".webdfs";
/// Uploads in progress.
pub const TMP: &str = ".webdfs/tmp";
/// One small file per deleted object.
pub const TOMBSTONES: &str = ".webdfs/tombstones";
/// Replicas whose name cannot be a path.
pub const ESCAPE: &str = ".webdfs/escape";
/// Names known to be incompletely replicated, a folder per node that lacks them.
pub const DIRTY: &str = ".webdfs/dirty";
/// Key locks.
pub const LOCKS: &str = ".webdfs/locks";
/// Held while the identity is written.
pub const IDENTITY_LOCK: &str = ".webdfs/locks/identity";
/// Replicas that must not be served.
pub const QUARANTINE: &str = ".webdfs/quarantine";
/// Maps received and not settled, and the current one.
pub const MAPS: &str = ".webdfs/maps";
/// Whose root this is.
pub const IDENTITY: &str = ".webdfs/node.toml";
/// Room to give up when the disk is full.
pub const BALLAST: &str = ".webdfs/ballast";
/// Held by the process that does the background work.
pub const AGENT_LOCK: &str = ".webdfs/agent.lock";

/// The longest file name on Linux file systems (NAME_MAX), in bytes.
pub const SEGMENT_BYTES_MAX: usize = 255;

/// The path of a name, or `None` if it cannot be one on any file system.
pub fn path(name: &ObjectName) -> Option<&Path> {
    let fits = name.segments().all(|segment| segment.len() <= SEGMENT_BYTES_MAX);
    fits.then(|| Path::new(OsStr::from_bytes(name.as_bytes())))
}

/// The hash under which a name is filed inside `.webdfs`: the first 16 bytes of its SHA-256. The first byte
/// chooses the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameHash([u8; 16]);

impl NameHash {
    /// The hash of a name.
    pub fn of(name: &ObjectName) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self(short)
    }

    /// Where its tombstone lies, if it has one.
    pub fn tombstone(self) -> PathBuf {
        self.below(TOMBSTONES)
    }

    /// Where its replica lies if its name cannot be a path.
    pub fn escape(self) -> PathBuf {
        self.below(ESCAPE)
    }

    /// Where a file goes that bears its name and must not be served; `distinction` tells it from others of that name.
    pub fn quarantine(self, distinction: u64) -> PathBuf {
        Path::new(QUARANTINE).join(format!("{}-{distinction:016x}", hex::encode(self.0)))
    }

    /// The file that marks it as dirty for a node.
    pub fn dirty(self, node: &str) -> PathBuf {
        Path::new(DIRTY).join(node).join(hex::encode(self.0))
    }

    /// The key lock that covers it: one of 256, enough that two keys rarely share one.
    pub fn lock(self) -> PathBuf {
        Path::new(LOCKS).join(hex::encode(&self.0[..1]))
    }

    fn below(self, folder: &str) -> PathBuf {
        let (first, rest) = self.0.split_at(1);
        Path::new(folder).join(hex::encode(first)).join(hex::encode(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ObjectName {
        ObjectName::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_replica_lies_under_its_own_name() {
        assert_eq!(path(&name("a/b/cat.jpg")), Some(Path::new("a/b/cat.jpg")));
    }

    #[test]
    fn a_segment_longer_than_a_file_name_has_no_path() {
        assert!(path(&name(&format!("a/{}", "x".repeat(255)))).is_some());
        assert!(path(&name(&format!("a/{}/b", "x".repeat(256)))).is_none());
    }

    #[test]
    fn the_hash_of_a_name_never_changes() {
        // printf cat.jpg | sha256sum
        let hash = NameHash::of(&name("cat.jpg"));
        let hex = hex::encode(&Sha256::digest(b"cat.jpg")[..16]);
        assert_eq!(hash.tombstone(), Path::new(TOMBSTONES).join(&hex[..2]).join(&hex[2..]));
        assert_eq!(hash.escape(), Path::new(ESCAPE).join(&hex[..2]).join(&hex[2..]));
        assert_eq!(hash.dirty("img1"), Path::new(DIRTY).join("img1").join(&hex));
    }
}
