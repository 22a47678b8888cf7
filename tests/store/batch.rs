use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use webdfs::config::Reserve;
use webdfs::held::Held;
use webdfs::store::{BatchCopy, Outcome, Store, StoreError, StoreSettings};

use crate::store_support::*;

fn copy(text: &str, seconds: u64, bytes: &[u8]) -> BatchCopy {
    BatchCopy { name: name(text), version: at(seconds), crc32: crc32(bytes), size: bytes.len() as u64 }
}

fn copies<'a>(
    of: &[(&'a str, u64, &'a [u8])],
) -> Vec<(webdfs::name::ObjectName, webdfs::version::Version, Vec<u8>)> {
    of.iter().map(|(text, seconds, bytes)| (name(text), at(*seconds), bytes.to_vec())).collect()
}

#[test]
fn the_newer_copy_stays_whether_it_came_with_others_or_alone() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("older"), at(5), b"five").unwrap();
    put(&store, &name("same"), at(5), b"five").unwrap();
    put(&store, &name("newer"), at(5), b"five").unwrap();
    store.delete(&name("deleted"), at(5)).unwrap();
    store.delete(&name("again"), at(5)).unwrap();
    let outcomes = put_together(
        &store,
        &copies(&[
            ("older", 6, b"six"),
            ("same", 5, b"five"),
            ("newer", 4, b"four"),
            ("deleted", 4, b"four"),
            ("again", 6, b"six"),
            ("a/new/one", 6, b""),
        ]),
    );
    use Outcome::{AlreadyHeld, Done, HoldsNewer};
    assert_eq!(outcomes.unwrap(), [Done, AlreadyHeld, HoldsNewer, HoldsNewer, Done, Done]);
    let held: Vec<_> = ["older", "same", "newer", "deleted", "again", "a/new/one"]
        .map(|text| {
            read(&store, &name(text)).map(|(bytes, version)| (String::from_utf8(bytes).unwrap(), version))
        })
        .into();
    let some = |text: &str, seconds| Some((text.to_owned(), at(seconds)));
    assert_eq!(held, [some("six", 6), some("five", 5), some("five", 5), None, some("six", 6), some("", 6)]);
    assert!(private_files(root.path(), "tmp").is_empty());
    assert_eq!(
        private_files(root.path(), "tombstones").len(),
        1,
        "the one that a newer copy outlived is gone"
    );
    assert_eq!(
        store.held(&name("a/new/one")).unwrap().copy().and_then(|copy| copy.crc32),
        Some(crc32(b"")),
        "a replica like any other"
    );
}

#[test]
fn a_copy_whose_bytes_are_others_is_left_out_and_the_rest_is_taken() {
    let root = new_root();
    let store = open(root.path());
    let mut batch = store.batch(100).unwrap();
    batch.add(copy("a", 1, b"good"), b"good").unwrap();
    for wrong in [&b"gold"[..], b"good!", b"goo", b""] {
        assert!(matches!(batch.add(copy("b", 1, b"good"), wrong), Err(StoreError::NotPrepared)), "{wrong:?}");
    }
    batch.add(copy("c", 1, b"fine"), b"fine").unwrap();
    let outcomes: Vec<_> = batch.commit().unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done]);
    assert_eq!(files(root.path()), ["a", "c"].map(std::path::PathBuf::from));
    assert!(private_files(root.path(), "tmp").is_empty());
}

#[test]
fn nothing_of_a_batch_is_visible_before_it_is_committed_and_nothing_is_left_of_one_that_is_not() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("a"), at(1), b"old").unwrap();
    let mut batch = store.batch(100).unwrap();
    batch.add(copy("a", 2, b"new"), b"new").unwrap();
    batch.add(copy("b/c", 2, b"new"), b"new").unwrap();
    assert_eq!(private_files(root.path(), "tmp").len(), 2);
    assert_eq!(store.sweep_spools(std::time::Duration::ZERO).unwrap().abandoned, 0, "somebody writes them");
    assert_eq!(files(root.path()), [std::path::PathBuf::from("a")]);
    drop(batch);
    assert!(private_files(root.path(), "tmp").is_empty());
    assert_eq!(read(&store, &name("a")), Some((b"old".to_vec(), at(1))));
    assert_eq!(store.held(&name("b/c")).unwrap(), Held::Nothing);
}

/// Fails one kind of call; each may be the n-th.
struct Failing {
    fails: fn(&Op) -> bool,
    from: usize,
    errno: Errno,
    seen: AtomicUsize,
}

impl Failing {
    fn from(from: usize, errno: Errno, fails: fn(&Op) -> bool) -> Arc<Self> {
        Arc::new(Self { fails, from, errno, seen: AtomicUsize::new(0) })
    }
}

impl Watch for Failing {
    fn before(&self, op: &Op) -> Verdict {
        if (self.fails)(op) && self.seen.fetch_add(1, Ordering::SeqCst) >= self.from {
            return Verdict::Fail(self.errno);
        }
        Verdict::Do
    }
}

#[test]
fn what_a_process_that_died_leaves_of_a_batch_is_swept_away() {
    let root = new_root();
    // A process that dies removes nothing; the system closes its files.
    let of_batch = |op: &Op| matches!(op, Op::Unlink(path) if path.to_string_lossy().ends_with("-batch"));
    let dying = open_watched(settings(root.path()), Failing::from(0, Errno::IO, of_batch)).unwrap();
    let mut batch = dying.batch(100).unwrap();
    batch.add(copy("a", 2, b"new"), b"new").unwrap();
    drop(batch);
    drop(dying);
    assert_eq!(private_files(root.path(), "tmp").len(), 1);
    let store = open(root.path());
    assert_eq!(store.sweep_spools(std::time::Duration::ZERO).unwrap().abandoned, 1);
    assert!(private_files(root.path(), "tmp").is_empty());
    assert!(files(root.path()).is_empty());
}

#[test]
fn a_disk_that_fills_up_during_a_batch_takes_nothing_of_it_and_everything_once_there_is_room() {
    let root = new_root();
    let is_write = |op: &Op| matches!(op, Op::Write(path, _) if path.to_string_lossy().ends_with("-batch"));
    let store = open_watched(settings(root.path()), Failing::from(2, Errno::NOSPC, is_write)).unwrap();
    put(&store, &name("a"), at(1), b"old").unwrap();
    let wanted = copies(&[("a", 2, b"new"), ("b", 2, b"new"), ("c", 2, b"new")]);
    assert!(matches!(put_together(&store, &wanted), Err(StoreError::Full { .. })));
    assert!(private_files(root.path(), "tmp").is_empty(), "the cut off batch takes up room");
    assert_eq!(files(root.path()), [std::path::PathBuf::from("a")]);
    assert_eq!(read(&store, &name("a")), Some((b"old".to_vec(), at(1))));
    assert!(!store.sync_has_failed());
    drop(store);
    assert_eq!(put_together(&open(root.path()), &wanted).unwrap(), [Outcome::Done; 3]);

    let reserve = Reserve::Bytes(i64::MAX as u64);
    let full = Store::open(StoreSettings { reserve, ..settings(root.path()) }).map(Arc::new).unwrap();
    assert!(matches!(full.batch(1), Err(StoreError::Full { .. })));
}

#[test]
fn after_a_sync_that_failed_nothing_is_claimed_and_nothing_more_is_taken() {
    for failing in [0, 1] {
        let root = new_root();
        let syncs = Failing::from(failing, Errno::IO, |op| matches!(op, Op::SyncAll));
        let store = open_watched(settings(root.path()), syncs).unwrap();
        put(&store, &name("a"), at(1), b"old").unwrap();
        let wanted = copies(&[("a", 2, b"new"), ("b", 2, b"new")]);
        put_together(&store, &wanted).unwrap_err();
        assert!(store.sync_has_failed());
        assert!(matches!(store.batch(1), Err(StoreError::SyncFailed { .. })));
        assert!(matches!(put(&store, &name("x"), at(1), b"x"), Err(StoreError::SyncFailed { .. })));
        assert!(private_files(root.path(), "tmp").is_empty(), "sync {failing}");
        if failing == 0 {
            assert_eq!(
                files(root.path()),
                [std::path::PathBuf::from("a")],
                "no name before its bytes are durable"
            );
            assert_eq!(read(&store, &name("a")), Some((b"old".to_vec(), at(1))));
        }
    }
}

/// Lets one sync of a whole disk fail for want of room.
struct FullOnce(AtomicUsize);

impl Watch for FullOnce {
    fn before(&self, op: &Op) -> Verdict {
        let fails = matches!(op, Op::SyncAll) && self.0.fetch_sub(1, Ordering::SeqCst) == 0;
        if fails { Verdict::Fail(Errno::NOSPC) } else { Verdict::Do }
    }
}

#[test]
fn want_of_room_that_shows_at_a_sync_fails_that_batch_alone() {
    for failing in [0, 1] {
        let root = new_root();
        let store =
            open_watched(settings(root.path()), Arc::new(FullOnce(AtomicUsize::new(failing)))).unwrap();
        put(&store, &name("a"), at(1), b"old").unwrap();
        let wanted = copies(&[("a", 2, b"new"), ("b", 2, b"new")]);
        assert!(matches!(put_together(&store, &wanted), Err(StoreError::Full { .. })), "sync {failing}");
        assert!(private_files(root.path(), "tmp").is_empty(), "the cut off batch takes up room");
        if failing == 0 {
            assert_eq!(files(root.path()), [std::path::PathBuf::from("a")]);
            assert_eq!(read(&store, &name("a")), Some((b"old".to_vec(), at(1))));
        }
        assert!(!store.sync_has_failed(), "a full disk is no broken one");
        put_together(&store, &wanted).unwrap();
        for text in ["a", "b"] {
            assert_eq!(read(&store, &name(text)), Some((b"new".to_vec(), at(2))));
        }
    }
}

/// Does something at the first sync of a batch.
struct AtSync(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Watch for AtSync {
    fn before(&self, op: &Op) -> Verdict {
        if matches!(op, Op::SyncAll)
            && let Some(act) = self.0.lock().unwrap().take()
        {
            act();
        }
        Verdict::Do
    }
}

#[test]
fn what_others_write_and_delete_while_a_batch_is_synced_is_not_undone() {
    let root = new_root();
    let other = open(root.path());
    put(&other, &name("deleted"), at(1), b"old").unwrap();
    let meanwhile = Box::new(move || {
        put(&other, &name("replaced"), at(9), b"newest").unwrap();
        other.delete(&name("deleted"), at(9)).unwrap();
    });
    let store = open_watched(settings(root.path()), Arc::new(AtSync(Mutex::new(Some(meanwhile))))).unwrap();
    let wanted = copies(&[("replaced", 5, b"new"), ("deleted", 5, b"new"), ("alone", 5, b"new")]);
    let outcomes = put_together(&store, &wanted).unwrap();
    assert_eq!(outcomes, [Outcome::HoldsNewer, Outcome::HoldsNewer, Outcome::Done]);
    assert_eq!(read(&store, &name("replaced")), Some((b"newest".to_vec(), at(9))));
    assert_eq!(store.held(&name("deleted")).unwrap(), Held::Tombstone { version: at(9) });
    assert_eq!(read(&store, &name("alone")), Some((b"new".to_vec(), at(5))));
}
