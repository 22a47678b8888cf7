//! The commit: how a complete upload becomes the replica of its name.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attribute::{ATTRIBUTE, ATTRIBUTE_NAME, Attribute};
use super::layout::{self, NameHash};
use super::spool::SpoolId;
use super::{Store, StoreError};
use crate::config::{Durability, Layout};
use crate::failpoint::{Wrong, does_wrong};
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

impl Commit<'_> {
    /// What is held once it is done.
    fn copy(&self) -> Held {
        Held::Copy(CopyInfo { version: self.version, size: self.length, crc32: Some(self.crc32) })
    }
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

/// Nobody but webdfs reads its own files.
const OWN_MODE: u32 = 0o600;

/// How often a rename is tried anew because its folder was removed as empty at the same moment.
const RENAME_TRIES: usize = 16;

impl Store {
    /// Makes a complete upload the replica of its name, unless this root holds that or something newer. Either is
    /// durable when this returns, and the upload is gone, whether or not an error is returned.
    ///
    /// # Errors
    /// [`StoreError::NotPrepared`] when there is no such upload or it is not what the commit says;
    /// [`StoreError::SyncFailed`] and others when the disk fails. Then the old replica is still there, unless it was
    /// a folder that could not be synced: the outcome is unknown then, and a repeat settles it.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<Outcome, StoreError> {
        self.check_writable()?;
        let sync = !commit.for_client || self.settings.durability == Durability::Sync;
        let sync = sync && !does_wrong(Wrong::NoSync);
        let hash = NameHash::of(commit.name);
        let (spool, file) = match self.claim_spool(commit) {
            Err(StoreError::NotPrepared) => return self.committed_before(commit, hash, sync),
            other => other?,
        };
        let result = self.commit_spool(commit, hash, (&spool, &file), sync);
        if result.is_err() {
            let _ = self.calls.unlink(&spool);
        }
        result
    }

    /// Without an upload: whether its commit came before and this is a repeat of it, or something newer came.
    fn committed_before(
        &self,
        commit: &Commit<'_>,
        hash: NameHash,
        sync: bool,
    ) -> Result<Outcome, StoreError> {
        let _lock = self.lock_key(commit.name, hash)?;
        match Outcome::of(commit.copy().supersedes(&self.held_now(commit.name, hash)?)) {
            Outcome::Done => Err(StoreError::NotPrepared),
            outcome => {
                if sync {
                    self.sync_held(commit.name, hash)?;
                }
                Ok(outcome)
            }
        }
    }

    fn commit_spool(
        &self,
        commit: &Commit<'_>,
        hash: NameHash,
        (spool, file): (&Path, &File),
        sync: bool,
    ) -> Result<Outcome, StoreError> {
        let attribute = Attribute::Replica { version: commit.version, crc32: commit.crc32 };
        let fail = |action, source| self.io(action, spool, source);
        self.calls
            .set_attribute(file, spool, ATTRIBUTE, &attribute.encode())
            .map_err(|source| fail("set the attribute of", source))?;
        self.calls
            .set_mtime(file, spool, commit.version)
            .map_err(|source| fail("set the mtime of", source))?;
        // Where names share paths, a replica says whose it is.
        if self.settings.layout != Layout::Path {
            self.set_name(spool, file, commit.name)?;
        }
        if sync {
            self.sync_temporary(file, spool)?;
        }

        let _lock = self.lock_key(commit.name, hash)?;
        let held = self.held_now(commit.name, hash)?;
        let outcome = Outcome::of(commit.copy().supersedes(&held));
        if outcome != Outcome::Done {
            if sync {
                self.sync_held(commit.name, hash)?;
            }
            self.calls.unlink(spool).map_err(|source| fail("remove", source))?;
            return Ok(outcome);
        }
        // A client knows what it replaces; the repair of another node's loss does not.
        if !commit.for_client {
            self.put_away_by_hand(commit.name, hash)?;
        }
        let path = self.put_in_place(spool, file, commit.name, hash, sync)?;
        if sync {
            self.sync_name(&path)?;
            // What is not durable must not cost what is: without the syncs, an older tombstone or copy stays.
            if held != Held::Nothing {
                self.remove_superseded(hash, &path);
            }
        }
        Ok(Outcome::Done)
    }

    /// Makes durable what this root holds of a name, and that there is nothing at its path if there is nothing. Its
    /// writer may have died before the sync, and whoever is told that it is held relies on it. The caller holds the
    /// key's lock.
    pub(super) fn sync_held(&self, name: &ObjectName, hash: NameHash) -> Result<(), StoreError> {
        let (tombstone, escape) = (hash.tombstone(), hash.escape());
        let path = layout::path(self.settings.layout, name);
        let path = path.as_deref();
        for place in [Some(tombstone.as_path()), Some(escape.as_path()), path].into_iter().flatten() {
            let opened = self.open_file(place, false).map_err(|source| self.io("open", place, source))?;
            if let Some((file, _)) = opened {
                self.calls.sync_file(&file, place).map_err(|source| self.sync_error(place, source))?;
                self.sync_name(place)?;
            } else if Some(place) == path {
                self.sync_removal(place)?;
            }
        }
        Ok(())
    }

    /// Renames the upload to its path, or into the escape area where its name cannot be a path.
    pub(super) fn put_in_place(
        &self,
        spool: &Path,
        file: &File,
        name: &ObjectName,
        hash: NameHash,
        sync: bool,
    ) -> Result<PathBuf, StoreError> {
        if let Some(path) = layout::path(self.settings.layout, name)
            && self.is_free_for(name, hash, &path)?
            && self.rename_into(spool, &path)?
        {
            return Ok(path.into_owned());
        }
        let escape = hash.escape();
        if self.settings.layout == Layout::Path {
            self.set_name(spool, file, name)?;
            if sync {
                self.sync_temporary(file, spool)?;
            }
        }
        if self.rename_into(spool, &escape)? {
            return Ok(escape);
        }
        Err(StoreError::Damaged {
            path: self.settings.root.join(&escape),
            problem: "a folder lies where a replica should".into(),
        })
    }

    /// Whether nothing lies at the path of a name but what may be its own replica. The caller holds the key's lock,
    /// which all names of that path share.
    fn is_free_for(&self, name: &ObjectName, hash: NameHash, path: &Path) -> Result<bool, StoreError> {
        if self.settings.layout == Layout::Path {
            return Ok(true);
        }
        match self.open_file(path, false).map_err(|source| self.io("open", path, source))? {
            Some((file, _)) => self.may_be_of(name, hash, path, &file),
            None => Ok(true),
        }
    }

    pub(super) fn set_name(&self, spool: &Path, file: &File, name: &ObjectName) -> Result<(), StoreError> {
        self.calls
            .set_attribute(file, spool, ATTRIBUTE_NAME, name.as_bytes())
            .map_err(|source| self.io("set the attribute of", spool, source))
    }

    /// Renames, making the folders above; `false` if something else's name is in the way: a replica where a folder
    /// is needed, or a folder where the replica should lie.
    pub(super) fn rename_into(&self, from: &Path, to: &Path) -> Result<bool, StoreError> {
        use io::ErrorKind::NotFound;
        for _ in 0..RENAME_TRIES {
            match self.calls.rename(from, to) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == NotFound => {}
                Err(error) if is_obstacle(&error) => return Ok(false),
                Err(source) => return Err(self.io("rename an upload to", to, source)),
            }
            // Either a folder above is missing or the upload is gone: someone emptied `tmp/` by hand.
            match self.root.stat(from) {
                Err(error) if error.kind() == NotFound => return Err(StoreError::NotPrepared),
                _ => {}
            }
            match self.make_parents(to) {
                Err(error) if error.kind() == NotFound => {}
                Err(error) => {
                    self.remove_empty_parents(to);
                    let obstacle = is_obstacle(&error);
                    return if obstacle {
                        Ok(false)
                    } else {
                        Err(self.io("make the folders for", to, error))
                    };
                }
                Ok(()) => {}
            }
        }
        // A folder that keeps vanishing, or a link that leads nowhere.
        Ok(false)
    }

    /// Writes a small file of our own in place of an older one, durably, and with a version for its mtime. On a full disk
    /// as long as there is ballast to give up.
    pub(super) fn replace(
        &self,
        path: &Path,
        text: &[u8],
        version: Option<Version>,
    ) -> Result<(), StoreError> {
        match self.try_to_replace(path, text, version) {
            Err(StoreError::Full { .. }) if self.give_up_ballast() => {
                self.try_to_replace(path, text, version)
            }
            result => result,
        }
    }

    fn try_to_replace(&self, path: &Path, text: &[u8], version: Option<Version>) -> Result<(), StoreError> {
        self.check_writable()?;
        let spool = Path::new(layout::TMP).join(format!("{}-own", SpoolId::random()));
        let file = self.create_temporary(&spool, OWN_MODE)?;
        let write = || -> Result<(), StoreError> {
            self.calls.write(&file, &spool, text).map_err(|source| self.io("write", &spool, source))?;
            if let Some(version) = version {
                self.calls
                    .set_mtime(&file, &spool, version)
                    .map_err(|source| self.io("set the mtime of", &spool, source))?;
            }
            self.sync_temporary(&file, &spool)?;
            if self.rename_into(&spool, path)? {
                return Ok(());
            }
            let path = self.settings.root.join(path);
            Err(StoreError::Damaged { path, problem: "something lies where webdfs keeps a file".into() })
        };
        if let Err(error) = write() {
            let _ = self.calls.unlink(&spool);
            return Err(error);
        }
        self.sync_name(path)
    }

    /// After a replica is in place: whatever older thing the key has elsewhere.
    pub(super) fn remove_superseded(&self, hash: NameHash, kept: &Path) {
        let escape = hash.escape();
        if kept != escape {
            let _ = self.calls.unlink(&escape);
        }
        let _ = self.calls.unlink(&hash.tombstone());
    }
}

/// Errors that say another name is in the way, links that may not be followed, or that the file system cannot have
/// such a name although others can.
fn is_obstacle(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const OBSTACLES: [Errno; 6] =
        [Errno::LOOP, Errno::XDEV, Errno::ISDIR, Errno::NOTDIR, Errno::NAMETOOLONG, Errno::ILSEQ];
    Errno::from_io_error(error).is_some_and(|errno| OBSTACLES.contains(&errno))
}
