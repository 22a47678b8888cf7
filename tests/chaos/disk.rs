//! What lies in the storage roots, as anybody can read it: plain files, their mtimes, the attribute beside them.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::checker::{Disks, Replica};
use super::history::{Key, content};

/// The attribute of a replica: a format, its version and its checksum.
pub const ATTRIBUTE: &str = "user.webdfs";
/// The name of a replica that does not lie under it.
const ATTRIBUTE_NAME: &str = "user.webdfs.name";

/// Reads every root.
pub fn read(roots: &[PathBuf], paths: &[String]) -> Disks {
    let keys: HashMap<&str, Key> = paths.iter().enumerate().map(|(key, path)| (&path[1..], key)).collect();
    let replicas = roots.iter().map(|root| replicas(root, &keys)).collect();
    let left_over = roots.iter().map(|root| files(&root.join(".webdfs/tmp")).len()).collect();
    Disks { replicas, left_over, ..Disks::default() }
}

fn replicas(root: &Path, keys: &HashMap<&str, Key>) -> Vec<Replica> {
    let escape = root.join(".webdfs/escape");
    let plain = files(root).into_iter().filter(|path| !path.starts_with(root.join(".webdfs")));
    let named = plain.map(|path| {
        let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
        (path, name)
    });
    let escaped = files(&escape).into_iter().map(|path| {
        let name = attribute(&path, ATTRIBUTE_NAME).unwrap_or_default();
        (path, name)
    });
    named.chain(escaped).map(|(path, name)| replica(&path, keys.get(name.as_str()).copied())).collect()
}

fn replica(path: &Path, key: Option<Key>) -> Replica {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let metadata = fs::metadata(path).expect("it was just read");
    let mtime = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let text = attribute(path, ATTRIBUTE).unwrap_or_default();
    let sound = text == format!("1 {mtime} {:08x}", crc32fast::hash(&bytes));
    Replica { place: path.display().to_string(), key, mtime, content: content(&bytes), sound }
}

fn attribute(path: &Path, name: &str) -> Option<String> {
    let mut buffer = vec![0; 4096];
    let count = rustix::fs::getxattr(path, name, &mut buffer).ok()?;
    String::from_utf8(buffer[..count].to_vec()).ok()
}

/// Every file below a folder; none if there is no such folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files
}
