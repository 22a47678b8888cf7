//! Marks on keys that some node has missed. A hint, never synced: nothing depends on them but speed.

use std::io::{self, Read};
use std::path::Path;

use super::layout::{self, NameHash};
use super::{Store, StoreError};
use crate::cluster::NodeName;
use crate::name::ObjectName;

impl Store {
    /// Remembers that `node` may lack the newest version of `name`.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub fn mark_dirty(&self, node: &NodeName, name: &ObjectName) -> Result<(), StoreError> {
        let path = NameHash::of(name).dirty(node.as_str());
        let result = match self.calls.create(&path, 0o600) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(Path::new(layout::DIRTY));
                match self.calls.make_folder(folder, 0o700) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => self.calls.create(&path, 0o600),
                }
            }
            other => other,
        };
        match result {
            Ok(file) => self
                .calls
                .write(&file, &path, name.as_bytes())
                .map_err(|source| self.io("write", &path, source)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(source) => Err(self.io("create", &path, source)),
        }
    }

    /// The keys marked for a node, `limit` at most. Damaged marks are removed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn dirty(&self, node: &NodeName, limit: usize) -> Result<Vec<ObjectName>, StoreError> {
        let folder = Path::new(layout::DIRTY).join(node.as_str());
        let mut names = Vec::new();
        for path in self.list(&folder)?.into_iter().take(limit) {
            let Ok(Some((mut file, _))) = self.open_file(&path, false) else { continue };
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|source| self.io("read", &path, source))?;
            match ObjectName::from_bytes(&bytes) {
                Ok(name) if path == NameHash::of(&name).dirty(node.as_str()) => names.push(name),
                _ => drop(self.calls.unlink(&path)),
            }
        }
        Ok(names)
    }

    /// Forgets a mark.
    pub fn clear_dirty(&self, node: &NodeName, name: &ObjectName) {
        let _ = self.calls.unlink(&NameHash::of(name).dirty(node.as_str()));
    }
}
