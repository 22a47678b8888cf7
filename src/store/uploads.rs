//! The uploads of all processes of a root, as the agent sees them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::attribute::Attribute;
use super::look::changed;
use super::read::read_attribute;
use super::{Store, StoreError, layout};
use crate::clock;
use crate::name::ObjectName;
use crate::version::Version;

/// What [`Store::sweep_spools`] found.
#[derive(Debug, Default)]
pub struct Swept {
    /// Names of complete uploads whose commit never came: this node may have missed them.
    pub expired: Vec<ObjectName>,
    /// Uploads cut off by the death of their process.
    pub abandoned: usize,
}

impl Store {
    /// Uploads that may have been let in under an older epoch than this: complete ones of which that is known, those whose
    /// commit has begun, and all that are still being written.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn uploads_before(&self, epoch: u64) -> Result<Vec<PathBuf>, StoreError> {
        let found = self.list(Path::new(layout::TMP))?.into_iter();
        let older = |path: PathBuf| match self.is_upload_before(&path, epoch) {
            Ok(is_one) => is_one.then_some(Ok(path)),
            Err(error) => Some(Err(error)),
        };
        found.filter_map(older).collect()
    }

    /// Whether an upload that [`Self::uploads_before`] has found has not ended yet.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn goes_on(&self, upload: &Path) -> Result<bool, StoreError> {
        let opened = self.open_file(upload, false).map_err(|source| self.io("open", upload, source))?;
        Ok(opened.is_some())
    }

    /// Removes an upload that [`Self::uploads_before`] has found, if it is still there: its commit is refused then.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn break_off(&self, upload: &Path) -> Result<(), StoreError> {
        match self.calls.unlink(upload) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io("remove", upload, error)),
            _ => Ok(()),
        }
    }

    fn is_upload_before(&self, path: &Path, epoch: u64) -> Result<bool, StoreError> {
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((file, _)) = opened else { return Ok(false) };
        let attribute = read_attribute(&file);
        Ok(match attribute.map_err(|source| self.io("read the attribute of", path, source))? {
            Some(Attribute::Spool(info)) => info.epoch < epoch,
            _ => true,
        })
    }

    /// Removes uploads whose process died, and complete ones whose commit has not come within `patience`. One that
    /// cannot be removed is left for the next time.
    ///
    /// # Errors
    /// When the folder of uploads cannot be read.
    pub fn sweep_spools(&self, patience: Duration) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let limit = clock::now().before(patience);
        for path in self.list(Path::new(layout::TMP))? {
            match self.sweep_file(&path, limit) {
                Ok(None) => {}
                Ok(Some(Some(Attribute::Spool(info)))) => swept.expired.push(info.name),
                Ok(Some(_)) => swept.abandoned += 1,
                Err(error) => log::warn!("an upload is not removed: {error}"),
            }
        }
        Ok(swept)
    }

    /// Removes a file under `tmp/` that has not changed since `limit` and that nobody holds; what it was, if it did.
    fn sweep_file(&self, path: &Path, limit: Version) -> Result<Option<Option<Attribute>>, StoreError> {
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((file, stat)) = opened else { return Ok(None) };
        // Not its mtime: a commit sets that to a version, which another node's clock may have put in the future.
        if changed(&stat) > limit || flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let attribute =
            read_attribute(&file).map_err(|source| self.io("read the attribute of", path, source))?;
        match self.calls.unlink(path) {
            Ok(()) => Ok(Some(attribute)),
            // Committed or dropped meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io("remove", path, source)),
        }
    }
}
