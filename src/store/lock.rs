//! Locks that work across the processes of one root, and vanish with their holder.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::layout::{self, NameHash};
use super::{Store, StoreError};
use crate::name::ObjectName;

/// A lock, of one key's stripe for example, held until dropped. Each is an open file of its own, so that it keeps out
/// other threads as well as other processes.
#[derive(Debug)]
pub struct HeldLock {
    _file: File,
}

/// Waits until nobody else has a file locked. The lock vanishes when the file is closed.
pub(super) fn wait_for(file: &File) -> std::io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| flock(file, FlockOperation::LockExclusive))?)
}

/// The right to do the root's background work, held until dropped; by several processes in turn if the descriptor is
/// passed on, for the lock is that of the open file (flock(2)).
#[derive(Debug)]
pub struct AgentLock {
    file: File,
}

impl From<OwnedFd> for AgentLock {
    /// The lock of the process that passed this descriptor.
    fn from(descriptor: OwnedFd) -> Self {
        Self { file: descriptor.into() }
    }
}

impl AsFd for AgentLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Store {
    /// Waits for the lock of a key.
    pub(super) fn lock_key(&self, name: &ObjectName, hash: NameHash) -> Result<HeldLock, StoreError> {
        self.lock(&layout::lock(self.settings.layout, name, hash))
    }

    /// Waits for the lock of the root's identity.
    pub(super) fn lock_identity(&self) -> Result<HeldLock, StoreError> {
        self.lock(Path::new(layout::IDENTITY_LOCK))
    }

    /// Waits for the lock of what the agent remembers.
    pub(super) fn lock_record(&self) -> Result<HeldLock, StoreError> {
        self.lock(Path::new(layout::AGENT_RECORD_LOCK))
    }

    /// Waits for the locks of all keys, so that nobody changes any.
    pub(super) fn lock_all_keys(&self) -> Result<Vec<HeldLock>, StoreError> {
        layout::locks().map(|path| self.lock(&path)).collect()
    }

    /// Waits for the lock of what is remembered of other nodes.
    pub(super) fn lock_stamps(&self) -> Result<HeldLock, StoreError> {
        self.lock(Path::new(layout::STAMPS_LOCK))
    }

    /// Waits for the lock of the maps.
    pub(super) fn lock_maps(&self) -> Result<HeldLock, StoreError> {
        self.lock(Path::new(layout::MAPS_LOCK))
    }

    /// Has everybody who would change the maps wait, until dropped.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn hold_maps(&self) -> Result<HeldLock, StoreError> {
        let path = Path::new(layout::MAPS_LOCK);
        let file = self.open_lock(path)?;
        rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockShared))
            .map_err(|error| self.io("lock", path, error.into()))?;
        Ok(HeldLock { _file: file })
    }

    fn lock(&self, path: &Path) -> Result<HeldLock, StoreError> {
        let file = self.open_lock(path)?;
        wait_for(&file).map_err(|source| self.io("lock", path, source))?;
        Ok(HeldLock { _file: file })
    }

    /// Takes the agent's lock if no other process has it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn try_lock_agent(&self) -> Result<Option<AgentLock>, StoreError> {
        let path = Path::new(layout::AGENT_LOCK);
        let file = self.open_lock(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(AgentLock { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(self.io("lock", path, error.into())),
        }
    }

    pub(super) fn open_lock(&self, path: &Path) -> Result<File, StoreError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
        let opened =
            self.root.open_beneath(path, flags, 0o600).map_err(|source| self.io("open", path, source))?;
        Ok(File::from(opened))
    }
}
