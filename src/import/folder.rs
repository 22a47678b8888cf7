//! The files below a folder, each under its path there. Links are not followed, and nothing but files is taken.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::source::{Found, Item, Origin};
use super::summary::Failed;
use crate::name::{ObjectName, RESERVED_SEGMENT};

/// Names each file to `found`, in the order of their names folder by folder, until that has enough.
pub(super) fn walk(root: &Path, found: &mut dyn FnMut(Found) -> bool) {
    descend(root, Path::new(""), found);
}

fn descend(root: &Path, below: &Path, found: &mut dyn FnMut(Found) -> bool) -> bool {
    let folder = root.join(below);
    let entries = fs::read_dir(&folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return found(Err(Failed::new(folder.display(), format!("cannot be read: {error}")))),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    entries.into_iter().all(|entry| {
        let path = below.join(entry.file_name());
        let refuse = |why: String| Err(Failed::new(entry.path().display(), why));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => match path == Path::new(OsStr::from_bytes(RESERVED_SEGMENT)) {
                true => found(refuse("belongs to webdfs itself; nothing below it is imported".to_owned())),
                false => descend(root, &path, found),
            },
            Ok(kind) if kind.is_file() => found(match ObjectName::from_bytes(path.as_os_str().as_bytes()) {
                Ok(name) => Ok(Item { name, origin: Origin::File { path: entry.path(), follow: false } }),
                Err(error) => refuse(error.to_string()),
            }),
            Ok(kind) if kind.is_symlink() => found(refuse("is a link; links are not followed".to_owned())),
            Ok(_) => found(refuse("is no file".to_owned())),
            Err(error) => found(refuse(format!("cannot be looked at: {error}"))),
        }
    })
}
