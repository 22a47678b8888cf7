//! The commit: how a complete upload becomes the replica of its name.

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attribute::{ATTRIBUTE, ATTRIBUTE_NAME, Attribute};
use super::layout::{self, NameHash};
use super::spool::SpoolId;
use super::{Store, StoreError};
use crate::config::Durability;
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::version::Version;

/// What a commit makes of an upload.
#[derive(Debug, Clone)]
pub struct Commit<'a> {
    /// The upload.
    pub id: SpoolId,
    /// The name it is for.
    pub name: &'a ObjectName,
    /// The version it gets.
    pub version: Version,
    /// The checksum its bytes must have.
    pub crc32: u32,
    /// The number of bytes it must have.
    pub length: u64,
    /// Whether a client waits for it. Only then may `durability = "none"` leave out the syncs.
    pub for_client: bool,
}

/// How a commit or a deletion ended. All three count as done for a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is now what this root holds.
    Done,
    /// This root held exactly that already.
    AlreadyHeld,
    /// This root holds something newer.
    HoldsNewer,
}

impl Outcome {
    pub(super) fn of(ordering: Ordering) -> Self {
        match ordering {
            Ordering::Less => Outcome::HoldsNewer,
            Ordering::Equal => Outcome::AlreadyHeld,
            Ordering::Greater => Outcome::Done,
        }
    }
}

/// How often a rename is tried anew because its folder was removed as empty at the same moment.
const RENAME_TRIES: usize = 16;

impl Store {
    /// Makes a complete upload the replica of its name, unless this root holds something newer. The upload is gone
    /// afterwards unless an error is returned.
    ///
    /// # Errors
    /// [`StoreError::NotPrepared`] when there is no such upload or it is not what the commit says;
    /// [`StoreError::SyncFailed`] and others when the disk fails. The old replica is then still there.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<Outcome, StoreError> {
        self.check_writable()?;
        let (spool, file, info) = self.open_spool(commit.id)?;
        if info.name != *commit.name || info.crc32 != commit.crc32 || info.length != commit.length {
            return Err(StoreError::NotPrepared);
        }
        let sync = !commit.for_client || self.settings.durability == Durability::Sync;
        let attribute = Attribute::Replica { version: commit.version, crc32: commit.crc32 };
        let fail = |action, source| self.io(action, &spool, source);
        self.calls
            .set_attribute(&file, &spool, ATTRIBUTE, &attribute.encode())
            .map_err(|source| fail("set the attribute of", source))?;
        self.calls
            .set_mtime(&file, &spool, commit.version)
            .map_err(|source| fail("set the mtime of", source))?;
        if sync {
            self.calls.sync_file(&file, &spool).map_err(|source| self.sync_error(&spool, source))?;
        }

        let hash = NameHash::of(commit.name);
        let _lock = self.lock_key(hash)?;
        let held = self.held(commit.name)?;
        let copy = CopyInfo { version: commit.version, size: commit.length, crc32: Some(commit.crc32) };
        let outcome = Outcome::of(Held::Copy(copy).supersedes(&held));
        if outcome != Outcome::Done {
            self.calls.unlink(&spool).map_err(|source| fail("remove", source))?;
            return Ok(outcome);
        }
        let path = self.put_in_place(&spool, &file, commit.name, hash, sync)?;
        if sync {
            self.sync_name(&path)?;
        }
        if held != Held::Nothing {
            self.remove_superseded(commit.name, hash, &path);
        }
        Ok(Outcome::Done)
    }

    /// Renames the upload to its path, or into the escape area where its name cannot be a path.
    fn put_in_place(
        &self,
        spool: &Path,
        file: &std::fs::File,
        name: &ObjectName,
        hash: NameHash,
        sync: bool,
    ) -> Result<PathBuf, StoreError> {
        if let Some(path) = layout::path(name)
            && self.rename_into(spool, path)?
        {
            return Ok(path.to_owned());
        }
        let escape = hash.escape();
        self.calls
            .set_attribute(file, spool, ATTRIBUTE_NAME, name.as_bytes())
            .map_err(|source| self.io("set the attribute of", spool, source))?;
        if sync {
            self.calls.sync_file(file, spool).map_err(|source| self.sync_error(spool, source))?;
        }
        if self.rename_into(spool, &escape)? {
            return Ok(escape);
        }
        Err(StoreError::Damaged {
            path: self.settings.root.join(&escape),
            problem: "a folder lies where a replica should".into(),
        })
    }

    /// Renames, making the folders above; `false` if something else's name is in the way: a replica where a folder
    /// is needed, or a folder where the replica should lie.
    pub(super) fn rename_into(&self, from: &Path, to: &Path) -> Result<bool, StoreError> {
        use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
        for _ in 0..RENAME_TRIES {
            match self.calls.rename(from, to) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == NotFound => {}
                Err(error) if is_obstacle(&error) => return Ok(false),
                Err(source) if matches!(source.kind(), IsADirectory | NotADirectory) => return Ok(false),
                Err(source) => return Err(self.io("rename an upload to", to, source)),
            }
            match self.make_parents(to) {
                Ok(()) => {}
                Err(error) if error.kind() == NotADirectory || is_obstacle(&error) => return Ok(false),
                Err(error) if error.kind() == NotFound => {}
                Err(source) => return Err(self.io("make the folders for", to, source)),
            }
        }
        // Either the folder keeps vanishing or the upload is gone: it expired, or another commit took it.
        Err(StoreError::NotPrepared)
    }

    /// After a replica is in place: whatever older thing the key has elsewhere.
    fn remove_superseded(&self, name: &ObjectName, hash: NameHash, kept: &Path) {
        let escape = hash.escape();
        if kept != escape {
            let _ = self.calls.unlink(&escape);
        }
        let _ = self.calls.unlink(&hash.tombstone());
        debug_assert!(layout::path(name).is_none_or(|path| path == kept) || kept == escape);
    }
}

/// Errors that say another name is in the way: links that may not be followed, and what resolves outside the root.
fn is_obstacle(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::XDEV | Errno::ISDIR | Errno::NOTDIR))
}
