//! How the node is, as `webdfs status` shows it.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Agent;
use super::scrub::unless_old;
use crate::chain::chain;
use crate::control::{CutOff, PeerStatus, State, Status, Work, WorkStatus};
use crate::disk::on_thread;
use crate::peer::message::Hello;
use crate::store::inventory::BUCKETS;
use crate::store::{AgentRecord, Scrubbing, StoreError};

/// When some work last reached its end, as far as it is remembered.
pub(super) fn last_finished(record: &AgentRecord, work: Work) -> Option<u64> {
    match work {
        Work::Reconcile => record.reconciled,
        Work::Scrub => record.scrubbed,
    }
}

/// Whether some work was cut off that is to go on where it was.
pub(super) fn is_cut_off(record: &AgentRecord, work: Work) -> bool {
    work == Work::Scrub && record.scrubbing.is_some()
}

/// Some work has reached its end at this time.
pub(super) fn note_finished(record: &mut AgentRecord, work: Work, now: u64) {
    match work {
        Work::Reconcile => record.reconciled = Some(now),
        Work::Scrub => (record.scrubbed, record.scrubbing) = (Some(now), None),
    }
}

impl Agent {
    /// How the node is now. If `asks_others`, every other node is asked whether it answers.
    pub(super) async fn status(&self, asks_others: bool) -> Result<Status, StoreError> {
        let store = Arc::clone(&self.store);
        let counts = on_thread(move || {
            let (tombstones, dirty) = (store.count_tombstones()?, store.count_dirty()?);
            let quarantine = store.count_quarantined()?;
            let (passed, complete) = (store.passed()?, store.is_complete()?);
            let (record, space) = (store.agent_record(), store.space().ok());
            Ok::<_, StoreError>((record, space, tombstones, dirty, quarantine, complete, passed))
        });
        let ((record, space, tombstones, dirty, quarantine, complete, passed), peers) = {
            let peers = async { if asks_others { self.peer_statuses().await } else { Vec::new() } };
            let (counts, peers) = tokio::join!(counts, peers);
            (counts?, peers)
        };
        let of = |work| {
            let now = self.tasks.progress(work);
            // As soon as it is known of how many keys it has done some, it has gone on.
            let goes_on = now.state == State::Running && now.of.is_some();
            let cut_off = self.cut_off(&record, work).filter(|_| !goes_on);
            WorkStatus { finished: last_finished(&record, work), now, cut_off }
        };
        Ok(Status {
            node: self.name().to_string(),
            process: std::process::id(),
            root: self.store.root().display().to_string(),
            epoch: self.map.epoch().get(),
            map: self.map.fingerprint(),
            passed,
            unsettled: self.map.older().iter().map(|older| older.map().epoch().get()).collect(),
            complete,
            counted: record.counted,
            space,
            tombstones,
            dirty,
            quarantine,
            carried: self.traffic.carried(),
            reconcile: of(Work::Reconcile),
            scrub: of(Work::Scrub),
            background: self.throttle.background(),
            peers,
        })
    }

    /// Where some work was cut off that is to go on there.
    fn cut_off(&self, record: &AgentRecord, work: Work) -> Option<CutOff> {
        if !is_cut_off(record, work) {
            return None;
        }
        let Scrubbing { bucket, objects, bytes, at } = unless_old(record, self.settings.scrub_every)?;
        let percent = (bucket.min(BUCKETS) * 100 / BUCKETS) as u8;
        Some(CutOff { percent, done: objects, bytes, at })
    }

    async fn peer_statuses(&self) -> Vec<PeerStatus> {
        let others = self.map.indexed().filter(|(node, _)| *node != self.map.own());
        join_all(others.map(|(node, entry)| async move {
            let greeted = self.peers.hello(&self.map, node, Hello { stamp: None }).await;
            let problem = greeted.err().map(|error| chain(&error));
            PeerStatus { node: entry.name().to_string(), up: problem.is_none(), problem }
        }))
        .await
    }
}
