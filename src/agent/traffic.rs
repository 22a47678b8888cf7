//! What the background work has carried between this node and others since its process started.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::control::Carried;
use crate::store::Outcome;

/// Counts copies that were sent and fetched. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    fetched: AtomicU64,
    fetched_bytes: AtomicU64,
    in_vain: AtomicU64,
}

impl Traffic {
    /// A copy of so many bytes was sent, and this became of it.
    pub(super) fn sent(&self, bytes: u64, outcome: Outcome) {
        self.0.sent.fetch_add(1, Relaxed);
        self.0.sent_bytes.fetch_add(bytes, Relaxed);
        self.was_it_in_vain(outcome);
    }

    /// A copy of so many bytes was fetched, and this became of it.
    pub(super) fn fetched(&self, bytes: u64, outcome: Outcome) {
        self.0.fetched.fetch_add(1, Relaxed);
        self.0.fetched_bytes.fetch_add(bytes, Relaxed);
        self.was_it_in_vain(outcome);
    }

    fn was_it_in_vain(&self, outcome: Outcome) {
        self.0.in_vain.fetch_add(u64::from(outcome != Outcome::Done), Relaxed);
    }

    /// All of it.
    pub(super) fn carried(&self) -> Carried {
        let Counters { sent, sent_bytes, fetched, fetched_bytes, in_vain } = &*self.0;
        Carried {
            sent: sent.load(Relaxed),
            sent_bytes: sent_bytes.load(Relaxed),
            fetched: fetched.load(Relaxed),
            fetched_bytes: fetched_bytes.load(Relaxed),
            in_vain: in_vain.load(Relaxed),
        }
    }
}
