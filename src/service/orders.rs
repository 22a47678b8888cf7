//! What one node orders another, or itself, to do for an object: the same whether it goes over the network or not.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use super::intake::{self, IntakeError, Limits};
use crate::clock;
use crate::cluster::{NodeIndex, NodeName, View};
use crate::disk::{client_write, on_thread};
use crate::failpoint::{Step, Wrong, does_wrong, step};
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::client::PeerError;
use crate::peer::message::{CommitOrder, DeleteOrder, HeldAnswer, PrepareAnswer};
use crate::response::ByteStream;
use crate::store::{Commit, Outcome, SpoolId, Store, StoreError};
use crate::version::{Version, is_acceptable};

/// By how much an acknowledgement is early when a test wants it to be: as long as a disk that is busy may take.
const EARLY: Duration = Duration::from_millis(500);

/// What refuses an order another node gave.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(
        "version {version} lies more than a day ahead of this node's clock: set the clock of node {from}"
    )]
    Clock { version: Version, from: NodeName },
    #[error("the map has changed meanwhile")]
    MapChanged,
}

impl Service {
    /// What this node holds of a name, as it counts in a quorum.
    pub(super) async fn own_answer(&self, name: &ObjectName) -> Result<HeldAnswer, StoreError> {
        let (store, name) = (Arc::clone(&self.store), name.clone());
        let (held, counts) = client_write(&self.store, move || {
            let held = store.held(&name)?;
            Ok::<_, StoreError>((held, store.answer_counts(&name, &held)?))
        })
        .await?;
        Ok(HeldAnswer { held, complete: counts && self.is_complete().await })
    }

    /// What a node, this or another, holds of a name.
    pub(super) async fn ask(
        &self,
        map: &View,
        node: NodeIndex,
        name: &ObjectName,
    ) -> Result<HeldAnswer, OrderError> {
        if node == map.own() {
            return Ok(self.own_answer(name).await?);
        }
        Ok(self.peers.ask(map, node, name).await?)
    }

    /// Takes an upload in on this node.
    pub(super) async fn take_in(
        &self,
        map: &View,
        (id, name): (SpoolId, &ObjectName),
        length: u64,
        body: ByteStream,
    ) -> Result<PrepareAnswer, IntakeError> {
        // What clients may store is checked where they are answered; what is stored may always move between nodes.
        let limits = Limits { length: Some(length), max: u64::MAX };
        // The pass under the next map waits for uploads that it finds begun, and this one may have come too late for it.
        let (maps, epoch) = (Arc::clone(&self.maps), map.epoch_in_force());
        let under = (epoch, move || maps.is_in_force(epoch));
        let (prepared, held, counts) = intake::receive(&self.store, (id, name), under, limits, body).await?;
        let before = HeldAnswer { held, complete: counts && self.is_complete().await };
        Ok(PrepareAnswer { crc32: prepared.crc32, length: prepared.length, before })
    }

    /// Has a node, this or another, commit an upload.
    pub(super) async fn order_commit(
        &self,
        map: &View,
        node: NodeIndex,
        (id, name): (SpoolId, &ObjectName),
        order: &CommitOrder,
    ) -> Result<Outcome, OrderError> {
        if node != map.own() {
            return Ok(self.peers.commit(map, node, (id, name), order).await?);
        }
        self.obey_commit(&self.name, (id, name), order).await
    }

    /// Has a node, this or another, write a tombstone.
    pub(super) async fn order_delete(
        &self,
        map: &View,
        node: NodeIndex,
        name: &ObjectName,
        order: &DeleteOrder,
    ) -> Result<Outcome, OrderError> {
        if node != map.own() {
            return Ok(self.peers.delete(map, node, name, order).await?);
        }
        self.obey_delete(map, &self.name, name, order).await
    }

    /// Commits an upload on this node, as `from` orders, and remembers who missed it.
    pub(super) async fn obey_commit(
        &self,
        from: &NodeName,
        (id, name): (SpoolId, &ObjectName),
        order: &CommitOrder,
    ) -> Result<Outcome, OrderError> {
        let (store, name, order, from) = (Arc::clone(&self.store), name.clone(), order.clone(), from.clone());
        let for_client = order.for_client;
        let work = move || {
            step(Step::CommitOrdered);
            check_clock(&store, &name, order.version, &from)?;
            let CommitOrder { version, crc32, length, for_client, .. } = order;
            let outcome = store.commit(&Commit { id, name: &name, version, crc32, length, for_client })?;
            step(Step::Committed);
            for node in &order.missed {
                mark_dirty(&store, node, &name);
            }
            Ok::<_, OrderError>((outcome, name))
        };
        if does_wrong(Wrong::EarlyAcknowledgement) {
            self.unattended.spawn(async move {
                tokio::time::sleep(EARLY).await;
                on_thread(work).await
            });
            return Ok(Outcome::Done);
        }
        // What nodes move among themselves is always synced.
        let done = if for_client { client_write(&self.store, work).await } else { on_thread(work).await };
        let (outcome, name) = done?;
        self.lookups.forget(&name);
        Ok(outcome)
    }

    /// Writes a tombstone on this node, as `from` orders.
    pub(super) async fn obey_delete(
        &self,
        map: &View,
        from: &NodeName,
        name: &ObjectName,
        order: &DeleteOrder,
    ) -> Result<Outcome, OrderError> {
        let (store, name, order, from) = (Arc::clone(&self.store), name.clone(), order.clone(), from.clone());
        let (maps, epoch) = (Arc::clone(&self.maps), map.epoch_in_force());
        // Synced whatever the durability of writes is.
        on_thread(move || {
            // The pass under the next map must find it, so that map has to wait.
            let _these = store.hold_maps()?;
            if !maps.is_in_force(epoch) {
                return Err(OrderError::MapChanged);
            }
            check_clock(&store, &name, order.version, &from)?;
            let outcome = store.delete(&name, order.version)?;
            step(Step::Deleted);
            for node in &order.missed {
                mark_dirty(&store, node, &name);
            }
            Ok(outcome)
        })
        .await
    }

    /// Tells a node, this or another, that others missed a write.
    pub(super) async fn tell_missed(
        &self,
        map: &View,
        node: NodeIndex,
        name: &ObjectName,
        missed: Vec<NodeName>,
    ) {
        if node == map.own() {
            self.remember_missed(name, missed).await;
        } else if let Err(error) = self.peers.missed(map, node, name, missed).await {
            log::debug!("a missed write is not remembered there: {error}");
        }
    }

    /// Remembers that other nodes missed a write.
    pub(super) async fn remember_missed(&self, name: &ObjectName, missed: Vec<NodeName>) {
        let (store, name) = (Arc::clone(&self.store), name.clone());
        on_thread(move || missed.iter().for_each(|node| mark_dirty(&store, node, &name))).await;
    }
}

/// Refuses a version more than a day ahead of this node's clock, unless it follows one held here.
pub(super) fn check_clock(
    store: &Store,
    name: &ObjectName,
    version: Version,
    from: &NodeName,
) -> Result<(), OrderError> {
    let now = clock::now();
    if is_acceptable(version, &Held::Nothing, now) || is_acceptable(version, &store.held(name)?, now) {
        return Ok(());
    }
    Err(OrderError::Clock { version, from: from.clone() })
}

/// A mark is a hint: without it the key heals later.
pub(super) fn mark_dirty(store: &Store, node: &NodeName, name: &ObjectName) {
    if let Err(error) = store.mark_dirty(node, name) {
        log::warn!("{name} is not marked as missed by {node}: {error}");
    }
}
