//! The journal of an import: a line for each file that is finished, so that an import that was killed goes on where it was.
//!
//! It is only ever appended to, and synced now and then. A last line without its end was being written when the process
//! died, and is dropped: its file is looked at again, and found to be there. The first line says which import it is of.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

/// How every journal begins.
const MAGIC: &str = "webdfs import 1";
/// Lines between two syncs.
const SYNC_EVERY: u32 = 1_000;
/// The longest line, in bytes: a name of 1,024, each byte encoded as three, and what marks its state.
const LINE_BYTES_MAX: usize = 16 << 10;

/// What is finished, by the hash of its line: 16 bytes each, for there may be many millions.
type Finished = HashSet<[u8; 16]>;

/// Writes down what is finished.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    unsynced: u32,
}

/// Why an import cannot be resumed with a file; the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("{}: the journal cannot be kept", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is something else, or damaged.
    #[error("{}:{line}: is no journal of an import; give a file of its own", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// It is the journal of another import.
    #[error("{}: is the journal of importing {theirs}; this is {ours}. Give each import a file of its own", .file.display())]
    Other {
        /// The file.
        file: PathBuf,
        /// What it is of.
        theirs: String,
        /// What it was given for.
        ours: String,
    },
    /// Another process writes it.
    #[error("{}: another import is using this journal", .file.display())]
    Busy {
        /// The file.
        file: PathBuf,
    },
}

impl Journal {
    /// Opens the journal of the import `of`, or begins it, and reads what is finished.
    pub(super) fn open(path: &Path, of: &str) -> Result<(Self, Finished), JournalError> {
        let failed = |source| JournalError::Io { file: path.to_owned(), source };
        let open = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = open.map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| JournalError::Busy { file: path.to_owned() })?;
        let of = of.escape_debug().to_string();
        let (finished, whole) = read(path, &file, &of)?;
        let mut journal = Self { path: path.to_owned(), file, unsynced: 0 };
        if whole < journal.file.metadata().map_err(failed)?.len() {
            journal.file.set_len(whole).map_err(failed)?;
        }
        if whole == 0 {
            journal.file.write_all(format!("{MAGIC} {of}\n").as_bytes()).map_err(failed)?;
        }
        journal.sync()?;
        Ok((journal, finished))
    }

    /// Adds a line, as [`line`] makes it.
    pub(super) fn finish(&mut self, line: &str) -> Result<(), JournalError> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|source| JournalError::Io { file: self.path.clone(), source })?;
        self.unsynced += 1;
        if self.unsynced >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// Brings all of it to the disk.
    pub(super) fn sync(&mut self) -> Result<(), JournalError> {
        self.unsynced = 0;
        self.file.sync_data().map_err(|source| JournalError::Io { file: self.path.clone(), source })
    }
}

/// By what a line is found again.
pub(super) fn key(line: &str) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&Sha256::digest(line.as_bytes())[..16]);
    key
}

/// What is finished, and the length of the whole lines.
fn read(path: &Path, file: &File, of: &str) -> Result<(Finished, u64), JournalError> {
    let failed = |source| JournalError::Io { file: path.to_owned(), source };
    let mut reader = BufReader::new(file);
    reader.rewind().map_err(failed)?;
    let (mut finished, mut whole) = (Finished::new(), 0);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(failed)?;
        let foreign = || JournalError::Foreign { file: path.to_owned(), line: number };
        if line.last() != Some(&b'\n') {
            // Of a file that is none of ours nothing may be cut off.
            let begins = format!("{MAGIC} ");
            let is_ours = number > 1 || begins.as_bytes().starts_with(&line[..line.len().min(begins.len())]);
            return if is_ours { Ok((finished, whole)) } else { Err(foreign()) };
        }
        let text = std::str::from_utf8(&line[..length - 1]).map_err(|_| foreign())?;
        if number == 1 {
            let theirs =
                text.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(foreign)?;
            if theirs != of {
                let (theirs, ours) = (theirs.to_owned(), of.to_owned());
                return Err(JournalError::Other { file: path.to_owned(), theirs, ours });
            }
        } else if length > LINE_BYTES_MAX || !text.contains('\t') {
            return Err(foreign());
        } else {
            finished.insert(key(text));
        }
        whole += length as u64;
    }
    unreachable!("a u64 counts the lines of a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_finished_is_known_wherever_the_journal_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let lines = ["a.jpg\t1:2", "b%20c.jpg\t3:4", "d\t-"];
        let (mut journal, finished) = Journal::open(&path, "x to /").unwrap();
        assert!(finished.is_empty());
        assert!(matches!(Journal::open(&path, "x to /"), Err(JournalError::Busy { .. })));
        lines.iter().for_each(|line| journal.finish(line).unwrap());
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for end in 0..=whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let (mut journal, finished) = Journal::open(&path, "x to /").unwrap();
            let ends = whole[..end].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(finished.len(), ends.saturating_sub(1), "torn after {end} bytes");
            assert!(lines.iter().take(finished.len()).all(|line| finished.contains(&key(line))));
            journal.finish("new\t-").unwrap();
            drop(journal);
            let (_, again) = Journal::open(&path, "x to /").unwrap();
            assert!(
                again.len() == finished.len() + 1 && again.contains(&key("new\t-")),
                "torn after {end} bytes"
            );
        }
    }

    #[test]
    fn a_file_that_is_no_journal_of_this_import_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        for (text, expected) in [
            (&b"hello"[..], "journal:1: is no journal"),
            (b"hello\n", "journal:1: is no journal"),
            (b"webdfs import 1 x\nno tab\n", "journal:2: is no journal"),
            (b"webdfs import 1 x\n\xff\t-\n", "journal:2: is no journal"),
            (b"webdfs import 1 y\n", "is the journal of importing y; this is x"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Journal::open(&path, "x").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), text);
        }
    }
}
