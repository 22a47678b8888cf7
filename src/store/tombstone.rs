//! Deleting: the tombstone is durable before anything is unlinked.

use std::path::Path;

use super::attribute::{decode_tombstone, encode_tombstone};
use super::layout::{self, NameHash};
use super::read::{Replica, read_name};
use super::write::Outcome;
use super::{Store, StoreError};
use crate::failpoint::{Wrong, does_wrong};
use crate::held::Held;
use crate::name::ObjectName;
use crate::version::Version;

impl Store {
    /// Records that a key was deleted at a version and unlinks what is older, unless this root holds something
    /// newer. Durable when it returns, whatever `durability` says. Works below the reserve, and on a full disk
    /// as long as there is ballast to give up.
    ///
    /// # Errors
    /// When the disk fails; the replica may then still be there, and a repeat settles it.
    pub fn delete(&self, name: &ObjectName, version: Version) -> Result<Outcome, StoreError> {
        self.check_writable()?;
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        let outcome = Outcome::of(Held::Tombstone { version }.supersedes(&self.held_now(name, hash)?));
        match outcome {
            Outcome::Done if does_wrong(Wrong::NoTombstone) => {}
            Outcome::Done => {
                self.replace(&hash.tombstone(), &encode_tombstone(name, version), Some(version))?;
            }
            Outcome::AlreadyHeld | Outcome::HoldsNewer => self.sync_held(name, hash)?,
        }
        if outcome != Outcome::HoldsNewer {
            // After `AlreadyHeld` there is one only if whoever wrote the tombstone died before this.
            self.put_away_replicas(name, hash)?;
        }
        Ok(outcome)
    }

    /// Unlinks the copy of a key of which this node is no owner, if it still is this copy: every owner has it, or a newer
    /// one. Whether it was.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn unlink_confirmed(&self, name: &ObjectName, confirmed: &Held) -> Result<bool, StoreError> {
        self.unlink_copy(name, confirmed, Self::unlink_durably)
    }

    /// The same, durable once [`Store::remove_together`] has ended.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn unlink_stray(&self, name: &ObjectName, confirmed: &Held) -> Result<bool, StoreError> {
        self.unlink_copy(name, confirmed, Self::unlink)
    }

    fn unlink_copy(
        &self,
        name: &ObjectName,
        confirmed: &Held,
        unlink: fn(&Self, &Path) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        self.check_writable()?;
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        let has_checksum = confirmed.copy().is_some_and(|copy| copy.crc32.is_some());
        let is_same = has_checksum && self.held_now(name, hash)? == *confirmed;
        for replica in self.places(name, hash)?.iter().filter(|_| is_same) {
            match self.checksum_of(replica)? {
                Some(_) => unlink(self, &replica.path)?,
                None => self.put_away(name, hash, replica)?,
            }
        }
        Ok(is_same)
    }

    /// Takes the replica of a key from wherever it lies. The caller holds the key's lock.
    ///
    /// The folder is synced, although the tombstone alone decides what webdfs serves: a web server that
    /// serves local files by itself knows nothing of tombstones.
    pub(super) fn put_away_replicas(&self, name: &ObjectName, hash: NameHash) -> Result<(), StoreError> {
        for replica in self.places(name, hash)? {
            self.put_away(name, hash, &replica)?;
        }
        Ok(())
    }

    /// Moves what was put at a key's places by hand into the quarantine. The caller holds the key's lock.
    pub(super) fn put_away_by_hand(&self, name: &ObjectName, hash: NameHash) -> Result<(), StoreError> {
        for replica in self.places(name, hash)? {
            if self.checksum_of(&replica)?.is_none() {
                self.put_away(name, hash, &replica)?;
            }
        }
        Ok(())
    }

    /// Unlinks a copy that something newer supersedes, or moves it into the quarantine if it was put there or edited by
    /// hand: no other node has ever had that. The caller holds the key's lock.
    fn put_away(&self, name: &ObjectName, hash: NameHash, replica: &Replica) -> Result<(), StoreError> {
        let path = &replica.path;
        if self.checksum_of(replica)?.is_none() {
            let reason = "was put there by hand and is older than what replaced it";
            return self.quarantine(name, hash, (path, &replica.file), reason);
        }
        self.unlink_durably(path)
    }

    /// Removes a replica. The caller holds the key's lock.
    fn unlink_durably(&self, path: &Path) -> Result<(), StoreError> {
        self.calls.unlink(path).map_err(|source| self.io("remove", path, source))?;
        self.sync_removal(path)?;
        self.leave_folder(path);
        Ok(())
    }

    /// The same, and whoever calls this sees to it that it becomes durable.
    pub(super) fn unlink(&self, path: &Path) -> Result<(), StoreError> {
        self.calls.unlink(path).map_err(|source| self.io("remove", path, source))?;
        self.leave_folder(path);
        Ok(())
    }

    /// Removes the folders in which a replica was the last file.
    fn leave_folder(&self, path: &Path) {
        if !path.starts_with(layout::PRIVATE) {
            self.remove_empty_parents(path);
        }
    }

    /// Ends what a crash between two steps left behind: a replica below its tombstone, a tombstone below its
    /// replica, a copy in the escape area beside one at its path. The higher version stays. The other is removed,
    /// unless it was put there by hand: then it is moved into the quarantine. Reads and writes need none of this:
    /// they choose the higher version themselves.
    ///
    /// # Errors
    /// The first of those met, after all else was done: one key that cannot be read keeps no other from it.
    pub fn recover(&self) -> Result<(), StoreError> {
        self.recover_until(|| false)
    }

    /// The same, unless `stopped` says to give up.
    ///
    /// # Errors
    /// As [`Store::recover`].
    pub fn recover_until(&self, stopped: impl Fn() -> bool) -> Result<(), StoreError> {
        let mut result = Ok(());
        let mut note = |done: Result<(), StoreError>| {
            if let Err(error) = &done {
                log::debug!("left for another time: {error}");
            }
            result = std::mem::replace(&mut result, Ok(())).and(done);
        };
        for folder in [layout::TOMBSTONES, layout::ESCAPE] {
            let below = self.list(Path::new(folder)).unwrap_or_else(|error| {
                note(Err(error));
                Vec::new()
            });
            for below in below {
                let paths = self.list(&below).unwrap_or_else(|error| {
                    note(Err(error));
                    Vec::new()
                });
                for path in paths {
                    if stopped() || self.sync_has_failed() {
                        return result;
                    }
                    note(self.recover_file(folder, &path));
                }
            }
        }
        result
    }

    fn recover_file(&self, folder: &str, path: &Path) -> Result<(), StoreError> {
        let name = match folder {
            layout::TOMBSTONES => self.read_tombstone(path)?.map(|(name, _)| name),
            _ => self.escaped_name(path)?,
        };
        name.map_or(Ok(()), |name| self.recover_name(&name))
    }

    pub(super) fn recover_name(&self, name: &ObjectName) -> Result<(), StoreError> {
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        self.keep_newest(name, hash)
    }

    /// Leaves a key in one place, that of its newest copy or tombstone. The caller holds the key's lock.
    pub(super) fn keep_newest(&self, name: &ObjectName, hash: NameHash) -> Result<(), StoreError> {
        let held = self.held_now(name, hash)?;
        let places = self.places(name, hash)?;
        let tombstone = hash.tombstone();
        if places.len() + usize::from(self.exists(&tombstone)?) < 2 {
            return Ok(());
        }
        // Whoever wrote the newest may have died before it was durable, and then it must not cost the others.
        self.sync_held(name, hash)?;
        let mut kept = false;
        for replica in places.into_iter().rev() {
            let copy = Held::Copy(self.describe(&replica)?);
            if !kept && copy.supersedes(&held).is_ge() {
                kept = true;
                continue;
            }
            self.put_away(name, hash, &replica)?;
        }
        if held.copy().is_some() && self.exists(&tombstone)? {
            self.calls.unlink(&tombstone).map_err(|source| self.io("remove", &tombstone, source))?;
        }
        Ok(())
    }

    /// What a tombstone says; `None` if it is gone or damaged.
    pub(super) fn read_tombstone(&self, path: &Path) -> Result<Option<(ObjectName, Version)>, StoreError> {
        use std::io::Read;
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((mut file, _)) = opened else { return Ok(None) };
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|source| self.io("read", path, source))?;
        let tombstone = decode_tombstone(&text);
        if tombstone.is_none() {
            log::warn!("{} is no tombstone: left alone", self.settings.root.join(path).display());
        }
        Ok(tombstone)
    }

    fn escaped_name(&self, path: &Path) -> Result<Option<ObjectName>, StoreError> {
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((file, _)) = opened else { return Ok(None) };
        let name = read_name(&file).map_err(|source| self.io("read the attribute of", path, source))?;
        Ok(name.and_then(|name| ObjectName::from_bytes(&name).ok()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::store::testing::open;

    /// A root with files below their tombstones, and with folders that cannot be listed; and the files.
    fn left_behind() -> (tempfile::TempDir, Store, Vec<std::path::PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let files = (0..16).map(|number| {
            let name = format!("{number}.jpg");
            let deleted = ObjectName::from_bytes(name.as_bytes()).unwrap();
            store.delete(&deleted, Version::from_nanos(5_000_000_000)).unwrap();
            let path = root.path().join(name);
            std::fs::write(&path, "by hand").unwrap();
            let old = Version::from_nanos(1_000_000_000).time();
            File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            let no_folder = root.path().join(layout::TOMBSTONES).join(format!("loop{number}"));
            std::os::unix::fs::symlink(&no_folder, &no_folder).unwrap();
            path
        });
        let files = files.collect();
        (root, store, files)
    }

    #[test]
    fn recovery_goes_on_past_what_it_cannot_read_and_tells_of_it() {
        let (_root, store, files) = left_behind();
        assert!(store.recover().is_err());
        for file in files {
            assert!(!file.exists(), "{}", file.display());
        }
    }

    #[test]
    fn recovery_that_is_stopped_leaves_the_rest() {
        let (_root, store, files) = left_behind();
        let asked = std::cell::Cell::new(0);
        let _ = store.recover_until(|| asked.replace(asked.get() + 1) == 3);
        assert_eq!(files.iter().filter(|file| !file.exists()).count(), 3);
    }
}
