//! The maps that a root remembers (design sections 5 and 9): their texts, and a number that changes whenever they do. What
//! they say is read elsewhere.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::layout;
use super::{Store, StoreError};
use crate::config::MapText;

/// A map among those of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMap {
    /// The name of its file, without an ending: its epoch in decimal, and where two maps have one epoch more than that.
    pub stem: String,
    /// The map.
    pub text: MapText,
}

/// What is to change among the maps of a root.
#[derive(Clone, Debug, Default)]
pub struct MapsChange {
    /// Maps to remember.
    pub add: Vec<StoredMap>,
    /// The stems of maps to forget, after that.
    pub remove: Vec<String>,
    /// Whether all processes are to look at them again, though nothing else is to change.
    pub touch: bool,
}

/// The files of the maps that the storage root at `root` remembers, in no order. None where it remembers none, as a
/// root does that no node has used yet. The root need not be open.
///
/// # Errors
/// When their folder cannot be read, as by someone else than the user that webdfs runs as.
pub fn remembered_maps(root: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(root.join(layout::MAPS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.filter(|path| !matches!(path, Ok(path) if path.extension() != Some(OsStr::new("toml")))).collect()
}

/// Reads one of these files, and the CRUSH map that lies beside it.
///
/// # Errors
/// When it cannot be read.
pub fn read_remembered_map(file: &Path) -> io::Result<MapText> {
    let toml = fs::read_to_string(file)?;
    let crush = match fs::read_to_string(file.with_extension("crush")) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(MapText { toml, crush })
}

impl Store {
    /// A number that differs from one moment to another if the maps have changed in between, by whichever process of this
    /// root. Costs one system call.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn maps_serial(&self) -> Result<u64, StoreError> {
        let mut serial = [0; 8];
        let path = Path::new(layout::MAPS_SERIAL);
        let read =
            self.serial_file()?.read_at(&mut serial, 0).map_err(|source| self.io("read", path, source))?;
        // It is empty until the maps change for the first time.
        Ok(if read == serial.len() { u64::from_ne_bytes(serial) } else { 0 })
    }

    /// All maps of this root, in no order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn stored_maps(&self) -> Result<Vec<StoredMap>, StoreError> {
        let folder = Path::new(layout::MAPS);
        let files = remembered_maps(self.root()).map_err(|source| self.io("read", folder, source))?;
        let stored = files.into_iter().map(|file| {
            let text =
                read_remembered_map(&file).map_err(|source| StoreError::io("read the map", &file, source))?;
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(StoredMap { stem, text })
        });
        stored.collect()
    }

    /// Changes the maps of this root durably, as `decide` says who is given those there are, while no other process does.
    ///
    /// # Errors
    /// What `decide` says, or when the disk fails: then some of the change may be done, additions before removals.
    pub fn change_maps<E: From<StoreError>>(
        &self,
        decide: impl FnOnce(Vec<StoredMap>) -> Result<MapsChange, E>,
    ) -> Result<(), E> {
        let _lock = self.lock_maps()?;
        let MapsChange { add, remove, touch } = decide(self.stored_maps()?)?;
        if add.is_empty() && remove.is_empty() && !touch {
            return Ok(());
        }
        for StoredMap { stem, text } in add {
            // The map counts from when its own file is there.
            if let Some(crush) = &text.crush {
                self.replace(&file_of(&stem, "crush"), crush.as_bytes(), None)?;
            }
            self.replace(&file_of(&stem, "toml"), text.toml.as_bytes(), None)?;
        }
        for stem in remove {
            self.forget_map_file(&file_of(&stem, "toml"))?;
            self.forget_map_file(&file_of(&stem, "crush"))?;
        }
        let next = self.maps_serial()?.wrapping_add(1);
        let path = Path::new(layout::MAPS_SERIAL);
        let written = self.serial_file()?.write_all_at(&next.to_ne_bytes(), 0);
        Ok(written.map_err(|source| self.io("write", path, source))?)
    }

    fn serial_file(&self) -> Result<&File, StoreError> {
        if let Some(file) = self.maps_serial.get() {
            return Ok(file);
        }
        let file = self.open_lock(Path::new(layout::MAPS_SERIAL))?;
        Ok(self.maps_serial.get_or_init(|| file))
    }

    fn forget_map_file(&self, path: &Path) -> Result<(), StoreError> {
        match self.calls.unlink(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.io("remove", path, source)),
            _ => Ok(()),
        }
    }
}

fn file_of(stem: &str, ending: &str) -> PathBuf {
    Path::new(layout::MAPS).join(format!("{stem}.{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_maps_are_listed_and_a_new_root_has_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(remembered_maps(root.path()).unwrap(), Vec::<PathBuf>::new());
        let folder = root.path().join(layout::MAPS);
        fs::create_dir_all(&folder).unwrap();
        for file in ["7.toml", "8.toml.part", "notes"] {
            fs::write(folder.join(file), "").unwrap();
        }
        assert_eq!(remembered_maps(root.path()).unwrap(), [folder.join("7.toml")]);
        fs::write(root.path().join("file"), "").unwrap();
        assert!(remembered_maps(&root.path().join("file")).is_err(), "a file is no root");
    }
}
