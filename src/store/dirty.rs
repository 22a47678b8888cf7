//! Marks on keys that some node has missed. A hint, never synced: nothing depends on them but speed.
//!
//! A mark is a file that holds the name, followed by a NUL for every time it was made again. So whoever clears it can
//! tell whether the key was missed once more while it was being brought up to date.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{OFlags, Stat};

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

/// The marks that were last listed, and what they looked like.
#[derive(Debug, Default)]
pub(super) struct ListedMarks(Mutex<HashMap<PathBuf, Made>>);

impl Store {
    /// Remembers that `node` may lack the newest version of `name`.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub fn mark_dirty(&self, node: &NodeName, name: &ObjectName) -> Result<(), StoreError> {
        let hash = NameHash::of(name);
        let path = hash.dirty(node.as_str());
        let _lock = self.lock_key(hash)?;
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

    /// The keys marked for a node, `limit` at most. Damaged marks are removed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn dirty(&self, node: &NodeName, limit: usize) -> Result<Vec<ObjectName>, StoreError> {
        let folder = Path::new(layout::DIRTY).join(node.as_str());
        let mut listed = self.listed_marks.0.lock().expect("no holder panics");
        listed.retain(|path, _| !path.starts_with(&folder));
        let mut names = Vec::new();
        for path in self.list(&folder)?.into_iter().take(limit) {
            let Ok(Some((mut file, stat))) = self.open_file(&path, false) else { continue };
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|source| self.io("read", &path, source))?;
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            match ObjectName::from_bytes(text) {
                Ok(name) if path == NameHash::of(&name).dirty(node.as_str()) => {
                    listed.insert(path, made(&stat));
                    names.push(name);
                }
                _ if clock::now().since(made(&stat).1) < WRITTEN_WITHIN => {}
                _ => drop(self.calls.unlink(&path)),
            }
        }
        Ok(names)
    }

    /// Forgets a mark, unless it was made again since [`Store::dirty`] named it.
    pub fn clear_dirty(&self, node: &NodeName, name: &ObjectName) {
        let hash = NameHash::of(name);
        let path = hash.dirty(node.as_str());
        let listed = self.listed_marks.0.lock().expect("no holder panics").remove(&path);
        let Ok(_lock) = self.lock_key(hash) else { return };
        let now = self.root.stat(&path).ok().as_ref().map(made);
        if listed.is_none() || listed == now {
            let _ = self.calls.unlink(&path);
        }
    }
}

fn made(stat: &Stat) -> Made {
    (stat.st_size, super::read::mtime(stat))
}
