//! Settling the keys in which another node differs: the newer side travels. Small copies go together, since syncing a
//! disk once costs hardly more than syncing one file.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{TryStreamExt, stream};

use super::{Pass, add};
use crate::agent::plan::{Step, step};
use crate::agent::transfer::TransferError;
use crate::cluster::NodeIndex;
use crate::deliver::file;
use crate::disk::on_thread;
use crate::failpoint;
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::peer::batch::{BATCH_BYTES_MAX, BATCH_FILE_BYTES_MAX, CopyOutcome};
use crate::peer::reconcile::Item;
use crate::response::FileSlice;
use crate::store::{BATCH_FILES_MAX, BatchCopy, Outcome, Store, StoreError};

/// A key of which this node cannot read what it holds, and why.
type Unreadable = (ObjectName, StoreError);

/// A key, what this node holds of it, and what is to be done.
struct Planned {
    name: ObjectName,
    ours: Held,
    theirs: Held,
    step: Step,
}

impl Planned {
    /// Its copy, if that goes with others.
    fn small(&self) -> Option<CopyInfo> {
        self.ours.copy().copied().filter(|copy| self.step == Step::SendCopy && is_small(copy))
    }
}

impl Pass<'_> {
    /// Settles keys of which `node` holds something else.
    ///
    /// # Errors
    /// When the node does not answer any more. What cannot be settled for another reason is counted.
    pub(super) async fn settle(&self, node: NodeIndex, theirs: Vec<Item>) -> Result<(), TransferError> {
        let store = Arc::clone(&self.agent.store);
        let (mut planned, unknown) = on_thread(move || plan(&store, theirs)).await;
        unknown.iter().for_each(|(name, error)| self.leave(name, error));
        planned.retain(|planned| !self.is_brought_by_others(node, planned));
        let (small, others): (Vec<_>, Vec<_>) =
            planned.into_iter().partition(|planned| planned.small().is_some());
        let small = small.into_iter().filter_map(|planned| Some((planned.name.clone(), planned.small()?)));
        for names in batches(small) {
            self.send_batch(node, names).await?;
        }
        let others = stream::iter(others.into_iter().map(Ok));
        let at_once = self.agent.settings.concurrency.get();
        others.try_for_each_concurrent(at_once, |planned| self.take(node, planned)).await
    }

    /// Whether what a side lacks is brought there by another node.
    fn is_brought_by_others(&self, node: NodeIndex, planned: &Planned) -> bool {
        let to = match planned {
            Planned { step: Step::SendCopy, theirs: Held::Nothing, .. } => node,
            Planned { step: Step::FetchCopy(_), ours: Held::Nothing, .. } => self.agent.map.own(),
            _ => return false,
        };
        let is_left = self.is_left(&planned.name, to);
        add(&self.counts.left, usize::from(is_left));
        is_left
    }

    /// Sends copies together.
    async fn send_batch(&self, node: NodeIndex, names: Vec<ObjectName>) -> Result<(), TransferError> {
        let store = Arc::clone(&self.agent.store);
        let (opened, closed) = on_thread(move || open_all(&store, names)).await;
        closed.iter().for_each(|(name, error)| self.leave(name, error));
        self.send_together(node, opened).await?;
        Ok(())
    }

    /// Sends files together as these copies, which belong into one batch. What the node holds of each afterwards, durably;
    /// nothing where that failed, which is told and counted.
    ///
    /// # Errors
    /// When the node does not answer.
    pub(super) async fn send_together(
        &self,
        node: NodeIndex,
        files: Vec<(BatchCopy, Arc<File>)>,
    ) -> Result<Vec<Option<Outcome>>, TransferError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        // They go one after the other, as one file would.
        let _turn = self.agent.throttle.turn().await;
        let sent: Vec<_> = files.iter().map(|(copy, _)| (copy.name.clone(), copy.size)).collect();
        let (copies, slices): (Vec<_>, Vec<_>) = files
            .into_iter()
            .map(|(copy, file)| {
                let slice = FileSlice { file, offset: 0, length: copy.size };
                (copy, slice)
            })
            .unzip();
        let bodies = self.agent.throttle.stream(file::stream_all(slices));
        let outcomes = match self.agent.peers.batch(&self.agent.map, node, copies, bodies).await {
            Err(error) if error.is_silence() => return Err(error.into()),
            // It has no room, for example: it takes deletions all the same.
            Err(error) => {
                sent.iter().for_each(|(name, _)| self.leave(name, &error));
                return Ok(vec![None; sent.len()]);
            }
            Ok(outcomes) => outcomes,
        };
        failpoint::step(failpoint::Step::BatchAnswered);
        let outcomes = sent.into_iter().zip(outcomes).map(|((name, size), outcome)| match outcome {
            CopyOutcome::Held(outcome) => {
                self.agent.traffic.sent(size, outcome);
                self.note_sent(size);
                Some(outcome)
            }
            CopyOutcome::Refused(reason) => {
                self.leave(&name, &reason);
                None
            }
        });
        Ok(outcomes.collect())
    }

    /// Counts a copy or tombstone that was sent.
    pub(super) fn note_sent(&self, bytes: u64) {
        add(&self.counts.sent, 1);
        self.counts.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    async fn take(&self, node: NodeIndex, planned: Planned) -> Result<(), TransferError> {
        let Planned { name, ours, step, .. } = planned;
        self.agent.throttle.unpaused().await;
        match self.agent.take(node, &name, step).await {
            Err(error) if error.is_silence() => return Err(error),
            Err(error) => self.leave(&name, &error),
            Ok(()) => match step {
                Step::Nothing => {}
                Step::SendCopy | Step::SendTombstone(_) => {
                    self.note_sent(ours.copy().map_or(0, |copy| copy.size));
                }
                Step::FetchCopy(_) | Step::TakeTombstone(_) => add(&self.counts.fetched, 1),
            },
        }
        Ok(())
    }

    /// Leaves a key to the next pass.
    pub(super) fn leave(&self, name: &ObjectName, reason: &dyn std::fmt::Display) {
        log::warn!("{name} is not up to date yet: {reason}");
        add(&self.counts.unsettled, 1);
    }
}

/// What to do about each key, by what this node holds of it now; and those of which that cannot be read.
fn plan(store: &Store, theirs: Vec<Item>) -> (Vec<Planned>, Vec<Unreadable>) {
    let (mut planned, mut unknown) = (Vec::new(), Vec::new());
    for Item { name, held: theirs } in theirs {
        match store.held(&name) {
            Ok(ours) => planned.push(Planned { step: step(&ours, &theirs), name, ours, theirs }),
            Err(error) => unknown.push((name, error)),
        }
    }
    planned.retain(|planned| planned.step != Step::Nothing);
    (planned, unknown)
}

/// Whether a copy goes with others.
pub(super) fn is_small(copy: &CopyInfo) -> bool {
    copy.size <= BATCH_FILE_BYTES_MAX && copy.crc32.is_some()
}

/// Copies in batches, as many together as may be.
pub(super) fn batches<T>(copies: impl IntoIterator<Item = (T, CopyInfo)>) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for (copy, CopyInfo { size, .. }) in copies {
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_FILES_MAX && bytes + size <= BATCH_BYTES_MAX => {
                batch.push(copy);
                bytes += size;
            }
            _ => {
                batches.push(vec![copy]);
                bytes = size;
            }
        }
    }
    batches
}

/// The copies of these names, and those that cannot be opened. One that was deleted or replaced by a large one meanwhile has
/// been sent by who did it.
fn open_all(store: &Store, names: Vec<ObjectName>) -> (Vec<(BatchCopy, Arc<File>)>, Vec<Unreadable>) {
    let (mut opened, mut closed, mut bytes) = (Vec::new(), Vec::new(), 0);
    for name in names {
        let copy = match store.open_copy(&name) {
            Ok(copy) => copy,
            Err(error) => {
                closed.push((name, error));
                continue;
            }
        };
        if let Some((replica, Some(crc32))) = copy
            && replica.size <= BATCH_FILE_BYTES_MAX
            && bytes + replica.size <= BATCH_BYTES_MAX
        {
            bytes += replica.size;
            let copy = BatchCopy { name, version: replica.version, crc32, size: replica.size };
            opened.push((copy, replica.file));
        }
    }
    (opened, closed)
}
