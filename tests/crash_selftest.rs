//! Whether the test of crashes (`crash.rs`) can fail: a store that acknowledges before it syncs must not survive it.
//! A program of its own, since the fault is one of the whole process.

#[allow(dead_code, reason = "the tests of crashes use all of it")]
mod crash {
    pub mod disk;
    pub mod oracle;
    pub mod record;
    pub mod scenarios;
}
mod store_support;

use crash::record::{crash_everywhere, record};
use crash::scenarios;
use store_support::Verdict;
use webdfs::failpoint::Wrong;

/// The scenarios that a crash somewhere in them ruins.
fn ruined() -> usize {
    let ruined = scenarios::all().into_iter().filter(|scenario| {
        let recording = record(&scenario.settled, &scenario.steps, Box::new(|_, _| Verdict::Do));
        crash_everywhere(&recording, 0..2).is_err()
    });
    ruined.count()
}

#[test]
fn an_acknowledgement_before_the_sync_is_noticed() {
    assert_eq!(ruined(), 0, "a store that does right survives");
    fail::cfg(Wrong::NoSync.name(), "return").unwrap();
    let ruined = ruined();
    fail::remove(Wrong::NoSync.name());
    assert!(ruined > 0, "nobody noticed");
}
