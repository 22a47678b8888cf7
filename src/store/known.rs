//! Whether another node has said which root it knows here, since any process of this root runs. An older copy that is put
//! back cannot know that of itself: what says so is a lock, which vanishes with the processes that hold it.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use super::layout;
use super::{Store, StoreError};

/// That the root is the one which other nodes know. Shared by all processes of the root that know it, held until dropped.
#[derive(Debug)]
pub struct KnownRoot {
    _file: File,
}

impl Store {
    /// What another process of this root knows, or another part of this one; `None` if nobody does.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn known_root(&self) -> Result<Option<KnownRoot>, StoreError> {
        // Or one that looks would take another that looks for one that knows.
        let _lock = self.lock_identity()?;
        let path = Path::new(layout::KNOWN_LOCK);
        let file = self.open_lock(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(None),
            Err(Errno::WOULDBLOCK) => self.share(file).map(Some),
            Err(error) => Err(self.io("lock", path, error.into())),
        }
    }

    /// Lets all processes of this root know that another node knows it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn make_known(&self) -> Result<KnownRoot, StoreError> {
        let _lock = self.lock_identity()?;
        self.share(self.open_lock(Path::new(layout::KNOWN_LOCK))?)
    }

    fn share(&self, file: File) -> Result<KnownRoot, StoreError> {
        retry_on_intr(|| flock(&file, FlockOperation::LockShared))
            .map_err(|error| self.io("lock", Path::new(layout::KNOWN_LOCK), error.into()))?;
        Ok(KnownRoot { _file: file })
    }
}
