//! Whether webdfs may do with the files of a root what it must: make replicas of those that people put there.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::Stat;

use super::{Store, StoreError, layout};
use crate::name::{Exclude, ObjectName};

/// A file that cannot become a replica as it is, since it belongs to another user than webdfs's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignFile {
    /// Where it lies, relative to the root.
    pub path: PathBuf,
    /// Whose it is.
    pub uid: u32,
    /// As whom webdfs works here.
    pub own_uid: u32,
}

/// Keys that are looked at.
const LOOKED_AT_MAX: usize = 100_000;
/// Write permission for everybody.
const OTHERS_WRITE: u32 = 0o002;
/// Write permission for the group.
const GROUP_WRITES: u32 = 0o020;

impl Store {
    /// The first file met without a checksum whose attributes webdfs may not set: for that it needs the permission to write
    /// (xattr(7)). Only so many keys are looked at that it does not take for ever. Who owns `.webdfs` is whom webdfs runs
    /// as, whoever asks; root may do everything.
    ///
    /// Times that are not the present may be set by the owner alone (utimensat(2)). That is needed of few files, from the
    /// future or edited: they are not looked for.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn foreign_file(&self, exclude: &Exclude) -> Result<Option<ForeignFile>, StoreError> {
        let look = |path: &Path| self.root.stat(path).map_err(|source| self.io("look at", path, source));
        let own = look(Path::new(layout::PRIVATE))?;
        if own.st_uid == 0 {
            return Ok(None);
        }
        let (mut found, mut seen) = (None, 0);
        let is_over = AtomicBool::new(false);
        let mut visit = |name: &ObjectName, is_by_hand: bool| {
            seen += 1;
            if is_by_hand && found.is_none() {
                let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
                let stat = look(path)?;
                if !may_write(&own, &stat) {
                    found =
                        Some(ForeignFile { path: path.to_owned(), uid: stat.st_uid, own_uid: own.st_uid });
                }
            }
            is_over.store(found.is_some() || seen >= LOOKED_AT_MAX, Ordering::Relaxed);
            Ok(())
        };
        let stopped = || is_over.load(Ordering::Relaxed);
        // What cannot be read is the walk's own complaint, each time it is held.
        let walked = self.walk(exclude, &stopped, &mut |key| visit(&key.name, key.held.is_by_hand()));
        match found {
            Some(found) => Ok(Some(found)),
            None => walked.map(|_unread| None),
        }
    }
}

/// Whether the owner of one file may write to another one, as far as the modes tell.
fn may_write(own: &Stat, file: &Stat) -> bool {
    if own.st_uid == file.st_uid {
        return true;
    }
    let bit = if own.st_gid == file.st_gid { GROUP_WRITES } else { OTHERS_WRITE };
    file.st_mode & bit != 0
}
