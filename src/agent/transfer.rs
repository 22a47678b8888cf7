//! Bringing one key up to date between this node and another.

use std::fs::File;
use std::sync::Arc;

use futures_util::StreamExt;
use http::HeaderMap;

use super::Agent;
use super::plan::Step;
use crate::cluster::NodeIndex;
use crate::deliver::file;
use crate::disk::on_thread;
use crate::failpoint;
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::peer::client::{ObjectReply, PeerError};
use crate::peer::envelope::copy_in;
use crate::peer::message::{CommitOrder, DeleteOrder};
use crate::response::FileSlice;
use crate::store::{Commit, Outcome, SpoolId, StoreError};

/// Why a key could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransferError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("what the other node sent is not the copy it named")]
    Mismatch,
    #[error("a file put there by hand has no checksum yet")]
    NoChecksum,
}

impl TransferError {
    /// Whether the other node did not answer: asking it something else would hardly end otherwise.
    pub fn is_silence(&self) -> bool {
        matches!(self, TransferError::Peer(error) if error.is_silence())
    }
}

impl Agent {
    /// Takes a step towards both holding the same.
    pub(super) async fn take(
        &self,
        node: NodeIndex,
        name: &ObjectName,
        step: Step,
    ) -> Result<(), TransferError> {
        match step {
            Step::Nothing => Ok(()),
            Step::SendCopy => self.send_copy(node, name).await,
            Step::SendTombstone(version) => {
                let order = DeleteOrder { version, missed: Vec::new() };
                self.peers.delete(&self.map, node, name, &order).await?;
                Ok(())
            }
            // Spares fetching a copy that this root has returned with: the other owner has confirmed it.
            Step::FetchCopy(copy) if self.take_back(name, copy).await? => Ok(()),
            Step::FetchCopy(_) => self.fetch_copy(node, name).await,
            Step::TakeTombstone(version) => {
                let (store, name) = (Arc::clone(&self.store), name.clone());
                on_thread(move || store.delete(&name, version)).await?;
                Ok(())
            }
        }
    }

    /// What this node holds now.
    pub(super) async fn held(&self, name: &ObjectName) -> Result<Held, StoreError> {
        let (store, name) = (Arc::clone(&self.store), name.clone());
        on_thread(move || store.held(&name)).await
    }

    async fn take_back(&self, name: &ObjectName, copy: CopyInfo) -> Result<bool, StoreError> {
        let (store, name) = (Arc::clone(&self.store), name.clone());
        on_thread(move || store.take_back(&name, &copy)).await
    }

    /// Sends the own copy as it is: prepared and committed at its version.
    async fn send_copy(&self, node: NodeIndex, name: &ObjectName) -> Result<(), TransferError> {
        let _turn = self.throttle.turn().await;
        let (store, asked) = (Arc::clone(&self.store), name.clone());
        let opened = on_thread(move || store.open_copy(&asked));
        // Deleted meanwhile: the deletion has marks of its own.
        let Some((replica, crc32)) = opened.await? else { return Ok(()) };
        let crc32 = crc32.ok_or(TransferError::NoChecksum)?;
        let copy = CopyInfo { version: replica.version, size: replica.size, crc32: Some(crc32) };
        self.send_file(node, name, &replica.file, copy).await?;
        Ok(())
    }

    /// Sends a file as this copy, which is durable there when this returns, unless something newer is held.
    pub(super) async fn send_file(
        &self,
        node: NodeIndex,
        name: &ObjectName,
        file: &Arc<File>,
        copy: CopyInfo,
    ) -> Result<Outcome, TransferError> {
        let CopyInfo { version, size: length, crc32 } = copy;
        let crc32 = crc32.ok_or(TransferError::NoChecksum)?;
        let id = SpoolId::random();
        let body =
            self.throttle.stream(file::stream(FileSlice { file: Arc::clone(file), offset: 0, length }));
        let answer = self.peers.prepare(&self.map, node, (id, name), length, body).await?;
        if answer.crc32 != crc32 {
            self.peers.drop_upload(&self.map, node, id).await;
            return Err(TransferError::Mismatch);
        }
        failpoint::step(failpoint::Step::ReplaySent);
        let order = CommitOrder { version, crc32, length, missed: Vec::new(), for_client: false };
        let outcome = self.peers.commit(&self.map, node, (id, name), &order).await?;
        self.traffic.sent(length, outcome);
        Ok(outcome)
    }

    /// Fetches another owner's copy; its checksum is compared before it becomes a replica.
    async fn fetch_copy(&self, node: NodeIndex, name: &ObjectName) -> Result<(), TransferError> {
        let _turn = self.throttle.turn().await;
        let answer = match self.peers.object(&self.map, node, name, &HeaderMap::new()).await? {
            ObjectReply::Found(answer) => answer,
            ObjectReply::Lacks { .. } => return Ok(()),
        };
        let copy = copy_in(&answer.headers).ok_or(TransferError::NoChecksum)?;
        let crc32 = copy.crc32.ok_or(TransferError::NoChecksum)?;
        let mut spool = {
            let (store, id) = (Arc::clone(&self.store), SpoolId::random());
            on_thread(move || store.spool(id, Some(copy.size))).await?
        };
        let mut body = answer.body;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| TransferError::Mismatch)?;
            self.throttle.take(piece.len() as u64).await;
            spool = on_thread(move || spool.write(&piece).map(|()| spool)).await?;
        }
        let (store, name, epoch) = (Arc::clone(&self.store), name.clone(), self.map.epoch().get());
        let committed = on_thread(move || {
            let id = spool.id();
            let prepared = spool.finish(&name, epoch)?;
            if (prepared.crc32, prepared.length) != (crc32, copy.size) {
                store.discard(id);
                return Err(TransferError::Mismatch);
            }
            failpoint::step(failpoint::Step::ReplayFetched);
            let (version, length) = (copy.version, copy.size);
            Ok(store.commit(&Commit { id, name: &name, version, crc32, length, for_client: false })?)
        });
        let outcome = committed.await?;
        self.traffic.fetched(copy.size, outcome);
        Ok(())
    }
}
