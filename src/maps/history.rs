//! What is noted of the maps that come and go.

use super::Maps;
use crate::change::differences_between;
use crate::clock;
use crate::cluster::{ClusterMap, View};
use crate::store::{HistoryEntry, StoreError};

impl Maps {
    /// Notes the first map of a root.
    pub(super) fn note_first(&self) {
        let view = self.current.borrow().clone();
        if !view.is_proposal() && view.older().is_empty() {
            self.note(view.current(), "the first map known here".to_owned(), true);
        }
    }

    /// Notes the map that has come into force, and what was before.
    pub(super) fn note_next(&self, before: &View) {
        let now = self.view();
        let change = if before.is_proposal() {
            "the first map known here".to_owned()
        } else {
            let differences = differences_between(before.current(), now.current());
            let texts: Vec<_> = differences.iter().map(ToString::to_string).collect();
            if texts.is_empty() { "nothing but the epoch".to_owned() } else { texts.join("; ") }
        };
        self.note(now.current(), change, false);
    }

    fn note(&self, map: &ClusterMap, change: String, is_settled: bool) {
        let now = clock::seconds();
        let (epoch, map, settled) = (map.epoch().get(), map.fingerprint(), is_settled.then_some(now));
        complain(self.store.note_map(HistoryEntry { epoch, map, adopted: now, settled, change }));
    }

    /// Notes that the map of an epoch is settled.
    pub(super) fn note_settled(&self, epoch: u64) {
        complain(self.store.note_settled(epoch, clock::seconds()));
    }
}

/// It is for people alone, and keeps no map from coming into force.
fn complain(noted: Result<(), StoreError>) {
    if let Err(error) = noted {
        log::warn!("webdfs map history will not tell of this: {error}");
    }
}
