//! A machine that tries to break webdfs: five nodes, and later up to eight, as real processes behind nginx, clients that
//! write and read through all of them, and faults of every kind and changes of the map meanwhile; after each round
//! everything heals and all maps settle, and the promises are checked (design, sections 9 and 12).
//!
//! `make chaos SECONDS=600 SEED=1` runs it for longer; a seed decides the whole schedule of faults.
//! `WEBDFS_CHAOS_FAULTS=kill,cut` has only these, `WEBDFS_CHAOS_KEYS` says how many keys there are. `make
//! chaos-selftest` shows that the machine notices promises that are broken on purpose, with fresh seeds.

mod chaos {
    pub mod checker;
    #[cfg(test)]
    mod checker_tests;
    pub mod clients;
    pub mod course;
    pub mod disk;
    pub mod faults;
    pub mod growth;
    pub mod history;
    pub mod machine;
    pub mod mounts;
    pub mod operator;
    pub mod proxy;
    pub mod repairs;
    pub mod report;
    pub mod returns;
    pub mod schedule;
    #[cfg(test)]
    mod schedule_tests;
    pub mod steps;
    #[cfg(test)]
    mod steps_tests;
    pub mod strays;
}
mod common;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use webdfs::failpoint::Wrong;

use chaos::checker::Violation;
use chaos::machine::{Settings, run};
use chaos::mounts::{in_a_namespace, may_mount};
use chaos::schedule::{Kind, Plan};
use chaos::steps;

/// How long a hunt for a promise that is broken on purpose may take.
const HUNT: Duration = Duration::from_secs(120);
/// Milliseconds: of a run, and of a hunt.
const ROUND: u64 = 10_000;
const HUNT_ROUND: u64 = 6000;

/// One machine at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// The faults that are asked for, or all that can heal.
fn kinds() -> BTreeSet<Kind> {
    let here = |kind: &Kind| *kind != Kind::Fill || may_mount();
    let Ok(wanted) = std::env::var("WEBDFS_CHAOS_FAULTS") else {
        return Kind::ALL.into_iter().filter(here).collect();
    };
    let kind = |word: &str| {
        let known = Kind::ALL.into_iter().find(|kind| format!("{kind:?}").eq_ignore_ascii_case(word));
        known.unwrap_or_else(|| panic!("WEBDFS_CHAOS_FAULTS: {word} is none of {:?}", Kind::ALL))
    };
    wanted.split(',').map(kind).collect()
}

#[test]
fn five_nodes_keep_every_promise_whatever_goes_wrong() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(kept) = in_a_namespace("five_nodes_keep_every_promise_whatever_goes_wrong") {
        assert!(kept, "see above");
        return;
    }
    let seed = number("WEBDFS_CHAOS_SEED").unwrap_or(1);
    let duration = Duration::from_secs(number("WEBDFS_CHAOS_SECONDS").unwrap_or(60));
    let plan = Plan { seed, kinds: kinds(), steps: steps::names().collect(), round: ROUND };
    let keys = number("WEBDFS_CHAOS_KEYS").unwrap_or(2400) as usize;
    let (report, violations) =
        run(Settings { plan, duration, keys, clients: 8, wrong: None, ends_it: |_| true });
    eprintln!("{report}");
    assert!(violations.is_empty(), "seed {seed}: {} promises were not kept", violations.len());
    assert!(report.maps[0] > 0 || !kinds().contains(&Kind::Add), "the map has never changed");
    let (acknowledged, clock_off) = report.acknowledged();
    assert!(acknowledged > 100, "only {acknowledged} writes were acknowledged: that shows nothing");
    assert!(clock_off > 0 || !kinds().contains(&Kind::Clock), "no write came from a node with a wrong clock");
    // In a single round all of them may be off by little.
    let surely = report.rounds > 2 && clock_off > 0;
    assert!(report.misdated > 0 || !surely, "no wrong clock was the clock of a write");
}

/// Breaks a promise on purpose, and waits until the machine notices.
fn finds(wrong: Wrong, kinds: &[Kind], keys: usize, is_it: fn(&Violation) -> bool) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let began = Instant::now();
    let seed = match std::env::var_os("WEBDFS_CHAOS_HUNT") {
        Some(_) => fastrand::u64(..),
        None => 1,
    };
    let plan = Plan {
        seed,
        kinds: kinds.iter().copied().collect(),
        steps: steps::names().collect(),
        round: HUNT_ROUND,
    };
    let (report, violations) =
        run(Settings { plan, duration: HUNT, keys, clients: 8, wrong: Some(wrong), ends_it: is_it });
    eprintln!("{wrong:?} after {} s: {report}", began.elapsed().as_secs());
    assert!(violations.iter().any(is_it), "seed {seed}: {wrong:?} was not noticed: {violations:?}");
}

#[test]
fn an_acknowledgement_before_anything_is_durable_is_noticed() {
    let kinds = [Kind::KillAll, Kind::Kill];
    finds(Wrong::EarlyAcknowledgement, &kinds, 400, |it| matches!(it, Violation::LostWrite { .. }));
}

#[test]
fn a_deletion_without_a_tombstone_is_noticed() {
    let kinds = [Kind::Kill, Kind::KillResponder];
    finds(Wrong::NoTombstone, &kinds, 48, |it| matches!(it, Violation::UndoneDelete { .. }));
}

#[test]
fn a_copy_removed_before_its_owners_have_confirmed_it_is_noticed() {
    let kinds = [Kind::Misplace, Kind::Cut];
    finds(Wrong::EarlyUnlink, &kinds, 400, |it| matches!(it, Violation::EarlyRemoval { .. }));
}

#[test]
fn writes_dated_by_the_clock_alone_are_noticed() {
    finds(Wrong::WallClock, &[Kind::Clock], 48, |it| matches!(it, Violation::LostWrite { .. }));
}

#[test]
fn a_look_up_that_skips_the_older_maps_is_noticed() {
    // A sub-cluster that is drained for another, so that all owners of a file change at once, and cannot reach it.
    let kinds = [Kind::Add, Kind::Weight, Kind::Cut, Kind::Delay];
    finds(Wrong::NewestMapOnly, &kinds, 400, |it| matches!(it, Violation::WrongAnswer { .. }));
}
