//! Where tests may stop the program, and how they may make it do wrong: all of it is listed here.
//!
//! A release has nothing of this: a failpoint works in builds with debug assertions whose dependency `fail` has its
//! feature on, which only tests ask for. There the environment variable `FAILPOINTS` says what happens, in the words of
//! that crate: `store.rename=5*off->return` kills the process before its sixth rename, as SIGKILL would.

use rustix::process::{Signal, getpid, kill_process};

/// Points of one kind, with the names that `FAILPOINTS` knows them by.
macro_rules! points {
    ($(#[$about:meta])* $kind:ident: $($(#[$doc:meta])* $point:ident = $name:literal,)+) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $kind { $($(#[$doc])* $point,)+ }

        impl $kind {
            /// All of them.
            pub const ALL: &[$kind] = &[$($kind::$point),+];

            /// What `FAILPOINTS` calls it.
            pub const fn name(self) -> &'static str {
                match self { $($kind::$point => $name,)+ }
            }
        }
    };
}

points! {
    /// A moment between two steps, at which the process may die.
    Step:
    /// Before the store makes a folder.
    MakeFolder = "store.make-folder",
    /// Before the store makes a file.
    Create = "store.create",
    /// Before the store appends to a file.
    Write = "store.write",
    /// Before the store sets an extended attribute.
    SetAttribute = "store.set-attribute",
    /// Before the store sets an mtime.
    SetMtime = "store.set-mtime",
    /// Before the store syncs a file.
    SyncFile = "store.sync-file",
    /// Before the store renames a file.
    Rename = "store.rename",
    /// Before the store syncs a folder.
    SyncFolder = "store.sync-folder",
    /// Before the store syncs its whole disk.
    SyncAll = "store.sync-all",
    /// Before the store unlinks a file.
    Unlink = "store.unlink",
    /// Before the store removes a folder.
    RemoveFolder = "store.remove-folder",
    /// Every copy of a batch has its name, and that is not durable.
    BatchPlaced = "store.batch-placed",
    /// A copy has rotted, and still lies where it is served.
    RotFound = "store.rot-found",
    /// A file lies in quarantine, and that it is gone from its old place is not durable.
    Quarantined = "store.quarantined",
    /// A root is known to have returned, and its files are where they were.
    ReturnBegun = "store.return-begun",
    /// Before the next of the files with which a root has returned is moved out of the way.
    ReturnMoving = "store.return-moving",
    /// All of them are moved, and the root does not know it.
    ReturnMoved = "store.return-moved",
    /// A copy with which the root has returned is confirmed, and not back in its place.
    ReturnConfirmed = "store.return-confirmed",
    /// It is back, and what it supersedes is still there.
    TakenBack = "store.taken-back",
    /// The root's stamp is raised, and nobody has been told.
    StampRaised = "store.stamp-raised",
    /// The stamp of another root is remembered, and that node does not know it.
    StampRemembered = "store.stamp-remembered",
    /// The coordinator has heard who is prepared, and has chosen no version.
    Prepared = "service.prepared",
    /// The coordinator has chosen the version, and has told nobody.
    Decided = "service.decided",
    /// An owner is told to commit.
    CommitOrdered = "service.commit-ordered",
    /// An owner has committed, and has not marked who missed it.
    Committed = "service.committed",
    /// The coordinator knows how the commits ended, and has not answered.
    Gathered = "service.gathered",
    /// The coordinator of a deletion has heard what is held, and has told nobody to delete it.
    DeletionAsked = "service.deletion-asked",
    /// An owner has written a tombstone, and has not marked who missed it.
    Deleted = "service.deleted",
    /// An owner has all bytes of a batch, and has committed none of its copies.
    BatchTaken = "service.batch-taken",
    /// An owner has committed a batch, and has not said so.
    BatchCommitted = "service.batch-committed",
    /// The agent has sent a copy, and has not had it committed.
    ReplaySent = "agent.replay-sent",
    /// The agent has fetched a copy, and has not committed it.
    ReplayFetched = "agent.replay-fetched",
    /// The agent has brought a key up to date, and its mark is still there.
    ReplaySettled = "agent.replay-settled",
    /// Every owner has a tombstone, as the agent knows, and it has noted that nowhere and told nobody.
    TombstoneAgreed = "agent.tombstone-agreed",
    /// The agent has told an owner to forget a tombstone, and not the next one.
    ForgetSent = "agent.forget-sent",
    /// All other owners have forgotten a tombstone, and the agent's own root has not.
    ForgottenElsewhere = "agent.forgotten-elsewhere",
    /// An owner is told to forget a tombstone.
    ForgetOrdered = "service.forget-ordered",
    /// For a pass all nodes have walked over their roots, and nothing is compared.
    PassWalked = "agent.pass-walked",
    /// Keys are compared with those of another node, and nothing has travelled.
    KeysCompared = "agent.keys-compared",
    /// Another node has taken a batch, and the pass has not noted it.
    BatchAnswered = "agent.batch-answered",
    /// A file that was put there by hand is a copy now, and nobody is to be told of it yet.
    ByHandAdopted = "agent.by-hand-adopted",
    /// What has rotted is in quarantine, and is not marked as missing.
    RotPutAway = "agent.rot-put-away",
    /// All others have offered what the root should have, and it is not complete.
    OfferedAll = "agent.offered-all",
    /// All owners of files that belong elsewhere have answered, and nothing has become of the files.
    StraysConfirmed = "agent.strays-confirmed",
}

points! {
    /// A promise broken on purpose, to show that the tests notice.
    Wrong:
    /// An owner says that it has committed before it has.
    EarlyAcknowledgement = "wrong.early-acknowledgement",
    /// A commit is done before it is durable.
    NoSync = "wrong.no-sync",
    /// A name is looked up under the newest map alone, while files are where older ones place them.
    NewestMapOnly = "wrong.newest-map-only",
    /// An owner unlinks what is deleted, and remembers nothing of it.
    NoTombstone = "wrong.no-tombstone",
    /// A copy that belongs elsewhere is unlinked before its owners have confirmed that they have it.
    EarlyUnlink = "wrong.early-unlink",
    /// A write is dated by the clock alone, whatever it follows.
    WallClock = "wrong.wall-clock",
}

points! {
    /// A moment at which a test has something else happen first.
    Pause:
    /// The process knows who has started it, and has not asked to be told of that one's end.
    BindToParent = "serve.bind-to-parent",
}

/// Reads `FAILPOINTS`. Called once, when the process starts.
pub fn set_up() {
    if cfg!(debug_assertions) {
        // It would be ended when it is dropped.
        std::mem::forget(fail::FailScenario::setup());
    }
}

/// Dies here if a test says so.
pub fn step(step: Step) {
    if cfg!(debug_assertions) {
        let _ = step;
        fail::fail_point!(step.name(), |_| die());
    }
}

/// Whether a test wants this to be done wrong.
pub fn does_wrong(wrong: Wrong) -> bool {
    if cfg!(debug_assertions) {
        let _ = wrong;
        fail::fail_point!(wrong.name(), |_| true);
    }
    false
}

/// Stands still here if a test says so, as after SIGSTOP, until SIGCONT comes.
pub fn pause(pause: Pause) {
    if cfg!(debug_assertions) {
        let _ = pause;
        fail::fail_point!(pause.name(), |_| {
            signal_self(Signal::STOP);
        });
    }
}

/// Ends the process as SIGKILL from outside would: nothing is finished or told.
#[allow(dead_code, reason = "without the failpoints nobody calls it")]
fn die() {
    signal_self(Signal::KILL);
    std::process::abort();
}

#[allow(dead_code, reason = "without the failpoints nobody calls it")]
fn signal_self(signal: Signal) {
    let _ = kill_process(getpid(), signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_has_a_name_of_its_own() {
        let steps = Step::ALL.iter().map(|step| step.name());
        let wrongs = Wrong::ALL.iter().map(|wrong| wrong.name());
        let names: Vec<_> = steps.chain(wrongs).chain(Pause::ALL.iter().map(|pause| pause.name())).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
