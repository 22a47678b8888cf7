//! Taking in many copies of another node at once.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::Service;
use super::orders::{OrderError, check_clock};
use crate::cluster::NodeName;
use crate::disk::on_thread;
use crate::failpoint::{Step, step};
use crate::peer::batch::{self, BatchAnswer, CopyOutcome, HEAD_BYTES, ListDigest, ListError};
use crate::response::{BodyError, ByteStream};
use crate::store::{Batch, BatchCopy, StoreError};

/// Bytes of copies that are handed to the disk together.
const VISIT_BYTES: usize = 1 << 20;

/// Why a batch is not taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the batch has another length than its list says")]
    Length,
    #[error("the map has changed meanwhile")]
    MapChanged,
    #[error(transparent)]
    List(#[from] ListError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A body from which so many bytes at a time are taken.
struct Pieces {
    body: ByteStream,
    buffer: BytesMut,
}

impl Pieces {
    async fn take(&mut self, count: usize) -> Result<Bytes, BatchError> {
        while self.buffer.len() < count {
            let piece = self.body.next().await.ok_or(BatchError::Length)??;
            self.buffer.extend_from_slice(&piece);
        }
        Ok(self.buffer.split_to(count).freeze())
    }

    async fn is_at_end(&mut self) -> Result<bool, BatchError> {
        while self.buffer.is_empty() {
            match self.body.next().await {
                Some(piece) => self.buffer.extend_from_slice(&piece?),
                None => return Ok(true),
            }
        }
        Ok(false)
    }
}

impl Service {
    /// Takes in the copies of a batch that `from` sends. Cut off anywhere, nothing of it becomes visible.
    pub(super) async fn take_batch(
        &self,
        epoch: u64,
        from: &NodeName,
        digest: ListDigest,
        body: ByteStream,
    ) -> Result<BatchAnswer, BatchError> {
        let mut pieces = Pieces { body, buffer: BytesMut::new() };
        let head = pieces.take(HEAD_BYTES).await?;
        let head = *head.first_chunk().ok_or(BatchError::Length)?;
        let list = pieces.take(batch::list_length(head)?).await?;
        let copies = batch::parse_list(&list, digest)?;

        let (store, bytes) = (Arc::clone(&self.store), copies.iter().map(|copy| copy.size).sum());
        let mut taking = Taking {
            batch: on_thread(move || store.batch(bytes)).await?,
            from: from.clone(),
            refused: Vec::new(),
        };
        let (mut waiting, mut waiting_bytes) = (Vec::new(), 0);
        let names: Vec<_> = copies.iter().map(|copy| copy.name.clone()).collect();
        for copy in copies {
            // At most 1 MiB: the list is bounded.
            let bytes = pieces.take(usize::try_from(copy.size).map_err(|_| BatchError::Length)?).await?;
            waiting_bytes += bytes.len();
            waiting.push((copy, bytes));
            if waiting_bytes >= VISIT_BYTES {
                taking = self.add(taking, std::mem::take(&mut waiting)).await?;
                waiting_bytes = 0;
            }
        }
        if !pieces.is_at_end().await? {
            return Err(BatchError::Length);
        }
        taking = self.add(taking, waiting).await?;
        // The pass under another map would not find it, and its sender has it still.
        if !self.maps.is_in_force(epoch) {
            return Err(BatchError::MapChanged);
        }
        let outcomes = on_thread(move || taking.finish()).await?;
        names.iter().for_each(|name| self.lookups.forget(name));
        Ok(BatchAnswer { outcomes })
    }

    async fn add(&self, mut taking: Taking, copies: Vec<(BatchCopy, Bytes)>) -> Result<Taking, BatchError> {
        let store = Arc::clone(&self.store);
        on_thread(move || {
            for (copy, bytes) in copies {
                let refused = match check_clock(&store, &copy.name, copy.version, &taking.from) {
                    Err(OrderError::Store(error)) => return Err(error.into()),
                    Err(error) => Some(error.to_string()),
                    Ok(()) => match taking.batch.add(copy, &bytes) {
                        Err(error @ StoreError::NotPrepared) => Some(error.to_string()),
                        added => added.map(|()| None)?,
                    },
                };
                taking.refused.push(refused);
            }
            Ok(taking)
        })
        .await
    }
}

/// A batch that is coming in.
struct Taking {
    batch: Batch,
    from: NodeName,
    /// Why a copy of the list is not in the batch; none: it is.
    refused: Vec<Option<String>>,
}

impl Taking {
    fn finish(self) -> Result<Vec<CopyOutcome>, BatchError> {
        step(Step::BatchTaken);
        let mut taken = self.batch.commit()?.into_iter();
        step(Step::BatchCommitted);
        let outcomes = self.refused.into_iter().map(|refused| match refused {
            Some(reason) => CopyOutcome::Refused(reason),
            None => match taken.next() {
                Some(Ok(outcome)) => CopyOutcome::Held(outcome),
                Some(Err(error)) => CopyOutcome::Refused(error.to_string()),
                None => unreachable!("each copy is in the batch or refused"),
            },
        });
        Ok(outcomes.collect())
    }
}
