//! Bringing single keys up to date on a node that missed a write of them, as soon as it answers.
//!
//! A mark for another node means: it may lack what we hold. A mark for this node means: we may lack what they hold.
//! Either way both sides are compared and the newer one travels; a mark is forgotten once they agree.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use http::HeaderMap;

use super::{About, Agent, Complaints};
use crate::cluster::NodeIndex;
use crate::deliver::file;
use crate::disk::on_thread;
use crate::failpoint::{self, Step};
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::client::{ObjectReply, PeerError};
use crate::peer::envelope::copy_in;
use crate::peer::message::{CommitOrder, DeleteOrder};
use crate::resolve::Route;
use crate::response::FileSlice;
use crate::store::{Commit, SpoolId, StoreError};

use super::plan::{self, step};

/// Keys replayed for one node in one round; the rest follow in the next.
const KEYS_PER_ROUND: usize = 2048;
/// Keys replayed at the same time.
const AT_ONCE: usize = 8;

/// Why a key could not be brought up to date. It stays marked.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("what the other node sent is not the copy it named")]
    Mismatch,
    #[error("a file put there by hand has no checksum yet")]
    NoChecksum,
}

/// The nodes that did not answer in this round: nothing more is asked of them until the next, since each question may
/// take as long as the one that was not answered.
#[derive(Debug, Default)]
struct Silent(Mutex<HashSet<NodeIndex>>);

impl Silent {
    fn contains(&self, node: NodeIndex) -> bool {
        self.0.lock().expect("no holder panics").contains(&node)
    }

    /// Remembers who did not answer.
    fn note(&self, node: NodeIndex, error: &ReplayError) {
        if matches!(error, ReplayError::Peer(error) if error.is_silence()) {
            self.0.lock().expect("no holder panics").insert(node);
        }
    }
}

impl Agent {
    /// Replays what `node`, this one or another, has missed, if it answers.
    pub(super) async fn replay(&self, node: NodeIndex, complaints: &Complaints) {
        let (store, name) = (Arc::clone(&self.store), self.map.node(node).name().clone());
        match on_thread(move || store.is_dirty(&name)).await {
            Ok(true) => {}
            Ok(false) => return complaints.settle(About::Marks(node)),
            Err(error) => return complaints.raise(About::Marks(node), &error),
        }
        // Before the marks are read: there may be many, and a node may be down for long.
        if node != self.own {
            if let Err(error) = self.peers.hello(&self.map, node, self.is_complete()).await {
                return complaints.raise(About::Node(node), &error);
            }
            complaints.settle(About::Node(node));
        }
        let (store, name) = (Arc::clone(&self.store), self.map.node(node).name().clone());
        let dirty = match on_thread(move || store.dirty(&name, KEYS_PER_ROUND)).await {
            Ok(dirty) => dirty,
            Err(error) => return complaints.raise(About::Marks(node), &error),
        };
        complaints.settle(About::Marks(node));
        let count = dirty.len();
        let silent = &Silent::default();
        let settled = futures_util::stream::iter(dirty)
            .map(|name| async move { self.replay_key(node, &name, silent).await })
            .buffer_unordered(AT_ONCE)
            .fold(0, |settled, done| async move { settled + usize::from(done) })
            .await;
        if settled > 0 {
            log::info!(
                "{settled} of {count} keys that node {} missed are up to date",
                self.map.node(node).name()
            );
        }
    }

    /// Whether the key is settled and its mark forgotten.
    async fn replay_key(&self, node: NodeIndex, name: &ObjectName, silent: &Silent) -> bool {
        let settled = if node == self.own {
            self.pull(name, silent).await
        } else {
            self.push(node, name, silent).await
        };
        if settled {
            let (store, node, name) =
                (Arc::clone(&self.store), self.map.node(node).name().clone(), name.clone());
            failpoint::step(Step::ReplaySettled);
            on_thread(move || store.clear_dirty(&node, &name)).await;
        }
        settled
    }

    /// Brings one other owner up to date. Settled too if it is no owner any more.
    async fn push(&self, node: NodeIndex, name: &ObjectName, silent: &Silent) -> bool {
        let route = Route::of(&self.map, self.own, name);
        !route.others.contains(&node) || self.agree(node, name, silent).await
    }

    /// Brings this node up to date with every other owner that answers. Settled once all have, or if this node is no
    /// owner any more.
    async fn pull(&self, name: &ObjectName, silent: &Silent) -> bool {
        let route = Route::of(&self.map, self.own, name);
        let mut all = true;
        for node in route.others.into_iter().filter(|_| route.own) {
            all &= self.agree(node, name, silent).await;
        }
        all
    }

    /// Makes this node and another hold the same of a key, unless that one is silent; whether they do.
    async fn agree(&self, node: NodeIndex, name: &ObjectName, silent: &Silent) -> bool {
        if silent.contains(node) {
            return false;
        }
        let agreed = async {
            let theirs = self.peers.ask(&self.map, node, name).await?.held;
            let ours = self.held(name).await?;
            self.take(node, name, step(&ours, &theirs)).await
        };
        match agreed.await {
            Ok(()) => true,
            Err(error) => {
                silent.note(node, &error);
                log::debug!("{name} stays marked: {error}");
                false
            }
        }
    }

    async fn take(&self, node: NodeIndex, name: &ObjectName, step: plan::Step) -> Result<(), ReplayError> {
        match step {
            plan::Step::Nothing => Ok(()),
            plan::Step::SendCopy => self.send_copy(node, name).await,
            plan::Step::SendTombstone(version) => {
                let order = DeleteOrder { version, missed: Vec::new() };
                self.peers.delete(&self.map, node, name, &order).await?;
                Ok(())
            }
            plan::Step::FetchCopy => self.fetch_copy(node, name).await,
            plan::Step::TakeTombstone(version) => {
                let (store, name) = (Arc::clone(&self.store), name.clone());
                on_thread(move || store.delete(&name, version)).await?;
                Ok(())
            }
        }
    }

    async fn held(&self, name: &ObjectName) -> Result<Held, StoreError> {
        let (store, name) = (Arc::clone(&self.store), name.clone());
        on_thread(move || store.held(&name)).await
    }

    /// Sends the own copy as it is: prepared and committed at its version.
    async fn send_copy(&self, node: NodeIndex, name: &ObjectName) -> Result<(), ReplayError> {
        let (store, asked) = (Arc::clone(&self.store), name.clone());
        let opened = on_thread(move || store.open_copy(&asked));
        // Deleted meanwhile: the deletion has marks of its own.
        let Some((replica, crc32)) = opened.await? else { return Ok(()) };
        let crc32 = crc32.ok_or(ReplayError::NoChecksum)?;
        let id = SpoolId::random();
        let length = replica.size;
        let body = file::stream(FileSlice { file: replica.file, offset: 0, length });
        let answer = self.peers.prepare(&self.map, node, (id, name), length, body).await?;
        if answer.crc32 != crc32 {
            self.peers.drop_upload(&self.map, node, id).await;
            return Err(ReplayError::Mismatch);
        }
        failpoint::step(Step::ReplaySent);
        let order =
            CommitOrder { version: replica.version, crc32, length, missed: Vec::new(), for_client: false };
        self.peers.commit(&self.map, node, (id, name), &order).await?;
        Ok(())
    }

    /// Fetches another owner's copy; its checksum is compared before it becomes a replica.
    async fn fetch_copy(&self, node: NodeIndex, name: &ObjectName) -> Result<(), ReplayError> {
        let answer = match self.peers.object(&self.map, node, name, &HeaderMap::new()).await? {
            ObjectReply::Found(answer) => answer,
            ObjectReply::Lacks { .. } => return Ok(()),
        };
        let copy = copy_in(&answer.headers).ok_or(ReplayError::NoChecksum)?;
        let crc32 = copy.crc32.ok_or(ReplayError::NoChecksum)?;
        let mut spool = {
            let (store, id) = (Arc::clone(&self.store), SpoolId::random());
            on_thread(move || store.spool(id, Some(copy.size))).await?
        };
        let mut body = answer.body;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| ReplayError::Mismatch)?;
            spool = on_thread(move || spool.write(&piece).map(|()| spool)).await?;
        }
        let (store, name, epoch) = (Arc::clone(&self.store), name.clone(), self.map.epoch().get());
        on_thread(move || {
            let id = spool.id();
            let prepared = spool.finish(&name, epoch)?;
            if (prepared.crc32, prepared.length) != (crc32, copy.size) {
                store.discard(id);
                return Err(ReplayError::Mismatch);
            }
            failpoint::step(Step::ReplayFetched);
            let (version, length) = (copy.version, copy.size);
            store.commit(&Commit { id, name: &name, version, crc32, length, for_client: false })?;
            Ok(())
        })
        .await
    }
}
