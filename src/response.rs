//! What a request is answered with, whichever front it came through, and the stream type of every body.
//!
//! Nothing here reads or writes: a front takes a [`Body`] part by part and sends it its own way (FastCGI maps
//! file slices, the embedded front reads them).

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};

/// A body that arrives or leaves piece by piece. Its end without an error means that the sender said it was the
/// end; a connection that was lost first is [`BodyError::Cut`].
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send + 'static>>;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The sender went away, or aborted the request. Nothing of the body may be kept.
    #[error("the connection was lost before the end of the body")]
    Cut,
    /// Reading or writing failed on our side of the connection.
    #[error("the body could not be passed on: {0}")]
    Io(#[from] io::Error),
}

/// The answer to one request.
#[derive(Debug)]
pub struct Response {
    /// Status; fronts send it with its reason phrase.
    pub status: StatusCode,
    /// Headers, `Content-Length` among them where the length is known.
    pub headers: HeaderMap,
    /// The bytes, empty for HEAD, 204 and 304.
    pub body: Body,
}

impl Response {
    /// An answer without headers and body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::default() }
    }
}

/// The parts of a body, in the order they are sent.
#[derive(Debug, Default)]
pub struct Body {
    /// What is still to be sent.
    pub parts: VecDeque<Part>,
}

/// One part of a body.
pub enum Part {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A slice of a replica. Its bytes are never touched by our code while mapped, only passed to system calls.
    File(FileSlice),
    /// Bytes that come from elsewhere, usually another node.
    Stream(ByteStream),
}

/// `length` bytes of `file` from `offset` on. The file was at least `offset + length` bytes long when it was opened.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// An open replica. A replica is never edited in place, so the slice stays what it was.
    pub file: Arc<File>,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Part::File(slice) => write!(f, "File({}+{})", slice.offset, slice.length),
            Part::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let parts = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([Part::Bytes(bytes)]) };
        Self { parts }
    }
}

impl From<FileSlice> for Body {
    fn from(slice: FileSlice) -> Self {
        let parts = if slice.length == 0 { VecDeque::new() } else { VecDeque::from([Part::File(slice)]) };
        Self { parts }
    }
}

impl From<ByteStream> for Body {
    fn from(stream: ByteStream) -> Self {
        Self { parts: VecDeque::from([Part::Stream(stream)]) }
    }
}
