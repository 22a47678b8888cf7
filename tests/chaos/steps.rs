//! The steps at which webdfs may be stopped: each process notes those that it comes to.

use std::collections::BTreeSet;

use webdfs::failpoint::Step;

/// What `FAILPOINTS` says so that a process notes in its log, once, each step that it comes to, but for one.
pub fn noting(but: Option<&str>) -> String {
    let noted = names().filter(|name| but != Some(name)).map(|name| format!("{name}=1*print"));
    noted.collect::<Vec<_>>().join(";")
}

/// The steps that the writers of this log have come to.
pub fn noted_in(log: &str) -> BTreeSet<&'static str> {
    let words: BTreeSet<&str> =
        log.lines().filter_map(|line| line.split_once("failpoint ")?.1.strip_suffix(" executed.")).collect();
    names().filter(|name| words.contains(name)).collect()
}

/// Whether a process comes to a step many times a second when there are writes.
pub fn is_frequent(step: &str) -> bool {
    const RARE: [&str; 4] = ["store.remove-folder", "store.sync-all", "store.batch-placed", "store.stamp-"];
    let of_writes = step.starts_with("store.") || step.starts_with("service.");
    of_writes && !is_of_return(step) && !is_of_rot(step) && !RARE.iter().any(|rare| step.starts_with(rare))
}

/// Whether only the process of a root comes to a step that has returned.
pub fn is_of_return(step: &str) -> bool {
    ["store.return-", "store.taken-back", "agent.offered-all"].iter().any(|of| step.starts_with(of))
}

fn is_of_rot(step: &str) -> bool {
    ["store.rot-found", "store.quarantined"].contains(&step)
}

/// All steps.
pub fn names() -> impl Iterator<Item = &'static str> {
    Step::ALL.iter().map(|step| step.name())
}
