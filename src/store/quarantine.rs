//! Files that must not be served and must not be lost either: rotten ones, and what was put there by hand and lost to
//! something newer. A folder for each key, so that one look tells whether it has any; each file has its name inside.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::attribute::ATTRIBUTE_NAME;
use super::layout::{self, NameHash};
use super::read::mtime;
use super::{PRIVATE_MODE, Store, StoreError};
use crate::failpoint::{Step, step};
use crate::held::Held;
use crate::name::ObjectName;
use crate::version::Version;

/// What ends the name of a file whose key has been deleted since, which every owner knew: nobody can miss it. The file is
/// kept for a person to judge, like any other here.
const DELETED: &str = ".deleted";

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
        step(Step::Quarantined);
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

    /// The newest version of a key that lies in quarantine, without what was deleted since.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn quarantined(&self, name: &ObjectName) -> Result<Option<Version>, StoreError> {
        let quarantined = self.missed_from(NameHash::of(name))?;
        Ok(quarantined.into_iter().map(|(_, version)| version).max())
    }

    /// The files of a key in quarantine that somebody may miss, and their versions.
    fn missed_from(&self, hash: NameHash) -> Result<Vec<(PathBuf, Version)>, StoreError> {
        let mut found = Vec::new();
        for path in self.list(&hash.quarantine_folder())? {
            if path.as_os_str().as_bytes().ends_with(DELETED.as_bytes()) {
                continue;
            }
            match self.root.stat(&path) {
                Ok(stat) => found.push((path, mtime(&stat))),
                // Judged and removed by a person meanwhile.
                Err(error) if super::read::is_absence(&error) => {}
                Err(source) => return Err(self.io("look at", &path, source)),
            }
        }
        Ok(found)
    }

    /// Notes of a key's files in quarantine that they are deleted, durably, as far as they are not newer than the deletion.
    /// The caller holds the key's lock.
    pub(super) fn settle_quarantined(&self, hash: NameHash, deletion: Version) -> Result<(), StoreError> {
        let mut has_changed = false;
        for (path, _) in self.missed_from(hash)?.into_iter().filter(|(_, version)| *version <= deletion) {
            let mut deleted = path.clone().into_os_string();
            deleted.push(DELETED);
            match self.calls.rename(&path, Path::new(&deleted)) {
                Err(error) if super::read::is_absence(&error) => {}
                renamed => renamed.map_err(|source| self.io("rename", &path, source))?,
            }
            has_changed = true;
        }
        if has_changed {
            self.sync_folder(&hash.quarantine_folder())?;
        }
        Ok(())
    }

    /// Whether what this root holds of a key says anything about what it once acknowledged: not if something newer lies
    /// in quarantine that nobody has deleted.
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
