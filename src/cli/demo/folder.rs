//! The folder the demo works in: a temporary one, removed at the end, or one the caller wants to keep.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Readable for its owner alone: the cluster's secret is in there.
const MODE: u32 = 0o700;

/// A folder that holds nothing but the demo. Dropping it removes a temporary one.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    temporary: Option<TempDir>,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something is in it already, and the demo writes over nothing.
    #[error("{} is not empty; name a folder that is empty, or that does not exist yet", .0.display())]
    NotEmpty(PathBuf),
    /// It stands in configuration files as it is, so characters with a meaning there are refused.
    #[error("{}: a folder whose name has the character {character:?} in it cannot be used here", path.display())]
    Name {
        /// The folder.
        path: PathBuf,
        /// The first such character.
        character: char,
    },
    /// It cannot be made or read.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Folder {
    /// A new folder in the system's folder for temporary files.
    ///
    /// # Errors
    /// When it cannot be made, or the path of the system's folder cannot stand in a configuration file.
    pub fn temporary() -> Result<Self, FolderError> {
        let above = std::env::temp_dir();
        let io_error = |source| FolderError::Io { path: above.clone(), source };
        let temporary = tempfile::Builder::new()
            .prefix("webdfs-demo-")
            .permissions(Permissions::from_mode(MODE))
            .tempdir()
            .map_err(io_error)?;
        let path = plain(temporary.path().canonicalize().map_err(io_error)?)?;
        Ok(Self { path, temporary: Some(temporary) })
    }

    /// This folder, which is made if it is not there, and which stays.
    ///
    /// # Errors
    /// When it is not empty, cannot be made, or cannot stand in a configuration file. Nothing in it is touched then.
    pub fn kept(path: &Path) -> Result<Self, FolderError> {
        let io_error = |source| FolderError::Io { path: path.to_owned(), source };
        match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return Err(FolderError::NotEmpty(path.to_owned())),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                plain(std::path::absolute(path).map_err(io_error)?)?;
                DirBuilder::new().recursive(true).mode(MODE).create(path).map_err(io_error)?;
            }
            Err(error) => return Err(io_error(error)),
        }
        Ok(Self { path: plain(path.canonicalize().map_err(io_error)?)?, temporary: None })
    }

    /// Where it is: absolute, and free of characters that need care in a configuration file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is removed at the end.
    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }
}

/// Refuses what would need escapes in a quoted string of TOML or nginx (where `$` cannot be escaped at all, and `:`
/// ends the path of a socket).
fn plain(path: PathBuf) -> Result<PathBuf, FolderError> {
    let odd = |character: &char| matches!(character, '$' | '"' | '\'' | '\\' | ':') || character.is_control();
    let found = match path.to_str() {
        Some(text) => text.chars().find(odd),
        None => Some(char::REPLACEMENT_CHARACTER),
    };
    match found {
        Some(character) => Err(FolderError::Name { path, character }),
        None => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_private_and_goes_with_its_owner() {
        let folder = Folder::temporary().expect("a folder");
        let path = folder.path().to_owned();
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        fs::write(path.join("file"), "text").expect("a file");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_to_keep_is_made_or_was_empty_and_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let wanted = dir.path().join("made/of two");
        let folder = Folder::kept(&wanted).expect("it can be made");
        assert!(folder.path().is_absolute() && !folder.is_temporary());
        drop(folder);
        assert!(Folder::kept(&wanted).is_ok(), "it is there, and empty");

        fs::write(wanted.join("holiday.jpg"), "mine").expect("a file");
        assert!(matches!(Folder::kept(&wanted), Err(FolderError::NotEmpty(_))));
        assert_eq!(fs::read(wanted.join("holiday.jpg")).expect("still there"), b"mine");
        assert!(matches!(Folder::kept(&wanted.join("holiday.jpg")), Err(FolderError::Io { .. })));
    }

    #[test]
    fn a_name_that_configuration_files_cannot_hold_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, odd) in [("a$b", '$'), ("a\"b", '"'), ("a\nb", '\n'), ("a:b", ':')] {
            let error = Folder::kept(&dir.path().join(name)).map(|_| ()).expect_err(name);
            assert!(matches!(error, FolderError::Name { character, .. } if character == odd), "{error}");
            assert!(!dir.path().join(name).exists());
        }
    }
}
