//! What can go wrong with the storage root.

use std::io;
use std::path::{Path, PathBuf};

use crate::name::ObjectName;

/// Why the store could not do something. Nothing that was stored before is changed then, except by a write whose last
/// sync failed: its outcome is unknown, and a repeat settles it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A call failed. The request that met it fails; others may go on.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The disk is full, or below its reserve. Only uploads meet this; it goes away when space is freed.
    #[error("{root} has no room: free some space, or lower [write] reserve")]
    Full {
        /// The storage root.
        root: PathBuf,
    },
    /// There is no complete upload of that name, checksum and length to commit: it was never prepared here, has
    /// expired, or lost bytes when the machine stopped. The sender prepares again.
    #[error("no upload is prepared under this id, name and checksum")]
    NotPrepared,
    /// An upload took longer than any may. The sender may try again, faster.
    #[error("{name} took longer than 12 hours to arrive: it is not stored")]
    TooSlow {
        /// What it was to become.
        name: ObjectName,
    },
    /// A sync failed earlier. Writes are refused until the process is started anew, which looks at the disk afresh.
    #[error("a sync of {root} failed: writes are refused until webdfs is restarted; look at the disk")]
    SyncFailed {
        /// The storage root.
        root: PathBuf,
    },
    /// The file system has no user attributes; webdfs cannot start on it.
    #[error(
        "{root} is on a file system without user attributes ({source}): use ext4, xfs, btrfs or zfs (xattr=sa)"
    )]
    NoAttributes {
        /// The storage root.
        root: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file system rounds mtimes; webdfs cannot start on it.
    #[error(
        "{root} is on a file system that does not keep nanoseconds in mtimes: use ext4, xfs, btrfs or zfs"
    )]
    NoNanoseconds {
        /// The storage root.
        root: PathBuf,
    },
    /// `root_is_mount` is set and nothing is mounted there.
    #[error("{root} is not a mount point (root_is_mount = true): mount its disk first")]
    NotMounted {
        /// The storage root.
        root: PathBuf,
    },
    /// The root belongs to another node.
    #[error(
        "{root} belongs to node \"{found}\", not to \"{expected}\": mount the right disk, or correct name or root"
    )]
    OtherNode {
        /// The storage root.
        root: PathBuf,
        /// The name in its `.webdfs/node.toml`.
        found: String,
        /// The name in the configuration.
        expected: String,
    },
    /// The files of the root lie elsewhere than the configuration has it.
    #[error(
        "the files of {root} are laid out as {found}, not as {expected}: set layout and php back, or use another root"
    )]
    OtherLayout {
        /// The storage root.
        root: PathBuf,
        /// The layout in its `.webdfs/node.toml`.
        found: String,
        /// The layout in the configuration.
        expected: String,
    },
    /// A file under `.webdfs` is not what webdfs writes there.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl StoreError {
    /// A failed call.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
