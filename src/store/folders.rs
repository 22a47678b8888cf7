//! Making folders for replicas durable, without syncing every ancestor at every write.
//!
//! A new file's name is durable only when every folder above it is. Whoever made a folder syncs its parent, but
//! another writer may use that folder before. So each process remembers which folders it knows to be durable and
//! syncs the parents of all others. A folder is remembered by path, inode and birth time: one that was removed and
//! made anew is another. Where folders have no birth time, none is remembered.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{AtFlags, StatxFlags, statx};

use super::calls::RootFolder;
use super::{Store, StoreError};

/// Folders remembered at most; when it is full, it starts anew.
const FOLDERS_MAX: usize = 16_384;

/// What tells one folder from another of the same path: inode, and birth time in seconds and nanoseconds.
type Incarnation = (u64, i64, u32);

/// The folders whose names this process knows to be durable.
#[derive(Debug, Default)]
pub(super) struct SyncedFolders(Mutex<HashMap<PathBuf, Incarnation>>);

impl SyncedFolders {
    fn contains(&self, path: &Path, incarnation: Incarnation) -> bool {
        self.0.lock().expect("no holder panics").get(path) == Some(&incarnation)
    }

    fn remember(&self, path: &Path, incarnation: Incarnation) {
        let mut folders = self.0.lock().expect("no holder panics");
        if folders.len() >= FOLDERS_MAX {
            folders.clear();
        }
        folders.insert(path.to_owned(), incarnation);
    }

    fn forget(&self, path: &Path) {
        self.0.lock().expect("no holder panics").remove(path);
    }
}

impl Store {
    /// Makes every missing folder above `path`.
    pub(super) fn make_parents(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
            return Ok(());
        };
        let made = self.calls.make_folder(parent, self.settings.folder_mode);
        match made {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_parents(parent)?;
                match self.calls.make_folder(parent, self.settings.folder_mode) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                    other => other,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Makes the name `path`, and those of all folders above it, durable.
    pub(super) fn sync_name(&self, path: &Path) -> Result<(), StoreError> {
        let parent = path.parent().unwrap_or(Path::new(""));
        self.sync_folder(parent)?;
        for folder in parent.ancestors().take_while(|folder| !folder.as_os_str().is_empty()) {
            let incarnation =
                incarnation(&self.root, folder).map_err(|source| self.io("look at", folder, source))?;
            if incarnation.is_some_and(|known| self.synced_folders.contains(folder, known)) {
                continue;
            }
            self.sync_folder(folder.parent().unwrap_or(Path::new("")))?;
            if let Some(incarnation) = incarnation {
                self.synced_folders.remember(folder, incarnation);
            }
        }
        Ok(())
    }

    /// Makes it durable that nothing has the name `path` any more. Someone else may have removed its folder since,
    /// because it was empty; then that is what has to be durable.
    pub(super) fn sync_removal(&self, path: &Path) -> Result<(), StoreError> {
        for folder in path.ancestors().skip(1) {
            match self.calls.sync_folder(folder) {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(source) => return Err(self.sync_error(folder, source)),
                Ok(()) => break,
            }
        }
        Ok(())
    }

    /// Removes the folders above `path` that have become empty.
    pub(super) fn remove_empty_parents(&self, path: &Path) {
        for folder in path.ancestors().skip(1).take_while(|folder| !folder.as_os_str().is_empty()) {
            if self.calls.remove_folder(folder).is_err() {
                break;
            }
            self.synced_folders.forget(folder);
        }
    }
}

fn incarnation(root: &RootFolder, folder: &Path) -> io::Result<Option<Incarnation>> {
    root.in_parent(folder, |parent, name| {
        let stat = statx(parent, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO | StatxFlags::BTIME)?;
        let born = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(born.then_some((stat.stx_ino, stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)))
    })
}
