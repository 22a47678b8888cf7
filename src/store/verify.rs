//! The scrub's look at one key: whether its bytes are still what their checksum says.

use rustix::fs::{Advice, fadvise};

use super::layout::NameHash;
use super::look::{Look, Pace, fingerprint};
use super::read::Replica;
use super::{Store, StoreError};
use crate::failpoint::{Step, step};
use crate::name::ObjectName;

/// What a scrub finds of a key, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No replica.
    Nothing,
    /// The bytes match their checksum.
    Sound,
    /// It has none: it was put there or edited by hand, and is for [`Store::settle_by_hand`].
    Unknown,
    /// It was replaced or edited while it was read: it is for the next scrub.
    Changed,
    /// The bytes do not match their checksum, and nobody touched them: now in quarantine.
    Rotten,
}

impl Store {
    /// Reads the bytes of a key from the disk and compares them with their checksum; `pace` is told of each piece. A replica
    /// that has rotted is moved into the quarantine, durably.
    ///
    /// # Errors
    /// When the disk fails, or `pace` does. A replica that cannot be read stays where it is.
    pub fn verify(&self, name: &ObjectName, pace: &mut Pace<'_>) -> Result<Verdict, StoreError> {
        let hash = NameHash::of(name);
        let mut worst = Verdict::Nothing;
        for replica in self.places(name, hash)? {
            worst = worst.max(self.verify_replica(name, hash, &replica, pace)?);
        }
        Ok(worst)
    }

    fn verify_replica(
        &self,
        name: &ObjectName,
        hash: NameHash,
        replica: &Replica,
        pace: &mut Pace<'_>,
    ) -> Result<Verdict, StoreError> {
        let (file, path) = (&replica.file, &replica.path);
        let read = |source| self.io("read", path, source);
        let before = Look::at(file).map_err(read)?;
        let Some(crc32) = self.checksum_of(replica)? else { return Ok(Verdict::Unknown) };
        // What is compared must come from the disk, not from memory. If this fails, some of it may not.
        let _ = fadvise(file, 0, None, Advice::DontNeed);
        // Twice, since what went wrong the first time may be the reading.
        for _ in 0..2 {
            if fingerprint(file, pace).map_err(read)?.0 == crc32 {
                return Ok(Verdict::Sound);
            }
        }
        self.check_writable()?;
        let _lock = self.lock_key(name, hash)?;
        if self.reopen(path, &before)?.is_none() {
            return Ok(Verdict::Changed);
        }
        step(Step::RotFound);
        self.quarantine(name, hash, (path, file), "does not match its checksum")?;
        Ok(Verdict::Rotten)
    }
}
