//! Files that people put into the root or edit there: they become replicas like any other once they have come to rest
//! (design section 5).

use std::path::{Path, PathBuf};
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

/// A file that was put there or edited by hand, as it was when it was read: it had come to rest.
#[derive(Debug, Clone)]
pub struct ByHand {
    /// The copy that it is.
    pub copy: CopyInfo,
    /// Where it lies, relative to the root.
    pub(super) path: PathBuf,
    pub(super) look: Look,
    unchanged: bool,
}

impl ByHand {
    /// Whether only its mtime was changed: its bytes are those of the replica that it was.
    pub fn is_unchanged(&self) -> bool {
        self.unchanged
    }
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
        match self.look_by_hand(name, now, pace)? {
            Ok(found) => self.adopt_by_hand(&[(name.clone(), found)])?.remove(0),
            Err(settled) => Ok(settled),
        }
    }

    /// Reads a file that was put there or edited by hand, if there is one and it has come to rest. Nothing is changed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read_by_hand(
        &self,
        name: &ObjectName,
        now: Version,
        pace: &mut Pace<'_>,
    ) -> Result<Option<ByHand>, StoreError> {
        Ok(self.look_by_hand(name, now, pace)?.ok())
    }

    /// The same, or why there is none.
    fn look_by_hand(
        &self,
        name: &ObjectName,
        now: Version,
        pace: &mut Pace<'_>,
    ) -> Result<Result<ByHand, Settled>, StoreError> {
        for replica in self.places(name, NameHash::of(name))? {
            if self.checksum_of(&replica)?.is_some() || !self.is_surely_of(&replica)? {
                continue;
            }
            let Replica { file, path, .. } = replica;
            let read = |source| self.io("read", &path, source);
            let look = Look::at(&file).map_err(read)?;
            if look.changed() > now.before(REST) {
                return Ok(Err(Settled::Restless));
            }
            let (crc32, size) = fingerprint(&file, pace).map_err(read)?;
            let attribute = read_attribute(&file).map_err(read)?;
            let (version, unchanged) = version_of(attribute.as_ref(), crc32, look.modified().min(now));
            let copy = CopyInfo { version, size, crc32: Some(crc32) };
            return Ok(Ok(ByHand { copy, path, look, unchanged }));
        }
        Ok(Err(Settled::Nothing))
    }

    /// Whether a file is one name's alone. One that the original webDFS filed, under a path of many names, is that of each.
    fn is_surely_of(&self, replica: &Replica) -> Result<bool, StoreError> {
        if self.settings.layout == Layout::Path || replica.is_escaped() {
            return Ok(true);
        }
        let name = read_name(&replica.file);
        Ok(name.map_err(|source| self.io("read the attribute of", &replica.path, source))?.is_some())
    }

    /// Makes files that were read replicas like any other, as far as they still are what was read. What is said of each is
    /// durable: the disk is synced once for all of them.
    ///
    /// # Errors
    /// When a sync fails: then none of them counts as durable, and a repeat settles them. What fails for one file alone, as
    /// [`Store::settle_by_hand`] has it, is in its place.
    pub fn adopt_by_hand(
        &self,
        found: &[(ObjectName, ByHand)],
    ) -> Result<Vec<Result<Settled, StoreError>>, StoreError> {
        self.check_writable()?;
        let disk = self.open_disk()?;
        let marked: Vec<_> = found.iter().map(|(name, found)| self.mark_by_hand(name, found)).collect();
        self.sync_all(&disk)?;
        let settled = found.iter().zip(marked).map(|((name, _), settled)| {
            let settled = settled?;
            // What is not durable must not cost what is: so it comes last.
            if matches!(settled, Settled::Adopted(_) | Settled::Restored(_)) {
                self.recover_name(name)?;
            }
            Ok(settled)
        });
        Ok(settled.collect())
    }

    /// Gives a file its version and checksum, which are not durable yet.
    fn mark_by_hand(&self, name: &ObjectName, found: &ByHand) -> Result<Settled, StoreError> {
        let ByHand { copy, path, look, unchanged } = found;
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        // Editors replace files and write into them, and other writers replace them under this lock.
        let Some(file) = &self.reopen(path, look)? else { return Ok(Settled::Restless) };
        if self.loses(name, hash, path, &Held::Copy(*copy))? {
            let reason = "was put there by hand and is older than what this root holds";
            self.quarantine(name, hash, (path, file), reason)?;
            return Ok(Settled::Quarantined);
        }
        let CopyInfo { version, crc32, .. } = *copy;
        if let Some(crc32) = crc32.filter(|_| !unchanged) {
            let attribute = Attribute::Replica { version, crc32 };
            self.calls
                .set_attribute(file, path, ATTRIBUTE, &attribute.encode())
                .map_err(|source| self.io("set the attribute of", path, source))?;
        }
        if version != look.modified() {
            self.calls
                .set_mtime(file, path, version)
                .map_err(|source| self.io("set the mtime of", path, source))?;
        }
        Ok(if *unchanged { Settled::Restored(*copy) } else { Settled::Adopted(*copy) })
    }

    /// Whether something else that this root holds of a key supersedes this copy of it.
    fn loses(&self, name: &ObjectName, hash: NameHash, path: &Path, copy: &Held) -> Result<bool, StoreError> {
        if self.tombstone(hash)?.supersedes(copy).is_gt() {
            return Ok(true);
        }
        for other in self.places(name, hash)?.iter().filter(|other| other.path != path) {
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
