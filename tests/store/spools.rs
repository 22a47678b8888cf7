use std::sync::Arc;
use std::time::Duration;

use webdfs::store::{Commit, Outcome, SpoolId, StoreError};

use crate::store_support::*;

fn not_prepared<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotPrepared))
}

#[test]
fn only_the_upload_that_the_commit_describes_is_committed() {
    let root = new_root();
    let store = open(root.path());
    let (cat, dog) = (name("cat.jpg"), name("dog.jpg"));
    let (id, crc32) = prepare(&store, &cat, b"meow").unwrap();
    let good = order(id, &cat, at(1), b"meow");
    for wrong in [
        Commit { id: SpoolId::random(), ..good.clone() },
        Commit { name: &dog, ..good.clone() },
        Commit { crc32: crc32 ^ 1, ..good.clone() },
        Commit { length: 3, ..good.clone() },
    ] {
        assert!(not_prepared(&store.commit(&wrong)), "{wrong:?}");
    }
    assert!(files(root.path()).is_empty());
    assert_eq!(store.commit(&good).unwrap(), Outcome::Done);
}

#[test]
fn a_commit_that_is_repeated_is_already_held_although_its_upload_is_gone() {
    let root = new_root();
    let store = open(root.path());
    let x = name("x");
    let (id, _) = prepare(&store, &x, b"x").unwrap();
    let commit = order(id, &x, at(5), b"x");
    assert_eq!(store.commit(&commit).unwrap(), Outcome::Done);
    assert_eq!(store.commit(&commit).unwrap(), Outcome::AlreadyHeld);
    store.delete(&x, at(6)).unwrap();
    assert_eq!(store.commit(&commit).unwrap(), Outcome::HoldsNewer);
    assert!(not_prepared(&store.commit(&Commit { version: at(7), ..commit })));
    assert_eq!(read(&store, &x), None);
}

#[test]
fn an_upload_that_is_not_finished_can_neither_be_committed_nor_read_and_goes_when_it_is_dropped() {
    let root = new_root();
    let store = open(root.path());
    let id = SpoolId::random();
    let mut spool = store.spool(id, None).unwrap();
    spool.write(b"half").unwrap();
    assert!(not_prepared(&store.commit(&order(id, &name("x"), at(1), b"half"))));
    assert!(not_prepared(&store.read_spool(id)));
    assert!(store.spool(id, None).is_err(), "one id, two uploads");
    drop(spool);
    assert!(private_files(root.path(), "tmp").is_empty());
}

#[test]
fn a_complete_upload_can_be_read_before_its_commit_and_discarded() {
    use std::io::Read;
    let root = new_root();
    let store = open(root.path());
    let (id, _) = prepare(&store, &name("x"), b"spooled first").unwrap();
    let mut text = String::new();
    store.read_spool(id).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "spooled first");
    store.discard(id);
    store.discard(id);
    assert!(not_prepared(&store.commit(&order(id, &name("x"), at(1), b"spooled first"))));
    assert!(private_files(root.path(), "tmp").is_empty());
}

#[test]
fn an_upload_prepared_by_one_process_is_committed_by_another_only_if_every_byte_is_there() {
    let root = new_root();
    let (here, there) = (open(root.path()), open(root.path()));
    let (id, _) = prepare(&here, &name("x"), b"whole").unwrap();
    assert_eq!(there.commit(&order(id, &name("x"), at(1), b"whole")).unwrap(), Outcome::Done);

    // As a loss of power leaves it: the attribute is there, the bytes are not.
    for left in [&b""[..], b"\0\0\0\0\0\0", b"secon"] {
        let (id, _) = prepare(&here, &name("x"), b"second").unwrap();
        std::fs::write(root.path().join(".webdfs/tmp").join(id.to_string()), left).unwrap();
        assert!(not_prepared(&there.commit(&order(id, &name("x"), at(2), b"second"))), "{left:?}");
    }
    assert_eq!(read(&there, &name("x")).unwrap().0, b"whole");
}

#[test]
fn an_upload_whose_commit_does_not_come_expires_and_names_what_this_node_may_have_missed() {
    let root = new_root();
    let store = open(root.path());
    let (id, _) = prepare(&store, &name("a/x"), b"x").unwrap();
    let swept = store.sweep_spools(Duration::from_secs(3600)).unwrap();
    assert_eq!((swept.expired.len(), swept.abandoned), (0, 0), "it is young");
    let swept = store.sweep_spools(Duration::ZERO).unwrap();
    assert_eq!((swept.expired, swept.abandoned), (vec![name("a/x")], 0));
    assert!(not_prepared(&store.commit(&order(id, &name("a/x"), at(1), b"x"))));
    assert!(files(root.path()).is_empty() && !root.path().join("a").exists());
}

#[test]
fn what_a_living_process_is_writing_is_not_swept_however_long_it_takes() {
    /// Sweeps as the agent of another process would, before every call.
    struct Sweeper(Arc<webdfs::store::Store>);
    impl Watch for Sweeper {
        fn before(&self, op: &Op) -> Verdict {
            // Between its making and its lock a file is protected by its youth alone.
            if !matches!(op, Op::Create(_)) {
                let swept = self.0.sweep_spools(Duration::ZERO).unwrap();
                assert!(swept.expired.is_empty(), "{op:?}");
            }
            Verdict::Do
        }
    }
    let root = new_root();
    let agent = open(root.path());
    let other = open(root.path());
    let store = open_watched(settings(root.path()), Arc::new(Sweeper(agent))).unwrap();
    store.identify(&"img1".parse().unwrap()).unwrap();
    let id = SpoolId::random();
    let mut spool = store.spool(id, None).unwrap();
    spool.write(b"one").unwrap();
    spool.write(b"two").unwrap();
    spool.finish(&name("x"), 1).unwrap();
    // A commit may take long as well: it syncs.
    assert_eq!(store.commit(&order(id, &name("x"), at(1), b"onetwo")).unwrap(), Outcome::Done);
    store.delete(&name("x"), at(2)).unwrap();
    assert_eq!(read(&other, &name("x")), None);
    assert!(private_files(root.path(), "tmp").is_empty());
}

#[test]
fn a_replica_once_committed_cannot_be_changed_by_the_commit_of_its_upload() {
    let root = new_root();
    let store = open(root.path());
    let x = name("x");
    let (id, _) = prepare(&store, &x, b"x").unwrap();
    let commits: Vec<_> = (1..=8u64).map(|version| order(id, &x, at(version), b"x")).collect();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = commits.iter().map(|commit| scope.spawn(|| store.commit(commit))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let done: Vec<_> = (0..8).filter(|&index| matches!(outcomes[index], Ok(Outcome::Done))).collect();
    assert_eq!(done.len(), 1, "{outcomes:?}");
    assert_eq!(read(&store, &x).unwrap().1, commits[done[0]].version);
    assert_eq!(store.held(&x).unwrap().copy().unwrap().crc32, Some(crc32(b"x")));
}
