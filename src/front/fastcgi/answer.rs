//! Sends the answer to one request over a connection that others may share.
//!
//! Here is only the order of batches and waits. A batch is written whole before another request's batch is, so that
//! records are never torn; between batches the others get their turn.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use super::batch::Batch;
use super::connection::ServeError;
use super::exchange::{Exchange, Wanted};
use super::slice::{Piece, take_piece};
use crate::response::{ByteStream, FileSlice, Part, Response};

/// Segments passed to one vectored write. The system allows 1,024; a window in full records takes half of this.
const SLICES_MAX: usize = 64;
/// Bytes of a stream that are gathered, as long as they come without waiting, before they are written.
const GATHER_MAX: usize = 128 << 10;

/// Writes `response` as the answer to request `id`, and the record that ends the request. If the web server aborts the
/// request meanwhile, the rest of the body is left out.
///
/// # Errors
/// The answer could not be completed. The connection has to be closed, for a request cannot be ended as failed once
/// its answer has begun.
pub(super) async fn send<W: AsyncWrite + Unpin>(
    id: u16,
    response: Response,
    exchange: &Exchange,
    writer: &Mutex<W>,
) -> Result<(), ServeError> {
    let mut sender = Sender { batch: Batch::new(id), exchange, writer };
    if exchange.wanted() == Wanted::Yes {
        sender.batch.push_head(response.status, &response.headers);
        for part in response.body.parts {
            let whole = match part {
                Part::Bytes(bytes) => sender.send_bytes(bytes).await?,
                Part::File(slice) => sender.send_file(slice).await?,
                Part::Stream(stream) => sender.send_stream(stream).await?,
            };
            if !whole {
                break;
            }
        }
    }
    sender.batch.push_end();
    sender.flush().await
}

/// An answer on its way. Its methods say whether the rest is still wanted.
struct Sender<'a, W> {
    batch: Batch,
    exchange: &'a Exchange,
    writer: &'a Mutex<W>,
}

impl<W: AsyncWrite + Unpin> Sender<'_, W> {
    async fn send_bytes(&mut self, mut bytes: Bytes) -> Result<bool, ServeError> {
        while !bytes.is_empty() {
            self.batch.push_bytes(&mut bytes);
            if self.batch.is_full() && !self.flush_if_wanted().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn send_file(&mut self, mut slice: FileSlice) -> Result<bool, ServeError> {
        while slice.length > 0 {
            let wanted = match take_piece(&mut slice).await.map_err(ServeError::File)? {
                Piece::Read(bytes) => self.send_bytes(bytes).await?,
                Piece::Mapped(mapping) => {
                    self.batch.push_mapping(mapping);
                    !self.batch.is_full() || self.flush_if_wanted().await?
                }
            };
            if !wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn send_stream(&mut self, mut stream: ByteStream) -> Result<bool, ServeError> {
        loop {
            // What is there is gathered; what has to be waited for does not hold back what is there.
            let next = match poll_immediate(stream.next()).await {
                Some(next) => next,
                None => {
                    self.flush().await?;
                    match self.exchange.while_wanted(Wanted::Yes, stream.next()).await {
                        Some(next) => next,
                        None => return Ok(false),
                    }
                }
            };
            let Some(bytes) = next else { return Ok(true) };
            if !self.send_bytes(bytes.map_err(ServeError::Body)?).await? {
                return Ok(false);
            }
            if self.batch.bytes() >= GATHER_MAX && !self.flush_if_wanted().await? {
                return Ok(false);
            }
        }
    }

    async fn flush_if_wanted(&mut self) -> Result<bool, ServeError> {
        self.flush().await?;
        Ok(self.exchange.wanted() == Wanted::Yes)
    }

    /// Writes what is in the batch, as one batch among those of other requests.
    async fn flush(&mut self) -> Result<(), ServeError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch.close_record();
        let batch = &mut self.batch;
        let mut writer = self.writer.lock().await;
        loop {
            let written = poll_fn(|context| {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = batch.io_slices(&mut slices);
                Pin::new(&mut *writer).poll_write_vectored(context, &slices[..count])
            })
            .await?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            if batch.advance(written) {
                return Ok(writer.flush().await?);
            }
        }
    }
}
