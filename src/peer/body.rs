//! Bodies of requests to other nodes: of a length known beforehand.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::{Body, Frame, SizeHint};

use crate::response::{BodyError, ByteStream};

/// The body of a request to another node.
pub enum PeerBody {
    /// A control body, or none.
    Whole(Option<Bytes>),
    /// A file on its way, of known length.
    Stream {
        /// Its bytes.
        stream: ByteStream,
        /// How many are still to come.
        remaining: u64,
    },
}

impl PeerBody {
    /// The number of bytes still to be sent, if there is a body.
    pub fn length(&self) -> Option<u64> {
        match self {
            PeerBody::Whole(bytes) => bytes.as_ref().map(|bytes| bytes.len() as u64),
            PeerBody::Stream { remaining, .. } => Some(*remaining),
        }
    }
}

impl Body for PeerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            PeerBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            PeerBody::Stream { stream, remaining } => match stream.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(bytes))) => {
                    *remaining = remaining.saturating_sub(bytes.len() as u64);
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) if *remaining > 0 => Poll::Ready(Some(Err(BodyError::Cut))),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            PeerBody::Whole(bytes) => bytes.is_none(),
            PeerBody::Stream { stream, remaining } => *remaining == 0 && stream.size_hint().1 == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(|| SizeHint::with_exact(0), SizeHint::with_exact)
    }
}
