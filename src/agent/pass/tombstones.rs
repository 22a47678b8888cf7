//! The end of tombstones (design section 7). A tombstone outlives every older copy of its key; once none is left that could
//! come back, it is forgotten.
//!
//! An owner notes when it has found in a pass that every owner has a tombstone, durably. When every owner has noted that a
//! day ago or more, by its own clock, and all confirm the tombstone once more, the owner that sees this tells the others
//! to forget exactly this version, and forgets it last. Why nothing that was deleted comes back then:
//!
//! - Once one owner has noted it, none serves or sends an older copy: the tombstone hides it. A note lies in the file of the
//!   tombstone, so wherever that is lost, the day begins anew for all. A root that is new or an older copy of itself
//!   confirms nothing until it has been offered all that it should have.
//! - What was under way before has ended: a message is refused after 12 hours, and a transfer that takes longer fails.
//! - Copies elsewhere are never offered: not those of nodes that do not own the key, not what a root has returned with
//!   unless an owner holds the same now, and not what lies in quarantine.
//! - A clock that jumps gains nothing, since all notes count, and nodes whose clocks are more than 12 hours apart refuse each
//!   other. A note from the future is replaced.
//!
//! And why a tombstone that stays or comes back somewhere undoes no write: its version lies a day or more behind this
//! node's clock, hence behind that of every coordinator whom an owner understands, so whatever is written after it was
//! forgotten has a higher one. An owner may have been down when it was told, this process may be killed between any two
//! steps, a loss of power may undo an unlink: then the next pass gives the tombstone back to all owners, without a note,
//! and it ends a day later. The same becomes of one that two nodes have forgotten at the same time, while a third was just
//! giving it back.

use std::sync::Arc;
use std::time::Duration;

use super::leftovers::{DURABLE_KEY_BYTES, Questions};
use super::{Pass, add};
use crate::clock;
use crate::cluster::NodeIndex;
use crate::disk::on_thread;
use crate::failpoint::{Step, step};
use crate::peer::reconcile::{DURABLE_KEYS_MAX, Tombstone, TombstonesOrder};
use crate::peer::sign::LIFETIME;
use crate::store::{SPOOL_LIFETIME, Store, StoreError};
use crate::version::Version;

/// For how long every owner must have known that all have a tombstone.
const AGREED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

// A message that was under way may still begin a transfer.
const _: () = assert!(AGREED_FOR.as_secs() >= LIFETIME.as_secs() + SPOOL_LIFETIME.as_secs());

/// A tombstone that is about to end.
pub(super) struct Ending {
    tombstone: Tombstone,
    /// The owners other than this node.
    others: Vec<NodeIndex>,
    /// For how long everybody who has answered has known that all have it.
    agreed_for: Duration,
    /// How many of the others have it, and later how many have forgotten it.
    answered: usize,
}

impl Ending {
    pub(super) fn new(tombstone: Tombstone, others: Vec<NodeIndex>) -> Self {
        Self { tombstone, others, agreed_for: Duration::MAX, answered: 0 }
    }

    fn has_agreed(&mut self, time: Duration) {
        self.agreed_for = self.agreed_for.min(time);
    }

    fn all_have_answered(&self) -> bool {
        self.answered == self.others.len()
    }

    fn has_done_its_part(&self, now: Version) -> bool {
        self.agreed_for >= AGREED_FOR && now.since(self.tombstone.version) >= AGREED_FOR
    }
}

/// Whether the other owners are to be asked about a tombstone: it is not noted yet that all have it, or that was long ago.
pub(super) fn is_due(agreed: Option<Version>, version: Version, now: Version) -> bool {
    match agreed.filter(|agreed| *agreed <= now) {
        None => true,
        Some(agreed) => now.since(agreed) >= AGREED_FOR && now.since(version) >= AGREED_FOR,
    }
}

impl Pass<'_> {
    /// Takes tombstones a step towards their end, as far as all of their owners have them. They own them all.
    ///
    /// # Errors
    /// When this node's disk fails.
    pub(super) async fn end_tombstones(&self, endings: Vec<Ending>) -> Result<(), StoreError> {
        let (peers, map) = (&self.agent.peers, &self.agent.map);
        let mut endings = self.held_here(endings).await?;
        let mut questions = questions(&endings);
        while let Some((owner, places)) = self.next_question(&mut questions).await {
            match peers.agreed(map, owner, &order(&endings, &places)).await {
                Ok(answers) => {
                    for (place, time) in places.into_iter().zip(answers) {
                        let Some(time) = time else { continue };
                        endings[place].has_agreed(time);
                        endings[place].answered += 1;
                    }
                }
                Err(error) => questions.give_up(owner, &error),
            }
        }
        endings.retain(Ending::all_have_answered);
        if endings.is_empty() {
            return Ok(());
        }
        step(Step::TombstoneAgreed);
        let now = clock::now();
        let (old, young): (Vec<_>, Vec<_>) =
            endings.into_iter().partition(|ending| ending.has_done_its_part(now));
        self.on_disk(young, move |store, Ending { tombstone: Tombstone { name, version }, .. }| {
            // For want of room, perhaps: what is not noted ends later.
            if let Err(error) = store.set_tombstone_agreed(&name, version, now) {
                log::warn!("it is not noted that all owners have deleted {name}: {error}");
            }
            Ok(None::<()>)
        })
        .await?;
        self.forget(old).await
    }

    /// Those that this node has, and may say so: none, if it is incomplete.
    async fn held_here(&self, endings: Vec<Ending>) -> Result<Vec<Ending>, StoreError> {
        let store = Arc::clone(&self.agent.store);
        if endings.is_empty() || !on_thread(move || store.is_complete()).await? {
            return Ok(Vec::new());
        }
        let now = clock::now();
        self.on_disk(endings, move |store, mut ending| {
            let Tombstone { name, version } = &ending.tombstone;
            Ok(store.tombstone_agreed_for(name, *version, now)?.map(|time| {
                ending.has_agreed(time);
                ending
            }))
        })
        .await
    }

    /// Does something with each on this node's disk; what comes of that. Only a few are done at once, since a thread goes on
    /// when this process is to end.
    async fn on_disk<T: Send + 'static>(
        &self,
        mut endings: Vec<Ending>,
        work: impl Fn(&Store, Ending) -> Result<Option<T>, StoreError> + Copy + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        let mut done = Vec::new();
        while !endings.is_empty() {
            let rest = endings.split_off(endings.len().min(DURABLE_KEYS_MAX));
            let some = std::mem::replace(&mut endings, rest);
            self.agent.throttle.take(DURABLE_KEY_BYTES * some.len() as u64).await;
            let store = Arc::clone(&self.agent.store);
            let results = on_thread(move || {
                some.into_iter()
                    .filter_map(|ending| work(&store, ending).transpose())
                    .collect::<Result<Vec<_>, _>>()
            });
            done.extend(results.await?);
        }
        Ok(done)
    }

    /// Has the other owners forget tombstones, and forgets those that all of them have forgotten: whatever interrupts it, this
    /// node still knows of those that some other one has.
    async fn forget(&self, mut endings: Vec<Ending>) -> Result<(), StoreError> {
        let (peers, map) = (&self.agent.peers, &self.agent.map);
        endings.iter_mut().for_each(|ending| ending.answered = 0);
        let mut questions = questions(&endings);
        while let Some((owner, places)) = self.next_question(&mut questions).await {
            match peers.forget(map, owner, &order(&endings, &places)).await {
                Ok(forgotten) => {
                    step(Step::ForgetSent);
                    for (place, forgotten) in places.into_iter().zip(forgotten) {
                        endings[place].answered += usize::from(forgotten);
                    }
                }
                Err(error) => questions.give_up(owner, &error),
            }
        }
        endings.retain(Ending::all_have_answered);
        if endings.is_empty() {
            return Ok(());
        }
        step(Step::ForgottenElsewhere);
        let forgotten =
            self.on_disk(endings, |store, Ending { tombstone: Tombstone { name, version }, .. }| {
                Ok(store.forget_tombstone(&name, version)?.then_some(()))
            });
        add(&self.counts.forgotten, forgotten.await?.len());
        Ok(())
    }
}

fn questions(endings: &[Ending]) -> Questions {
    Questions::about(endings.iter().map(|ending| (&ending.tombstone.name, &ending.others[..])))
}

fn order(endings: &[Ending], places: &[usize]) -> TombstonesOrder {
    TombstonesOrder { tombstones: places.iter().map(|place| endings[*place].tombstone.clone()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ObjectName;

    const NOW: Version = Version::from_nanos(10 * 24 * 3600 * 1_000_000_000);

    fn ago(hours: u64) -> Version {
        NOW.before(Duration::from_secs(hours * 3600))
    }

    #[test]
    fn others_are_asked_about_a_tombstone_at_the_beginning_and_at_the_end_of_a_day() {
        let ahead = NOW.successor();
        for (agreed, version, due) in [
            (None, ago(0), true),
            (Some(ago(1)), ago(2), false),
            (Some(ago(23)), ago(30), false),
            (Some(ago(24)), ago(30), true),
            (Some(ahead), ago(30), true),
            // Made by a node whose clock was ahead: it would outdo what is written after it was forgotten.
            (Some(ago(24)), ago(23), false),
            (Some(ago(24)), ahead, false),
        ] {
            assert_eq!(is_due(agreed, version, NOW), due, "{agreed:?} {version:?}");
        }
    }

    #[test]
    fn a_tombstone_ends_a_day_after_the_last_owner_knew_that_all_have_it() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (owners, version, ends) in [
            (vec![24, 30, 25], ago(31), true),
            (vec![30, 23, 30], ago(31), false),
            (vec![30, 0, 30], ago(31), false),
            (vec![30, 30, 30], ago(23), false),
            (vec![24], ago(24), true),
        ] {
            let name = ObjectName::from_bytes(b"a").unwrap();
            let mut ending = Ending::new(Tombstone { name, version }, Vec::new());
            owners.iter().for_each(|time| ending.has_agreed(hours(*time)));
            assert_eq!(ending.has_done_its_part(NOW), ends, "{owners:?} {version:?}");
        }
    }
}
