//! The end of a tombstone: since when every owner is known to have it, and that it is forgotten.

use std::time::Duration;

use super::attribute::ATTRIBUTE_AGREED;
use super::layout::{self, NameHash};
use super::read::{mtime, read_time};
use super::{Store, StoreError};
use crate::held::Held;
use crate::name::ObjectName;
use crate::version::Version;

impl Store {
    /// When [`Store::set_tombstone_agreed`] was called for the tombstone of exactly this version.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn tombstone_agreed(
        &self,
        name: &ObjectName,
        version: Version,
    ) -> Result<Option<Version>, StoreError> {
        let path = NameHash::of(name).tombstone();
        let opened = self.open_file(&path, false).map_err(|source| self.io("open", &path, source))?;
        let Some((file, _)) = opened.filter(|(_, stat)| mtime(stat) == version) else { return Ok(None) };
        read_time(&file).map_err(|source| self.io("read the attribute of", &path, source))
    }

    /// Notes that every owner of a key had its tombstone of this version at this time, unless an earlier time is noted. A
    /// tombstone that replaces it knows nothing of that. It is not synced: the time may be lost, and then it is a later one
    /// that counts.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set_tombstone_agreed(
        &self,
        name: &ObjectName,
        version: Version,
        now: Version,
    ) -> Result<(), StoreError> {
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        let path = hash.tombstone();
        let opened = self.open_file(&path, false).map_err(|source| self.io("open", &path, source))?;
        let Some((file, _)) = opened.filter(|(_, stat)| mtime(stat) == version) else { return Ok(()) };
        let noted = read_time(&file).map_err(|source| self.io("read the attribute of", &path, source))?;
        // One in the future comes from a clock that was wrong then or is wrong now: nobody can tell for how long it has been.
        if noted.is_some_and(|noted| noted <= now) {
            return Ok(());
        }
        let text = now.seconds().to_string();
        self.calls
            .set_attribute(&file, &path, ATTRIBUTE_AGREED, text.as_bytes())
            .map_err(|source| self.io("set the attribute of", &path, source))
    }

    /// For how long this root has known that every owner of a key has its tombstone of exactly this version; zero if it does
    /// not know that yet. The tombstone is durable when this returns. `None` if this root holds something else, or if what
    /// it holds does not count ([`Store::answer_counts`]).
    ///
    /// # Errors
    /// When the disk fails.
    pub fn tombstone_agreed_for(
        &self,
        name: &ObjectName,
        version: Version,
        now: Version,
    ) -> Result<Option<Duration>, StoreError> {
        let held = self.held_durably(name)?;
        if held != (Held::Tombstone { version }) || !self.answer_counts(name, &held)? {
            return Ok(None);
        }
        let agreed = self.tombstone_agreed(name, version)?;
        Ok(Some(agreed.map_or(Duration::ZERO, |agreed| now.since(agreed))))
    }

    /// Forgets the tombstone of exactly this version, if that is what this root holds of a key; whether it did. What lies in
    /// quarantine and is not newer is deleted for good then, as far as others are concerned: a person may still look at it.
    ///
    /// The end of the tombstone is not synced: one that comes back after a loss of power is forgotten another time. What it
    /// has hidden must not come back with it.
    ///
    /// # Errors
    /// When the disk fails. The tombstone is still there then.
    pub fn forget_tombstone(&self, name: &ObjectName, version: Version) -> Result<bool, StoreError> {
        self.check_writable()?;
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        if self.held_now(name, hash)? != (Held::Tombstone { version }) {
            return Ok(false);
        }
        // Whoever wrote it may have died before the older copy was gone, or before that was durable.
        self.put_away_replicas(name, hash)?;
        let path = layout::path(self.settings.layout, name);
        for place in [Some(hash.escape().as_path()), path.as_deref()].into_iter().flatten() {
            self.sync_removal(place)?;
        }
        self.settle_quarantined(hash, version)?;
        let tombstone = hash.tombstone();
        self.calls.unlink(&tombstone).map_err(|source| self.io("remove", &tombstone, source))?;
        Ok(true)
    }
}
