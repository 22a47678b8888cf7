//! Sending many copies to another node at once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{PeerClient, PeerError};
use crate::cluster::{NodeIndex, View};
use crate::peer::batch::{BatchAnswer, CopyOutcome, head};
use crate::peer::message::Operation;
use crate::response::ByteStream;
use crate::store::BatchCopy;

/// How long a node may take to answer when it has all of a batch: it syncs all of its disk, whatever else is on the way
/// there.
const PATIENCE: Duration = Duration::from_secs(60);

impl PeerClient {
    /// Take in these copies, each with the stream of its bytes. What became of each is in the order in which they are given.
    ///
    /// # Errors
    /// When the node stalls, does not answer in time after the end, has no room, or refuses the batch.
    ///
    /// # Panics
    /// There are more than a batch may have.
    pub async fn batch(
        &self,
        map: &View,
        node: NodeIndex,
        copies: Vec<BatchCopy>,
        bodies: ByteStream,
    ) -> Result<Vec<CopyOutcome>, PeerError> {
        let (head, digest) = head(&copies);
        let length = head.len() as u64 + copies.iter().map(|copy| copy.size).sum::<u64>();
        let head = stream::once(async { Ok(Bytes::from(head)) });
        let body: ByteStream = Box::pin(head.chain(bodies));
        let operation = Operation::Batch(digest);
        let answer: BatchAnswer = self.streamed(PATIENCE, map, node, &operation, length, body).await?;
        if answer.outcomes.len() == copies.len() {
            Ok(answer.outcomes)
        } else {
            Err(self.unreachable(map, node, "its answer does not fit the question"))
        }
    }
}
