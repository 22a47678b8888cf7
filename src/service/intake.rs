//! Taking a body in: stream -> spool.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::disk::client_write;
use crate::held::Held;
use crate::name::ObjectName;
use crate::response::{BodyError, ByteStream};
use crate::store::{Prepared, Spool, SpoolId, Store, StoreError};

/// Small pieces are gathered up to this many bytes before they are passed on or written.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Why a body could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The sender broke off.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The sender sent another number of bytes than it said.
    #[error("the body has {got} bytes where {promised} were promised")]
    Length {
        /// Bytes that came, at least.
        got: u64,
        /// Bytes that were promised.
        promised: u64,
    },
    /// More bytes than are allowed.
    #[error("the body is larger than the {max} bytes allowed")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// The map changed while it came.
    #[error("the map has changed meanwhile: repeat the request")]
    MapChanged,
    /// The disk failed or is full.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a body has to keep to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Its length, if that is known.
    pub length: Option<u64>,
    /// Bytes at most.
    pub max: u64,
}

impl Limits {
    /// Whether `got` bytes so far are within the limits.
    pub fn check_so_far(&self, got: u64) -> Result<(), IntakeError> {
        match self.length {
            Some(promised) if got > promised => Err(IntakeError::Length { got, promised }),
            _ if got > self.max => Err(IntakeError::TooLarge { max: self.max }),
            _ => Ok(()),
        }
    }

    /// Whether a body that ended after `got` bytes is whole.
    pub fn check_end(&self, got: u64) -> Result<(), IntakeError> {
        match self.length {
            Some(promised) if got != promised => Err(IntakeError::Length { got, promised }),
            _ => Ok(()),
        }
    }
}

/// Writes a body into a new spool and completes it; also says what this root held of the name, and whether that counts. Cut off,
/// or with another length than promised, it leaves nothing.
///
/// `may_begin` is asked once, when the spool can be seen by the agent and before anything of it is complete.
pub(super) async fn receive(
    store: &Arc<Store>,
    (id, name): (SpoolId, &ObjectName),
    (epoch, may_begin): (u64, impl Fn() -> bool + Clone + Send + 'static),
    limits: Limits,
    body: ByteStream,
) -> Result<(Prepared, Held, bool), IntakeError> {
    let mut body = gathered(body);
    let mut spool: Option<Spool> = None;
    let mut got = 0;
    // One piece is held back, so that a small body costs a single visit to the disk thread.
    let mut held_back = Bytes::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        got += piece.len() as u64;
        limits.check_so_far(got)?;
        let ready = std::mem::replace(&mut held_back, piece);
        if !ready.is_empty() {
            let (writer, length, may_begin) = (Arc::clone(store), limits.length, may_begin.clone());
            spool = Some(
                client_write(store, move || append(&writer, id, length, spool, &ready, may_begin)).await?,
            );
        }
    }
    limits.check_end(got)?;
    let (writer, name, length) = (Arc::clone(store), name.clone(), limits.length);
    let finished = client_write(store, move || {
        let prepared = append(&writer, id, length, spool, &held_back, may_begin)?.finish(&name, epoch)?;
        let held = writer.held(&name)?;
        Ok::<_, IntakeError>((prepared, held, writer.answer_counts(&name, &held)?))
    });
    finished.await
}

fn append(
    store: &Arc<Store>,
    id: SpoolId,
    length: Option<u64>,
    spool: Option<Spool>,
    bytes: &[u8],
    may_begin: impl Fn() -> bool,
) -> Result<Spool, IntakeError> {
    let mut spool = match spool {
        Some(spool) => spool,
        None => {
            let spool = store.spool(id, length)?;
            if !may_begin() {
                return Err(IntakeError::MapChanged);
            }
            spool
        }
    };
    spool.write(bytes)?;
    Ok(spool)
}

/// The same bytes in larger pieces: whatever is there at once is joined, up to [`CHUNK_BYTES`]; nothing waits for
/// more to come.
pub(super) fn gathered(body: ByteStream) -> ByteStream {
    struct Gathering {
        body: ByteStream,
        /// An error that came behind bytes still to be passed on.
        failed: Option<BodyError>,
        ended: bool,
    }
    let state = Gathering { body, failed: None, ended: false };
    Box::pin(futures_util::stream::unfold(state, |mut state| async move {
        if let Some(error) = state.failed.take() {
            return Some((Err(error), state));
        }
        if state.ended {
            return None;
        }
        let first = match state.body.next().await {
            Some(Ok(first)) => first,
            other => {
                state.ended = true;
                return other.map(|error| (error, state));
            }
        };
        let mut joined = BytesMut::new();
        while joined.len().max(first.len()) < CHUNK_BYTES {
            match futures_util::FutureExt::now_or_never(state.body.next()) {
                Some(Some(Ok(piece))) => {
                    if joined.is_empty() {
                        joined.reserve(CHUNK_BYTES);
                        joined.extend_from_slice(&first);
                    }
                    joined.extend_from_slice(&piece);
                }
                Some(Some(Err(error))) => {
                    state.failed = Some(error);
                    state.ended = true;
                    break;
                }
                Some(None) => {
                    state.ended = true;
                    break;
                }
                None => break,
            }
        }
        let piece = if joined.is_empty() { first } else { joined.freeze() };
        Some((Ok(piece), state))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    async fn collect(body: ByteStream) -> (Vec<usize>, bool) {
        let mut sizes = Vec::new();
        let mut body = body;
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => sizes.push(piece.len()),
                Err(_) => return (sizes, true),
            }
        }
        (sizes, false)
    }

    fn pieces(sizes: &[usize], cut: bool) -> ByteStream {
        let ok = sizes.iter().map(|size| Ok(Bytes::from(vec![7; *size]))).collect::<Vec<_>>();
        let end = cut.then_some(Err(BodyError::Cut));
        Box::pin(stream::iter(ok.into_iter().chain(end)))
    }

    #[tokio::test]
    async fn small_pieces_are_joined_and_large_ones_left_alone() {
        assert_eq!(collect(gathered(pieces(&[8192; 4], false))).await, (vec![32768], false));
        assert_eq!(collect(gathered(pieces(&[100_000, 5], false))).await, (vec![100_000, 5], false));
        assert_eq!(collect(gathered(pieces(&[], false))).await, (vec![], false));
    }

    #[tokio::test]
    async fn a_cut_comes_after_the_bytes_before_it() {
        assert_eq!(collect(gathered(pieces(&[10, 20], true))).await, (vec![30], true));
        assert_eq!(collect(gathered(pieces(&[], true))).await, (vec![], true));
    }

    #[test]
    fn a_body_must_be_as_long_as_promised_and_within_the_limit() {
        let limits = Limits { length: Some(5), max: 10 };
        assert!(limits.check_so_far(5).is_ok() && limits.check_end(5).is_ok());
        assert!(matches!(limits.check_so_far(6), Err(IntakeError::Length { got: 6, promised: 5 })));
        assert!(matches!(limits.check_end(4), Err(IntakeError::Length { got: 4, promised: 5 })));
        assert!(matches!(
            Limits { length: None, max: 10 }.check_so_far(11),
            Err(IntakeError::TooLarge { max: 10 })
        ));
    }
}
