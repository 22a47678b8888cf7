//! The scrub: every replica is read and compared with its checksum (design section 8). One that rots goes to quarantine,
//! and is fetched again from another owner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::Agent;
use super::tasks::{Occasion, Report, Task, Unfinished};
use crate::disk::on_thread;
use crate::store::inventory::{BUCKETS, Entry, Inventory};
use crate::store::{StoreError, Verdict};

/// How old the list of what is there may be when a scrub was merely due: what came later is scrubbed the next time.
const LIST_AGE: Duration = Duration::from_secs(60 * 60);

/// The scrub of one root.
#[derive(Debug)]
pub(super) struct Scrub(pub Agent);

impl Task for Scrub {
    fn run(&self, occasion: Occasion, report: Report) -> BoxFuture<'_, Result<(), Unfinished>> {
        Box::pin(async move {
            self.scrub(occasion, &report).await.map_err(|error| Unfinished::new(error))?;
            Ok(())
        })
    }

    fn gives_way(&self) -> bool {
        true
    }
}

impl Scrub {
    async fn scrub(&self, occasion: Occasion, report: &Report) -> Result<(), StoreError> {
        let agent = &self.0;
        report.doing("walking over the root");
        let now = Instant::now();
        let not_before = match occasion {
            Occasion::Asked => now,
            Occasion::Due => now.checked_sub(LIST_AGE).unwrap_or(now),
        };
        let walked = agent.walks.since(not_before, &agent.store, &agent.exclude).await?;
        report.doing("reading");
        report.set(0, Some(walked.totals.objects));
        let store = Arc::clone(&agent.store);
        let Some(inventory) = on_thread(move || store.inventory()).await? else { return Ok(()) };
        let inventory = Arc::new(inventory);
        for bucket in 0..BUCKETS {
            let (agent, inventory, report) = (agent.clone(), Arc::clone(&inventory), report.clone());
            on_thread(move || scrub_bucket(&agent, &inventory, bucket, &report)).await?;
        }
        Ok(())
    }
}

/// Reads the copies of a bucket. One that cannot be read is told of, and keeps no other from being read.
fn scrub_bucket(
    agent: &Agent,
    inventory: &Inventory,
    bucket: usize,
    report: &Report,
) -> Result<(), StoreError> {
    for Entry { name, held, .. } in agent.store.bucket(inventory, bucket)? {
        if report.is_over() {
            return Ok(());
        }
        let Some(copy) = held.copy() else { continue };
        let pace = &mut |bytes: usize| agent.throttle.take_blocking(bytes as u64);
        match agent.store.verify(&name, pace) {
            Ok(Verdict::Rotten) => {
                log::error!("{name} has rotted: it is in quarantine, and is fetched from another owner");
                agent.store.mark_dirty(agent.name(), &name)?;
            }
            Ok(_) => {}
            Err(error) => log::error!("{name} cannot be read: {error}"),
        }
        report.advance(1, copy.size);
    }
    Ok(())
}
