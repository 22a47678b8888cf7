//! Files that people put into the root or edit there: they become replicas like any other once they have come to rest
//! (design section 5).

use std::time::Duration;

use super::attribute::{ATTRIBUTE, Attribute};
use super::layout::NameHash;
use super::look::{Look, Pace, fingerprint};
use super::read::{Replica, read_attribute, read_name};
use super::{Store, StoreError};
use crate::config::Layout;
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::version::Version;

/// A file that has not changed for so long is taken to be whole.
pub const REST: Duration = Duration::from_secs(60);

/// What became of a file without a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// There is none: what this root holds of the key has its checksum already, or it holds nothing.
    Nothing,
    /// It changed a short while ago, or while it was read: later.
    Restless,
    /// It has a version and a checksum now, and counts as any other copy.
    Adopted(CopyInfo),
    /// Only its mtime had changed, which was put back.
    Restored(CopyInfo),
    /// It lost to something newer and lies in quarantine.
    Quarantined,
}

impl Store {
    /// Gives a file that was put there or edited by hand a version and a checksum, if it has come to rest. It is the same
    /// file afterwards, durable, and its bytes are only read; `pace` is told of each piece.
    ///
    /// # Errors
    /// When the disk fails, or `pace` does, or the file belongs to somebody else, so that no attribute can be set. It is as it was then, or
    /// a repeat settles it.
    pub fn settle_by_hand(
        &self,
        name: &ObjectName,
        now: Version,
        pace: &mut Pace<'_>,
    ) -> Result<Settled, StoreError> {
        let hash = NameHash::of(name);
        for replica in self.places(name, hash)? {
            if self.checksum_of(&replica)?.is_none() && self.is_surely_of(&replica)? {
                return self.settle(name, hash, &replica, now, pace);
            }
        }
        Ok(Settled::Nothing)
    }

    /// Whether a file is one name's alone. One that the original webDFS filed, under a path of many names, is that of each.
    fn is_surely_of(&self, replica: &Replica) -> Result<bool, StoreError> {
        if self.settings.layout == Layout::Path || replica.is_escaped() {
            return Ok(true);
        }
        let name = read_name(&replica.file);
        Ok(name.map_err(|source| self.io("read the attribute of", &replica.path, source))?.is_some())
    }

    fn settle(
        &self,
        name: &ObjectName,
        hash: NameHash,
        replica: &Replica,
        now: Version,
        pace: &mut Pace<'_>,
    ) -> Result<Settled, StoreError> {
        let (file, path) = (&replica.file, &replica.path);
        let read = |source| self.io("read", path, source);
        let before = Look::at(file).map_err(read)?;
        if before.changed() > now.before(REST) {
            return Ok(Settled::Restless);
        }
        let (crc32, size) = fingerprint(file, pace).map_err(read)?;
        let attribute = read_attribute(file).map_err(read)?;
        let (version, unchanged) = version_of(attribute.as_ref(), crc32, before.modified().min(now));
        let copy = CopyInfo { version, size, crc32: Some(crc32) };

        self.check_writable()?;
        let _lock = self.lock_key(name, hash)?;
        // Editors replace files and write into them, and other writers replace them under this lock.
        if !self.is_still(path, &before)? {
            return Ok(Settled::Restless);
        }
        if self.loses(name, hash, replica, &Held::Copy(copy))? {
            let reason = "was put there by hand and is older than what this root holds";
            self.quarantine(name, hash, (path, file), reason)?;
            return Ok(Settled::Quarantined);
        }
        if !unchanged {
            let attribute = Attribute::Replica { version, crc32 };
            self.calls
                .set_attribute(file, path, ATTRIBUTE, &attribute.encode())
                .map_err(|source| self.io("set the attribute of", path, source))?;
        }
        if version != before.modified() {
            self.calls
                .set_mtime(file, path, version)
                .map_err(|source| self.io("set the mtime of", path, source))?;
        }
        self.calls.sync_file(file, path).map_err(|source| self.sync_error(path, source))?;
        self.sync_name(path)?;
        self.keep_newest(name, hash)?;
        Ok(if unchanged { Settled::Restored(copy) } else { Settled::Adopted(copy) })
    }

    /// Whether something else that this root holds of a key supersedes this copy of it.
    fn loses(
        &self,
        name: &ObjectName,
        hash: NameHash,
        replica: &Replica,
        copy: &Held,
    ) -> Result<bool, StoreError> {
        if self.tombstone(hash)?.supersedes(copy).is_gt() {
            return Ok(true);
        }
        for other in self.places(name, hash)?.iter().filter(|other| other.path != replica.path) {
            if Held::Copy(self.describe(other)?).supersedes(copy).is_gt() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The version of a file, and whether it has the bytes that its attribute speaks of.
fn version_of(attribute: Option<&Attribute>, crc32: u32, mtime: Version) -> (Version, bool) {
    match attribute {
        Some(Attribute::Replica { version, crc32: borne }) if *borne == crc32 => (*version, true),
        // Later for web servers too, whose ETags may know whole seconds only.
        Some(Attribute::Replica { version, .. }) => {
            (mtime.max(Version::from_nanos(version.nanos().saturating_add(1_000_000_000))), false)
        }
        Some(Attribute::Spool(_)) | None => (mtime, false),
    }
}
