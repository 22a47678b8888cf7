//! Looking at what the root holds.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, Stat, fstat};

use super::attribute::{self, Attribute};
use super::calls::READ;
use super::layout::{self, NameHash};
use super::{Store, StoreError};
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::version::Version;

/// A replica, open. Its bytes stay what they are as long as it is open, whatever happens to the name.
#[derive(Debug, Clone)]
pub struct Replica {
    /// The open file.
    pub file: Arc<File>,
    /// Bytes.
    pub size: u64,
    /// Its version: the mtime.
    pub version: Version,
    /// Whether it lies in the escape area, where no web server can read it.
    pub escaped: bool,
}

impl Store {
    /// Opens the replica of a name, or says that there is none that may be served: a copy older than the key's
    /// tombstone does not count.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open_replica(&self, name: &ObjectName) -> Result<Option<Replica>, StoreError> {
        let hash = NameHash::of(name);
        self.served(name, hash, |path| self.open_file(path, false))
    }

    /// [`Store::open_replica`] if the answer can be had without waiting for the disk, else `None`: then ask again
    /// on a thread that may wait.
    pub fn open_cached(&self, name: &ObjectName) -> Option<Option<Replica>> {
        let hash = NameHash::of(name);
        self.served(name, hash, |path| self.open_file(path, true)).ok()
    }

    /// The copy that may be served, with `open` as the way to look at a path.
    fn served(
        &self,
        name: &ObjectName,
        hash: NameHash,
        open: impl Fn(&Path) -> io::Result<Option<(File, Stat)>>,
    ) -> Result<Option<Replica>, StoreError> {
        let look = |path: &Path| open(path).map_err(|source| self.io("open", path, source));
        let in_place = layout::path(name).map(&look).transpose()?.flatten();
        let (file, stat, escaped) = match in_place {
            Some((file, stat)) => (file, stat, false),
            None => match look(&hash.escape())? {
                Some((file, stat)) => (file, stat, true),
                None => return Ok(None),
            },
        };
        let replica = Replica { size: size(&stat), version: mtime(&stat), file: Arc::new(file), escaped };
        match look(&hash.tombstone())? {
            Some((_, stat)) if mtime(&stat) >= replica.version => Ok(None),
            _ => Ok(Some(replica)),
        }
    }

    /// What this root holds of a name, as other nodes are told.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn held(&self, name: &ObjectName) -> Result<Held, StoreError> {
        let hash = NameHash::of(name);
        let copy = match self.open_replica_or_hidden(name, hash)? {
            Some(replica) => Held::Copy(CopyInfo {
                version: replica.version,
                size: replica.size,
                crc32: self.checksum_of(&replica)?,
            }),
            None => Held::Nothing,
        };
        let tombstone = self.tombstone(hash)?;
        Ok(if tombstone.supersedes(&copy).is_gt() { tombstone } else { copy })
    }

    /// The copy of a name, whether or not a tombstone hides it.
    pub(super) fn open_replica_or_hidden(
        &self,
        name: &ObjectName,
        hash: NameHash,
    ) -> Result<Option<Replica>, StoreError> {
        let escape = hash.escape();
        let places = [(layout::path(name), false), (Some(escape.as_path()), true)];
        for (path, escaped) in places.into_iter().filter_map(|(path, escaped)| Some((path?, escaped))) {
            let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
            if let Some((file, stat)) = opened {
                let (size, version) = (size(&stat), mtime(&stat));
                return Ok(Some(Replica { file: Arc::new(file), size, version, escaped }));
            }
        }
        Ok(None)
    }

    /// The tombstone of a key, or nothing.
    pub(super) fn tombstone(&self, hash: NameHash) -> Result<Held, StoreError> {
        let path = hash.tombstone();
        let opened = self.open_file(&path, false).map_err(|source| self.io("open", &path, source))?;
        Ok(opened.map_or(Held::Nothing, |(_, stat)| Held::Tombstone { version: mtime(&stat) }))
    }

    /// The checksum in a replica's attribute. `None` for a file put there by hand, and for one that was edited
    /// since: its checksum says nothing about its bytes.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn checksum_of(&self, replica: &Replica) -> Result<Option<u32>, StoreError> {
        let attribute = read_attribute(&replica.file)
            .map_err(|source| self.io("read the attribute of a replica in", Path::new("."), source))?;
        Ok(match attribute {
            Some(Attribute::Replica { version, crc32 }) if version == replica.version => Some(crc32),
            _ => None,
        })
    }

    /// Opens a regular file; `None` if there is none of that name.
    pub(super) fn open_file(&self, path: &Path, cached: bool) -> io::Result<Option<(File, Stat)>> {
        let opened = if cached { self.root.open_cached(path) } else { self.root.open_beneath(path, READ, 0) };
        let file = match opened {
            Ok(file) => File::from(file),
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = fstat(&file)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(regular.then_some((file, stat)))
    }
}

/// Whether an error of open says that no replica can lie there, rather than that the disk failed.
fn is_absence(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const ABSENT: [Errno; 6] =
        [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::XDEV, Errno::NAMETOOLONG, Errno::NXIO];
    Errno::from_io_error(error).is_some_and(|errno| ABSENT.contains(&errno))
}

/// The version a file's mtime stands for.
pub(super) fn mtime(stat: &Stat) -> Version {
    Version::from_mtime(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0))
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// The attribute of a file; `None` if it has none or one that is not ours.
pub(super) fn read_attribute(file: &File) -> io::Result<Option<Attribute>> {
    let mut value = [0; attribute::ATTRIBUTE_BYTES_MAX];
    match rustix::fs::fgetxattr(file, attribute::ATTRIBUTE, &mut value) {
        Ok(length) => Ok(Attribute::decode(&value[..length])),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::RANGE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
