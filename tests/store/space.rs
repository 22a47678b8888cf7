use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use webdfs::config::Reserve;
use webdfs::store::{SpoolId, Store, StoreError, StoreSettings};

use crate::store_support::*;

/// A disk on which so many more bytes can be written; removing files makes room for as many as were written to them.
struct Disk {
    left: Mutex<usize>,
    sizes: Mutex<std::collections::HashMap<std::path::PathBuf, usize>>,
}

impl Disk {
    fn with_room_for(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: Mutex::new(bytes), sizes: Mutex::default() })
    }
}

impl Watch for Disk {
    fn before(&self, op: &Op) -> Verdict {
        let Op::Write(path, bytes) = op else { return Verdict::Do };
        let mut left = self.left.lock().unwrap();
        let Some(rest) = left.checked_sub(bytes.0.len()) else { return Verdict::Fail(Errno::NOSPC) };
        *left = rest;
        *self.sizes.lock().unwrap().entry(path.clone()).or_default() += bytes.0.len();
        Verdict::Do
    }

    fn after(&self, op: Op) {
        let mut sizes = self.sizes.lock().unwrap();
        match op {
            Op::Unlink(path) => *self.left.lock().unwrap() += sizes.remove(&path).unwrap_or(0),
            Op::Rename(from, to) => {
                let size = sizes.remove(&from).unwrap_or(0);
                *self.left.lock().unwrap() += sizes.insert(to, size).unwrap_or(0);
            }
            _ => {}
        }
    }
}

fn is_full<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Full { .. }))
}

#[test]
fn a_full_disk_refuses_an_upload_keeps_what_was_there_and_recovers_with_room() {
    let root = new_root();
    let store = open_watched(settings(root.path()), Disk::with_room_for(2000)).unwrap();
    put(&store, &name("old"), at(1), &[1; 800]).unwrap();
    put(&store, &name("other"), at(1), &[2; 500]).unwrap();

    for (text, version) in [("old", 2), ("new/folder/x", 1)] {
        assert!(is_full(&put(&store, &name(text), at(version), &[3; 900])));
        assert!(private_files(root.path(), "tmp").is_empty(), "the cut off upload takes up room");
    }
    assert_eq!(read(&store, &name("old")), Some((vec![1; 800], at(1))));
    assert_eq!(read(&store, &name("new/folder/x")), None);
    assert!(!root.path().join("new").exists());
    assert!(!store.sync_has_failed());

    store.delete(&name("old"), at(2)).unwrap();
    put(&store, &name("old"), at(3), &[4; 900]).unwrap();
    assert_eq!(read(&store, &name("old")), Some((vec![4; 900], at(3))));
}

#[test]
fn deletes_work_on_a_full_disk_by_giving_up_the_ballast() {
    let root = new_root();
    let disk = Disk::with_room_for(5 << 20);
    let store = open_watched(settings(root.path()), disk.clone()).unwrap();
    store.keep_ballast().unwrap();
    let ballast = root.path().join(".webdfs/ballast");
    assert!(ballast.metadata().unwrap().len() >= 1 << 20);
    for text in ["a", "b"] {
        put(&store, &name(text), at(1), b"small").unwrap();
    }
    *disk.left.lock().unwrap() = 0;
    assert!(is_full(&put(&store, &name("c"), at(1), b"small")));
    assert!(ballast.exists(), "an upload is no reason to give it up");
    for text in ["a", "b"] {
        store.delete(&name(text), at(2)).unwrap();
        assert_eq!(read(&store, &name(text)), None);
    }
    assert!(!ballast.exists());
    assert!(files(root.path()).is_empty());

    // Without any, a deletion says that it did not happen.
    put(&store, &name("d"), at(1), b"small").unwrap();
    *disk.left.lock().unwrap() = 0;
    assert!(is_full(&store.delete(&name("d"), at(2))));
    assert_eq!(read(&store, &name("d")).unwrap().0, b"small");
    *disk.left.lock().unwrap() = 5 << 20;
    store.keep_ballast().unwrap();
    assert!(ballast.exists());
}

#[test]
fn below_the_reserve_uploads_are_refused_and_deletes_are_not() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("x"), at(1), b"x").unwrap();
    let settings = StoreSettings { reserve: Reserve::Bytes(i64::MAX as u64), ..settings(root.path()) };
    let store = Arc::new(Store::open(settings).unwrap());
    assert!(is_full(&store.spool(SpoolId::random(), Some(1))));
    assert!(is_full(&store.spool(SpoolId::random(), None)));
    assert!(private_files(root.path(), "tmp").is_empty());
    assert_eq!(read(&store, &name("x")).unwrap().0, b"x");
    store.delete(&name("x"), at(2)).unwrap();
    store.keep_ballast().unwrap();
    assert!(!root.path().join(".webdfs/ballast").exists(), "it is no use to fill the disk with it");
}

#[test]
fn an_upload_that_could_never_fit_is_refused_before_it_begins() {
    let root = new_root();
    assert!(is_full(&open(root.path()).spool(SpoolId::random(), Some(u64::MAX))));
    assert!(private_files(root.path(), "tmp").is_empty());
}

#[test]
fn an_upload_that_takes_the_disk_below_its_reserve_while_it_comes_in_ends_there() {
    /// More than other programs may free or fill meanwhile.
    const ROOM: u64 = 64 << 20;
    let root = new_root_in_memory();
    let space = rustix::fs::statvfs(root.path()).unwrap();
    let free = space.f_bavail * space.f_frsize;
    let settings =
        StoreSettings { reserve: Reserve::Bytes(free.saturating_sub(ROOM)), ..settings(root.path()) };
    let store = Arc::new(Store::open(settings).unwrap());
    let mut spool = store.spool(SpoolId::random(), None).unwrap();
    let piece = vec![7; 1 << 20];
    let refused = (0..(4 * ROOM) >> 20).map(|_| spool.write(&piece)).find(Result::is_err);
    assert!(refused.as_ref().is_some_and(is_full), "{refused:?}");
    drop(spool);
    assert!(private_files(root.path(), "tmp").is_empty(), "the cut off upload takes up room");
}

#[test]
fn a_root_on_a_full_disk_opens_so_that_it_can_be_read_and_emptied() {
    struct Full;
    impl Watch for Full {
        fn before(&self, op: &Op) -> Verdict {
            let grows = matches!(op, Op::SetAttribute(..) | Op::Write(..));
            if grows { Verdict::Fail(Errno::NOSPC) } else { Verdict::Do }
        }
    }
    let root = new_root();
    put(&open(root.path()), &name("x"), at(1), b"x").unwrap();
    open(root.path()).keep_ballast().unwrap();
    let store = open_watched(settings(root.path()), Arc::new(Full)).unwrap();
    assert_eq!(read(&store, &name("x")).unwrap().0, b"x");
    assert!(is_full(&put(&store, &name("y"), at(1), b"y")));
}

#[test]
fn no_room_for_the_bytes_at_their_sync_fails_only_that_write() {
    struct Late(Mutex<bool>);
    impl Watch for Late {
        fn before(&self, op: &Op) -> Verdict {
            let full = matches!(op, Op::SyncFile(_)) && *self.0.lock().unwrap();
            if full { Verdict::Fail(Errno::NOSPC) } else { Verdict::Do }
        }
    }
    let root = new_root();
    let disk = Arc::new(Late(Mutex::new(false)));
    let store = open_watched(settings(root.path()), disk.clone()).unwrap();
    put(&store, &name("x"), at(1), b"before").unwrap();
    *disk.0.lock().unwrap() = true;
    let (id, _) = prepare(&store, &name("x"), b"after").unwrap();
    assert!(is_full(&store.commit(&order(id, &name("x"), at(2), b"after"))));
    *disk.0.lock().unwrap() = false;
    let again = store.commit(&order(id, &name("x"), at(2), b"after"));
    assert!(
        matches!(again, Err(StoreError::NotPrepared)),
        "the kernel would claim to have synced it: {again:?}"
    );
    assert_eq!(read(&store, &name("x")).unwrap().0, b"before");
    put(&store, &name("x"), at(3), b"later").unwrap();
}
