//! Uploads on their way in: written under `tmp/`, complete once their attribute says so, then committed or dropped.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::attribute::{ATTRIBUTE, Attribute, SpoolInfo};
use super::read::{mtime, read_attribute};
use super::{Store, StoreError, layout};
use crate::clock;
use crate::name::ObjectName;
use crate::version::Version;

/// Names one upload on every node that takes part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpoolId(u128);

impl SpoolId {
    /// A new one, unlike every other.
    pub fn random() -> Self {
        Self(fastrand::u128(..))
    }

    fn path(self) -> PathBuf {
        Path::new(layout::TMP).join(self.to_string())
    }
}

impl std::fmt::Display for SpoolId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Text that is no spool id: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a spool id: 32 hexadecimal digits")]
pub struct SpoolIdError;

impl FromStr for SpoolId {
    type Err = SpoolIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u128::from_str_radix(text, 16).map_err(|_| SpoolIdError)?;
        plain.then_some(Self(id)).ok_or(SpoolIdError)
    }
}

/// What a complete upload is: the coordinator compares it with what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// Checksum of the bytes received.
    pub crc32: u32,
    /// Their number.
    pub length: u64,
}

/// An upload that is being written. Dropped before [`Spool::finish`], it is removed.
#[derive(Debug)]
pub struct Spool {
    store: Arc<Store>,
    id: SpoolId,
    path: PathBuf,
    file: File,
    crc32: crc32fast::Hasher,
    length: u64,
    finished: bool,
}

impl Spool {
    /// Appends to the upload.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the disk is full; the upload cannot go on.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.crc32.update(bytes);
        self.length += bytes.len() as u64;
        let store = &self.store;
        store
            .calls
            .write(&self.file, &self.path, bytes)
            .map_err(|source| store.io("write", &self.path, source))
    }

    /// Marks the upload as complete: from now on it can be committed, by any process of this root.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub fn finish(mut self, name: &ObjectName, epoch: u64) -> Result<Prepared, StoreError> {
        let crc32 = self.crc32.clone().finalize();
        let spool = SpoolInfo { epoch, length: self.length, crc32, name: name.clone() };
        let store = Arc::clone(&self.store);
        store
            .calls
            .set_attribute(&self.file, &self.path, ATTRIBUTE, &Attribute::Spool(spool).encode())
            .map_err(|source| store.io("set the attribute of", &self.path, source))?;
        self.finished = true;
        Ok(Prepared { crc32, length: self.length })
    }

    /// Names the upload.
    pub fn id(&self) -> SpoolId {
        self.id
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.store.calls.unlink(&self.path);
        }
    }
}

/// What [`Store::sweep_spools`] found.
#[derive(Debug, Default)]
pub struct Swept {
    /// Names of complete uploads whose commit never came: this node may have missed them.
    pub expired: Vec<ObjectName>,
    /// Uploads cut off by the death of their process.
    pub abandoned: usize,
}

impl Store {
    /// Starts an upload of `length` bytes, if that is known.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the disk is below its reserve, [`StoreError::SyncFailed`] after a failed sync.
    pub fn spool(self: &Arc<Self>, id: SpoolId, length: Option<u64>) -> Result<Spool, StoreError> {
        self.check_writable()?;
        self.check_space(length.unwrap_or(0))?;
        let path = id.path();
        let file = self
            .calls
            .create(&path, self.settings.file_mode)
            .map_err(|source| self.io("create", &path, source))?;
        // Tells the agent that this upload's process lives. Given up with the file, so never left behind.
        flock(&file, FlockOperation::LockShared).map_err(|error| self.io("lock", &path, error.into()))?;
        let crc32 = crc32fast::Hasher::new();
        Ok(Spool { store: Arc::clone(self), id, path, file, crc32, length: 0, finished: false })
    }

    /// A complete upload by its id, open, with what it is.
    pub(super) fn open_spool(&self, id: SpoolId) -> Result<(PathBuf, File, SpoolInfo), StoreError> {
        let path = id.path();
        let opened = match self.root.open_beneath(&path, OFlags::RDWR, 0) {
            Ok(opened) => File::from(opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::NotPrepared),
            Err(source) => return Err(self.io("open", &path, source)),
        };
        match read_attribute(&opened).map_err(|source| self.io("read the attribute of", &path, source))? {
            Some(Attribute::Spool(info)) => Ok((path, opened, info)),
            _ => Err(StoreError::NotPrepared),
        }
    }

    /// Opens the bytes of a complete upload for reading: what was spooled first because its length was unknown.
    ///
    /// # Errors
    /// [`StoreError::NotPrepared`] when there is none, or the disk fails.
    pub fn read_spool(&self, id: SpoolId) -> Result<File, StoreError> {
        Ok(self.open_spool(id)?.1)
    }

    /// Drops an upload. One that is not there is dropped already.
    pub fn discard(&self, id: SpoolId) {
        let _ = self.calls.unlink(&id.path());
    }

    /// Removes uploads whose process died, and complete ones whose commit has not come within `patience`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sweep_spools(&self, patience: Duration) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let limit = clock::now().before(patience);
        for path in self.list(Path::new(layout::TMP))? {
            let Ok(Some((file, stat))) = self.open_file(&path, false) else { continue };
            let changed = Version::from_mtime(stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0));
            if mtime(&stat).max(changed) > limit {
                continue;
            }
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let attribute =
                read_attribute(&file).map_err(|source| self.io("read the attribute of", &path, source))?;
            match attribute {
                Some(Attribute::Spool(info)) => swept.expired.push(info.name),
                _ => swept.abandoned += 1,
            }
            self.calls.unlink(&path).map_err(|source| self.io("remove", &path, source))?;
        }
        Ok(swept)
    }

    /// The paths of everything in a folder of ours.
    pub(super) fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
        use std::os::unix::ffi::OsStrExt;
        let fail = |source: io::Error| self.io("list", folder, source);
        let handle = match self.root.open_beneath(folder, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut paths = Vec::new();
        for entry in rustix::fs::Dir::read_from(&handle).map_err(|error| fail(error.into()))? {
            let entry = entry.map_err(|error| fail(error.into()))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                paths.push(folder.join(std::ffi::OsStr::from_bytes(name)));
            }
        }
        Ok(paths)
    }
}
