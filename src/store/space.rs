//! How much room the root's disk has.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// The room of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// What is free for the user that webdfs runs as.
    pub free: u64,
    /// All of it.
    pub capacity: u64,
}

impl Store {
    /// How much room the root's disk has.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn space(&self) -> Result<Space, StoreError> {
        let space = rustix::fs::fstatvfs(self.root.handle())
            .map_err(|source| self.io("ask for the free space of", Path::new("."), source.into()))?;
        Ok(Space {
            free: space.f_bavail.saturating_mul(space.f_frsize),
            capacity: space.f_blocks.saturating_mul(space.f_frsize),
        })
    }

    /// Free space for uploads: whether more may be taken in.
    ///
    /// # Errors
    /// [`StoreError::Full`] when less than the reserve would be left after `bytes` more.
    pub fn check_space(&self, bytes: u64) -> Result<(), StoreError> {
        let Space { free, capacity } = self.space()?;
        if free < self.settings.reserve.bytes(capacity).saturating_add(bytes) {
            return Err(StoreError::Full { root: self.settings.root.clone() });
        }
        Ok(())
    }
}
