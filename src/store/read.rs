//! Looking at what the root holds.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Stat, fstat};

use super::attribute::{self, Attribute};
use super::calls::READ;
use super::layout::{self, NameHash};
use super::{Store, StoreError};
use crate::config::Layout;
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
    /// Where it lies, relative to the root.
    pub path: PathBuf,
}

impl Replica {
    pub(super) fn new((file, stat): (File, Stat), path: PathBuf) -> Self {
        Self { size: size(&stat), version: mtime(&stat), file: Arc::new(file), path }
    }

    /// Whether it lies in the escape area, where no web server can read it.
    pub fn is_escaped(&self) -> bool {
        self.path.starts_with(layout::PRIVATE)
    }
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

    /// The same, with the checksum of its bytes; `None` for that where they have none yet, as [`Store::checksum_of`] says.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open_copy(&self, name: &ObjectName) -> Result<Option<(Replica, Option<u32>)>, StoreError> {
        let Some(replica) = self.open_replica(name)? else { return Ok(None) };
        let crc32 = self.checksum_of(&replica)?;
        Ok(Some((replica, crc32)))
    }

    /// [`Store::open_replica`] if the answer can be had without waiting for the disk, else `None`: then ask again
    /// on a thread that may wait.
    pub fn open_cached(&self, name: &ObjectName) -> Option<Option<Replica>> {
        // Whose file it is stands in an attribute, and nothing tells whether reading that would wait.
        if self.settings.layout != Layout::Path {
            return None;
        }
        let hash = NameHash::of(name);
        self.served(name, hash, |path| self.open_file(path, true)).ok()
    }

    /// The copy that may be served, with `open` as the way to look at a path.
    ///
    /// One at its path counts before one in the escape area without a look at that: webdfs leaves both only when it
    /// dies before it has removed the latter, and a web server would serve the former anyway.
    fn served(
        &self,
        name: &ObjectName,
        hash: NameHash,
        open: impl Fn(&Path) -> io::Result<Option<(File, Stat)>>,
    ) -> Result<Option<Replica>, StoreError> {
        let look = |path: &Path| open(path).map_err(|source| self.io("open", path, source));
        let path = layout::path(self.settings.layout, name);
        let look_in_place = || match &path {
            Some(path) => self.if_of(name, hash, path, look(path)?),
            None => Ok(None),
        };
        let (opened, escaped) = match look_in_place()? {
            Some(opened) => (Some(opened), false),
            None => match look(&hash.escape())? {
                Some(opened) => (Some(opened), true),
                // A write may just have brought it back from there to its path.
                None => (look_in_place()?, false),
            },
        };
        let Some(opened) = opened else { return Ok(None) };
        let place = path.filter(|_| !escaped).map_or_else(|| hash.escape(), Cow::into_owned);
        let replica = Replica::new(opened, place);
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
        match self.held_now(name, hash)? {
            // A write over a tombstone may have removed that one after we looked for the replica: look again.
            Held::Nothing => self.held_now(name, hash),
            held => Ok(held),
        }
    }

    /// The same, durable: whoever is told that it is held may remove his own copy.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn held_durably(&self, name: &ObjectName) -> Result<Held, StoreError> {
        self.check_writable()?;
        let hash = NameHash::of(name);
        let _lock = self.lock_key(name, hash)?;
        let held = self.held_now(name, hash)?;
        self.sync_held(name, hash)?;
        Ok(held)
    }

    /// The same, if nobody can write it meanwhile: the caller holds the key's lock.
    pub(super) fn held_now(&self, name: &ObjectName, hash: NameHash) -> Result<Held, StoreError> {
        let mut held = Held::Nothing;
        for replica in self.places(name, hash)? {
            let copy = Held::Copy(self.describe(&replica)?);
            if copy.supersedes(&held).is_gt() {
                held = copy;
            }
        }
        let tombstone = self.tombstone(hash)?;
        Ok(if tombstone.supersedes(&held).is_gt() { tombstone } else { held })
    }

    /// What a replica is, as other nodes are told.
    pub(super) fn describe(&self, replica: &Replica) -> Result<CopyInfo, StoreError> {
        Ok(CopyInfo { version: replica.version, size: replica.size, crc32: self.checksum_of(replica)? })
    }

    /// The replicas of a name, whether or not a tombstone hides them: at its path, in the escape area, or, after a
    /// crash, in both. The escape area first, since writes move replicas from there to their paths.
    pub(super) fn places(&self, name: &ObjectName, hash: NameHash) -> Result<Vec<Replica>, StoreError> {
        let layout = self.settings.layout;
        let mut places = Vec::new();
        let open = |path: &Path| self.open_file(path, false).map_err(|source| self.io("open", path, source));
        let escape = hash.escape();
        let escaped = open(&escape)?;
        places.extend(escaped.map(|opened| Replica::new(opened, escape)));
        if let Some(path) = layout::path(layout, name) {
            let opened = self.if_of(name, hash, &path, open(&path)?)?;
            places.extend(opened.map(|opened| Replica::new(opened, path.into_owned())));
        }
        Ok(places)
    }

    /// The file at the path of a name, if it is that name's and not another's of the same path.
    fn if_of(
        &self,
        name: &ObjectName,
        hash: NameHash,
        path: &Path,
        opened: Option<(File, Stat)>,
    ) -> Result<Option<(File, Stat)>, StoreError> {
        match opened {
            Some((file, _)) if !self.may_be_of(name, hash, path, &file)? => Ok(None),
            opened => Ok(opened),
        }
    }

    /// Whether the file at the path of a name is its replica: it bears that name, or it bears none and the name has no
    /// replica in the escape area. One that has came there because the path was another's; if the file there has lost
    /// its name since, as it does when an editor or a restored backup replaces it, it is still that other's.
    pub(super) fn may_be_of(
        &self,
        name: &ObjectName,
        hash: NameHash,
        path: &Path,
        file: &File,
    ) -> Result<bool, StoreError> {
        if self.settings.layout == Layout::Path {
            return Ok(true);
        }
        match read_name(file).map_err(|source| self.io("read the attribute of", path, source))? {
            Some(borne) => Ok(borne == name.as_bytes()),
            None => Ok(!self.exists(&hash.escape())?),
        }
    }

    /// Whether two names have one path.
    pub fn share_path(&self, one: &ObjectName, other: &ObjectName) -> bool {
        let path = |name| layout::path(self.settings.layout, name);
        path(one).is_some_and(|path_of_one| path(other) == Some(path_of_one))
    }

    /// Whether there is a file of that name.
    pub(super) fn exists(&self, path: &Path) -> Result<bool, StoreError> {
        Ok(self.open_file(path, false).map_err(|source| self.io("open", path, source))?.is_some())
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
pub(super) fn is_absence(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const ABSENT: [Errno; 7] = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::LOOP,
        Errno::XDEV,
        Errno::NAMETOOLONG,
        Errno::ILSEQ,
        Errno::NXIO,
    ];
    Errno::from_io_error(error).is_some_and(|errno| ABSENT.contains(&errno))
}

/// The version a file's mtime stands for.
pub(super) fn mtime(stat: &Stat) -> Version {
    Version::from_mtime(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0))
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// The name in a file, whether or not it can be one; `None` if there is none.
pub(super) fn read_name(file: &File) -> io::Result<Option<Vec<u8>>> {
    // A byte more than the longest: what is too long for that is no name.
    let mut value = [0; crate::name::NAME_BYTES_MAX + 1];
    match rustix::fs::fgetxattr(file, attribute::ATTRIBUTE_NAME, &mut value) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(rustix::io::Errno::NODATA) => Ok(None),
        Err(rustix::io::Errno::RANGE) => Ok(Some(value.to_vec())),
        Err(error) => Err(error.into()),
    }
}

/// The time in a tombstone's attribute; `None` if it has none or one that is not ours.
pub(super) fn read_time(file: &File) -> io::Result<Option<Version>> {
    let mut value = [0; 20];
    match rustix::fs::fgetxattr(file, attribute::ATTRIBUTE_AGREED, &mut value) {
        Ok(length) => {
            let seconds = std::str::from_utf8(&value[..length]).ok().and_then(|text| text.parse().ok());
            Ok(seconds.map(|seconds| Version::from_mtime(seconds, 0)))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::RANGE) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
