//! The calls by which the store changes its root, as one small trait, and the real ones.
//!
//! Everything that has to survive a crash goes through [`Calls`], one method per system call that matters, so that
//! a test can record them and reopen the store after every prefix (`tests/crash.rs`). Reading does not go
//! through it. Every path is relative to the root and is resolved beneath the root's handle: nothing outside is
//! ever touched, whatever symbolic links lie in it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, XattrFlags, fchmod, fstat, fsync,
    futimens, mkdirat, openat, openat2, renameat, statat, syncfs, unlinkat,
};
use rustix::io::Errno;

use super::layout;
use crate::failpoint::{Step, step};
use crate::version::Version;

/// What the store does to its root. Paths are relative to the root.
pub trait Calls: Send + Sync + 'static {
    /// Makes a folder of exactly that mode; its parent exists. `AlreadyExists` if anything has that name.
    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Makes an empty file that must not exist yet, open for writing and reading.
    fn create(&self, path: &Path, mode: u32) -> io::Result<File>;
    /// Appends all of `bytes`.
    fn write(&self, file: &File, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Sets an extended attribute, replacing an older value.
    fn set_attribute(&self, file: &File, path: &Path, name: &str, value: &[u8]) -> io::Result<()>;
    /// Sets the mtime to a version.
    fn set_mtime(&self, file: &File, path: &Path, version: Version) -> io::Result<()>;
    /// Makes a file's bytes, attributes and times durable.
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()>;
    /// Moves a file over whatever file has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes everything in the file system of `disk` durable.
    fn sync_all(&self, disk: &File) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
}

/// A handle on the storage root, through which every path is resolved.
#[derive(Debug)]
pub struct RootFolder {
    handle: OwnedFd,
    follow_symlinks: bool,
    /// Set once openat2 turned out to be missing (Linux before 5.6, or a filter).
    no_openat2: AtomicBool,
}

impl RootFolder {
    /// Opens the root. With `follow_symlinks` links inside it are followed as long as they stay inside.
    ///
    /// # Errors
    /// When the folder is missing or may not be opened.
    pub fn open(path: &Path, follow_symlinks: bool) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { handle, follow_symlinks, no_openat2: AtomicBool::new(false) })
    }

    /// The handle itself, for statvfs and the like.
    pub fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// Opens something beneath the root.
    ///
    /// # Errors
    /// As open(2); `XDEV` and `LOOP` for what would leave the root or follow a link that must not be followed.
    pub fn open_beneath(&self, path: &Path, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        self.open_with(path, flags, mode, ResolveFlags::empty())
    }

    /// Opens a file for reading if the kernel can do so without waiting for the disk; `WouldBlock` if it
    /// cannot (`RESOLVE_CACHED`, Linux 5.12).
    ///
    /// # Errors
    /// As [`RootFolder::open_beneath`], and `WouldBlock`.
    pub fn open_cached(&self, path: &Path) -> io::Result<OwnedFd> {
        if self.no_openat2.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match self.open_with(path, READ, 0, ResolveFlags::CACHED) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            other => other,
        }
    }

    fn open_with(&self, path: &Path, flags: OFlags, mode: u32, extra: ResolveFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        if !self.no_openat2.load(Ordering::Relaxed) {
            let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | extra;
            if !self.follow_symlinks {
                resolve |= ResolveFlags::NO_SYMLINKS;
            }
            match openat2(&self.handle, path, flags, mode, resolve) {
                Err(Errno::NOSYS | Errno::PERM) if extra.is_empty() => {
                    self.no_openat2.store(true, Ordering::Relaxed);
                }
                other => return Ok(other?),
            }
        }
        self.open_by_steps(path, flags, mode)
    }

    /// The same without openat2: one folder at a time, never through a link.
    fn open_by_steps(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder: Option<OwnedFd> = None;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let from = folder.as_ref().unwrap_or(&self.handle).as_fd();
            let name = match component {
                Component::Normal(name) => name,
                Component::CurDir => std::ffi::OsStr::new("."),
                _ => return Err(Errno::XDEV.into()),
            };
            if components.peek().is_none() {
                return Ok(openat(from, name, flags | OFlags::NOFOLLOW, mode)?);
            }
            folder = Some(openat(from, name, step, Mode::empty())?);
        }
        Err(Errno::INVAL.into())
    }

    /// Runs a call on the folder that `path` lies in and its last segment. Below `.webdfs`, which nobody but webdfs
    /// can write to, the whole path is given to the call instead: that saves opening the folder.
    pub fn in_parent<T>(
        &self,
        path: &Path,
        call: impl FnOnce(&OwnedFd, &Path) -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        if path.starts_with(layout::PRIVATE) {
            return Ok(call(&self.handle, path)?);
        }
        let name = Path::new(path.file_name().ok_or(Errno::INVAL)?);
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            None => Ok(call(&self.handle, name)?),
            Some(parent) => {
                let folder = self.open_beneath(parent, OFlags::PATH | OFlags::DIRECTORY, 0)?;
                Ok(call(&folder, name)?)
            }
        }
    }

    /// stat of a path, without following a link in its last segment.
    ///
    /// # Errors
    /// As stat(2).
    pub fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.in_parent(path, |folder, name| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))
    }
}

/// How replicas are opened: never waiting on something that is no file, such as a FIFO put there by hand.
pub const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// The real calls.
#[derive(Debug)]
pub struct RealCalls {
    root: std::sync::Arc<RootFolder>,
}

impl RealCalls {
    /// Calls on this root.
    pub fn new(root: std::sync::Arc<RootFolder>) -> Self {
        Self { root }
    }
}

impl Calls for RealCalls {
    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        step(Step::MakeFolder);
        let mode = Mode::from_raw_mode(mode);
        self.root.in_parent(path, |parent, name| {
            mkdirat(parent, name, mode)?;
            // As in `create`. Whoever removed it meanwhile, because it was empty, spares us the rest.
            let made = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(parent, name, made, Mode::empty()) {
                Ok(folder) if fstat(&folder)?.st_mode & 0o7777 != mode.as_raw_mode() => fchmod(&folder, mode),
                Ok(_) | Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        step(Step::Create);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = File::from(self.root.open_beneath(path, flags, mode)?);
        // The umask is whatever the web server left us; the mode is what the operator chose.
        if fstat(&file)?.st_mode & 0o7777 != mode {
            fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        Ok(file)
    }

    fn write(&self, mut file: &File, _path: &Path, bytes: &[u8]) -> io::Result<()> {
        step(Step::Write);
        file.write_all(bytes)
    }

    fn set_attribute(&self, file: &File, _path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        step(Step::SetAttribute);
        Ok(rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())?)
    }

    fn set_mtime(&self, file: &File, _path: &Path, version: Version) -> io::Result<()> {
        step(Step::SetMtime);
        let time = Timespec {
            tv_sec: i64::try_from(version.seconds()).map_err(|_| Errno::RANGE)?,
            tv_nsec: version.subsecond_nanos().into(),
        };
        Ok(futimens(file, &Timestamps { last_access: time, last_modification: time })?)
    }

    fn sync_file(&self, file: &File, _path: &Path) -> io::Result<()> {
        step(Step::SyncFile);
        Ok(fsync(file)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        step(Step::Rename);
        self.root.in_parent(from, |from_folder, from_name| {
            self.root
                .in_parent(to, |to_folder, to_name| renameat(from_folder, from_name, to_folder, to_name))
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        step(Step::SyncFolder);
        if path.as_os_str().is_empty() {
            return Ok(fsync(self.root.handle())?);
        }
        Ok(fsync(self.root.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?)?)
    }

    fn sync_all(&self, disk: &File) -> io::Result<()> {
        step(Step::SyncAll);
        Ok(syncfs(disk)?)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        step(Step::Unlink);
        self.root.in_parent(path, |folder, name| unlinkat(folder, name, AtFlags::empty()))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        step(Step::RemoveFolder);
        self.root.in_parent(path, |folder, name| unlinkat(folder, name, AtFlags::REMOVEDIR))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    /// The root with and without openat2.
    fn both(path: &Path) -> [RootFolder; 2] {
        let old = RootFolder::open(path, false).unwrap();
        old.no_openat2.store(true, Ordering::Relaxed);
        [RootFolder::open(path, false).unwrap(), old]
    }

    #[test]
    fn files_open_beneath_the_root_and_links_do_not_whether_or_not_the_kernel_has_openat2() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("x"), b"secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/x"), b"inside").unwrap();
        symlink(outside.path(), folder.path().join("out")).unwrap();
        symlink("a/b/x", folder.path().join("near")).unwrap();
        symlink("a", folder.path().join("a2")).unwrap();
        for root in both(folder.path()) {
            let opened = |path: &str| root.open_beneath(Path::new(path), READ, 0);
            let mut text = String::new();
            File::from(opened("a/b/x").unwrap()).read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside");
            for path in ["out/x", "near", "a2/b/x", "../x", "a/../../x", "/etc/passwd", "missing", "a/b/x/y"]
            {
                assert!(opened(path).is_err(), "{path} opens, {root:?}");
            }
            assert!(root.open_beneath(Path::new("a"), OFlags::RDONLY | OFlags::DIRECTORY, 0).is_ok());
            assert!(root.stat(Path::new("near")).is_ok(), "what is looked at is the link");
            assert!(root.stat(Path::new("out/x")).is_err());
        }
    }

    #[test]
    fn every_call_works_without_openat2() {
        let folder = tempfile::tempdir().unwrap();
        let [_, old] = both(folder.path());
        let calls = RealCalls::new(std::sync::Arc::new(old));
        let [a, x, y] = ["a", "a/x", "y"].map(Path::new);
        calls.make_folder(a, 0o750).unwrap();
        let file = calls.create(x, 0o640).unwrap();
        calls.write(&file, x, b"bytes").unwrap();
        assert!(calls.create(x, 0o640).is_err(), "it is there already");
        calls.sync_file(&file, x).unwrap();
        calls.rename(x, y).unwrap();
        calls.sync_folder(a).unwrap();
        calls.sync_folder(Path::new("")).unwrap();
        calls.remove_folder(a).unwrap();
        assert_eq!(std::fs::read(folder.path().join("y")).unwrap(), b"bytes");
        calls.unlink(y).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
