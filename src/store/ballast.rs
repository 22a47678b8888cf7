//! `.webdfs/ballast`: room that is given up when the disk is full, so that a deletion finds some for its tombstone, and a
//! stamp for itself.

use std::path::Path;

use super::spool::SpoolId;
use super::{Store, StoreError, layout};

/// Enough for thousands of tombstones on any file system.
const BALLAST_BYTES: usize = 4 << 20;
const CHUNK_BYTES: usize = 64 << 10;

impl Store {
    /// Sets the room aside if it is not there and the disk has plenty. The agent does this again and again.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keep_ballast(&self) -> Result<(), StoreError> {
        let ballast = Path::new(layout::BALLAST);
        if self.exists(ballast)? || self.check_space(2 * BALLAST_BYTES as u64).is_err() {
            return Ok(());
        }
        let spool = Path::new(layout::TMP).join(format!("{}-ballast", SpoolId::random()));
        let file = self.create_temporary(&spool, 0o600)?;
        let chunk = vec![0; CHUNK_BYTES];
        let write = || {
            for _ in 0..BALLAST_BYTES / chunk.len() {
                self.calls.write(&file, &spool, &chunk)?;
            }
            self.calls.rename(&spool, ballast)
        };
        write().map_err(|source| {
            let _ = self.calls.unlink(&spool);
            self.io("write", &spool, source)
        })
    }

    /// Gives the room up; whether there was any.
    pub(super) fn give_up_ballast(&self) -> bool {
        self.calls.unlink(Path::new(layout::BALLAST)).is_ok()
    }
}
