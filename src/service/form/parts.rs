//! The parts of a form (RFC 7578), one after another, in bounded memory.
//!
//! The parser takes in whatever its source offers before it looks at any of it, so a form that arrives faster than
//! its files are stored would end up in memory. Here it is fed by hand: a piece of the body is fetched only when the
//! parser can do nothing more without one. What it may take in without giving anything back is limited, and so is
//! the number of parts.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::poll_fn;
use futures_util::{Stream, stream};

use crate::response::{BodyError, ByteStream};

/// Parts of one form at most. Each costs a line in the answer.
pub(super) const PARTS_MAX: usize = 4096;
/// Bytes the parser is fed at once at most.
const PIECE_BYTES: usize = 16 << 10;
/// Bytes the parser may take in without giving back any: more than the head of a part needs, or what stands before
/// the first.
const UNPARSED_BYTES_MAX: usize = 64 << 10;

/// Why a form cannot be read on.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum PartsError {
    /// It is no form, or it was cut off.
    #[error("the form cannot be read: {0}")]
    Broken(String),
    /// The parser would have to keep too much.
    #[error("the form has more than {UNPARSED_BYTES_MAX} bytes that belong to no part's content")]
    Unparsed,
    /// More parts than are allowed.
    #[error("the form has more than {PARTS_MAX} parts: send the rest in another one")]
    TooMany,
    /// More bytes than are allowed.
    #[error("the form is larger than the {max} bytes allowed")]
    TooLarge {
        /// The limit.
        max: u64,
    },
}

/// A form that is being read.
pub(super) struct Parts {
    parser: multer::Multipart<'static>,
    feed: Arc<Mutex<Feed>>,
    seen: usize,
}

/// A part of a form. The next one comes once this one and every [`Part::body`] of it are dropped.
#[derive(Clone)]
pub(super) struct Part {
    field: Arc<Mutex<multer::Field<'static>>>,
    feed: Arc<Mutex<Feed>>,
}

/// What stands between the body and the parser.
struct Feed {
    body: ByteStream,
    /// What came from the body and is not offered to the parser yet.
    ahead: Bytes,
    /// What the parser is offered.
    offered: Option<Result<Bytes, BodyError>>,
    ended: bool,
    /// Bytes fed since the parser last gave anything back: at most [`UNPARSED_BYTES_MAX`].
    unparsed: usize,
    /// Bytes fed in all: at most `max`.
    total: u64,
    max: u64,
    /// Once it has failed, it stays so.
    failed: Option<PartsError>,
}

/// The parser's end of the feed. It wakes nobody: whoever drives the parser asks it again.
struct Offered(Arc<Mutex<Feed>>);

impl Parts {
    /// The parts of `body`, which has at most `max` bytes.
    pub fn new(body: ByteStream, boundary: String, max: u64) -> Self {
        let feed = Feed {
            body,
            ahead: Bytes::new(),
            offered: None,
            ended: false,
            unparsed: 0,
            total: 0,
            max,
            failed: None,
        };
        let feed = Arc::new(Mutex::new(feed));
        let parser = multer::Multipart::new(Offered(Arc::clone(&feed)), boundary);
        Self { parser, feed, seen: 0 }
    }

    /// The next part; `None` at the end of the form.
    ///
    /// # Errors
    /// When the form cannot be read on.
    pub async fn next(&mut self) -> Result<Option<Part>, PartsError> {
        let Self { parser, feed, seen } = self;
        let field = poll_fn(|cx| drive(feed, cx, |cx| parser.poll_next_field(cx))).await?;
        let Some(field) = field else { return Ok(None) };
        if *seen == PARTS_MAX {
            return Err(PartsError::TooMany);
        }
        *seen += 1;
        Ok(Some(Part { field: Arc::new(Mutex::new(field)), feed: Arc::clone(feed) }))
    }
}

impl Part {
    /// The name of its file. A part without one is not a file; a file input left empty has an empty one.
    pub fn file_name(&self) -> Option<String> {
        self.field.lock().expect("no holder panics").file_name().map(str::to_owned)
    }

    /// Its content.
    pub fn body(&self) -> ByteStream {
        let part = self.clone();
        Box::pin(stream::poll_fn(move |cx| part.poll_piece(cx).map_err(|_| BodyError::Cut)))
    }

    /// Passes over what is left of its content.
    pub async fn skip(self) {
        while let Some(Ok(_)) = poll_fn(|cx| self.poll_piece(cx)).await {}
    }

    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PartsError>>> {
        let mut field = self.field.lock().expect("no holder panics");
        let piece = drive(&self.feed, cx, |cx| Pin::new(&mut *field).poll_next(cx).map(Option::transpose));
        piece.map(Result::transpose)
    }
}

/// Asks the parser, and feeds it piece by piece until it has an answer or nothing more is there.
fn drive<T>(
    feed: &Mutex<Feed>,
    cx: &mut Context<'_>,
    mut ask: impl FnMut(&mut Context<'_>) -> Poll<Result<T, multer::Error>>,
) -> Poll<Result<T, PartsError>> {
    loop {
        let answer = ask(cx);
        // Not held while the parser is asked: it takes from the feed.
        let mut feed = feed.lock().expect("no holder panics");
        match answer {
            Poll::Ready(Ok(answer)) => {
                feed.unparsed = 0;
                return Poll::Ready(Ok(answer));
            }
            Poll::Ready(Err(error)) => {
                let error = feed.failed.clone().unwrap_or_else(|| PartsError::Broken(error.to_string()));
                return Poll::Ready(Err(feed.fail(error)));
            }
            Poll::Pending => ready!(feed.poll_more(cx))?,
        }
    }
}

impl Feed {
    /// Offers the parser the next piece of the body, or its end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PartsError>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if self.ended {
            return Poll::Ready(Err(self.fail(PartsError::Broken("it has no end".into()))));
        }
        while self.ahead.is_empty() {
            match ready!(self.body.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => self.ahead = piece,
                Some(Err(error)) => {
                    self.offered = Some(Err(error));
                    self.ended = true;
                    return Poll::Ready(Ok(()));
                }
                None => {
                    self.ended = true;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let piece = self.ahead.split_to(self.ahead.len().min(PIECE_BYTES));
        self.unparsed += piece.len();
        self.total += piece.len() as u64;
        if self.unparsed > UNPARSED_BYTES_MAX {
            return Poll::Ready(Err(self.fail(PartsError::Unparsed)));
        }
        if self.total > self.max {
            let max = self.max;
            return Poll::Ready(Err(self.fail(PartsError::TooLarge { max })));
        }
        self.offered = Some(Ok(piece));
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, error: PartsError) -> PartsError {
        self.failed = Some(error.clone());
        error
    }
}

impl Stream for Offered {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut feed = self.0.lock().expect("no holder panics");
        match feed.offered.take() {
            Some(piece) => Poll::Ready(Some(piece)),
            None if feed.ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::{StreamExt, TryStreamExt};
    use proptest::prelude::*;

    use super::*;

    fn parts_of(pieces: Vec<Bytes>) -> Parts {
        Parts::new(Box::pin(stream::iter(pieces.into_iter().map(Ok))), "limit".into(), u64::MAX)
    }

    fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut form = Vec::new();
        for (name, bytes) in files {
            let head =
                format!("--limit\r\nContent-Disposition: form-data; name=f; filename=\"{name}\"\r\n\r\n");
            form.extend([head.as_bytes(), bytes, b"\r\n"].concat());
        }
        form.extend(b"--limit--\r\n");
        form
    }

    async fn read(mut parts: Parts) -> Result<Vec<(String, Vec<u8>)>, PartsError> {
        let mut files = Vec::new();
        while let Some(part) = parts.next().await? {
            let bytes: Vec<Bytes> = part.body().try_collect().await.unwrap_or_default();
            files.push((part.file_name().unwrap_or_default(), bytes.concat()));
        }
        Ok(files)
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        futures_util::FutureExt::now_or_never(future).expect("the whole form is there")
    }

    proptest! {
        #[test]
        fn a_form_reads_the_same_however_it_is_cut(
            contents in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\r\n-limt".to_vec()), 0..200), 1..5),
            size in 1..300usize,
        ) {
            // Content with a boundary in it is not content.
            let is_content = |bytes: &&Vec<u8>| !bytes.windows(9).any(|window| window == b"\r\n--limit");
            let contents: Vec<_> = contents.iter().filter(is_content).collect();
            let files: Vec<_> = contents.iter().map(|bytes| ("a", bytes.as_slice())).collect();
            let pieces = form(&files).chunks(size).map(Bytes::copy_from_slice).collect();
            let read = now(read(parts_of(pieces))).unwrap();
            let wanted: Vec<_> = files.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect();
            prop_assert_eq!(read, wanted);
        }
    }

    #[test]
    fn what_is_not_asked_for_stays_in_the_body() {
        let taken = Arc::new(AtomicUsize::new(0));
        let form = form(&[("a", &[7; 100_000]), ("b", &[8; 1000])]);
        let pieces: Vec<_> = form.chunks(1000).map(Bytes::copy_from_slice).collect();
        let counter = Arc::clone(&taken);
        let body = stream::iter(pieces).map(move |piece| {
            counter.fetch_add(piece.len(), Ordering::Relaxed);
            Ok(piece)
        });
        let mut parts = Parts::new(Box::pin(body), "limit".into(), u64::MAX);
        let part = now(parts.next()).unwrap().unwrap();
        assert_eq!(taken.load(Ordering::Relaxed), 1000);
        let mut body = part.body();
        let mut got = 0;
        while let Some(piece) = now(body.next()) {
            got += piece.unwrap().len();
            assert!(taken.load(Ordering::Relaxed) < got + 2500, "{got} bytes of {taken:?} are read");
        }
        assert_eq!(got, 100_000);
    }

    #[test]
    fn a_part_that_is_dropped_halfway_or_passed_over_does_not_hide_the_next() {
        let form = form(&[("a", &[7; 300_000]), ("b", &[8; 300_000]), ("c", b"c")]);
        let mut parts = parts_of(vec![Bytes::from(form)]);
        let part = now(parts.next()).unwrap().unwrap();
        assert!(now(part.body().next()).unwrap().is_ok());
        now(part.skip());
        now(now(parts.next()).unwrap().unwrap().skip());
        assert_eq!(now(parts.next()).unwrap().unwrap().file_name().unwrap(), "c");
        assert!(now(parts.next()).unwrap().is_none());
    }

    #[test]
    fn what_never_becomes_content_is_refused() {
        let endless = |start: &str| {
            let start = stream::iter([Ok(Bytes::from(start.to_owned()))]);
            let body = start.chain(stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1000]))));
            Parts::new(Box::pin(body), "limit".into(), 1 << 20)
        };
        for start in ["", "--limit\r\nContent-Disposition: form-data; name=\"f", "--limit\r\n"] {
            let error = now(endless(start).next()).err();
            assert!(matches!(error, Some(PartsError::Unparsed)), "{start:?}: {error:?}");
        }
        let mut parts = endless("--limit\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n");
        now(now(parts.next()).unwrap().unwrap().skip());
        assert!(matches!(now(parts.next()).err(), Some(PartsError::TooLarge { max: 1_048_576 })));
    }

    #[test]
    fn a_form_that_is_cut_off_is_an_error_wherever_that_is() {
        let form = Bytes::from(form(&[("a", b"one"), ("b", b"two")]));
        for end in 0..form.len() - "--\r\n".len() {
            assert!(now(read(parts_of(vec![form.slice(..end)]))).is_err(), "{end} bytes of it");
        }
    }

    #[test]
    fn a_form_has_so_many_parts_and_no_more() {
        let files = |count| form(&vec![("a", &b"1"[..]); count]);
        assert_eq!(now(read(parts_of(vec![files(PARTS_MAX).into()]))).unwrap().len(), PARTS_MAX);
        let error = now(read(parts_of(vec![files(PARTS_MAX + 1).into()]))).err();
        assert!(matches!(error, Some(PartsError::TooMany)), "{error:?}");
    }
}
