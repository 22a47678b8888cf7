//! Files that must not be served and must not be lost either: rotten ones, and what was put there by hand and lost to
//! something newer. A folder for each key, so that one look tells whether it has any; each file has its name inside.

use std::fs::File;
use std::path::Path;

use super::attribute::ATTRIBUTE_NAME;
use super::layout::{self, NameHash};
use super::read::mtime;
use super::{PRIVATE_MODE, Store, StoreError};
use crate::held::Held;
use crate::name::ObjectName;
use crate::version::Version;

impl Store {
    /// Moves a file to where nobody serves it, durably, with its name in it. The caller holds the key's lock.
    pub(super) fn quarantine(
        &self,
        name: &ObjectName,
        hash: NameHash,
        (path, file): (&Path, &File),
        reason: &str,
    ) -> Result<(), StoreError> {
        let target = hash.quarantine(fastrand::u64(..));
        self.calls
            .set_attribute(file, path, ATTRIBUTE_NAME, name.as_bytes())
            .map_err(|source| self.io("set the attribute of", path, source))?;
        self.make_quarantine_folder(&hash.quarantine_folder())?;
        self.calls.rename(path, &target).map_err(|source| self.io("move to quarantine", path, source))?;
        log::warn!("{name} {reason}: moved to {}", target.display());
        self.sync_folder(&hash.quarantine_folder())?;
        self.sync_removal(path)?;
        if !path.starts_with(layout::PRIVATE) {
            self.remove_empty_parents(path);
        }
        Ok(())
    }

    /// Makes a key's folder, durably: a file may lose its old name as soon as the new one is synced, and would be lost with
    /// the folder.
    fn make_quarantine_folder(&self, folder: &Path) -> Result<(), StoreError> {
        match self.calls.make_folder(folder, PRIVATE_MODE) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(self.io("make the folder", folder, error))
            }
            _ => self.sync_folder(Path::new(layout::QUARANTINE)),
        }
    }

    /// The newest version of a key that lies in quarantine.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn quarantined(&self, name: &ObjectName) -> Result<Option<Version>, StoreError> {
        let mut newest = None;
        for path in self.list(&NameHash::of(name).quarantine_folder())? {
            match self.root.stat(&path) {
                Ok(stat) => newest = newest.max(Some(mtime(&stat))),
                // Judged and removed by a person meanwhile.
                Err(error) if super::read::is_absence(&error) => {}
                Err(source) => return Err(self.io("look at", &path, source)),
            }
        }
        Ok(newest)
    }

    /// Whether what this root holds of a key says anything about what it once acknowledged: not if something newer lies
    /// in quarantine.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn answer_counts(&self, name: &ObjectName, held: &Held) -> Result<bool, StoreError> {
        Ok(self.quarantined(name)? <= held.version())
    }

    /// How many keys have files in quarantine.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn quarantined_keys(&self) -> Result<usize, StoreError> {
        let entries = self.list(Path::new(layout::QUARANTINE))?;
        Ok(entries.iter().filter(|path| quarantined_hash(path).is_some()).count())
    }
}

/// The key of a folder in quarantine; `None` for what is none.
fn quarantined_hash(path: &Path) -> Option<NameHash> {
    NameHash::try_from(path.file_name()?.to_str()?.to_owned()).ok()
}
