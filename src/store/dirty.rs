//! Marks on keys that some node has missed. A hint, never synced: nothing depends on them but speed.
//!
//! A mark is a file that holds the name, followed by a NUL for every time it was made again. So whoever clears it can
//! tell whether the key was missed once more while it was being brought up to date.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{Dir, OFlags, Stat};

use super::layout::{self, NameHash};
use super::{Store, StoreError};
use crate::clock;
use crate::cluster::NodeName;
use crate::name::ObjectName;
use crate::version::Version;

/// A mark that makes no sense is damaged if it has not changed for this time; else it is just being made.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
/// A mark that has grown to this is made anew, in bytes.
const MARK_BYTES_MAX: u64 = 4 * crate::name::NAME_BYTES_MAX as u64;

/// How often, by its size, and when a mark was made.
type Made = (i64, Version);

/// What is remembered of marks between two listings.
#[derive(Debug, Default)]
pub(super) struct ListedMarks {
    /// The marks that were last listed, and what they looked like.
    made: Mutex<HashMap<PathBuf, Made>>,
    /// Where the listing of a node's marks goes on.
    rest: Mutex<HashMap<PathBuf, Dir>>,
}

impl Store {
    /// Remembers that `node` may lack the newest version of `name`.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub fn mark_dirty(&self, node: &NodeName, name: &ObjectName) -> Result<(), StoreError> {
        let hash = NameHash::of(name);
        let path = hash.dirty(node.as_str());
        let _lock = self.lock_key(name, hash)?;
        let fail = |source| self.io("write", &path, source);
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW;
        match self.root.open_beneath(&path, flags, 0).map(std::fs::File::from) {
            Ok(file) if file.metadata().map_err(fail)?.len() < MARK_BYTES_MAX => {
                return self.calls.write(&file, &path, b"\0").map_err(fail);
            }
            Ok(_) => self.calls.unlink(&path).map_err(fail)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(fail(source)),
        }
        let file = match self.calls.create(&path, 0o600) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(Path::new(layout::DIRTY));
                match self.calls.make_folder(folder, 0o700) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
                    _ => self.calls.create(&path, 0o600),
                }
            }
            other => other,
        };
        self.calls.write(&file.map_err(fail)?, &path, name.as_bytes()).map_err(fail)
    }

    /// Whether any key may be marked for a node. Cheap, however many are.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn is_dirty(&self, node: &NodeName) -> Result<bool, StoreError> {
        let folder = Path::new(layout::DIRTY).join(node.as_str());
        let Some(mut marks) = self.read_folder(&folder)? else { return Ok(false) };
        Ok(self.next_in(&folder, &mut marks)?.is_some())
    }

    /// Keys marked for a node, `limit` at most. Each call goes on where the last one ended, so that keys which cannot
    /// be brought up to date do not keep others from it. Damaged marks are removed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn dirty(&self, node: &NodeName, limit: usize) -> Result<Vec<ObjectName>, StoreError> {
        let folder = Path::new(layout::DIRTY).join(node.as_str());
        self.listed_marks.made.lock().expect("no holder panics").retain(|path, _| !path.starts_with(&folder));
        let mut names = HashMap::new();
        let rest = self.listed_marks.rest.lock().expect("no holder panics").remove(&folder);
        let mut parts = [rest, self.read_folder(&folder)?].into_iter().flatten();
        let mut part = parts.next();
        while let Some(marks) = part.as_mut().filter(|_| names.len() < limit) {
            let Some(path) = self.next_in(&folder, marks)? else {
                part = parts.next();
                continue;
            };
            if let Some((name, made)) = self.read_mark(node, &path)? {
                names.insert(path, (name, made));
            }
        }
        if let Some(rest) = part {
            self.listed_marks.rest.lock().expect("no holder panics").insert(folder, rest);
        }
        let mut listed = self.listed_marks.made.lock().expect("no holder panics");
        let named = names.into_iter().map(|(path, (name, made))| {
            listed.insert(path, made);
            name
        });
        Ok(named.collect())
    }

    /// The key of a mark, and how it was made; `None` if it is gone or makes no sense.
    fn read_mark(&self, node: &NodeName, path: &Path) -> Result<Option<(ObjectName, Made)>, StoreError> {
        let Ok(Some((mut file, stat))) = self.open_file(path, false) else { return Ok(None) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|source| self.io("read", path, source))?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        match ObjectName::from_bytes(text) {
            Ok(name) if path == NameHash::of(&name).dirty(node.as_str()) => {
                return Ok(Some((name, made(&stat))));
            }
            _ if clock::now().since(made(&stat).1) < WRITTEN_WITHIN => {}
            _ => drop(self.calls.unlink(path)),
        }
        Ok(None)
    }

    /// A folder of marks, to be read from its beginning; `None` if there is none.
    fn read_folder(&self, folder: &Path) -> Result<Option<Dir>, StoreError> {
        match self.root.open_beneath(folder, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
            Ok(handle) => Dir::new(handle).map(Some).map_err(|source| self.io("list", folder, source.into())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(source) => Err(self.io("list", folder, source)),
        }
    }

    /// The path of the next mark in a folder; `None` at the end.
    fn next_in(&self, folder: &Path, marks: &mut Dir) -> Result<Option<PathBuf>, StoreError> {
        use std::os::unix::ffi::OsStrExt;
        for entry in marks {
            let entry = entry.map_err(|source| self.io("list", folder, source.into()))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                return Ok(Some(folder.join(std::ffi::OsStr::from_bytes(name))));
            }
        }
        Ok(None)
    }

    /// Forgets a mark, unless it was made again since [`Store::dirty`] named it.
    pub fn clear_dirty(&self, node: &NodeName, name: &ObjectName) {
        let hash = NameHash::of(name);
        let path = hash.dirty(node.as_str());
        let listed = self.listed_marks.made.lock().expect("no holder panics").remove(&path);
        let Ok(_lock) = self.lock_key(name, hash) else { return };
        let now = self.root.stat(&path).ok().as_ref().map(made);
        if listed.is_none() || listed == now {
            let _ = self.calls.unlink(&path);
        }
    }
}

fn made(stat: &Stat) -> Made {
    (stat.st_size, super::read::mtime(stat))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::testing::open;

    #[test]
    fn keys_that_stay_marked_keep_no_others_from_being_listed() {
        let root = tempfile::tempdir().unwrap();
        let (store, node) = (open(root.path()), "img2".parse().unwrap());
        let name = |number: usize| ObjectName::from_bytes(format!("a/{number}").as_bytes()).unwrap();
        assert!(!store.is_dirty(&node).unwrap());
        (0..1000).for_each(|number| store.mark_dirty(&node, &name(number)).unwrap());
        assert!(store.is_dirty(&node).unwrap());
        let mut seen = HashSet::new();
        for _ in 0..10 {
            let listed = store.dirty(&node, 100).unwrap();
            assert_eq!(listed.len(), 100);
            seen.extend(listed);
        }
        assert_eq!(seen.len(), 1000, "none is cleared, and yet each has its turn");
        // At the end it begins again, also with what has come meanwhile.
        store.mark_dirty(&node, &name(1000)).unwrap();
        seen.clear();
        for _ in 0..11 {
            seen.extend(store.dirty(&node, 100).unwrap());
        }
        assert!(seen.contains(&name(1000)), "{}", seen.len());
        for name in store.dirty(&node, 2000).unwrap() {
            store.clear_dirty(&node, &name);
        }
        assert!(store.dirty(&node, 2000).unwrap().is_empty());
        assert!(!store.is_dirty(&node).unwrap());
    }
}
