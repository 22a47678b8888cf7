//! The body of an object on its way in, which can be begun again as long as it is at hand.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;

use super::intake::gathered;
use crate::deliver::file;
use crate::response::{BodyError, ByteStream, FileSlice};

/// Bytes of one body that are kept at most.
const KEPT_MAX: usize = 1024 * 1024;
/// Bytes of all bodies together that this process keeps at most.
const ALL_KEPT_MAX: usize = 32 * 1024 * 1024;
/// Shorter pieces are copied.
const COPIED_BELOW: usize = 8 * 1024;

/// Bytes that are kept now.
static ALL_KEPT: AtomicUsize = AtomicUsize::new(0);

/// A body that is read piece by piece.
pub(super) struct Source {
    stream: ByteStream,
    again: Again,
    /// Nothing more comes from the stream.
    ended: bool,
}

/// Where the bytes that were read can be had again.
enum Again {
    /// Here, those before `next` having been read since the last beginning.
    Kept { kept: Kept, next: usize },
    /// In a file.
    File(FileSlice),
    /// Nowhere.
    Gone,
}

/// The first pieces of a body.
#[derive(Default)]
struct Kept {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Kept {
    /// Keeps one more. Whether there is room for it.
    fn push(&mut self, piece: &Bytes) -> bool {
        let bytes = piece.len();
        if self.bytes + bytes > KEPT_MAX {
            return false;
        }
        // It may be a small part of a large buffer.
        self.pieces.push(if bytes < COPIED_BELOW { Bytes::copy_from_slice(piece) } else { piece.clone() });
        // Given back when this is dropped.
        self.bytes += bytes;
        ALL_KEPT.fetch_add(bytes, Ordering::Relaxed) + bytes <= ALL_KEPT_MAX
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        ALL_KEPT.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Source {
    /// A body that comes once.
    pub fn once(body: ByteStream) -> Self {
        let again = Again::Kept { kept: Kept::default(), next: 0 };
        Self { stream: gathered(body), again, ended: false }
    }

    /// A body that lies in a file.
    pub fn file(slice: FileSlice) -> Self {
        Self { stream: gathered(file::stream(slice.clone())), again: Again::File(slice), ended: false }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        if let Again::Kept { kept, next } = &mut self.again
            && let Some(piece) = kept.pieces.get(*next)
        {
            *next += 1;
            return Some(Ok(piece.clone()));
        }
        if self.ended {
            return None;
        }
        let piece = self.stream.next().await;
        match (&piece, &mut self.again) {
            (Some(Ok(piece)), Again::Kept { kept, next }) => {
                *next += 1;
                if !kept.push(piece) {
                    self.again = Again::Gone;
                }
            }
            (Some(Ok(_)), _) => {}
            (Some(Err(_)), _) => (self.again, self.ended) = (Again::Gone, true),
            (None, _) => self.ended = true,
        }
        piece
    }

    /// Goes back to the beginning, if what was read can be had again.
    pub fn begin_again(&mut self) -> bool {
        match &mut self.again {
            Again::Kept { next, .. } => *next = 0,
            Again::File(slice) => {
                (self.stream, self.ended) = (gathered(file::stream(slice.clone())), false);
            }
            Again::Gone => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn body(pieces: &[&'static [u8]]) -> ByteStream {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        // Never two at once, or they would be joined.
        Box::pin(futures_util::stream::iter(pieces).then(|piece| async {
            tokio::task::yield_now().await;
            piece
        }))
    }

    async fn rest(source: &mut Source) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = source.next().await {
            all.extend_from_slice(&piece.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn a_small_body_is_read_as_often_as_is_wished_from_wherever_it_was_left() {
        let mut source = Source::once(body(&[b"one", b"two", b"three"]));
        assert_eq!(source.next().await.unwrap().unwrap(), "one");
        assert!(source.begin_again());
        assert_eq!(rest(&mut source).await, b"onetwothree");
        assert!(source.next().await.is_none());
        assert!(source.begin_again());
        assert_eq!(rest(&mut source).await, b"onetwothree");
    }

    #[tokio::test]
    async fn of_a_large_body_nothing_is_kept_and_it_comes_once() {
        let large: &'static [u8] = Box::leak(vec![7; KEPT_MAX].into_boxed_slice());
        let mut source = Source::once(body(&[large, b"x"]));
        assert_eq!(rest(&mut source).await.len(), KEPT_MAX + 1);
        assert!(!source.begin_again());
        assert!(source.next().await.is_none());
    }

    #[tokio::test]
    async fn a_file_is_read_anew() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[3; KEPT_MAX + 5]).unwrap();
        let slice = FileSlice { file: Arc::new(file), offset: 0, length: KEPT_MAX as u64 + 5 };
        let mut source = Source::file(slice);
        assert_eq!(rest(&mut source).await.len(), KEPT_MAX + 5);
        assert!(source.begin_again());
        assert_eq!(rest(&mut source).await, vec![3; KEPT_MAX + 5]);
    }

    #[tokio::test]
    async fn a_body_that_was_cut_off_is_not_begun_again() {
        let cut = futures_util::stream::iter([Ok(Bytes::from_static(b"a")), Err(BodyError::Cut)]);
        let mut source = Source::once(Box::pin(cut));
        while source.next().await.is_some() {}
        assert!(!source.begin_again());
    }
}
