//! A body with several ranges, of which the bytes come from elsewhere one after the other.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::StreamExt;

use super::Piece;
use crate::response::{BodyError, ByteStream};

/// The pieces of a body in their order, with the bytes of the copy taken from `copy`. Should those end too early, so does
/// the body: with an error.
pub(super) fn woven(pieces: Vec<Piece>, copy: ByteStream) -> ByteStream {
    let weaver = Weaver { pieces: pieces.into(), copy, waiting: Bytes::new() };
    Box::pin(futures_util::stream::unfold(weaver, |mut weaver| async {
        let next = weaver.next().await?;
        if next.is_err() {
            weaver.pieces.clear();
        }
        Some((next, weaver))
    }))
}

struct Weaver {
    /// What is still to be sent; the front one may be what is left of a range.
    pieces: VecDeque<Piece>,
    copy: ByteStream,
    /// Bytes of the copy that have come and are still to be sent.
    waiting: Bytes,
}

impl Weaver {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let range = match self.pieces.pop_front()? {
            Piece::Frame(bytes) => return Some(Ok(bytes)),
            Piece::Copy(range) => range,
        };
        while self.waiting.is_empty() {
            match self.copy.next().await {
                Some(Ok(bytes)) => self.waiting = bytes,
                Some(Err(error)) => return Some(Err(error)),
                None => return Some(Err(BodyError::Cut)),
            }
        }
        let count = range.length().min(self.waiting.len() as u64);
        if let Some(rest) = range.after(count) {
            self.pieces.push_front(Piece::Copy(rest));
        }
        let count = usize::try_from(count).expect("no more than is waiting in memory");
        Some(Ok(self.waiting.split_to(count)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::semantics::ByteRange;

    fn frame(text: &'static str) -> Piece {
        Piece::Frame(Bytes::from_static(text.as_bytes()))
    }

    /// What comes of a copy in pieces of `size` bytes: text, and whether it ends as it should.
    async fn come(copy: &'static str, size: usize) -> (String, bool) {
        let copy = copy.as_bytes().chunks(size).map(|piece| Ok(Bytes::from_static(piece)));
        let range = |length| Piece::Copy(ByteRange::whole(length).unwrap());
        let pieces =
            vec![frame("<a>"), range(4), frame("<b>"), range(1), frame("<c>"), range(3), frame("<end>")];
        let woven: Vec<_> = woven(pieces, Box::pin(stream::iter(copy))).collect().await;
        let whole = woven.iter().all(Result::is_ok);
        let bytes = woven.into_iter().filter_map(Result::ok).flatten().collect();
        (String::from_utf8(bytes).unwrap(), whole)
    }

    #[tokio::test]
    async fn frames_stand_where_they_belong_however_the_bytes_come() {
        for size in 1..=9 {
            assert_eq!(come("abcdefgh", size).await, ("<a>abcd<b>e<c>fgh<end>".into(), true), "{size}");
        }
    }

    #[tokio::test]
    async fn a_copy_that_ends_early_is_an_error_and_no_end() {
        for size in 1..=9 {
            assert_eq!(come("abcde", size).await, ("<a>abcd<b>e<c>".into(), false), "{size}");
        }
    }
}
