//! Files on a node that does not own them: what becomes of each once its owners have been asked (design section 8).

use std::fs::File;

use super::by_hand::ByHand;
use super::layout::NameHash;
use super::{Store, StoreError};
use crate::held::Held;
use crate::name::ObjectName;

impl Store {
    /// Has copies removed that this node does not own, and makes that durable for all of them at once.
    ///
    /// # Errors
    /// When the sync fails: after a loss of power any of them may be there again, and is removed anew.
    pub fn remove_together<T>(&self, remove: impl FnOnce() -> T) -> Result<T, StoreError> {
        let disk = self.open_disk()?;
        let removed = remove();
        self.sync_all(&disk)?;
        Ok(removed)
    }

    /// Moves the copy of a key into the quarantine, if it still is this one: this node is no owner of it, and some owner
    /// lacks it. Whether it was.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn quarantine_stray(&self, name: &ObjectName, found: &Held) -> Result<bool, StoreError> {
        self.check_writable()?;
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        let is_same = found.copy().is_some() && self.held_now(name, hash)? == *found;
        for replica in self.places(name, hash)?.iter().filter(|_| is_same) {
            let reason = "belongs elsewhere, and not every node that owns it knows it";
            self.quarantine(name, hash, (&replica.path, &replica.file), reason)?;
        }
        Ok(is_same)
    }

    /// The file by hand, if it still is what was read.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open_by_hand(&self, found: &ByHand) -> Result<Option<File>, StoreError> {
        self.reopen(&found.path, &found.look)
    }

    /// Takes a file by hand away of which this node is no owner, if it still is what was read: every owner holds this copy.
    /// If an owner holds something newer instead, it has lost to that and goes to quarantine. Whether it was. Durable once
    /// [`Store::remove_together`] has ended.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn part_with_by_hand(
        &self,
        name: &ObjectName,
        found: &ByHand,
        has_lost: bool,
    ) -> Result<bool, StoreError> {
        self.check_writable()?;
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        let Some(file) = self.reopen(&found.path, &found.look)? else { return Ok(false) };
        if has_lost {
            let reason = "was put there by hand and is older than what its owners hold";
            self.quarantine(name, hash, (&found.path, &file), reason)?;
        } else {
            self.unlink(&found.path)?;
        }
        Ok(true)
    }
}
