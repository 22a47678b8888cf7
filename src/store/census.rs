//! How many there are of what webdfs keeps for itself in a root. Each is counted by listing folders, a name at a time; what
//! comes and goes meanwhile is counted or not.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Dir, FileType, OFlags};

use super::{Store, StoreError, layout};

/// The folders between the one that is counted and its files at most.
const DEPTH_MAX: usize = 8;

impl Store {
    /// Deleted keys that are remembered.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn count_tombstones(&self) -> Result<u64, StoreError> {
        self.count_files(Path::new(layout::TOMBSTONES), DEPTH_MAX)
    }

    /// Keys that some node may lack, once for each node.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn count_dirty(&self) -> Result<u64, StoreError> {
        self.count_files(Path::new(layout::DIRTY), DEPTH_MAX)
    }

    /// Files that must not be served.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn count_quarantined(&self) -> Result<u64, StoreError> {
        self.count_files(Path::new(layout::QUARANTINE), DEPTH_MAX)
    }

    fn count_files(&self, folder: &Path, depth: usize) -> Result<u64, StoreError> {
        let fail = |source| self.io("list", folder, source);
        let opened = self.root.open_beneath(folder, OFlags::RDONLY | OFlags::DIRECTORY, 0);
        let entries = match opened.and_then(|handle| Ok(Dir::new(handle)?)) {
            Ok(entries) => entries,
            // Gone meanwhile, or no folder after all, and then no file that was asked for.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(0);
            }
            Err(error) => return Err(fail(error)),
        };
        let mut files = 0;
        for entry in entries {
            let entry = entry.map_err(|error| fail(error.into()))?;
            let name = entry.file_name().to_bytes();
            match entry.file_type() {
                _ if name == b"." || name == b".." => {}
                FileType::Directory if depth > 0 => {
                    files += self.count_files(&folder.join(OsStr::from_bytes(name)), depth - 1)?;
                }
                _ => files += 1,
            }
        }
        Ok(files)
    }
}
