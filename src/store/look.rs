//! Whether a file is still what it was: for work that reads all of its bytes, which takes too long to hold a lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Stat, fstat};

use super::read::mtime;
use super::{Store, StoreError};
use crate::version::Version;

/// Is told how many bytes were read, and makes the reader wait for as long as he should. With an error the reading ends.
pub type Pace<'a> = dyn FnMut(usize) -> io::Result<()> + 'a;

/// A file at one moment. If a later look is equal, it is the same file and nobody wrote to it in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    device: u64,
    inode: u64,
    size: i64,
    modified: Version,
    changed: Version,
}

impl Look {
    /// Looks at an open file.
    pub(super) fn at(file: &File) -> io::Result<Self> {
        Ok(Self::of(&fstat(file)?))
    }

    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: mtime(stat),
            changed: changed(stat),
        }
    }

    /// Its mtime.
    pub(super) fn modified(&self) -> Version {
        self.modified
    }

    /// When its bytes, size, attributes or times were last changed, by this machine's clock.
    pub(super) fn changed(&self) -> Version {
        self.changed
    }
}

/// The ctime: no program can set it.
pub(super) fn changed(stat: &Stat) -> Version {
    Version::from_mtime(stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0))
}

impl Store {
    /// The file at a path, if it still looks as it did.
    pub(super) fn reopen(&self, path: &Path, before: &Look) -> Result<Option<File>, StoreError> {
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        Ok(opened.filter(|(_, stat)| Look::of(stat) == *before).map(|(file, _)| file))
    }
}

/// Checksum and number of the bytes of a file, from its beginning; `pace` is told of each piece that was read.
pub(super) fn fingerprint(file: &File, pace: &mut Pace<'_>) -> io::Result<(u32, u64)> {
    const CHUNK_BYTES: usize = 64 << 10;
    let (mut crc32, mut length, mut chunk) = (crc32fast::Hasher::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        match file.read_at(&mut chunk, length) {
            Ok(0) => return Ok((crc32.finalize(), length)),
            Ok(got) => {
                crc32.update(&chunk[..got]);
                length += got as u64;
                pace(got)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
