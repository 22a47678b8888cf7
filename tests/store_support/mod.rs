//! What the tests of the storage root share: short ways to write and delete, and [`Watched`] calls, which a test can
//! record, refuse, skip or interrupt one by one.
#![allow(dead_code, reason = "each of the test programs that share this uses its own part of it")]

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use tempfile::TempDir;
use webdfs::cluster::NodeName;
use webdfs::config::{Durability, Layout, Reserve};
use webdfs::name::ObjectName;
use webdfs::store::calls::{Calls, RealCalls, RootFolder};
use webdfs::store::{BatchCopy, Commit, Outcome, SpoolId, Store, StoreError, StoreSettings};
use webdfs::version::Version;

/// An empty folder for a root.
pub fn new_root() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The same in memory, where nobody waits for a disk, if memory keeps user attributes (Linux 6.6).
pub fn new_root_in_memory() -> TempDir {
    let in_memory = || {
        let folder = tempfile::tempdir_in("/dev/shm").ok()?;
        let file = File::create_new(folder.path().join("probe")).ok()?;
        rustix::fs::fsetxattr(&file, "user.webdfs", b"1", rustix::fs::XattrFlags::empty()).ok()?;
        std::fs::remove_file(folder.path().join("probe")).ok()?;
        Some(folder)
    };
    in_memory().unwrap_or_else(new_root)
}

thread_local! {
    static LAYOUT: Cell<Layout> = const { Cell::new(Layout::Path) };
}

/// Does something with roots of another layout, as far as this thread opens them.
pub fn with_layout<T>(layout: Layout, act: impl FnOnce() -> T) -> T {
    let usual = LAYOUT.replace(layout);
    let done = act();
    LAYOUT.set(usual);
    done
}

/// Marks the root of a node as complete.
pub fn complete(store: &Store, node: &NodeName) -> Result<(), StoreError> {
    let identity = store.identify(node)?;
    assert!(store.mark_complete(node, &identity)?, "nothing has changed meanwhile");
    Ok(())
}

/// Settings for a root without any reserve.
pub fn settings(root: &Path) -> StoreSettings {
    StoreSettings {
        root: root.to_owned(),
        layout: LAYOUT.get(),
        durability: Durability::Sync,
        reserve: Reserve::Bytes(0),
        file_mode: 0o644,
        folder_mode: 0o755,
        follow_symlinks: false,
        root_is_mount: false,
    }
}

/// A store on the real calls.
pub fn open(root: &Path) -> Arc<Store> {
    Arc::new(Store::open(settings(root)).expect("the root opens"))
}

/// A store whose calls a test watches.
pub fn open_watched(settings: StoreSettings, watch: Arc<dyn Watch>) -> Result<Arc<Store>, StoreError> {
    let root =
        Arc::new(RootFolder::open(&settings.root, settings.follow_symlinks).expect("the root is there"));
    let calls = Watched { real: RealCalls::new(Arc::clone(&root)), watch };
    Store::open_with(settings, root, Box::new(calls)).map(Arc::new)
}

pub fn name(text: impl AsRef<[u8]>) -> ObjectName {
    ObjectName::from_bytes(text.as_ref()).expect("a good name")
}

/// A version some seconds after a fixed time in the past.
pub fn at(seconds: u64) -> Version {
    Version::from_nanos((1_700_000_000 + seconds) * 1_000_000_000 + 7)
}

/// An upload that is complete and waits for its commit.
pub fn prepare(store: &Arc<Store>, name: &ObjectName, bytes: &[u8]) -> Result<(SpoolId, u32), StoreError> {
    let id = SpoolId::random();
    let mut spool = store.spool(id, Some(bytes.len() as u64))?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    spool.write(first)?;
    spool.write(second)?;
    Ok((id, spool.finish(name, 1)?.crc32))
}

/// What commits an upload of `bytes`.
pub fn order<'a>(id: SpoolId, name: &'a ObjectName, version: Version, bytes: &[u8]) -> Commit<'a> {
    Commit { id, name, version, crc32: crc32(bytes), length: bytes.len() as u64, for_client: true }
}

/// A whole write, as a client's PUT ends on an owner.
pub fn put(
    store: &Arc<Store>,
    name: &ObjectName,
    version: Version,
    bytes: &[u8],
) -> Result<Outcome, StoreError> {
    let (id, _) = prepare(store, name, bytes)?;
    store.commit(&order(id, name, version, bytes))
}

/// Several writes at once, as another node sends them.
pub fn put_together(
    store: &Arc<Store>,
    copies: &[(ObjectName, Version, Vec<u8>)],
) -> Result<Vec<Outcome>, StoreError> {
    let mut batch = store.batch(copies.iter().map(|(_, _, bytes)| bytes.len() as u64).sum())?;
    for (name, version, bytes) in copies {
        let (crc32, size) = (crc32(bytes), bytes.len() as u64);
        batch.add(BatchCopy { name: name.clone(), version: *version, crc32, size }, bytes)?;
    }
    batch.commit()?.into_iter().collect()
}

/// The bytes a name is served with, and their version.
pub fn read(store: &Store, name: &ObjectName) -> Option<(Vec<u8>, Version)> {
    use std::os::unix::fs::FileExt;
    let replica = store.open_replica(name).expect("the disk is well")?;
    let mut bytes = vec![0; usize::try_from(replica.size).unwrap()];
    replica.file.read_exact_at(&mut bytes, 0).expect("the file is as long as it says");
    Some((bytes, replica.version))
}

pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Every regular file below `folder`, as paths relative to it; `.webdfs` is not entered.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(path) = ahead.pop() {
        for entry in std::fs::read_dir(folder.join(&path)).expect("a folder") {
            let entry = entry.expect("readable");
            let kind = entry.file_type().expect("known");
            if entry.file_name().as_bytes() == b".webdfs" {
                continue;
            }
            if kind.is_dir() {
                ahead.push(path.join(entry.file_name()));
            } else if kind.is_file() {
                found.push(path.join(entry.file_name()));
            }
        }
    }
    found.sort();
    found
}

/// The regular files below one of the folders of `.webdfs`.
pub fn private_files(root: &Path, folder: &str) -> Vec<PathBuf> {
    files(&root.join(".webdfs").join(folder))
}

/// One call that changes the root.
#[derive(Debug, Clone)]
pub enum Op {
    MakeFolder(PathBuf),
    Create(PathBuf),
    Write(PathBuf, Text),
    SetAttribute(PathBuf, String, Text),
    SetMtime(PathBuf, Version),
    SyncFile(PathBuf),
    Rename(PathBuf, PathBuf),
    SyncFolder(PathBuf),
    SyncAll,
    Unlink(PathBuf),
    RemoveFolder(PathBuf),
}

/// Bytes that are shown as text.
#[derive(Clone)]
pub struct Text(pub Vec<u8>);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Do,
    /// It claims to have been done. Of a call that makes a file: as `Do`.
    Skip,
    Fail(Errno),
}

/// Sees every call.
pub trait Watch: Send + Sync {
    /// Before it is made.
    fn before(&self, _op: &Op) -> Verdict {
        Verdict::Do
    }
    /// After it has succeeded.
    fn after(&self, _op: Op) {}
}

/// Watches nothing.
pub struct Blind;

impl Watch for Blind {}

/// The real calls, watched. Syncs are only noted: no test here pulls a plug.
struct Watched {
    real: RealCalls,
    watch: Arc<dyn Watch>,
}

impl Watched {
    fn run(&self, op: Op, call: impl FnOnce(&RealCalls) -> io::Result<()>) -> io::Result<()> {
        match self.watch.before(&op) {
            Verdict::Skip => return Ok(()),
            Verdict::Fail(errno) => return Err(errno.into()),
            Verdict::Do => {}
        }
        call(&self.real)?;
        self.watch.after(op);
        Ok(())
    }
}

impl Calls for Watched {
    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.run(Op::MakeFolder(path.into()), |real| real.make_folder(path, mode))
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let op = Op::Create(path.into());
        if let Verdict::Fail(errno) = self.watch.before(&op) {
            return Err(errno.into());
        }
        let file = self.real.create(path, mode)?;
        self.watch.after(op);
        Ok(file)
    }

    fn write(&self, file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.run(Op::Write(path.into(), Text(bytes.into())), |real| real.write(file, path, bytes))
    }

    fn set_attribute(&self, file: &File, path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        let op = Op::SetAttribute(path.into(), name.into(), Text(value.into()));
        self.run(op, |real| real.set_attribute(file, path, name, value))
    }

    fn set_mtime(&self, file: &File, path: &Path, version: Version) -> io::Result<()> {
        self.run(Op::SetMtime(path.into(), version), |real| real.set_mtime(file, path, version))
    }

    fn sync_file(&self, _file: &File, path: &Path) -> io::Result<()> {
        self.run(Op::SyncFile(path.into()), |_| Ok(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(Op::Rename(from.into(), to.into()), |real| real.rename(from, to))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        // Made all the same, since it fails for a folder that is gone.
        self.run(Op::SyncFolder(path.into()), |real| real.sync_folder(path))
    }

    fn sync_all(&self, _disk: &File) -> io::Result<()> {
        self.run(Op::SyncAll, |_| Ok(()))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.run(Op::Unlink(path.into()), |real| real.unlink(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.run(Op::RemoveFolder(path.into()), |real| real.remove_folder(path))
    }
}
