//! The storage root (design section 5). Nothing else in webdfs touches its files.
//!
//! Rules that everything here keeps:
//! - a replica is written under a temporary name, completed, synced and renamed; it is never edited or truncated in
//!   place. Mapping replicas is sound because of this rule;
//! - every change of a key happens under that key's lock, which works across processes;
//! - whatever was on disk stays readable when the machine stops between any two calls (`tests/crash.rs`).
//!
//! All methods block on the disk, except [`Store::open_cached`]; async callers run them on a thread for that.

mod agent_record;
mod agent_socket;
pub mod attribute;
mod ballast;
mod batch;
mod by_hand;
pub mod calls;
mod census;
mod dirty;
mod down;
mod error;
mod folders;
mod forget;
mod history;
mod identity;
pub mod inventory;
mod known;
pub mod layout;
mod lock;
mod look;
mod maps;
mod owned;
mod quarantine;
mod read;
mod returned;
mod space;
mod spool;
mod stamp;
mod strays;
mod tombstone;
mod unread;
mod uploads;
mod verify;
mod walk;
mod write;

/// A root for tests inside the crate.
#[cfg(test)]
pub(crate) mod testing;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use agent_record::{AgentRecord, Counted, Orders, Scrubbing};
pub use agent_socket::{AgentSocket, connect_to_agent};
pub use batch::{BATCH_FILES_MAX, Batch, BatchCopy};
pub use by_hand::{ByHand, REST, Settled};
pub use error::StoreError;
pub use history::{HistoryEntry, map_history};
pub use identity::Identity;
pub use known::KnownRoot;
pub use layout::NameHash;
pub use lock::{AgentLock, HeldLock};
pub use look::Pace;
pub use maps::{MapsChange, StoredMap, read_remembered_map, remembered_maps};
pub use owned::ForeignFile;
pub use read::Replica;
pub use returned::Returned;
pub use space::Space;
pub use spool::{Prepared, SPOOL_LIFETIME, Spool, SpoolId};
pub use stamp::Stamp;
pub use unread::Unread;
pub use uploads::Swept;
pub use verify::Verdict;
pub use walk::Found;
pub use write::{Commit, Outcome};

use crate::config::{Durability, Layout, Reserve};
use calls::{Calls, RealCalls, RootFolder};
use dirty::ListedMarks;
use folders::SyncedFolders;
use identity::KnownCompleteness;
use spool::OwnSpools;

/// Nobody but webdfs enters its own folders.
const PRIVATE_MODE: u32 = 0o700;

/// A complete upload whose commit has not come after this time is dropped.
pub const SPOOL_PATIENCE: Duration = Duration::from_secs(10);

/// The settings of a storage root.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The folder.
    pub root: PathBuf,
    /// How names become paths. A root keeps that of its first start.
    pub layout: Layout,
    /// Whether client writes are synced before they are acknowledged. Everything else always is.
    pub durability: Durability,
    /// Free space below which uploads are refused.
    pub reserve: Reserve,
    /// Mode of replicas, so that the web server can read them.
    pub file_mode: u32,
    /// Mode of folders made for replicas.
    pub folder_mode: u32,
    /// Follow symbolic links that stay inside the root.
    pub follow_symlinks: bool,
    /// Refuse a root that is not a mount point: its disk is missing.
    pub root_is_mount: bool,
}

/// An open storage root.
pub struct Store {
    settings: StoreSettings,
    root: Arc<RootFolder>,
    calls: Box<dyn Calls>,
    synced_folders: SyncedFolders,
    own_spools: OwnSpools,
    listed_marks: ListedMarks,
    known_completeness: KnownCompleteness,
    /// Opened when it is first asked for.
    maps_serial: OnceLock<File>,
    /// Set when a sync failed: what the kernel then holds is not what the disk holds, and asking again would lie.
    sync_failed: AtomicBool,
}

impl Store {
    /// Opens a root, making `.webdfs` in it if it is new.
    ///
    /// # Errors
    /// When the root is missing, is not the mount it should be, or lies on a file system that keeps no nanosecond
    /// mtimes or no user attributes.
    pub fn open(settings: StoreSettings) -> Result<Self, StoreError> {
        let (root, calls) = Self::root_of(&settings)?;
        Self::open_with(settings, root, calls)
    }

    /// Whether a folder can be a storage root, without making it one.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn examine(settings: StoreSettings) -> Result<(), StoreError> {
        let (root, calls) = Self::root_of(&settings)?;
        let store = Self::unchecked(settings, root, calls);
        store.check_mounted()?;
        store.check_abilities(Path::new(""))
    }

    fn root_of(settings: &StoreSettings) -> Result<(Arc<RootFolder>, Box<dyn Calls>), StoreError> {
        let root = RootFolder::open(&settings.root, settings.follow_symlinks)
            .map_err(|source| StoreError::io("open the storage root", &settings.root, source))?;
        let root = Arc::new(root);
        Ok((Arc::clone(&root), Box::new(RealCalls::new(root))))
    }

    /// The same with other calls, for tests that record or interrupt them.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(
        settings: StoreSettings,
        root: Arc<RootFolder>,
        calls: Box<dyn Calls>,
    ) -> Result<Self, StoreError> {
        let store = Self::unchecked(settings, root, calls);
        store.check_mounted()?;
        store.make_private_folders()?;
        store.check_abilities(Path::new(layout::TMP))?;
        Ok(store)
    }

    fn unchecked(settings: StoreSettings, root: Arc<RootFolder>, calls: Box<dyn Calls>) -> Self {
        Self {
            settings,
            root,
            calls,
            synced_folders: SyncedFolders::default(),
            own_spools: OwnSpools::default(),
            listed_marks: ListedMarks::default(),
            known_completeness: KnownCompleteness::default(),
            maps_serial: OnceLock::new(),
            sync_failed: AtomicBool::new(false),
        }
    }

    /// The folder, for messages and for the web server.
    pub fn root(&self) -> &Path {
        &self.settings.root
    }

    /// Whether client writes are synced.
    pub fn durability(&self) -> Durability {
        self.settings.durability
    }

    fn check_mounted(&self) -> Result<(), StoreError> {
        use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, statx};
        if !self.settings.root_is_mount {
            return Ok(());
        }
        let fail = |source: rustix::io::Errno| self.io("look at", Path::new(""), source.into());
        let own = statx(self.root.handle(), c"", AtFlags::EMPTY_PATH, StatxFlags::empty()).map_err(fail)?;
        let mounted = if own.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
            own.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        } else {
            // Linux before 5.8. This takes a folder bound to another place of the same disk for no mount.
            let own = rustix::fs::fstat(self.root.handle()).map_err(fail)?;
            let above = rustix::fs::statat(self.root.handle(), c"..", AtFlags::empty()).map_err(fail)?;
            own.st_dev != above.st_dev || own.st_ino == above.st_ino
        };
        if mounted { Ok(()) } else { Err(StoreError::NotMounted { root: self.settings.root.clone() }) }
    }

    fn make_private_folders(&self) -> Result<(), StoreError> {
        let folders = [
            layout::PRIVATE,
            layout::TMP,
            layout::TOMBSTONES,
            layout::ESCAPE,
            layout::DIRTY,
            layout::LOCKS,
            layout::QUARANTINE,
            layout::STAMPS,
            layout::MAPS,
        ];
        let mut made = false;
        for folder in folders {
            match self.calls.make_folder(Path::new(folder), PRIVATE_MODE) {
                Ok(()) => made = true,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(self.io("make the folder", Path::new(folder), source)),
            }
        }
        if made {
            self.sync_folder(Path::new(layout::PRIVATE))?;
            self.sync_folder(Path::new(""))?;
        }
        Ok(())
    }

    /// Writes and reads back what webdfs needs a file system to keep.
    fn check_abilities(&self, folder: &Path) -> Result<(), StoreError> {
        let probe = folder.join(format!(".webdfs-probe-{:016x}", fastrand::u64(..)));
        let result = self.probe_abilities(&probe);
        let _ = self.calls.unlink(&probe);
        match result {
            // Nothing can be tried out, and nothing stored here would be served or deleted if this were an error.
            Err(error @ StoreError::Full { .. }) => {
                log::warn!("{error}");
                Ok(())
            }
            other => other,
        }
    }

    fn probe_abilities(&self, probe: &Path) -> Result<(), StoreError> {
        let calls = &self.calls;
        let file = calls.create(probe, 0o600).map_err(|source| self.io("create", probe, source))?;
        let version = crate::version::Version::from_nanos(1_234_567_890_123_456_789);
        calls
            .set_mtime(&file, probe, version)
            .map_err(|source| self.io("set the mtime of", probe, source))?;
        let stat = rustix::fs::fstat(&file).map_err(|source| self.io("look at", probe, source.into()))?;
        if read::mtime(&stat) != version {
            return Err(StoreError::NoNanoseconds { root: self.settings.root.clone() });
        }
        let set = calls.set_attribute(&file, probe, attribute::ATTRIBUTE, b"1 1 00000000");
        set.map_err(|source| match source.kind() {
            std::io::ErrorKind::Unsupported => {
                StoreError::NoAttributes { root: self.settings.root.clone(), source }
            }
            _ => self.io("set the attribute of", probe, source),
        })
    }

    /// Whether a sync has failed, so that writes are refused until a restart.
    pub fn sync_has_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Relaxed)
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        if self.sync_has_failed() {
            return Err(StoreError::SyncFailed { root: self.settings.root.clone() });
        }
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> Result<(), StoreError> {
        self.calls.sync_folder(path).map_err(|source| self.sync_error(path, source))
    }

    fn sync_error(&self, path: &Path, source: std::io::Error) -> StoreError {
        use rustix::io::Errno;
        /// What opening a folder may answer, before anything was asked of the disk.
        const NOT_TRIED: [Errno; 7] = [
            Errno::NOENT,
            Errno::NOTDIR,
            Errno::LOOP,
            Errno::XDEV,
            Errno::ACCESS,
            Errno::MFILE,
            Errno::NFILE,
        ];
        if !Errno::from_io_error(&source).is_some_and(|errno| NOT_TRIED.contains(&errno)) {
            self.sync_failed.store(true, Ordering::Relaxed);
        }
        self.io("sync", path, source)
    }

    /// Syncs a file under `tmp/`. For want of room only this one is lost: its bytes are dropped and never asked for
    /// again, so that no later sync can claim to have kept them.
    fn sync_temporary(&self, file: &std::fs::File, path: &Path) -> Result<(), StoreError> {
        self.calls.sync_file(file, path).map_err(|source| self.temporary_sync_error(path, source))
    }

    /// As [`Store::sync_error`] where all that was to be synced is given up for want of room.
    fn temporary_sync_error(&self, path: &Path, source: std::io::Error) -> StoreError {
        match self.io("sync", path, source) {
            StoreError::Io { source, .. } => self.sync_error(path, source),
            full => full,
        }
    }

    /// An error about a path below the root, told apart from a full disk.
    fn io(&self, action: &'static str, path: &Path, source: std::io::Error) -> StoreError {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(source.kind(), StorageFull | QuotaExceeded) {
            return StoreError::Full { root: self.settings.root.clone() };
        }
        StoreError::io(action, &self.settings.root.join(path), source)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("root", &self.settings.root).finish_non_exhaustive()
    }
}
