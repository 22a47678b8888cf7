//! Uploads on their way in: written under `tmp/`, complete once their attribute says so, then committed or dropped.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::attribute::{ATTRIBUTE, Attribute, SpoolInfo};
use super::lock::wait_for;
use super::look::fingerprint;
use super::read::read_attribute;
use super::write::Commit;
use super::{Store, StoreError, layout};
use crate::config::Durability;
use crate::name::ObjectName;

/// After so many bytes the free space is looked at again: other uploads grow at the same time, and the length of some
/// is not known when they begin.
const CHECK_SPACE_BYTES: u64 = 4 << 20;
/// After so many bytes of a large upload they are synced, so that its commit, for which others wait, has little left
/// to do.
const SYNC_BYTES: u64 = 8 << 20;
/// Smaller uploads are synced once, at their commit.
const LARGE_BYTES: u64 = 1 << 20;
/// An upload that takes longer comes to nothing: it may be a copy of what was deleted meanwhile, and a deletion is not
/// remembered for ever.
pub const SPOOL_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

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

/// The complete uploads that this process wrote itself, so that the machine has not stopped since. After a loss of
/// power an upload may say that it is complete while bytes are missing; so those of other processes are read again
/// before they are committed.
#[derive(Debug, Default)]
pub(super) struct OwnSpools(Mutex<HashSet<SpoolId>>);

impl OwnSpools {
    /// Uploads remembered at most: those that expired are never asked for. When it is full, it starts anew.
    const MAX: usize = 16_384;

    fn remember(&self, id: SpoolId) {
        let mut spools = self.0.lock().expect("no holder panics");
        if spools.len() >= Self::MAX {
            spools.clear();
        }
        spools.insert(id);
    }

    fn forget(&self, id: SpoolId) -> bool {
        self.0.lock().expect("no holder panics").remove(&id)
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
    /// Bytes written since the free space was last looked at: below [`CHECK_SPACE_BYTES`].
    unchecked: u64,
    /// Bytes written since the last sync: below [`SYNC_BYTES`], if this store syncs clients' writes.
    unsynced: u64,
    begun: Instant,
    finished: bool,
}

impl Spool {
    /// Appends to the upload.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the disk is full or below its reserve; the upload cannot go on.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let count = bytes.len() as u64;
        self.unchecked += count;
        if self.unchecked >= CHECK_SPACE_BYTES {
            self.unchecked = 0;
            self.store.check_space(count)?;
        }
        self.crc32.update(bytes);
        self.length += count;
        let store = &self.store;
        store
            .calls
            .write(&self.file, &self.path, bytes)
            .map_err(|source| store.io("write", &self.path, source))?;
        self.unsynced += count;
        if self.unsynced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    /// Syncs what was written, if this store syncs clients' writes.
    fn sync(&mut self) -> Result<(), StoreError> {
        self.unsynced = 0;
        match self.store.settings.durability {
            Durability::Sync => self.store.sync_temporary(&self.file, &self.path),
            Durability::None => Ok(()),
        }
    }

    /// Marks the upload as complete: from now on it can be committed, by any process of this root.
    ///
    /// # Errors
    /// [`StoreError::TooSlow`] when that has taken longer than [`SPOOL_LIFETIME`]; others when the disk fails or is full.
    pub fn finish(mut self, name: &ObjectName, epoch: u64) -> Result<Prepared, StoreError> {
        if self.begun.elapsed() > SPOOL_LIFETIME {
            return Err(StoreError::TooSlow { name: name.clone() });
        }
        if self.length > LARGE_BYTES && self.unsynced > 0 {
            self.sync()?;
        }
        let crc32 = self.crc32.clone().finalize();
        let spool = SpoolInfo { epoch, length: self.length, crc32, name: name.clone() };
        let store = Arc::clone(&self.store);
        store
            .calls
            .set_attribute(&self.file, &self.path, ATTRIBUTE, &Attribute::Spool(spool).encode())
            .map_err(|source| store.io("set the attribute of", &self.path, source))?;
        self.finished = true;
        store.own_spools.remember(self.id);
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

impl Store {
    /// Starts an upload of `length` bytes, if that is known.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the disk is below its reserve, [`StoreError::SyncFailed`] after a failed sync.
    pub fn spool(self: &Arc<Self>, id: SpoolId, length: Option<u64>) -> Result<Spool, StoreError> {
        self.check_writable()?;
        self.check_space(length.unwrap_or(0))?;
        let path = id.path();
        let file = self.create_temporary(&path, self.settings.file_mode)?;
        let crc32 = crc32fast::Hasher::new();
        Ok(Spool {
            store: Arc::clone(self),
            id,
            path,
            file,
            crc32,
            length: 0,
            unchecked: 0,
            unsynced: 0,
            begun: Instant::now(),
            finished: false,
        })
    }

    /// Makes a file under `tmp/` that is not swept as long as it is open.
    pub(super) fn create_temporary(&self, path: &Path, mode: u32) -> Result<File, StoreError> {
        let file = self.calls.create(path, mode).map_err(|source| self.io("create", path, source))?;
        // Tells the agent that this file's process lives. Given up with the file, so never left behind.
        let locked = rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockShared));
        if let Err(error) = locked {
            let _ = self.calls.unlink(path);
            return Err(self.io("lock", path, error.into()));
        }
        Ok(file)
    }

    /// Takes the upload of a commit: open, checked, and out of reach of the agent and of other commits of it as long
    /// as the file is open.
    pub(super) fn claim_spool(&self, commit: &Commit<'_>) -> Result<(PathBuf, File), StoreError> {
        let (path, file) = self.open_upload(commit.id)?;
        let fail = |source| self.io("read", &path, source);
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            // Either it is still being written, or another commit of it or the agent has it, which soon end.
            self.spool_info(&path, &file)?;
            wait_for(&file).map_err(|source| self.io("lock", &path, source))?;
        }
        let info = self.spool_info(&path, &file)?;
        if info.name != *commit.name || info.crc32 != commit.crc32 || info.length != commit.length {
            return Err(StoreError::NotPrepared);
        }
        if !self.own_spools.forget(commit.id)
            && fingerprint(&file, &mut |_| Ok(())).map_err(fail)? != (info.crc32, info.length)
        {
            return Err(StoreError::NotPrepared);
        }
        Ok((path, file))
    }

    fn open_upload(&self, id: SpoolId) -> Result<(PathBuf, File), StoreError> {
        let path = id.path();
        match self.root.open_beneath(&path, OFlags::RDWR, 0) {
            Ok(opened) => Ok((path, File::from(opened))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NotPrepared),
            Err(source) => Err(self.io("open", &path, source)),
        }
    }

    /// What an upload is, if it is complete and its commit has not begun.
    fn spool_info(&self, path: &Path, file: &File) -> Result<SpoolInfo, StoreError> {
        match read_attribute(file).map_err(|source| self.io("read the attribute of", path, source))? {
            Some(Attribute::Spool(info)) => Ok(info),
            _ => Err(StoreError::NotPrepared),
        }
    }

    /// Opens the bytes of a complete upload for reading: what was spooled first because its length was unknown.
    ///
    /// # Errors
    /// [`StoreError::NotPrepared`] when there is none, or the disk fails.
    pub fn read_spool(&self, id: SpoolId) -> Result<File, StoreError> {
        let (path, file) = self.open_upload(id)?;
        self.spool_info(&path, &file)?;
        Ok(file)
    }

    /// The epoch under which a complete upload was taken in; `None` if there is none whose commit has not begun.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn spooled_under(&self, id: SpoolId) -> Result<Option<u64>, StoreError> {
        let info = self.open_upload(id).and_then(|(path, file)| self.spool_info(&path, &file));
        match info {
            Ok(info) => Ok(Some(info.epoch)),
            Err(StoreError::NotPrepared) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Drops an upload. One that is not there is dropped already.
    pub fn discard(&self, id: SpoolId) {
        self.own_spools.forget(id);
        let _ = self.calls.unlink(&id.path());
    }

    /// The paths of everything in a folder of ours; of none in what is no folder.
    pub(super) fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
        use std::os::unix::ffi::OsStrExt;
        let fail = |source: io::Error| self.io("list", folder, source);
        let handle = match self.root.open_beneath(folder, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
            Ok(handle) => handle,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    #[test]
    fn an_upload_that_has_outlived_every_message_comes_to_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(open(root.path()));
        let name = ObjectName::from_bytes(b"a.jpg").unwrap();
        let mut slow = store.spool(SpoolId::random(), None).unwrap();
        slow.write(b"bytes").unwrap();
        slow.begun -= SPOOL_LIFETIME;
        assert!(matches!(slow.finish(&name, 1), Err(StoreError::TooSlow { .. })));
        assert!(store.list(Path::new(layout::TMP)).unwrap().is_empty());
    }
}
