//! The scrub: every replica is read and compared with its checksum (design section 8). One that rots goes to quarantine,
//! and is fetched again from another owner.
//!
//! It goes through the buckets of an inventory, and remembers on the disk how far it is. A scrub that was cut off, by the
//! end of its process or because somebody asked for one from the beginning, goes on there: it may take weeks, and would
//! never end if each restart began it anew. The price is that what is in the buckets behind it is read again with the
//! next scrub only, as in one that was never cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::Agent;
use super::tasks::{Occasion, Report, Task, Unfinished};
use crate::clock;
use crate::control::Work;
use crate::disk::on_thread;
use crate::failpoint::{Step, step};
use crate::name::ObjectName;
use crate::store::inventory::{BUCKETS, Entry, Inventory};
use crate::store::{AgentRecord, Scrubbing, StoreError, Verdict};

/// How old the list of what is there may be when a scrub was merely due: what came later is scrubbed the next time.
const LIST_AGE: Duration = Duration::from_secs(60 * 60);
/// How often it is remembered how far the scrub is, at most: one small write. Whoever goes on reads again what was read
/// since, and the bucket that was being read.
const REMEMBERED_EVERY: Duration = Duration::from_secs(5);
/// How long a scrub that could not be begun, or lost its disk, is left alone. Each try may walk over all of the root.
const REST: Duration = Duration::from_secs(60 * 60);

/// The scrub of one root.
#[derive(Debug)]
pub(super) struct Scrub {
    agent: Agent,
    /// Whether the last run has come to the end of the root.
    at_end: AtomicBool,
}

impl Task for Scrub {
    fn run(&self, occasion: Occasion, report: Report) -> BoxFuture<'_, Result<(), Unfinished>> {
        Box::pin(async move {
            self.at_end.store(false, Ordering::Relaxed);
            let unread = self.scrub(occasion, &report).await.map_err(Unfinished::new)?;
            if unread == 0 {
                return Ok(());
            }
            // Reading all of the root again, soon or with the next start, would not help.
            self.at_end.store(true, Ordering::Relaxed);
            self.agent.remember_finished(Work::Scrub).await;
            Err(Unfinished {
                problem: format!("of the files {unread} could not be read: the log names them"),
                cause: "files could not be read".to_owned(),
            })
        })
    }

    fn gives_way(&self) -> bool {
        true
    }

    fn recovery(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            match self.at_end.load(Ordering::Relaxed) {
                true => std::future::pending().await,
                false => sleep(REST).await,
            }
        })
    }
}

impl Scrub {
    /// The scrub of this agent's root.
    pub fn of(agent: Agent) -> Self {
        Self { agent, at_end: AtomicBool::default() }
    }

    /// The number of replicas, and of folders, that could not be read.
    async fn scrub(&self, occasion: Occasion, report: &Report) -> Result<u64, StoreError> {
        let agent = &self.agent;
        agent.throttle.unpaused().await;
        report.doing("walking over the root");
        let now = Instant::now();
        let (not_before, mut done) = match occasion {
            Occasion::Asked => (now, Scrubbing::default()),
            Occasion::Due => (now.checked_sub(LIST_AGE).unwrap_or(now), self.done_before().await),
        };
        let walked = agent.walks.since(not_before, &agent.store, &agent.exclude).await?;
        if done.bucket > 0 {
            log::info!("the scrub goes on after {} files that it has read before", done.objects);
        }
        report.doing("reading");
        report.set(done.objects.min(walked.totals.objects), Some(walked.totals.objects));
        report.advance(0, done.bytes);
        let store = Arc::clone(&agent.store);
        let Some(inventory) = on_thread(move || store.inventory()).await? else { return Ok(0) };
        let inventory = Arc::new(inventory);
        let (mut unread, mut remembered) = (walked.unread.count(), Instant::now());
        for bucket in done.bucket..BUCKETS {
            unread += self.scrub_bucket(&inventory, bucket, report, &mut done).await?;
            done.bucket = bucket + 1;
            if remembered.elapsed() >= REMEMBERED_EVERY {
                self.remember(done).await;
                remembered = Instant::now();
            }
        }
        Ok(unread)
    }

    /// Reads the copies of a bucket. One that cannot be read is told of, and keeps no other from being read.
    async fn scrub_bucket(
        &self,
        inventory: &Arc<Inventory>,
        bucket: usize,
        report: &Report,
        done: &mut Scrubbing,
    ) -> Result<u64, StoreError> {
        let (store, inventory) = (Arc::clone(&self.agent.store), Arc::clone(inventory));
        let mut unread = 0;
        for Entry { name, held, .. } in on_thread(move || store.bucket(&inventory, bucket)).await? {
            let Some(copy) = held.copy() else { continue };
            match self.verify(&name, report).await {
                Ok(Verdict::Rotten) => {
                    step(Step::RotPutAway);
                    log::error!("{name} has rotted: it is in quarantine, and is fetched from another owner");
                    let (store, node) = (Arc::clone(&self.agent.store), self.agent.name().clone());
                    on_thread(move || store.mark_dirty(&node, &name)).await?;
                }
                Ok(_) => {}
                Err(error) => {
                    log::error!("{name} cannot be read: {error}");
                    unread += 1;
                }
            }
            done.objects += 1;
            done.bytes += copy.size;
            report.advance(1, copy.size);
        }
        Ok(unread)
    }

    async fn verify(&self, name: &ObjectName, report: &Report) -> Result<Verdict, StoreError> {
        let throttle = self.agent.throttle.clone();
        let _turn = throttle.turn().await;
        let (store, name, report) = (Arc::clone(&self.agent.store), name.clone(), report.clone());
        on_thread(move || store.verify(&name, &mut throttle.pace(|| report.is_over()))).await
    }

    /// How far a scrub was that was cut off; nothing, if that was so long ago that all of it is due again.
    async fn done_before(&self) -> Scrubbing {
        let store = Arc::clone(&self.agent.store);
        let record = on_thread(move || store.agent_record()).await;
        unless_old(&record, self.agent.settings.scrub_every).unwrap_or_default()
    }

    /// Remembers how far the scrub is, unless another one that was cut off was farther.
    async fn remember(&self, done: Scrubbing) {
        let (store, every) = (Arc::clone(&self.agent.store), self.agent.settings.scrub_every);
        let remembered = on_thread(move || {
            store.remember(|record| {
                if unless_old(record, every).is_none_or(|before| before.bucket < done.bucket) {
                    record.scrubbing = Some(Scrubbing { at: clock::seconds(), ..done });
                }
            })
        });
        if let Err(error) = remembered.await {
            log::debug!("how far the scrub is, is not remembered: {error}");
        }
    }
}

/// How far a scrub was that was cut off, unless that was so long ago that all of it is due again.
pub(super) fn unless_old(record: &AgentRecord, every: Option<Duration>) -> Option<Scrubbing> {
    let age = |scrubbing: &Scrubbing| Duration::from_secs(clock::seconds().abs_diff(scrubbing.at));
    record.scrubbing.filter(|scrubbing| every.is_none_or(|every| age(scrubbing) <= every))
}
