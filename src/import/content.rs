//! What is in a file that is imported: its bytes, all of them, with their length and digest known before anything is sent.
//! So an upload can be repeated, and the receiver notices every change on the way.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

/// Up to this size, in bytes, a file is held in memory; a larger one is read twice, or kept in a temporary file.
pub(super) const MEMORY_MAX: u64 = 1 << 20;
/// How much of a larger file is read at once.
const PIECE: usize = 256 << 10;

/// The bytes of a file.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) length: u64,
    pub(super) sha256: [u8; 32],
    bytes: Stored,
    /// Which file of this machine it is, and its state before it was read.
    of: Option<(Arc<Path>, State)>,
}

/// What tells whether a file was changed, or replaced by another: inode, size and times.
type State = (u64, u64, i64, i64, i64, i64);

#[derive(Clone, Debug)]
enum Stored {
    Memory(Bytes),
    File(Arc<File>),
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is no file")]
    NoFile,
    #[error("changes while it is read")]
    Changes,
}

impl Content {
    /// Bytes that came from elsewhere.
    pub(super) fn in_memory(bytes: Bytes) -> Self {
        let sha256 = Sha256::digest(&bytes).into();
        Self { length: bytes.len() as u64, sha256, bytes: Stored::Memory(bytes), of: None }
    }

    /// Bytes that came from elsewhere and were put into a file that nobody else has.
    pub(super) fn in_file(file: File, length: u64, sha256: [u8; 32]) -> Self {
        Self { length, sha256, bytes: Stored::File(Arc::new(file)), of: None }
    }

    /// Whether sending it in vain costs little.
    pub(super) fn is_small(&self) -> bool {
        self.length <= MEMORY_MAX
    }

    /// Whether the file that it was read from is still what it was. Blocks, but not for long.
    pub(super) fn is_current(&self) -> bool {
        let unchanged =
            |(path, before): &(Arc<Path>, State)| path.metadata().is_ok_and(|now| state(&now) == *before);
        self.of.as_ref().is_none_or(unchanged)
    }

    /// Its bytes, a piece at a time. A file that has become shorter ends with an error.
    pub(super) fn pieces(&self) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let (length, bytes) = (self.length, self.bytes.clone());
        stream::try_unfold((0, bytes), move |(at, bytes)| async move {
            if at >= length {
                return Ok(None);
            }
            let piece = match &bytes {
                Stored::Memory(bytes) => bytes.slice(at as usize..),
                Stored::File(file) => {
                    let file = Arc::clone(file);
                    let size = (length - at).min(PIECE as u64) as usize;
                    spawn_blocking(move || {
                        let mut piece = vec![0; size];
                        file.read_exact_at(&mut piece, at)?;
                        Ok::<_, io::Error>(Bytes::from(piece))
                    })
                    .await
                    .map_err(io::Error::other)??
                }
            };
            Ok(Some((piece.clone(), (at + piece.len() as u64, bytes))))
        })
    }
}

fn state(about: &Metadata) -> State {
    let (modified, changed) = ((about.mtime(), about.mtime_nsec()), (about.ctime(), about.ctime_nsec()));
    (about.ino(), about.len(), modified.0, modified.1, changed.0, changed.1)
}

/// A short text that differs when the file of that path has changed; `None` if it cannot be told.
pub(super) fn mark(path: &Path) -> Option<String> {
    let about = path.metadata().ok()?;
    Some(format!("{}:{}.{:09}", about.len(), about.mtime(), about.mtime_nsec()))
}

/// Reads a file of this machine. Blocks.
pub(super) fn read(path: &Path, follow: bool) -> Result<Content, ReadError> {
    let (no_follow, no_wait) = (rustix::fs::OFlags::NOFOLLOW, rustix::fs::OFlags::NONBLOCK);
    let flags = if follow { no_wait } else { no_wait | no_follow };
    let mut file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(ReadError::NoFile);
    }
    let content = match before.len() {
        0..=MEMORY_MAX => {
            let mut bytes = Vec::with_capacity(before.len() as usize + 1);
            file.by_ref().take(MEMORY_MAX + 1).read_to_end(&mut bytes)?;
            Content::in_memory(bytes.into())
        }
        _ => {
            let (length, sha256) = digest(&file)?;
            Content::in_file(file.try_clone()?, length, sha256)
        }
    };
    let content = Content { of: Some((path.into(), state(&before))), ..content };
    if content.length != before.len() || !content.is_current() {
        return Err(ReadError::Changes);
    }
    Ok(content)
}

fn digest(file: &File) -> io::Result<(u64, [u8; 32])> {
    let (mut length, mut sha256) = (0, Sha256::new());
    let mut piece = vec![0; PIECE];
    loop {
        match file.read_at(&mut piece, length)? {
            0 => return Ok((length, sha256.finalize().into())),
            read => {
                sha256.update(&piece[..read]);
                length += read as u64;
            }
        }
    }
}
