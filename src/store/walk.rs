//! Walking over a root: every replica and every tombstone, in no particular order and in memory that does not grow with
//! their number. What is written meanwhile is met or not; a key that moves meanwhile may be met twice.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, FileType, OFlags};

use super::layout::{self, NameHash};
use super::read::{Replica, read_name};
use super::{Store, StoreError};
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

/// A walk that goes on past what it cannot read.
struct Walk<'a> {
    store: &'a Store,
    exclude: &'a Exclude,
    visit: &'a mut dyn FnMut(Found) -> Result<(), StoreError>,
    /// The first error met.
    result: Result<(), StoreError>,
    stopped: &'a dyn Fn() -> bool,
}

impl Store {
    /// Shows every key under the root to `visit`, but for those with excluded names, until `stopped` says so.
    ///
    /// # Errors
    /// The first one met, from the disk or from `visit`. One of the disk does not keep the rest from being shown: a folder
    /// that cannot be read hides only itself.
    pub fn walk(
        &self,
        exclude: &Exclude,
        stopped: &dyn Fn() -> bool,
        visit: &mut dyn FnMut(Found) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut walk = Walk { store: self, exclude, visit, result: Ok(()), stopped };
        walk.folder(Path::new(""));
        walk.private(layout::ESCAPE, |walk, path| walk.escaped(path));
        walk.private(layout::TOMBSTONES, |walk, path| walk.tombstone(path));
        walk.result
    }
}

impl Walk<'_> {
    fn note(&mut self, error: StoreError) {
        log::debug!("the walk goes on without it: {error}");
        if self.result.is_ok() {
            self.result = Err(error);
        }
    }

    fn show(&mut self, name: ObjectName, held: Held) {
        if let Err(error) = (self.visit)(Found { name, held }) {
            self.note(error);
        }
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
            if (self.stopped)() {
                return;
            }
            match entry {
                Ok(entry) => {
                    let name = entry.file_name().to_bytes();
                    if name != b"." && name != b".." {
                        use_entry(self, folder.join(OsStr::from_bytes(name)), entry.file_type());
                    }
                }
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
        if let Some(name) = name {
            self.copy(name, &file);
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
    fn met(store: &Store) -> (BTreeMap<String, Held>, Result<(), StoreError>) {
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
        result.unwrap();
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
    fn a_walk_goes_on_past_what_it_cannot_read_and_tells_of_it() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(open(root.path()));
        for text in ["a/1.jpg", "b/2.jpg", "c/3.jpg"] {
            put(&store, text, 1);
        }
        let mut met = 0;
        let result = store.walk(&Exclude::default(), &|| false, &mut |_| {
            met += 1;
            if met == 1 { Err(StoreError::NotPrepared) } else { Ok(()) }
        });
        assert_eq!((met, result.is_err()), (3, true));
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
        store.walk(&Exclude::default(), &|| met.get() == 5, visit).unwrap();
        assert_eq!(met.get(), 5);
    }
}
