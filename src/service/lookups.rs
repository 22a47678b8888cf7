//! One look-up per missing name at a time, and a short rest after those that found nothing, could not tell or were given up,
//! so that a storm of requests for one missing name costs little.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::cluster::NodeIndex;
use crate::name::ObjectName;

/// How long "no owner has it" is believed, and "too few answer to know"; and how long nobody begins anew what was given
/// up, or else clients that do not wait for their answers could have the owners asked one time after another.
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
pub struct Lookups(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The epoch under which the names are looked up: under another one nodes may have other indexes.
    epoch: u64,
    names: HashMap<ObjectName, Entry>,
}

#[derive(Debug)]
enum Entry {
    InFlight(watch::Receiver<Option<Verdict>>),
    Settled(Verdict, Instant),
    GivenUp(Instant),
}

/// What a name's entry means to who asks for it.
enum Joined {
    Turn(Turn),
    InFlight(watch::Receiver<Option<Verdict>>),
    Rests(Instant),
}

/// Whose turn it is to look a name up.
pub enum Turn {
    /// The caller's. It must look, and [`Lead::settle`].
    Lead(Lead),
    /// Somebody has just done it.
    Known(Verdict),
}

/// The right and duty to look a name up. Dropped without a verdict, another waiter takes over after a rest.
pub struct Lead {
    lookups: Lookups,
    name: ObjectName,
    sender: watch::Sender<Option<Verdict>>,
}

impl Lookups {
    /// Waits for the look-up in flight under the same maps, or begins one.
    pub async fn turn(&self, epoch: u64, name: &ObjectName) -> Turn {
        loop {
            match self.join(epoch, name) {
                Joined::Turn(turn) => return turn,
                Joined::Rests(until) => sleep_until(until).await,
                Joined::InFlight(mut receiver) => {
                    if let Ok(verdict) = receiver.wait_for(Option::is_some).await
                        && let Some(verdict) = *verdict
                    {
                        return Turn::Known(verdict);
                    }
                }
            }
        }
    }

    /// Forgets what is known of a name: it has just been written here. A look-up in flight began before and its
    /// verdict is not remembered.
    pub fn forget(&self, name: &ObjectName) {
        self.0.lock().expect("no holder panics").names.remove(name);
    }

    fn join(&self, epoch: u64, name: &ObjectName) -> Joined {
        let mut known = self.0.lock().expect("no holder panics");
        if known.epoch != epoch {
            *known = Known { epoch, names: HashMap::new() };
        }
        let entries = &mut known.names;
        match entries.get(name) {
            Some(Entry::InFlight(receiver)) if receiver.has_changed().is_ok() => {
                return Joined::InFlight(receiver.clone());
            }
            Some(Entry::Settled(verdict, until)) if Instant::now() < *until => {
                return Joined::Turn(Turn::Known(*verdict));
            }
            Some(Entry::GivenUp(until)) if Instant::now() < *until => return Joined::Rests(*until),
            _ => {}
        }
        if entries.len() >= NAMES_MAX {
            let now = Instant::now();
            entries.retain(|_, entry| match entry {
                Entry::InFlight(receiver) => receiver.has_changed().is_ok(),
                Entry::Settled(_, until) | Entry::GivenUp(until) => now < *until,
            });
        }
        let (sender, receiver) = watch::channel(None);
        entries.insert(name.clone(), Entry::InFlight(receiver));
        Joined::Turn(Turn::Lead(Lead { lookups: self.clone(), name: name.clone(), sender }))
    }
}

impl Lead {
    /// Tells everybody who waits, and remembers for a moment what was found unless it is a copy: who asks for that next
    /// has to get it from somewhere anyway.
    pub fn settle(self, verdict: Verdict) {
        let entries = &mut self.lookups.0.lock().expect("no holder panics").names;
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
        let entries = &mut self.lookups.0.lock().expect("no holder panics").names;
        if !self.is_own(entries.get(&self.name)) {
            return;
        }
        if self.sender.borrow().is_some() {
            entries.remove(&self.name);
        } else {
            entries.insert(self.name.clone(), Entry::GivenUp(Instant::now() + MEMORY));
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
        match lookups.turn(1, name).await {
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
                    async move { matches!(lookups.turn(1, &name).await, Turn::Known(Verdict::Unknown)) },
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
            assert!(matches!(lookups.turn(1, &name).await, Turn::Known(known) if known == verdict));
            lookups.forget(&name);
        }
        lead(&lookups, &name).await.settle(Verdict::At(NodeIndex::new(1)));
        assert!(matches!(lookups.turn(1, &name).await, Turn::Lead(_)));
    }

    #[tokio::test]
    async fn what_was_found_under_other_maps_is_forgotten() {
        let (lookups, name) = (Lookups::default(), name("a"));
        lead(&lookups, &name).await.settle(Verdict::Missing);
        let before = lead(&lookups, &self::name("b")).await;
        assert!(matches!(lookups.turn(2, &name).await, Turn::Lead(_)));
        before.settle(Verdict::Missing);
        assert!(matches!(lookups.turn(2, &self::name("b")).await, Turn::Lead(_)));
    }

    #[tokio::test]
    async fn a_look_up_that_began_before_a_write_is_not_remembered() {
        let (lookups, name) = (Lookups::default(), name("a"));
        let leader = lead(&lookups, &name).await;
        lookups.forget(&name);
        leader.settle(Verdict::Missing);
        assert!(matches!(lookups.turn(1, &name).await, Turn::Lead(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_leader_goes_away_a_waiter_takes_over_after_a_rest() {
        let (lookups, name) = (Lookups::default(), name("a"));
        let leader = lead(&lookups, &name).await;
        let begun = Instant::now();
        let waiter = {
            let (lookups, name) = (lookups.clone(), name.clone());
            tokio::spawn(async move { matches!(lookups.turn(1, &name).await, Turn::Lead(_)) })
        };
        tokio::task::yield_now().await;
        drop(leader);
        assert!(waiter.await.unwrap());
        assert!(begun.elapsed() >= MEMORY);
        // That one has gone away, too: whoever comes next rests again.
        drop(lead(&lookups, &name).await);
        assert!(begun.elapsed() >= 2 * MEMORY);
    }

    #[tokio::test(start_paused = true)]
    async fn of_what_is_over_little_is_left_behind() {
        let lookups = Lookups::default();
        for number in 0..2 * NAMES_MAX {
            let lead = lead(&lookups, &name(&number.to_string())).await;
            match number % 3 {
                0 => drop(lead),
                1 => lead.settle(Verdict::Missing),
                _ => lead.settle(Verdict::At(NodeIndex::new(1))),
            }
            tokio::time::advance(MEMORY / 10).await;
        }
        assert!(lookups.0.lock().unwrap().names.len() <= NAMES_MAX);
    }

    #[tokio::test]
    async fn a_look_up_that_is_given_up_late_does_not_end_the_one_that_began_meanwhile() {
        let lookups = Lookups::default();
        let late = lead(&lookups, &name("a")).await;
        lookups.forget(&name("a"));
        let _next = lead(&lookups, &name("a")).await;
        drop(late);
        assert!(matches!(lookups.0.lock().unwrap().names.get(&name("a")), Some(Entry::InFlight(_))));
    }
}
