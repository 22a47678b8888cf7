//! Deleting: the tombstone is durable before anything is unlinked.

use std::path::Path;

use super::attribute::{decode_tombstone, encode_tombstone};
use super::layout::{self, NameHash};
use super::spool::SpoolId;
use super::write::Outcome;
use super::{Store, StoreError};
use crate::config::Durability;
use crate::held::Held;
use crate::name::ObjectName;
use crate::version::Version;

/// Nobody but webdfs reads tombstones.
const TOMBSTONE_MODE: u32 = 0o600;

impl Store {
    /// Records that a key was deleted at a version and unlinks what is older, unless this root holds something
    /// newer. Works below the reserve.
    ///
    /// # Errors
    /// When the disk fails; the replica is then still there.
    pub fn delete(
        &self,
        name: &ObjectName,
        version: Version,
        for_client: bool,
    ) -> Result<Outcome, StoreError> {
        self.check_writable()?;
        let sync = !for_client || self.settings.durability == Durability::Sync;
        let hash = NameHash::of(name);
        let _lock = self.lock_key(hash)?;
        let held = self.held(name)?;
        let outcome = Outcome::of(Held::Tombstone { version }.supersedes(&held));
        if outcome != Outcome::Done {
            return Ok(outcome);
        }
        self.write_tombstone(name, hash, version, sync)?;
        self.unlink_replica(name, hash, sync)?;
        Ok(Outcome::Done)
    }

    fn write_tombstone(
        &self,
        name: &ObjectName,
        hash: NameHash,
        version: Version,
        sync: bool,
    ) -> Result<(), StoreError> {
        let spool = Path::new(layout::TMP).join(format!("{}-tombstone", SpoolId::random()));
        let path = hash.tombstone();
        let written = || -> Result<(), StoreError> {
            let fail = |action, source| self.io(action, &spool, source);
            let file = self.calls.create(&spool, TOMBSTONE_MODE).map_err(|source| fail("create", source))?;
            let text = encode_tombstone(name, version);
            self.calls.write(&file, &spool, &text).map_err(|source| fail("write", source))?;
            self.calls
                .set_mtime(&file, &spool, version)
                .map_err(|source| fail("set the mtime of", source))?;
            if sync {
                self.calls.sync_file(&file, &spool).map_err(|source| self.sync_error(&spool, source))?;
            }
            if !self.rename_into(&spool, &path)? {
                let path = self.settings.root.join(&path);
                return Err(StoreError::Damaged { path, problem: "no tombstone can be written here".into() });
            }
            Ok(())
        };
        let result = written();
        if result.is_err() {
            let _ = self.calls.unlink(&spool);
            return result;
        }
        if sync { self.sync_name(&path) } else { Ok(()) }
    }

    /// Unlinks the replica of a key, wherever it lies. The caller holds the key's lock.
    ///
    /// The folder is synced, although the tombstone alone decides what webdfs serves: a web server that
    /// serves local files by itself knows nothing of tombstones.
    fn unlink_replica(&self, name: &ObjectName, hash: NameHash, sync: bool) -> Result<(), StoreError> {
        let escape = hash.escape();
        for path in [layout::path(name), Some(escape.as_path())].into_iter().flatten() {
            let regular =
                self.open_file(path, false).map_err(|source| self.io("open", path, source))?.is_some();
            if !regular {
                continue;
            }
            self.calls.unlink(path).map_err(|source| self.io("remove", path, source))?;
            if sync {
                self.sync_folder(path.parent().unwrap_or(Path::new("")))?;
            }
            if path != escape {
                self.remove_empty_parents(path);
            }
        }
        Ok(())
    }

    /// Ends what a crash between two steps left behind: a replica below its tombstone, a tombstone below its
    /// replica, a copy in the escape area beside one at its path. The agent runs this when it takes over.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn recover(&self) -> Result<(), StoreError> {
        self.for_each_filed(layout::TOMBSTONES, |path| {
            let Some((name, version)) = self.read_tombstone(path)? else { return Ok(()) };
            let hash = NameHash::of(&name);
            let _lock = self.lock_key(hash)?;
            let Some(replica) = self.open_replica_or_hidden(&name, hash)? else { return Ok(()) };
            if replica.version <= version {
                self.unlink_replica(&name, hash, true)
            } else {
                self.calls.unlink(path).map_err(|source| self.io("remove", path, source))
            }
        })?;
        self.for_each_filed(layout::ESCAPE, |path| {
            let Some(name) = self.escaped_name(path)? else { return Ok(()) };
            let _lock = self.lock_key(NameHash::of(&name))?;
            let Some(in_place) = layout::path(&name) else { return Ok(()) };
            let opened =
                self.open_file(in_place, false).map_err(|source| self.io("open", in_place, source))?;
            if opened.is_some() {
                self.calls.unlink(path).map_err(|source| self.io("remove", path, source))?;
            }
            Ok(())
        })
    }

    /// Calls `visit` with every file of a folder that files by hash.
    fn for_each_filed(
        &self,
        folder: &str,
        mut visit: impl FnMut(&Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for below in self.list(Path::new(folder))? {
            for path in self.list(&below)? {
                visit(&path)?;
            }
        }
        Ok(())
    }

    /// A tombstone's name and version; `None` if it is gone or damaged.
    fn read_tombstone(&self, path: &Path) -> Result<Option<(ObjectName, Version)>, StoreError> {
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
        use super::attribute::ATTRIBUTE_NAME;
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((file, _)) = opened else { return Ok(None) };
        let mut value = [0; crate::name::NAME_BYTES_MAX];
        match rustix::fs::fgetxattr(&file, ATTRIBUTE_NAME, &mut value) {
            Ok(length) => Ok(ObjectName::from_bytes(&value[..length]).ok()),
            Err(rustix::io::Errno::NODATA) => Ok(None),
            Err(error) => Err(self.io("read the attribute of", path, error.into())),
        }
    }
}
