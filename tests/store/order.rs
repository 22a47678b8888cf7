use std::os::unix::fs::MetadataExt;

use webdfs::config::Durability;
use webdfs::held::Held;
use webdfs::store::{Outcome, Store};

use crate::store_support::*;

#[test]
fn a_replica_is_a_plain_file_with_its_version_as_mtime() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("a/cat.jpg"), at(5), b"meow").unwrap();
    let path = root.path().join("a/cat.jpg");
    assert_eq!(std::fs::read(&path).unwrap(), b"meow");
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.modified().unwrap(), at(5).time());
    assert_eq!(metadata.mode() & 0o7777, 0o644);
    let held = store.held(&name("a/cat.jpg")).unwrap();
    assert_eq!(held.copy().unwrap().crc32, Some(crc32(b"meow")));
    let replica = store.open_replica(&name("a/cat.jpg")).unwrap().unwrap();
    assert_eq!((replica.size, replica.version, replica.is_escaped()), (4, at(5), false));
    // What is not in memory may have left it at any time; then it says nothing.
    let cached = store.open_cached(&name("a/cat.jpg"));
    let cached = cached.map(|replica| replica.expect("it is there").version);
    assert!(cached.is_none_or(|version| version == at(5)), "{cached:?}");
}

#[test]
fn an_older_version_changes_nothing_and_is_told_so() {
    let root = new_root();
    let store = open(root.path());
    let cat = name("cat.jpg");
    assert_eq!(put(&store, &cat, at(5), b"meow").unwrap(), Outcome::Done);
    assert_eq!(put(&store, &cat, at(4), b"late").unwrap(), Outcome::HoldsNewer);
    assert_eq!(store.delete(&cat, at(4)).unwrap(), Outcome::HoldsNewer);
    assert_eq!(read(&store, &cat), Some((b"meow".to_vec(), at(5))));
    assert_eq!(put(&store, &cat, at(5), b"meow").unwrap(), Outcome::AlreadyHeld);
    assert!(private_files(root.path(), "tmp").is_empty());
}

#[test]
fn at_equal_versions_the_higher_checksum_wins_whichever_came_first() {
    let (low, high) = if crc32(b"one") < crc32(b"two") { (b"one", b"two") } else { (b"two", b"one") };
    for (first, second, outcome) in [(low, high, Outcome::Done), (high, low, Outcome::HoldsNewer)] {
        let root = new_root();
        let store = open(root.path());
        put(&store, &name("x"), at(5), first).unwrap();
        assert_eq!(put(&store, &name("x"), at(5), second).unwrap(), outcome);
        assert_eq!(read(&store, &name("x")).unwrap().0, high);
    }
}

#[test]
fn at_equal_versions_a_tombstone_beats_a_file_whichever_came_first() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("x"), at(5), b"file").unwrap();
    assert_eq!(store.delete(&name("x"), at(5)).unwrap(), Outcome::Done);
    assert_eq!(put(&store, &name("x"), at(5), b"file").unwrap(), Outcome::HoldsNewer);
    assert_eq!(store.delete(&name("x"), at(5)).unwrap(), Outcome::AlreadyHeld);
    assert_eq!(store.held(&name("x")).unwrap(), Held::Tombstone { version: at(5) });
    assert_eq!(read(&store, &name("x")), None);
    assert!(files(root.path()).is_empty());
}

#[test]
fn a_write_above_a_tombstone_ends_it() {
    let root = new_root();
    let store = open(root.path());
    assert_eq!(store.delete(&name("x"), at(5)).unwrap(), Outcome::Done, "even if there was nothing");
    put(&store, &name("x"), at(6), b"again").unwrap();
    assert_eq!(read(&store, &name("x")).unwrap().0, b"again");
    assert!(private_files(root.path(), "tombstones").is_empty());
}

#[test]
fn a_reader_keeps_the_bytes_it_opened() {
    use std::os::unix::fs::FileExt;
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("x"), at(1), b"old").unwrap();
    let replica = store.open_replica(&name("x")).unwrap().unwrap();
    put(&store, &name("x"), at(2), b"new").unwrap();
    store.delete(&name("x"), at(3)).unwrap();
    let mut bytes = [0; 3];
    replica.file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"old");
}

/// Counts syncs.
#[derive(Default)]
struct Syncs(std::sync::Mutex<usize>);

impl Watch for Syncs {
    fn after(&self, op: Op) {
        *self.0.lock().unwrap() += usize::from(matches!(op, Op::SyncFile(_) | Op::SyncFolder(_)));
    }
}

#[test]
fn without_durability_a_clients_write_is_not_synced_and_everything_else_is() {
    let root = new_root();
    let syncs = std::sync::Arc::new(Syncs::default());
    let settings = webdfs::store::StoreSettings { durability: Durability::None, ..settings(root.path()) };
    let store = open_watched(settings, syncs.clone()).unwrap();
    let count = |action: &dyn Fn(&std::sync::Arc<Store>)| {
        *syncs.0.lock().unwrap() = 0;
        action(&store);
        *syncs.0.lock().unwrap()
    };
    assert_eq!(count(&|store| assert!(put(store, &name("x"), at(1), b"x").is_ok())), 0);
    assert!(count(&|store| assert!(store.delete(&name("x"), at(2)).is_ok())) > 0);
    assert_eq!(count(&|store| assert!(put(store, &name("x"), at(3), b"y").is_ok())), 0);
    assert_eq!(read(&store, &name("x")).unwrap().0, b"y");
    assert_eq!(
        private_files(root.path(), "tombstones").len(),
        1,
        "the tombstone is durable, the write is not"
    );
    let moved = |store: &std::sync::Arc<Store>| {
        let (id, _) = prepare(store, &name("x"), b"x").unwrap();
        let x = name("x");
        let commit = webdfs::store::Commit { for_client: false, ..order(id, &x, at(4), b"x") };
        store.commit(&commit).unwrap();
    };
    assert!(count(&moved) > 0);
    assert!(private_files(root.path(), "tombstones").is_empty());
    assert!(count(&moved) > 0, "that it is held already is no proof that it is durable");
}

/// Notes, in order, how many bytes were written to files and when those were synced.
#[derive(Default)]
struct Unsynced(std::sync::Mutex<(usize, Vec<usize>)>);

impl Watch for Unsynced {
    fn after(&self, op: Op) {
        let (unsynced, syncs) = &mut *self.0.lock().unwrap();
        match op {
            Op::Write(_, bytes) => *unsynced += bytes.0.len(),
            Op::SyncFile(_) => syncs.push(std::mem::take(unsynced)),
            _ => {}
        }
    }
}

#[test]
fn a_large_upload_is_synced_as_it_comes_in_so_that_its_commit_has_little_left_to_sync() {
    const MIB: usize = 1 << 20;
    for (durability, size, before_commit) in [
        (Durability::Sync, 1000, vec![]),
        (Durability::Sync, MIB, vec![]),
        (Durability::Sync, MIB + 1, vec![MIB + 1]),
        (Durability::Sync, 8 * MIB, vec![8 * MIB]),
        (Durability::Sync, 20 * MIB, vec![8 * MIB, 8 * MIB, 4 * MIB]),
        (Durability::None, 20 * MIB, vec![]),
    ] {
        let root = new_root_in_memory();
        let watch = std::sync::Arc::new(Unsynced::default());
        let settings = webdfs::store::StoreSettings { durability, ..settings(root.path()) };
        let store = open_watched(settings, watch.clone()).unwrap();
        let bytes = vec![7; size];
        let id = webdfs::store::SpoolId::random();
        let mut spool = store.spool(id, None).unwrap();
        for piece in bytes.chunks(64 << 10) {
            spool.write(piece).unwrap();
        }
        spool.finish(&name("x"), 1).unwrap();
        assert_eq!(watch.0.lock().unwrap().1, before_commit, "{size} bytes, {durability:?}");
        store.commit(&order(id, &name("x"), at(1), &bytes)).unwrap();
        let (unsynced, syncs) = &*watch.0.lock().unwrap();
        if durability == Durability::Sync {
            assert_eq!((*unsynced, syncs.len()), (0, before_commit.len() + 1), "{size} bytes");
        }
        assert!(read(&store, &name("x")).unwrap().0 == bytes);
    }
}

#[test]
fn marks_of_missed_writes_are_kept_until_they_are_cleared() {
    let root = new_root();
    let store = open(root.path());
    let node = "img2".parse().unwrap();
    for text in ["a", "b/c", "b/c"] {
        store.mark_dirty(&node, &name(text)).unwrap();
    }
    let mut marked = store.dirty(&node, 10).unwrap();
    marked.sort();
    assert_eq!(marked, [name("a"), name("b/c")]);
    assert_eq!(store.dirty(&node, 1).unwrap().len(), 1);
    assert!(store.dirty(&"img3".parse().unwrap(), 10).unwrap().is_empty());
    store.clear_dirty(&node, &name("a"));
    assert_eq!(store.dirty(&node, 10).unwrap(), [name("b/c")]);
}

#[test]
fn a_mark_that_is_made_again_while_the_key_is_brought_up_to_date_stays() {
    let root = new_root();
    let (agent, other) = (open(root.path()), open(root.path()));
    let node = "img2".parse().unwrap();
    other.mark_dirty(&node, &name("a")).unwrap();
    assert_eq!(agent.dirty(&node, 10).unwrap(), [name("a")]);
    other.mark_dirty(&node, &name("a")).unwrap();
    agent.clear_dirty(&node, &name("a"));
    assert_eq!(agent.dirty(&node, 10).unwrap(), [name("a")]);
    agent.clear_dirty(&node, &name("a"));
    assert!(agent.dirty(&node, 10).unwrap().is_empty());

    // However often it is made, it stays small.
    for _ in 0..5000 {
        other.mark_dirty(&node, &name("a")).unwrap();
    }
    assert_eq!(agent.dirty(&node, 10).unwrap(), [name("a")]);
    let mark = &private_files(root.path(), "dirty/img2")[0];
    assert!(root.path().join(".webdfs/dirty/img2").join(mark).metadata().unwrap().len() <= 4096);
}

#[test]
fn a_mark_that_is_just_being_made_is_not_taken_for_a_damaged_one() {
    let root = new_root();
    let store = open(root.path());
    let node = "img2".parse().unwrap();
    store.mark_dirty(&node, &name("a")).unwrap();
    let mark = root.path().join(".webdfs/dirty/img2").join(&private_files(root.path(), "dirty/img2")[0]);
    // As it is between its making and its writing.
    std::fs::write(&mark, b"").unwrap();
    assert!(store.dirty(&node, 10).unwrap().is_empty());
    assert!(mark.exists());
    std::fs::File::open(&mark).unwrap().set_modified(at(0).time()).unwrap();
    assert!(store.dirty(&node, 10).unwrap().is_empty());
    assert!(!mark.exists(), "it has been damaged for years");
}
