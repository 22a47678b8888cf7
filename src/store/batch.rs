//! Many small replicas at once, as nodes send them to each other: the disk is asked to sync twice for all of them,
//! rather than several times for each.
//!
//! The rule of every write holds for each: its bytes are durable before it gets its name, and its name before anybody is
//! told.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::attribute::{ATTRIBUTE, Attribute};
use super::layout::{self, NameHash};
use super::spool::{SPOOL_LIFETIME, SpoolId};
use super::write::Outcome;
use super::{Store, StoreError};
use crate::config::Layout;
use crate::failpoint::{Step, step};
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::version::Version;

/// Files of a batch at most: each is open until the batch is committed.
pub const BATCH_FILES_MAX: usize = 256;

/// A copy on its way into a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCopy {
    /// Its name.
    pub name: ObjectName,
    /// Its version.
    pub version: Version,
    /// The checksum of its bytes.
    pub crc32: u32,
    /// Their number.
    pub size: u64,
}

impl BatchCopy {
    fn held(&self) -> Held {
        Held::Copy(CopyInfo { version: self.version, size: self.size, crc32: Some(self.crc32) })
    }
}

/// Copies that become replicas together. Dropped before [`Batch::commit`], they are removed.
#[derive(Debug)]
pub struct Batch {
    store: Arc<Store>,
    files: Vec<BatchFile>,
    begun: Instant,
    /// As [`Store::open_disk`] has it.
    disk: File,
}

#[derive(Debug)]
struct BatchFile {
    copy: BatchCopy,
    hash: NameHash,
    spool: PathBuf,
    /// Open, so that nobody takes it for abandoned.
    file: File,
}

impl Store {
    /// Begins a batch of `bytes` in all.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the disk is below its reserve, [`StoreError::SyncFailed`] after a failed sync.
    pub fn batch(self: &Arc<Self>, bytes: u64) -> Result<Batch, StoreError> {
        self.check_writable()?;
        self.check_space(bytes)?;
        Ok(Batch {
            store: Arc::clone(self),
            files: Vec::new(),
            disk: self.open_disk()?,
            begun: Instant::now(),
        })
    }

    /// What the disk is synced through: opened before anything is written that is to be durable by it. The system tells every
    /// handle once of what it could not write since that was opened: of two users who shared one, the other would take
    /// its bytes for durable.
    pub(super) fn open_disk(&self) -> Result<File, StoreError> {
        let disk = self.root.open_beneath(Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY, 0);
        Ok(disk.map_err(|source| self.io("open", Path::new(""), source))?.into())
    }

    /// Makes all that was written to the root's file system durable. If there was no room for some of it, which may be
    /// another program's, only this fails: a full disk is no broken one. At the first sync of a batch all of it is given up
    /// then, and at the second its bytes are durable already.
    pub(super) fn sync_all(&self, disk: &File) -> Result<(), StoreError> {
        self.calls.sync_all(disk).map_err(|source| self.temporary_sync_error(Path::new(""), source))
    }
}

impl Batch {
    /// Takes the bytes of a copy in.
    ///
    /// # Errors
    /// [`StoreError::NotPrepared`] when they are not what the copy says; others when the disk fails or is full.
    ///
    /// # Panics
    /// There are [`BATCH_FILES_MAX`] already.
    pub fn add(&mut self, copy: BatchCopy, bytes: &[u8]) -> Result<(), StoreError> {
        assert!(self.files.len() < BATCH_FILES_MAX, "a batch is bounded");
        if copy.size != bytes.len() as u64 || copy.crc32 != crc32fast::hash(bytes) {
            return Err(StoreError::NotPrepared);
        }
        let store = &self.store;
        let spool = Path::new(layout::TMP).join(format!("{}-batch", SpoolId::random()));
        let file = store.create_temporary(&spool, store.settings.file_mode)?;
        let hash = NameHash::of(&copy.name);
        self.files.push(BatchFile { copy, hash, spool, file });
        let BatchFile { copy, spool, file, .. } = self.files.last().expect("just pushed");
        let fail = |action, source| store.io(action, spool, source);
        store.calls.write(file, spool, bytes).map_err(|source| fail("write", source))?;
        let attribute = Attribute::Replica { version: copy.version, crc32: copy.crc32 };
        store
            .calls
            .set_attribute(file, spool, ATTRIBUTE, &attribute.encode())
            .map_err(|source| fail("set the attribute of", source))?;
        store
            .calls
            .set_mtime(file, spool, copy.version)
            .map_err(|source| fail("set the mtime of", source))?;
        // Where names share paths, a replica says whose it is.
        if store.settings.layout != Layout::Path {
            store.set_name(spool, file, &copy.name)?;
        }
        Ok(())
    }

    /// Makes each copy the replica of its name, unless this root holds that or something newer; in the order in which
    /// they were added. What is said of each is durable.
    ///
    /// # Errors
    /// When a sync fails: then the outcome is unknown of all of them. What fails for one copy alone is in its place:
    /// [`StoreError::TooSlow`] for each when they took longer than [`SPOOL_LIFETIME`] to arrive.
    pub fn commit(mut self) -> Result<Vec<Result<Outcome, StoreError>>, StoreError> {
        let store = Arc::clone(&self.store);
        store.check_writable()?;
        if self.begun.elapsed() > SPOOL_LIFETIME {
            let late =
                self.files.iter().map(|file| Err(StoreError::TooSlow { name: file.copy.name.clone() }));
            return Ok(late.collect());
        }
        store.sync_all(&self.disk)?;
        let placed: Vec<_> = self.files.iter().map(|file| store.place(file)).collect();
        step(Step::BatchPlaced);
        store.sync_all(&self.disk)?;
        let outcomes = self.files.iter().zip(placed).map(|(file, placed)| {
            let (outcome, superseded) = placed?;
            // What is not durable must not cost what is: so it comes last.
            if superseded {
                store.recover_name(&file.copy.name)?;
            }
            Ok(outcome)
        });
        let outcomes = outcomes.collect();
        // Those that were not needed.
        self.remove_spools();
        Ok(outcomes)
    }

    fn remove_spools(&mut self) {
        for file in self.files.drain(..) {
            let _ = self.store.calls.unlink(&file.spool);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.remove_spools();
    }
}

impl Store {
    /// Gives a copy its name; whether it has superseded something that lies elsewhere.
    fn place(&self, file: &BatchFile) -> Result<(Outcome, bool), StoreError> {
        let BatchFile { copy, hash, spool, file } = file;
        let _lock = self.lock_key(&copy.name, *hash)?;
        let held = self.held_now(&copy.name, *hash)?;
        let outcome = Outcome::of(copy.held().supersedes(&held));
        if outcome == Outcome::Done {
            self.put_away_by_hand(&copy.name, *hash)?;
            self.put_in_place(spool, file, &copy.name, *hash, true)?;
        }
        Ok((outcome, outcome == Outcome::Done && held != Held::Nothing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    #[test]
    fn copies_that_have_outlived_every_message_come_to_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(open(root.path()));
        let name = ObjectName::from_bytes(b"a.jpg").unwrap();
        let copy = BatchCopy {
            name: name.clone(),
            version: Version::from_nanos(1),
            crc32: crc32fast::hash(b"bytes"),
            size: 5,
        };
        let mut slow = store.batch(5).unwrap();
        slow.add(copy, b"bytes").unwrap();
        slow.begun -= SPOOL_LIFETIME;
        assert!(matches!(slow.commit().unwrap()[..], [Err(StoreError::TooSlow { .. })]));
        assert_eq!(store.held(&name).unwrap(), Held::Nothing);
        assert!(store.list(Path::new(layout::TMP)).unwrap().is_empty());
    }
}
