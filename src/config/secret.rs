//! The cluster secret: one or two keys that sign and verify what nodes say to each other (design section 11).
//!
//! A secret is read here and handed out as bytes to the signing code; it is never printed, logged or compared here.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The shortest secret, in bytes: 128 bits, if every byte were random.
const SECRET_BYTES_MIN: usize = 16;

/// The largest secret file, in bytes; a longer one is some other file.
const FILE_BYTES_MAX: u64 = 8 * 1024;

/// How many secrets a file may hold: the one in use, and the one before it or after it.
const SECRETS_MAX: usize = 2;

/// The permission bits of everyone but the owner.
const OTHERS_MASK: u32 = 0o077;

/// One or two secrets. The first signs; a signature by either is accepted, so that a secret can be replaced on one
/// node after the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    first: Vec<u8>,
    second: Option<Vec<u8>>,
}

/// Why a secret file is refused.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is absent or cannot be read.
    #[error("the secret file {0} cannot be read; make one: (umask 077; openssl rand -hex 32 > {0})", .path.display())]
    Read {
        /// The secret file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder, a pipe or a device.
    #[error("{} is not a regular file; the secret file is one with the cluster secret on its first line", .path.display())]
    NotAFile {
        /// The secret file.
        path: PathBuf,
    },
    /// Its group, or everyone, may read or write it.
    #[error("{0} has mode {mode:04o}, so others than its owner may read or change the secret: chmod 600 {0}", .path.display())]
    Exposed {
        /// The secret file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is no secret.
    #[error("{}: {reason}", .path.display())]
    Content {
        /// The secret file.
        path: PathBuf,
        /// What is wrong with its content.
        reason: SecretContentError,
    },
}

/// Why the content of a secret file is refused. No variant holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretContentError {
    /// Nothing but blank lines.
    #[error("holds no secret; make one: openssl rand -hex 32")]
    Empty,
    /// A secret that could be guessed.
    #[error(
        "line {line}: a secret of {bytes} bytes is too short, use {SECRET_BYTES_MIN} or more; make one: openssl rand -hex 32"
    )]
    TooShort {
        /// Its line, from 1.
        line: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// More secrets than a rotation needs.
    #[error("line {line}: a third secret; keep two, the first signs and both verify")]
    TooMany {
        /// The line of the first one too many, from 1.
        line: usize,
    },
    /// Some other file, by its size.
    #[error(
        "is over {FILE_BYTES_MAX} bytes long and so no secret file; one holds a secret on each of one or two lines"
    )]
    TooLong,
}

impl Secrets {
    /// Reads the secrets from a file that only its owner may read.
    ///
    /// # Errors
    /// When the file cannot be read, is not a regular file, may be read or written by its group or by others, or
    /// does not hold one or two secrets.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let read_error = |source| SecretError::Read { path: path.to_owned(), source };
        // Looked at before it is opened, because opening a pipe waits for a writer; the mode is that of the open file.
        if !path.metadata().map_err(read_error)?.is_file() {
            return Err(SecretError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(read_error)?;
        let mode = file.metadata().map_err(read_error)?.permissions().mode() & 0o7777;
        if mode & OTHERS_MASK != 0 {
            return Err(SecretError::Exposed { path: path.to_owned(), mode });
        }
        let mut content = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(read_error)?;
        Self::parse(&content).map_err(|reason| SecretError::Content { path: path.to_owned(), reason })
    }

    /// The secrets in the content of a secret file: one a line, without the blanks around it.
    ///
    /// # Errors
    /// When there is none, a third one, or one that is too short.
    pub fn parse(content: &[u8]) -> Result<Self, SecretContentError> {
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(SecretContentError::TooLong);
        }
        let mut found: Vec<&[u8]> = Vec::new();
        for (at, text) in content.split(|byte| *byte == b'\n').enumerate() {
            let (line, secret) = (at + 1, text.trim_ascii());
            if secret.is_empty() {
                continue;
            }
            if secret.len() < SECRET_BYTES_MIN {
                return Err(SecretContentError::TooShort { line, bytes: secret.len() });
            }
            if found.len() == SECRETS_MAX {
                return Err(SecretContentError::TooMany { line });
            }
            found.push(secret);
        }
        let mut found = found.into_iter().map(<[u8]>::to_vec);
        let first = found.next().ok_or(SecretContentError::Empty)?;
        Ok(Self { first, second: found.next() })
    }

    /// The secret that signs.
    pub fn signing(&self) -> &[u8] {
        &self.first
    }

    /// The secrets that verify, the signing one first.
    pub fn verifying(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.first.as_slice()).chain(self.second.as_deref())
    }

    /// How many there are: 1, or 2 while they are being rotated.
    pub fn count(&self) -> usize {
        self.verifying().count()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({}, not shown)", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"0123456789abcdef";
    const SECOND: &[u8] = b"fedcba9876543210fedcba";

    #[test]
    fn the_first_secret_signs_and_both_verify() {
        let secrets = Secrets::parse(b"0123456789abcdef\nfedcba9876543210fedcba\n").unwrap();
        assert_eq!(secrets.signing(), FIRST);
        assert_eq!(secrets.verifying().collect::<Vec<_>>(), [FIRST, SECOND]);
    }

    #[test]
    fn blank_lines_and_blanks_around_a_secret_do_not_count() {
        for content in [
            &b"0123456789abcdef"[..],
            b"0123456789abcdef\n",
            b"\n\n 0123456789abcdef\t\r\n\r\n",
            b"0123456789abcdef\r\n",
        ] {
            let secrets = Secrets::parse(content).unwrap();
            assert_eq!(secrets.verifying().collect::<Vec<_>>(), [FIRST]);
        }
    }

    #[test]
    fn what_is_no_secret_file_is_refused_by_line() {
        use SecretContentError::{Empty, TooLong, TooMany, TooShort};
        assert_eq!(Secrets::parse(b""), Err(Empty));
        assert_eq!(Secrets::parse(b" \n\r\n"), Err(Empty));
        assert_eq!(Secrets::parse(b"0123456789abcde"), Err(TooShort { line: 1, bytes: 15 }));
        assert_eq!(Secrets::parse(b"0123456789abcdef\n\nshort\n"), Err(TooShort { line: 3, bytes: 5 }));
        let three = [FIRST, SECOND, FIRST].join(&b'\n');
        assert_eq!(Secrets::parse(&three), Err(TooMany { line: 3 }));
        assert_eq!(Secrets::parse(&[b'a'; 9000]), Err(TooLong));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secrets = Secrets::parse(b"correct horse battery\n").unwrap();
        let shown = format!("{secrets:?} {secrets:#?}");
        assert!(!shown.contains("horse"), "{shown}");
        let error = Secrets::parse(b"correct horse").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("horse"));
    }

    #[test]
    fn a_file_that_others_may_read_or_write_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, FIRST).unwrap();
        for mode in [0o640, 0o604, 0o644, 0o620, 0o601] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let error = Secrets::read(&path).unwrap_err().to_string();
            let cure = format!("chmod 600 {}", path.display());
            assert!(error.contains(&format!("{mode:04o}")) && error.contains(&cure), "{error}");
        }
        for mode in [0o600, 0o400] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(Secrets::read(&path).unwrap().signing(), FIRST);
        }
    }

    #[test]
    fn a_missing_secret_file_and_a_folder_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("secret");
        let error = Secrets::read(&missing).unwrap_err();
        assert!(std::error::Error::source(&error).is_some(), "what the system says is kept");
        let error = error.to_string();
        assert!(error.contains(&missing.display().to_string()) && error.contains("openssl rand"), "{error}");
        let error = Secrets::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
