//! One look-up per missing name at a time, and a short memory of those that found nothing or could not tell, so that a
//! storm of requests for one missing name costs little.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::cluster::NodeIndex;
use crate::name::ObjectName;

/// How long "no owner has it" is believed, and "too few answer to know".
const MEMORY: Duration = Duration::from_millis(100);
/// Remembered names above which the outdated ones are dropped.
const NAMES_MAX: usize = 4096;

/// What a look-up at the other owners found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This node has a copy.
    At(NodeIndex),
    /// Enough complete owners lack it: it does not exist.
    Missing,
    /// Too few owners answered to know.
    Unknown,
}

/// The look-ups in flight.
#[derive(Debug, Clone, Default)]
pub struct Lookups(Arc<Mutex<HashMap<ObjectName, Entry>>>);

#[derive(Debug)]
enum Entry {
    InFlight(watch::Receiver<Option<Verdict>>),
    Settled(Verdict, Instant),
}

/// Whose turn it is to look a name up.
pub enum Turn {
    /// The caller's. It must look, and [`Lead::settle`].
    Lead(Lead),
    /// Somebody has just done it.
    Known(Verdict),
}

/// The right and duty to look a name up. Dropped without a verdict, another waiter takes over.
pub struct Lead {
    lookups: Lookups,
    name: ObjectName,
    sender: watch::Sender<Option<Verdict>>,
}

impl Lookups {
    /// Waits for the look-up in flight, or begins one.
    pub async fn turn(&self, name: &ObjectName) -> Turn {
        loop {
            let mut receiver = match self.join(name) {
                Ok(turn) => return turn,
                Err(receiver) => receiver,
            };
            if let Ok(verdict) = receiver.wait_for(Option::is_some).await
                && let Some(verdict) = *verdict
            {
                return Turn::Known(verdict);
            }
        }
    }

    /// Forgets what is known of a name: it has just been written here. A look-up in flight began before and its
    /// verdict is not remembered.
    pub fn forget(&self, name: &ObjectName) {
        self.0.lock().expect("no holder panics").remove(name);
    }

    fn join(&self, name: &ObjectName) -> Result<Turn, watch::Receiver<Option<Verdict>>> {
        let mut entries = self.0.lock().expect("no holder panics");
        match entries.get(name) {
            Some(Entry::InFlight(receiver)) if receiver.has_changed().is_ok() => return Err(receiver.clone()),
            Some(Entry::Settled(verdict, until)) if Instant::now() < *until => {
                return Ok(Turn::Known(*verdict));
            }
            _ => {}
        }
        if entries.len() >= NAMES_MAX {
            let now = Instant::now();
            entries.retain(|_, entry| match entry {
                Entry::InFlight(receiver) => receiver.has_changed().is_ok(),
                Entry::Settled(_, until) => now < *until,
            });
        }
        let (sender, receiver) = watch::channel(None);
        entries.insert(name.clone(), Entry::InFlight(receiver));
        Ok(Turn::Lead(Lead { lookups: self.clone(), name: name.clone(), sender }))
    }
}

impl Lead {
    /// Tells everybody who waits, and remembers for a moment what was found unless it is a copy: who asks for that next
    /// has to get it from somewhere anyway.
    pub fn settle(self, verdict: Verdict) {
        let mut entries = self.lookups.0.lock().expect("no holder panics");
        let is_to_last = matches!(verdict, Verdict::Missing | Verdict::Unknown);
        if is_to_last && self.is_own(entries.get(&self.name)) {
            entries.insert(self.name.clone(), Entry::Settled(verdict, Instant::now() + MEMORY));
        }
        self.sender.send_replace(Some(verdict));
    }

    /// Whether an entry is that of this look-up, and not of a later one of the same name.
    fn is_own(&self, entry: Option<&Entry>) -> bool {
        matches!(entry, Some(Entry::InFlight(receiver)) if receiver.same_channel(&self.sender.subscribe()))
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut entries = self.lookups.0.lock().expect("no holder panics");
        if self.is_own(entries.get(&self.name)) {
            entries.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ObjectName {
        ObjectName::from_bytes(text.as_bytes()).unwrap()
    }

    async fn lead(lookups: &Lookups, name: &ObjectName) -> Lead {
        match lookups.turn(name).await {
            Turn::Lead(lead) => lead,
            Turn::Known(verdict) => panic!("already known: {verdict:?}"),
        }
    }

    #[tokio::test]
    async fn everybody_who_asks_meanwhile_gets_the_leaders_verdict() {
        let (lookups, name) = (Lookups::default(), name("a"));
        let leader = lead(&lookups, &name).await;
        let followers: Vec<_> = (0..10)
            .map(|_| {
                let (lookups, name) = (lookups.clone(), name.clone());
                tokio::spawn(
                    async move { matches!(lookups.turn(&name).await, Turn::Known(Verdict::Unknown)) },
                )
            })
            .collect();
        tokio::task::yield_now().await;
        leader.settle(Verdict::Unknown);
        for follower in followers {
            assert!(follower.await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_name_that_was_not_found_is_remembered_until_it_is_written() {
        let (lookups, name) = (Lookups::default(), name("a"));
        for verdict in [Verdict::Missing, Verdict::Unknown] {
            lead(&lookups, &name).await.settle(verdict);
            assert!(matches!(lookups.turn(&name).await, Turn::Known(known) if known == verdict));
            lookups.forget(&name);
        }
        lead(&lookups, &name).await.settle(Verdict::At(NodeIndex::new(1)));
        assert!(matches!(lookups.turn(&name).await, Turn::Lead(_)));
    }

    #[tokio::test]
    async fn a_look_up_that_began_before_a_write_is_not_remembered() {
        let (lookups, name) = (Lookups::default(), name("a"));
        let leader = lead(&lookups, &name).await;
        lookups.forget(&name);
        leader.settle(Verdict::Missing);
        assert!(matches!(lookups.turn(&name).await, Turn::Lead(_)));
    }

    #[tokio::test]
    async fn when_the_leader_goes_away_a_waiter_takes_over() {
        let (lookups, name) = (Lookups::default(), name("a"));
        let leader = lead(&lookups, &name).await;
        let waiter = {
            let (lookups, name) = (lookups.clone(), name.clone());
            tokio::spawn(async move { matches!(lookups.turn(&name).await, Turn::Lead(_)) })
        };
        tokio::task::yield_now().await;
        drop(leader);
        assert!(waiter.await.unwrap());
    }

    #[tokio::test]
    async fn look_ups_that_are_given_up_leave_nothing_behind() {
        let lookups = Lookups::default();
        for number in 0..10 {
            drop(lead(&lookups, &name(&number.to_string())).await);
        }
        assert!(lookups.0.lock().unwrap().is_empty());
        // One that is given up late does not end the one that began meanwhile.
        let late = lead(&lookups, &name("a")).await;
        lookups.forget(&name("a"));
        let _next = lead(&lookups, &name("a")).await;
        drop(late);
        assert_eq!(lookups.0.lock().unwrap().len(), 1);
    }
}
