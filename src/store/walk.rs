//! Walking over a root: every replica and every tombstone, in no particular order and in memory that does not grow with
//! their number. What is written meanwhile is met or not; a key that moves meanwhile may be met twice.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, FileType, OFlags};

use super::layout::{self, NameHash};
use super::read::{Replica, read_name};
use super::{Store, StoreError, Unread};
use crate::config::Layout;
use crate::held::Held;
use crate::name::{Exclude, ObjectName};

/// A key that the walk has met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The key.
    pub name: ObjectName,
    /// What lies there: a copy, without a checksum if it was put there or edited by hand, or a tombstone.
    pub held: Held,
}

/// A walk that goes on past single files and folders that it cannot read.
struct Walk<'a> {
    store: &'a Store,
    exclude: &'a Exclude,
    visit: &'a mut dyn FnMut(Found) -> Result<(), StoreError>,
    /// Told of each file of an original webDFS whose name nobody knows.
    nameless: &'a mut dyn FnMut(),
    unread: Unread,
    /// What has ended the walk.
    failed: Option<StoreError>,
    stopped: &'a dyn Fn() -> bool,
}

impl Store {
    /// Shows every key under the root to `visit`, but for those with excluded names, until `stopped` says so. What cannot be
    /// read keeps the rest from nothing, and is returned: a folder that cannot be read hides only itself.
    ///
    /// # Errors
    /// When the root itself cannot be listed, at the beginning or after some file in it could not be read: then nothing is
    /// said of the files. And whatever `visit` says. The walk ends at once.
    pub fn walk(
        &self,
        exclude: &Exclude,
        stopped: &dyn Fn() -> bool,
        visit: &mut dyn FnMut(Found) -> Result<(), StoreError>,
    ) -> Result<Unread, StoreError> {
        self.walk_with_nameless(exclude, stopped, &mut || {}, visit)
    }

    /// The same; of each file that an original webDFS left in a hashed folder, and whose name nobody knows, `nameless` is told.
    ///
    /// # Errors
    /// As [`Store::walk`].
    pub fn walk_with_nameless(
        &self,
        exclude: &Exclude,
        stopped: &dyn Fn() -> bool,
        nameless: &mut dyn FnMut(),
        visit: &mut dyn FnMut(Found) -> Result<(), StoreError>,
    ) -> Result<Unread, StoreError> {
        let unread = Unread::default();
        let mut walk = Walk { store: self, exclude, visit, nameless, unread, failed: None, stopped };
        walk.folder(Path::new(""));
        walk.private(layout::ESCAPE, |walk, path| walk.escaped(path));
        walk.private(layout::TOMBSTONES, |walk, path| walk.tombstone(path));
        walk.failed.map_or(Ok(walk.unread), Err)
    }

    /// Looks whether there is a root to walk over.
    fn list_root(&self) -> io::Result<()> {
        let root = self.root.open_beneath(Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        Dir::new(root)?.next().transpose()?;
        Ok(())
    }
}

impl Walk<'_> {
    /// Goes on without what could not be read, if that is not for want of the whole root: of its disk, or of what this
    /// process needs to open anything.
    fn note(&mut self, error: StoreError) {
        match self.store.list_root() {
            Ok(()) => {
                log::debug!("the walk goes on without it: {error}");
                self.unread.add(&error);
            }
            Err(_) => _ = self.failed.get_or_insert(error),
        }
    }

    fn show(&mut self, name: ObjectName, held: Held) {
        if let Err(error) = (self.visit)(Found { name, held }) {
            self.failed.get_or_insert(error);
        }
    }

    fn is_over(&self) -> bool {
        self.failed.is_some() || (self.stopped)()
    }

    /// The entries of a folder, each with its type, one at a time.
    fn entries(&mut self, folder: &Path, mut use_entry: impl FnMut(&mut Self, PathBuf, FileType)) {
        let store = self.store;
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let opened = store.root.open_beneath(place, OFlags::RDONLY | OFlags::DIRECTORY, 0);
        let entries = match opened.and_then(|handle| Ok(Dir::new(handle)?)) {
            Ok(entries) => entries,
            // Removed meanwhile, or a link that must not be followed.
            Err(error) if super::read::is_absence(&error) => return,
            Err(error) => return self.note(store.io("list", folder, error)),
        };
        for entry in entries {
            if self.is_over() {
                return;
            }
            match entry {
                Ok(entry) => {
                    let name = entry.file_name().to_bytes();
                    if name != b"." && name != b".." {
                        use_entry(self, folder.join(OsStr::from_bytes(name)), entry.file_type());
                    }
                }
                // Removed meanwhile.
                Err(error) if super::read::is_absence(&error.into()) => return,
                Err(error) => return self.note(store.io("list", folder, error.into())),
            }
        }
    }

    /// A folder that the web server may serve, and all below it.
    fn folder(&mut self, folder: &Path) {
        self.entries(folder, |walk, path, file_type| {
            // What cannot be a name is no object: `.webdfs`, and paths of more than 1,024 bytes.
            let Ok(name) = ObjectName::from_bytes(path.as_os_str().as_bytes()) else { return };
            if walk.exclude.matches(&name) {
                return;
            }
            let follow = walk.store.settings.follow_symlinks;
            match file_type {
                FileType::RegularFile => walk.file(&path, name),
                FileType::Directory => walk.folder(&path),
                FileType::Symlink if !follow => {}
                // Some file systems do not tell the type: what is no folder has no entries, and what is no file opens as none.
                FileType::Symlink | FileType::Unknown => {
                    walk.file(&path, name);
                    walk.folder(&path);
                }
                _ => {}
            }
        });
    }

    /// A file at the path of a name.
    fn file(&mut self, path: &Path, name: ObjectName) {
        let Some(file) = self.open(path) else { return };
        let name = match self.store.settings.layout {
            Layout::Path => Some(name),
            // The path says less than the name. One that has none in it was put there by the original, or by hand.
            Layout::WebdfsHashed(_) => self.borne_name(path, &file.file),
        };
        match name {
            Some(name) => self.copy(name, &file),
            None => (self.nameless)(),
        }
    }

    fn escaped(&mut self, path: &Path) {
        let Some(file) = self.open(path) else { return };
        if let Some(name) = self.borne_name(path, &file.file) {
            // Whose hash is another: it was moved there by hand.
            if NameHash::of(&name).escape() == path {
                self.copy(name, &file);
            }
        }
    }

    fn tombstone(&mut self, path: &Path) {
        match self.store.read_tombstone(path) {
            Ok(Some((name, version))) if NameHash::of(&name).tombstone() == path => {
                self.show(name, Held::Tombstone { version });
            }
            Ok(_) => {}
            Err(error) => self.note(error),
        }
    }

    /// The files in the folders of a folder of ours.
    fn private(&mut self, folder: &str, mut use_file: impl FnMut(&mut Self, &Path)) {
        self.entries(Path::new(folder), |walk, below, _| {
            walk.entries(&below, |walk, path, _| use_file(walk, &path));
        });
    }

    fn open(&mut self, path: &Path) -> Option<Replica> {
        match self.store.open_file(path, false) {
            Ok(opened) => opened.map(|opened| Replica::new(opened, path.to_owned())),
            Err(source) => {
                self.note(self.store.io("open", path, source));
                None
            }
        }
    }

    fn borne_name(&mut self, path: &Path, file: &Arc<File>) -> Option<ObjectName> {
        match read_name(file) {
            Ok(name) => name.and_then(|name| ObjectName::from_bytes(&name).ok()),
            Err(source) => {
                self.note(self.store.io("read the attribute of", path, source));
                None
            }
        }
    }

    fn copy(&mut self, name: ObjectName, replica: &Replica) {
        match self.store.describe(replica) {
            Ok(copy) => self.show(name, Held::Copy(copy)),
            Err(error) => self.note(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::name::DEFAULT_EXCLUDES;
    use crate::store::testing::open;
    use crate::store::{Commit, SpoolId};
    use crate::version::Version;

    fn name(text: &str) -> ObjectName {
        ObjectName::from_bytes(text.as_bytes()).unwrap()
    }

    fn put(store: &Arc<Store>, text: &str, version: u64) {
        let mut spool = store.spool(SpoolId::random(), None).unwrap();
        spool.write(text.as_bytes()).unwrap();
        let (id, name) = (spool.id(), name(text));
        let prepared = spool.finish(&name, 1).unwrap();
        let version = Version::from_nanos(version);
        let (crc32, length) = (prepared.crc32, prepared.length);
        store.commit(&Commit { id, name: &name, version, crc32, length, for_client: false }).unwrap();
    }

    /// What a walk meets, and how it ends.
    fn met(store: &Store) -> (BTreeMap<String, Held>, Result<Unread, StoreError>) {
        let mut met = BTreeMap::new();
        let exclude = Exclude::new(DEFAULT_EXCLUDES).unwrap();
        let result = store.walk(&exclude, &|| false, &mut |found| {
            met.insert(found.name.to_string(), found.held);
            Ok(())
        });
        (met, result)
    }

    #[test]
    fn a_walk_meets_replicas_escaped_ones_and_tombstones_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(open(root.path()));
        let long = format!("a/{}", "x".repeat(300));
        let names = ["top.jpg", "a/b.jpg", "a/b.jpg/c.jpg", long.as_str()];
        names.iter().zip(1..).for_each(|(text, version)| put(&store, text, version));
        store.delete(&name("gone.jpg"), Version::from_nanos(9)).unwrap();
        fs::create_dir_all(root.path().join(".git/objects")).unwrap();
        for excluded in ["index.php", ".htaccess", ".git/objects/x"] {
            fs::write(root.path().join(excluded), "secret").unwrap();
        }
        fs::write(root.path().join("by-hand.jpg"), "bytes").unwrap();
        std::os::unix::fs::symlink("top.jpg", root.path().join("link.jpg")).unwrap();
        std::os::unix::fs::symlink("a", root.path().join("linked")).unwrap();

        let (met, result) = met(&store);
        assert!(result.unwrap().is_empty());
        let expected = names.iter().chain(&["gone.jpg", "by-hand.jpg"]).map(|text| (*text).to_owned());
        assert_eq!(met.keys().cloned().collect::<Vec<_>>(), {
            let mut expected: Vec<_> = expected.collect();
            expected.sort();
            expected
        });
        for text in names {
            assert_eq!(met[text], store.held(&name(text)).unwrap(), "{text}");
            assert!(met[text].copy().unwrap().crc32.is_some(), "{text}");
        }
        assert_eq!(met["gone.jpg"], Held::Tombstone { version: Version::from_nanos(9) });
        assert_eq!(met["by-hand.jpg"].copy().unwrap().crc32, None);
    }

    #[test]
    fn a_walk_ends_at_once_when_what_it_shows_cannot_be_taken_or_the_root_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(open(root.path()));
        for text in ["a/1.jpg", "b/2.jpg", "c/3.jpg"] {
            put(&store, text, 1);
        }
        let mut met = 0;
        let result = store.walk(&Exclude::default(), &|| false, &mut |_| {
            met += 1;
            Err(StoreError::NotPrepared)
        });
        assert!(met == 1 && matches!(result, Err(StoreError::NotPrepared)), "{met} {result:?}");
    }

    #[test]
    fn what_is_removed_while_a_walk_looks_at_it_is_no_error() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(open(root.path()));
        for text in ["a/1.jpg", "a/2.jpg", "a/b/3.jpg", "c/4.jpg"] {
            put(&store, text, 1);
        }
        let unread = store.walk(&Exclude::default(), &|| false, &mut |found| {
            if found.name.to_string().starts_with("a/") {
                fs::remove_dir_all(root.path().join("a")).unwrap();
            }
            Ok(())
        });
        assert!(unread.unwrap().is_empty());
    }

    #[test]
    fn a_walk_ends_when_it_is_stopped() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(open(root.path()));
        (0..20).for_each(|number| put(&store, &format!("{number}/{number}.jpg"), 1));
        let met = std::cell::Cell::new(0);
        let visit = &mut |_| {
            met.set(met.get() + 1);
            Ok(())
        };
        assert!(store.walk(&Exclude::default(), &|| met.get() == 5, visit).unwrap().is_empty());
        assert_eq!(met.get(), 5);
    }
}
