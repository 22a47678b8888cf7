//! Who is there: what chitchat has seen of each process becomes one entry for each node.  The caller brings the time.
//!
//! Two things decide that a node is down, and both must say so: chitchat's failure detector, which waits the longer the
//! slower its heartbeats have been coming, and [`SILENT_ROUNDS_MAX`] rounds of our own without any. The rounds are
//! counted and not timed, so that a node that itself stood still for a while (a loaded machine, a suspended one) does
//! not take all others for dead when it goes on.
//!
//! A process that is known by hearsay alone, since it has shown no heartbeat that rises, is neither up nor down until
//! so many rounds have passed: a node that has just started must not take all others for dead.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chitchat::ChitchatId;

use super::facts::Facts;
use crate::cluster::NodeName;

/// So many rounds ([`super::ROUND`]) without a heartbeat a node is not yet down, whatever the failure detector says.
pub(super) const SILENT_ROUNDS_MAX: u32 = 7;

/// So long a node that is down is remembered. Chitchat forgets it earlier ([`super::process`]).
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of the nodes of the cluster, this one among them. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(Arc<BTreeMap<NodeName, Member>>);

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whether it is up, as far as this node can tell.
    pub alive: bool,
    /// Since when it has been so: when it was first heard of, found silent, or started anew, as seen from here.
    pub since: Instant,
    /// What it told last; none: it is known only by name so far.
    pub facts: Option<Facts>,
    /// Where its gossip listens.
    pub address: SocketAddr,
    /// Which of its lives this is: the higher, the later.
    pub generation: u64,
}

impl Members {
    /// A node; none: gossip knows nothing of it.
    pub fn get(&self, name: &NodeName) -> Option<&Member> {
        self.0.get(name)
    }

    /// Whether a node is known to be down. One that gossip has never heard of is not: it may run without gossip.
    pub fn is_down(&self, name: &NodeName) -> bool {
        self.get(name).is_some_and(|member| !member.alive)
    }

    /// All nodes, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&NodeName, &Member)> {
        self.0.iter()
    }

    /// Some that are down.
    #[cfg(test)]
    pub(crate) fn with_down(names: &[&str]) -> Self {
        let (since, address) = (Instant::now(), ([127, 0, 0, 1], 7071).into());
        let member = Member { alive: false, since, facts: None, address, generation: 1 };
        Self(Arc::new(names.iter().map(|name| (name.parse().expect("a name"), member.clone())).collect()))
    }

    /// How many there are, up or down.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What chitchat knows of a process: of one life of a node.
#[derive(Debug)]
pub(super) struct Sighting {
    pub id: ChitchatId,
    /// A number that rises while it runs.
    pub heartbeat: u64,
    /// What the failure detector says.
    pub live: bool,
    pub facts: Option<Facts>,
}

/// What is remembered from one look at the sightings to the next.
#[derive(Debug, Default)]
pub(super) struct Table {
    pulses: HashMap<ChitchatId, Pulse>,
    members: Members,
}

#[derive(Debug, Clone, Copy)]
struct Pulse {
    heartbeat: u64,
    silent_rounds: u32,
    /// None: undecided.
    up: Option<bool>,
}

impl Table {
    /// Takes in what chitchat knows now. `rounds`: 1 once in every round, 0 when looking in between.
    pub(super) fn update(&mut self, sightings: Vec<Sighting>, rounds: u32, now: Instant) -> Members {
        let mut pulses = HashMap::with_capacity(sightings.len());
        let mut lives: BTreeMap<NodeName, (bool, Sighting)> = BTreeMap::new();
        for sighting in sightings {
            // Only a genuine node gets here; one of a later release may have other rules for names.
            let Ok(name) = sighting.id.node_id.parse::<NodeName>() else { continue };
            let pulse = pulse(self.pulses.get(&sighting.id), &sighting, rounds);
            pulses.insert(sighting.id.clone(), pulse);
            let Some(up) = pulse.up else { continue };
            let rank = |up: bool, sighting: &Sighting| (up, sighting.id.generation_id);
            let known = lives.get(&name).map(|(up, known)| rank(*up, known));
            if known < Some(rank(up, &sighting)) {
                lives.insert(name, (up, sighting));
            }
        }
        self.pulses = pulses;
        let mut members = BTreeMap::new();
        for (name, (alive, Sighting { id, facts, .. })) in lives {
            let before = self.members.get(&name);
            let generation = id.generation_id;
            let same = before
                .filter(|before| before.alive == alive && (!alive || before.generation == generation))
                .map(|before| before.since);
            let address = id.gossip_advertise_addr;
            members.insert(name, Member { alive, since: same.unwrap_or(now), facts, address, generation });
        }
        for (name, before) in
            self.members.iter().filter(|(name, _)| !members.contains_key(name)).collect::<Vec<_>>()
        {
            let since = if before.alive { now } else { before.since };
            if now.saturating_duration_since(since) < REMEMBERED {
                members.insert(name.clone(), Member { alive: false, since, ..before.clone() });
            }
        }
        if members != *self.members.0 {
            self.members = Members(Arc::new(members));
        }
        self.members.clone()
    }
}

fn pulse(before: Option<&Pulse>, sighting: &Sighting, rounds: u32) -> Pulse {
    let heartbeat = sighting.heartbeat;
    let silent_rounds = match before {
        Some(before) if before.heartbeat == heartbeat => before.silent_rounds.saturating_add(rounds),
        _ => 0,
    };
    let up = match before.and_then(|before| before.up) {
        _ if sighting.live => Some(true),
        _ if silent_rounds > SILENT_ROUNDS_MAX => Some(false),
        decided => decided,
    };
    Pulse { heartbeat, silent_rounds, up }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(name: &str, generation: u64, heartbeat: u64, live: bool) -> Sighting {
        let address = ([127, 0, 0, 1], 7071).into();
        Sighting { id: ChitchatId::new(name, generation, address), heartbeat, live, facts: None }
    }

    fn alive(members: &Members) -> Vec<(&str, bool, u64)> {
        members.iter().map(|(name, member)| (name.as_str(), member.alive, member.generation)).collect()
    }

    #[test]
    fn a_node_is_down_once_the_detector_says_so_and_enough_rounds_passed_in_silence() {
        let (mut table, start) = (Table::default(), Instant::now());
        table.update(vec![sighting("a", 1, 5, true)], 1, start);
        for _ in 0..SILENT_ROUNDS_MAX {
            let members = table.update(vec![sighting("a", 1, 5, false)], 1, start + REMEMBERED);
            assert_eq!(alive(&members), [("a", true, 1)]);
        }
        let between = table.update(vec![sighting("a", 1, 5, false)], 0, start);
        assert_eq!(alive(&between), [("a", true, 1)], "a look in between is no round");
        let later = start + Duration::from_secs(9);
        let members = table.update(vec![sighting("a", 1, 5, false)], 1, later);
        assert_eq!(alive(&members), [("a", false, 1)]);
        assert_eq!(members.get(&"a".parse().unwrap()).unwrap().since, later);
        let members = table.update(vec![sighting("a", 1, 6, true)], 1, later);
        assert_eq!(alive(&members), [("a", true, 1)]);
    }

    #[test]
    fn as_long_as_the_detector_is_patient_so_are_we_and_a_heartbeat_begins_the_count_anew() {
        let (mut table, start) = (Table::default(), Instant::now());
        for _ in 0..3 * SILENT_ROUNDS_MAX {
            let members = table.update(vec![sighting("a", 1, 5, true)], 1, start);
            assert_eq!(alive(&members), [("a", true, 1)]);
        }
        table.update(vec![sighting("a", 1, 6, true)], 1, start);
        let members = table.update(vec![sighting("a", 1, 6, false)], 1, start);
        assert_eq!(alive(&members), [("a", true, 1)]);
    }

    #[test]
    fn a_node_known_by_hearsay_alone_is_neither_up_nor_down_until_it_was_silent_long_enough() {
        let (mut table, start) = (Table::default(), Instant::now());
        for _ in 0..=SILENT_ROUNDS_MAX {
            let members = table.update(vec![sighting("a", 1, 5, false)], 1, start);
            assert!(members.is_empty() && !members.is_down(&"a".parse().unwrap()));
        }
        let members = table.update(vec![sighting("a", 1, 5, false)], 1, start);
        assert!(members.is_down(&"a".parse().unwrap()));
        // A heartbeat alone does not bring it back: the detector must hold it for live.
        let members = table.update(vec![sighting("a", 1, 6, false)], 1, start);
        assert!(members.is_down(&"a".parse().unwrap()));
    }

    #[test]
    fn a_node_that_restarts_is_one_node_with_its_latest_life_that_is_up() {
        let (mut table, start) = (Table::default(), Instant::now());
        table.update(vec![sighting("a", 1, 5, true)], 1, start);
        let members = table.update(vec![sighting("a", 1, 5, true), sighting("a", 2, 1, false)], 1, start);
        assert_eq!(alive(&members), [("a", true, 1)]);
        let later = start + Duration::from_secs(1);
        for lives in [
            vec![sighting("a", 1, 5, true), sighting("a", 2, 3, true)],
            vec![sighting("a", 2, 4, true), sighting("a", 1, 5, false)],
        ] {
            let members = table.update(lives, 1, later);
            assert_eq!(alive(&members), [("a", true, 2)]);
            assert_eq!(members.get(&"a".parse().unwrap()).unwrap().since, later);
        }
        // The clock went back between two lives: the one that runs counts.
        let mut table = Table::default();
        for _ in 0..=SILENT_ROUNDS_MAX {
            table.update(vec![sighting("a", 9, 5, false)], 1, start);
        }
        let members = table.update(vec![sighting("a", 9, 5, false)], 1, start);
        assert_eq!(alive(&members), [("a", false, 9)]);
        let members = table.update(vec![sighting("a", 9, 5, false), sighting("a", 3, 9, true)], 1, start);
        assert_eq!(alive(&members), [("a", true, 3)]);
    }

    #[test]
    fn a_node_that_is_down_is_forgotten_after_a_while() {
        let (mut table, start) = (Table::default(), Instant::now());
        table.update(vec![sighting("a", 1, 5, true), sighting("b", 1, 5, true)], 1, start);
        let only_b = |table: &mut Table, now| {
            let members = table.update(vec![sighting("b", 1, 5, true)], 1, now);
            members.iter().map(|(name, member)| (name.to_string(), member.alive)).collect::<Vec<_>>()
        };
        let down = ("a".to_owned(), false);
        assert_eq!(only_b(&mut table, start), [down.clone(), ("b".to_owned(), true)]);
        assert_eq!(only_b(&mut table, start + REMEMBERED / 2), [down, ("b".to_owned(), true)]);
        assert_eq!(only_b(&mut table, start + REMEMBERED), [("b".to_owned(), true)]);
    }

    #[test]
    fn a_name_that_is_none_is_left_out() {
        let members = Table::default().update(vec![sighting("../a b", 1, 5, true)], 1, Instant::now());
        assert!(members.is_empty());
    }
}
