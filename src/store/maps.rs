//! The maps that a root remembers (design sections 5 and 9): which files there are. What they say is read elsewhere.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::layout;

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
