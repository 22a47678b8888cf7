//! The files with the keys that sign URLs. A key is read here and handed out; it is never printed or logged.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::access::signed::{KeyError, SigningKey};

/// The largest file, in bytes; a longer one is some other file.
const FILE_BYTES_MAX: u64 = 4 * 1024;
/// What the group must not do, writing, and everybody else not at all. The site's own code may be in the group.
const OTHERS_MASK: u32 = 0o027;

/// Why a file with a signing key is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignKeyError {
    /// The file is absent or cannot be read.
    #[error("the signing key {0} cannot be read; make one: (umask 077; webdfs sign --new-key > {0})", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read it, or its group may write it.
    #[error("{0} has mode {mode:04o}, so that others may read or change the signing key: chmod 600 {0}", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is no signing key.
    #[error("{}: {reason}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: KeyError,
    },
}

/// Reads the one key of a file.
///
/// # Errors
/// When the file cannot be read, others may read or change it, or it holds no signing key.
pub fn read_sign_key(path: &Path) -> Result<SigningKey, SignKeyError> {
    let read_error = |source| SignKeyError::Read { path: path.to_owned(), source };
    // Looked at before it is opened, because opening a pipe waits for a writer; the mode is that of the open file.
    if !path.metadata().map_err(read_error)?.is_file() {
        return Err(read_error(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(path).map_err(read_error)?;
    let mode = file.metadata().map_err(read_error)?.permissions().mode() & 0o7777;
    if mode & OTHERS_MASK != 0 {
        return Err(SignKeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(read_error)?;
    text.trim().parse().map_err(|reason| SignKeyError::Content { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "site1:00112233445566778899aabbccddeeff\n";

    #[test]
    fn a_key_that_others_may_read_is_refused_and_no_error_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sign.key");
        let error = read_sign_key(&path).unwrap_err().to_string();
        assert!(error.contains("webdfs sign --new-key"), "{error}");
        std::fs::write(&path, KEY).unwrap();
        for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o660, false), (0o604, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(read_sign_key(&path).is_ok(), good, "{mode:o}");
        }
        std::fs::write(&path, "site1:0011").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let error = read_sign_key(&path).unwrap_err().to_string();
        assert!(error.contains("sign.key: a signing key has") && !error.contains("0011"), "{error}");
    }
}
