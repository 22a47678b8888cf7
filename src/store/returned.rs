//! A root that has returned (design section 5): an older copy of itself, or one under a name that others know from another
//! disk. What it holds may have been overwritten or deleted since, so it is moved to where not even a web server serves
//! it. Each file that another owner still knows moves back; what nobody knows stays for a person to judge.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, OFlags, Stat};
use rustix::io::Errno;

use super::identity::Identity;
use super::layout::{self, NameHash};
use super::look::fingerprint;
use super::read::{Replica, read_name};
use super::stamp::Stamp;
use super::{Store, StoreError};
use crate::cluster::NodeName;
use crate::config::Layout;
use crate::failpoint::{Step, step};
use crate::held::{CopyInfo, Held};
use crate::name::{Exclude, ObjectName};

/// Where, in the folder of one return, the files lie that were at their paths, and those of the escape area.
const PATHS: &str = "root";
const ESCAPED: &str = "escape";

/// Whether to go on to the next entry.
type Listing = Result<ControlFlow<()>, StoreError>;

/// A replica that a root returned with, where nobody serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// Whose it is.
    pub name: ObjectName,
    /// What it was held as.
    pub copy: CopyInfo,
    /// Where it lies, relative to the root.
    pub path: PathBuf,
}

impl Identity {
    /// The root has returned, and others remember this stamp.
    fn returned_as(&mut self, remembered: Stamp) {
        self.complete = false;
        self.returned = Some(remembered);
        self.returning = true;
        self.passed = 0;
        // Others must take it for newer than what they remember, and yet know it from what that might become.
        self.stamp = Some(remembered.leap());
    }
}

impl Store {
    /// Records that the root has returned, if the stamp that others remember of it says so: it is incomplete from now on,
    /// and [`Store::finish_return`] is to be called. Whether it has.
    ///
    /// # Errors
    /// As [`Store::identify`], and when the disk fails.
    pub fn begin_return(&self, node: &NodeName, remembered: Stamp) -> Result<bool, StoreError> {
        let identity = self.change_identity(node, |identity| {
            let has_returned = identity.stamp.is_none_or(|own| remembered.contradicts(own));
            if has_returned {
                identity.returned_as(remembered);
            }
            has_returned
        })?;
        Ok(identity.returning)
    }

    /// Records that the root has returned although the others may know it as it is, for they have given it up: as
    /// [`Store::begin_return`]. Does nothing if it has returned already and is not complete again.
    ///
    /// # Errors
    /// As [`Store::begin_return`].
    pub fn begin_return_of_lost(&self, node: &NodeName) -> Result<(), StoreError> {
        self.change_identity(node, |identity| {
            let Some(own) = identity.stamp.filter(|_| identity.returned.is_none()) else { return false };
            identity.returned_as(own);
            true
        })?;
        Ok(())
    }

    /// Moves all files of a root that has returned to quarantine, but for those with excluded names: no request ever reaches
    /// these, and what they do is none of our business. Does nothing if that is done. Interrupted at any point, it goes on when it is called again;
    /// writes wait meanwhile.
    ///
    /// # Errors
    /// When something cannot be moved. Then the rest may be, and the root stays as it is: incomplete.
    pub fn finish_return(&self, node: &NodeName, exclude: &Exclude) -> Result<(), StoreError> {
        let _lock = self.lock_identity()?;
        let mut identity = self.identify_locked(node)?;
        if !identity.returning {
            return Ok(());
        }
        step(Step::ReturnBegun);
        {
            let _keys = self.lock_all_keys()?;
            // One for each try: names that have been moved before may have come anew since.
            let folder = Path::new(layout::RETURNED).join(format!("{:016x}", fastrand::u64(..)));
            let stays = |path: &Path| {
                let name = ObjectName::from_bytes(path.as_os_str().as_bytes());
                path == Path::new(layout::PRIVATE) || name.is_ok_and(|name| exclude.matches(&name))
            };
            self.move_entries(Path::new(""), &folder.join(PATHS), &stays)?;
            self.move_entries(Path::new(layout::ESCAPE), &folder.join(ESCAPED), &|_| false)?;
        }
        step(Step::ReturnMoved);
        identity.returning = false;
        self.write_identity(&identity)
    }

    /// Moves every entry of a folder into another one, which may not exist yet, durably; of a folder in which something
    /// stays, all else that is in it.
    fn move_entries(&self, from: &Path, to: &Path, stays: &dyn Fn(&Path) -> bool) -> Result<(), StoreError> {
        let mut has_moved = false;
        // What is removed from a folder while it is listed may hide another entry: until a listing shows none.
        loop {
            let mut count = 0;
            let left = self.each_entry(from, &mut |name, file_type| {
                let path = from.join(name);
                if stays(&path) {
                    return Ok(ControlFlow::Continue(()));
                }
                if self.type_at(&path, file_type) == FileType::Directory
                    && self.keeps_any(&path, stays)?.is_break()
                {
                    self.move_entries(&path, &to.join(name), stays)?;
                    return Ok(ControlFlow::Continue(()));
                }
                if !has_moved {
                    self.make_parents(&to.join(name))
                        .map_err(|source| self.io("make the folders of", to, source))?;
                    has_moved = true;
                }
                count += usize::from(self.move_entry(&path, &to.join(name))?);
                Ok(ControlFlow::Continue(()))
            });
            _ = left?;
            if count == 0 {
                break;
            }
        }
        if has_moved {
            self.sync_name(&to.join("any"))?;
            self.sync_folder(from)?;
        }
        Ok(())
    }

    /// Breaks if something below a folder stays.
    fn keeps_any(&self, folder: &Path, stays: &dyn Fn(&Path) -> bool) -> Listing {
        let listing = self.each_entry(folder, &mut |name, file_type| {
            let path = folder.join(name);
            match self.type_at(&path, file_type) {
                _ if stays(&path) => Ok(ControlFlow::Break(())),
                FileType::Directory => self.keeps_any(&path, stays),
                _ => Ok(ControlFlow::Continue(())),
            }
        });
        match listing {
            // What nobody of this user can see nobody of this user needs.
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                Ok(ControlFlow::Continue(()))
            }
            listing => listing,
        }
    }

    /// Some file systems do not tell the types of entries.
    fn type_at(&self, path: &Path, listed: FileType) -> FileType {
        match listed {
            FileType::Unknown => self.root.stat(path).map_or(listed, |stat| type_of(&stat)),
            known => known,
        }
    }

    /// Moves a file, or a folder with all that is below it, at once; a folder that cannot be moved, such as a mount or
    /// `lost+found`, is emptied instead. Whether anything has moved.
    fn move_entry(&self, from: &Path, to: &Path) -> Result<bool, StoreError> {
        step(Step::ReturnMoving);
        const STUCK: [Errno; 4] = [Errno::ACCESS, Errno::PERM, Errno::BUSY, Errno::XDEV];
        let error = match self.calls.rename(from, to) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => error,
        };
        let is_stuck = Errno::from_io_error(&error).is_some_and(|errno| STUCK.contains(&errno));
        if !is_stuck || !self.root.stat(from).is_ok_and(|stat| type_of(&stat) == FileType::Directory) {
            return Err(self.io("move to quarantine", from, error));
        }
        match self.root.open_beneath(from, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // Nobody of this user can serve what is in it.
                log::warn!("{} stays where it is: {error}", self.settings.root.join(from).display());
            }
            _ => self.move_entries(from, to, &|_| false)?,
        }
        Ok(false)
    }

    /// Shows the entries of a folder and their types, in no order, until told to stop; none if there is no such folder.
    fn each_entry(&self, folder: &Path, visit: &mut dyn FnMut(&Path, FileType) -> Listing) -> Listing {
        let fail = |source| self.io("list", folder, source);
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let opened = self.root.open_beneath(place, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, 0);
        let entries = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
            opened => Dir::new(opened.map_err(fail)?).map_err(|source| fail(source.into()))?,
        };
        for entry in entries {
            let entry = entry.map_err(|source| fail(source.into()))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if visit(Path::new(OsStr::from_bytes(name)), entry.file_type())?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Makes a replica that the root returned with what it was again, if it has one of this name that is exactly the copy
    /// which another owner holds now, byte for byte, and holds nothing newer. Whether it did; if the same copy has come from
    /// elsewhere since, the returned one goes.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn take_back(&self, name: &ObjectName, copy: &CopyInfo) -> Result<bool, StoreError> {
        self.check_writable()?;
        let hash = NameHash::of(name);
        let is_copy = |path: &Path| self.is_copy(path, name, copy);
        let Some(path) = self.returned_file(name, hash, &is_copy)? else { return Ok(false) };
        step(Step::ReturnConfirmed);
        let _lock = self.lock_key(name, hash)?;
        let held = self.held_now(name, hash)?;
        let opened = self.open_file(&path, false).map_err(|source| self.io("open", &path, source))?;
        let Some((file, _)) = opened else { return Ok(false) };
        let order = Held::Copy(*copy).supersedes(&held);
        match order {
            Ordering::Less => return Ok(false),
            Ordering::Equal => {
                self.sync_held(name, hash)?;
                self.calls.unlink(&path).map_err(|source| self.io("remove", &path, source))?;
            }
            Ordering::Greater => {
                // Whoever restored it may not have synced it.
                self.sync_temporary(&file, &path)?;
                let place = self.put_in_place(&path, &file, name, hash, true)?;
                self.sync_name(&place)?;
                step(Step::TakenBack);
                if held != Held::Nothing {
                    self.remove_superseded(hash, &place);
                }
            }
        }
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != Path::new(layout::RETURNED)) {
            if self.calls.remove_folder(folder).is_err() {
                break;
            }
        }
        Ok(order.is_gt())
    }

    /// Whether the root has returned with a replica of this name that says it is this copy. Its bytes are not read:
    /// [`Store::take_back`] does that.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn has_returned_with(&self, name: &ObjectName, copy: &CopyInfo) -> Result<bool, StoreError> {
        let says_so = |path: &Path| Ok(self.said_copy(path, name, copy)?.is_some());
        Ok(self.returned_file(name, NameHash::of(name), &says_so)?.is_some())
    }

    /// The first file at one of a name's places, in what the root has returned with, that is wanted.
    fn returned_file(
        &self,
        name: &ObjectName,
        hash: NameHash,
        is_wanted: &dyn Fn(&Path) -> Result<bool, StoreError>,
    ) -> Result<Option<PathBuf>, StoreError> {
        let mut found = None;
        _ = self.each_entry(Path::new(layout::RETURNED), &mut |folder, _| {
            let folder = Path::new(layout::RETURNED).join(folder);
            let escaped =
                hash.escape().strip_prefix(layout::ESCAPE).ok().map(|path| folder.join(ESCAPED).join(path));
            let plain = layout::path(self.settings.layout, name).map(|path| folder.join(PATHS).join(path));
            for path in [escaped, plain].into_iter().flatten() {
                if is_wanted(&path)? {
                    found = Some(path);
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Whether a file is exactly this copy of this name, byte for byte.
    fn is_copy(&self, path: &Path, name: &ObjectName, copy: &CopyInfo) -> Result<bool, StoreError> {
        let Some(file) = self.said_copy(path, name, copy)? else { return Ok(false) };
        let (crc32, _) =
            fingerprint(&file, &mut |_| Ok(())).map_err(|source| self.io("read", path, source))?;
        Ok(Some(crc32) == copy.crc32)
    }

    /// The file at a path, if by its name, attribute, time and size it is this copy of this name.
    fn said_copy(&self, path: &Path, name: &ObjectName, copy: &CopyInfo) -> Result<Option<File>, StoreError> {
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((file, stat)) = opened else { return Ok(None) };
        let bytes = file.try_clone().map_err(|source| self.io("open", path, source))?;
        let returned = self.returned_in(path, (file, stat))?;
        Ok(returned.is_some_and(|returned| returned.name == *name && returned.copy == *copy).then_some(bytes))
    }

    /// Shows what the root has returned with and what nobody has confirmed yet, in no order, until told to stop.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn returned(&self, visit: &mut dyn FnMut(Returned) -> ControlFlow<()>) -> Result<(), StoreError> {
        self.returned_below(Path::new(layout::RETURNED), visit).map(drop)
    }

    fn returned_below(&self, folder: &Path, visit: &mut dyn FnMut(Returned) -> ControlFlow<()>) -> Listing {
        self.each_entry(folder, &mut |name, file_type| {
            let path = folder.join(name);
            match self.type_at(&path, file_type) {
                FileType::Directory => self.returned_below(&path, visit),
                FileType::RegularFile => {
                    let opened =
                        self.open_file(&path, false).map_err(|source| self.io("open", &path, source))?;
                    let Some(opened) = opened else { return Ok(ControlFlow::Continue(())) };
                    Ok(self.returned_in(&path, opened)?.map_or(ControlFlow::Continue(()), &mut *visit))
                }
                _ => Ok(ControlFlow::Continue(())),
            }
        })
    }

    /// The replica in a file below [`layout::RETURNED`]; `None` if it cannot be said whose it is.
    fn returned_in(
        &self,
        path: &Path,
        opened: (std::fs::File, Stat),
    ) -> Result<Option<Returned>, StoreError> {
        let fail = |source| self.io("read the attribute of", path, source);
        let replica = Replica::new(opened, path.to_owned());
        let below = path.strip_prefix(layout::RETURNED).ok().and_then(|path| {
            let mut components = path.components();
            components.next()?;
            Some(components.as_path())
        });
        let plain = below.and_then(|path| path.strip_prefix(PATHS).ok());
        let name = match plain.filter(|_| self.settings.layout == Layout::Path) {
            Some(plain) => Some(plain.as_os_str().as_bytes().to_vec()),
            None => read_name(&replica.file).map_err(fail)?,
        };
        let Some(name) = name.and_then(|name| ObjectName::from_bytes(&name).ok()) else { return Ok(None) };
        let copy = self.describe(&replica)?;
        Ok(Some(Returned { name, copy, path: replica.path }))
    }
}

fn type_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
