use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use webdfs::cluster::NodeName;
use webdfs::config::Layout;
use webdfs::held::{CopyInfo, Held};
use webdfs::name::Exclude;
use webdfs::php::PhpVersion;
use webdfs::store::{Outcome, Returned, Stamp, Store, StoreError};

use crate::store_support::*;

fn node() -> NodeName {
    "img1".parse().unwrap()
}

fn stamp(store: &Store) -> Stamp {
    store.identify(&node()).unwrap().stamp.expect("a stamp")
}

/// The copy that another owner holds of an object with these bytes.
fn copy(seconds: u64, bytes: &[u8]) -> CopyInfo {
    CopyInfo { version: at(seconds), size: bytes.len() as u64, crc32: Some(crc32(bytes)) }
}

fn returned(store: &Store) -> Vec<Returned> {
    let mut all = Vec::new();
    let visit = &mut |found| {
        all.push(found);
        ControlFlow::Continue(())
    };
    store.returned(visit).unwrap();
    all.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    all
}

/// The stamp of another root, raised as often.
fn stamp_of_another(raised: usize) -> Stamp {
    let root = new_root();
    let other = open(root.path());
    other.identify(&node()).unwrap();
    (0..raised).for_each(|_| other.raise_stamp(&node()).unwrap());
    stamp(&other)
}

/// Has a new root return, as one whose node has gone on with another.
fn make_return(store: &Store) {
    assert!(store.begin_return(&node(), stamp_of_another(0)).unwrap());
}

#[test]
fn a_stamp_grows_and_outlives_the_process() {
    let root = new_root();
    let store = open(root.path());
    let first = stamp(&store);
    store.raise_stamp(&node()).unwrap();
    let second = stamp(&open(root.path()));
    assert!(second.contradicts(first) && !first.contradicts(second));
    // A root of a release without stamps gets one.
    let text = "name = \"img1\"\nformat = 1\ncomplete = true\n";
    std::fs::write(root.path().join(".webdfs/node.toml"), text).unwrap();
    assert_eq!(store.identify(&node()).unwrap().stamp, None);
    store.raise_stamp(&node()).unwrap();
    assert!(store.identify(&node()).unwrap().complete && stamp(&store).number() == 1);
}

#[test]
fn the_newest_stamp_of_another_node_is_remembered() {
    let (root, other) = (new_root(), new_root());
    let (store, theirs) = (open(root.path()), open(other.path()));
    let old = stamp(&theirs);
    assert_eq!(store.remember_stamp(&node(), old).unwrap(), None);
    theirs.raise_stamp(&node()).unwrap();
    let new = stamp(&theirs);
    assert_eq!(store.remember_stamp(&node(), new).unwrap(), Some(old));
    // One that comes late, and one of a root that has come as far, change nothing.
    for stamp in [old, stamp_of_another(1), new] {
        assert_eq!(open(root.path()).remember_stamp(&node(), stamp).unwrap(), Some(new));
    }
    std::fs::write(root.path().join(".webdfs/stamps/img1"), "17").unwrap();
    assert!(matches!(store.remember_stamp(&node(), new), Err(StoreError::Damaged { .. })));
}

#[test]
fn completeness_is_seen_by_every_process_of_a_root_at_once() {
    let root = new_root();
    let (store, other) = (open(root.path()), open(root.path()));
    assert!(!store.is_complete().unwrap(), "it is nobody's yet");
    let newborn = store.identify(&node()).unwrap();
    assert!(newborn.is_newborn() && !other.is_complete().unwrap());
    assert!(store.mark_complete(&node(), &newborn).unwrap());
    assert!(other.is_complete().unwrap());
    make_return(&store);
    for store in [&store, &other] {
        assert!(!store.is_complete().unwrap());
        assert!(store.is_complete_cached().is_none_or(|complete| !complete));
    }
}

#[test]
fn who_saw_the_root_before_it_returned_does_not_make_it_complete() {
    let root = new_root();
    let store = open(root.path());
    let newborn = store.identify(&node()).unwrap();
    make_return(&store);
    assert!(!store.mark_complete(&node(), &newborn).unwrap());
    let seen = store.identify(&node()).unwrap();
    assert!(!store.mark_complete(&node(), &seen).unwrap(), "its files are not out of the way yet");
    store.finish_return(&node(), &Exclude::default()).unwrap();
    let seen = store.identify(&node()).unwrap();
    assert!(!seen.complete && !seen.is_newborn());
    assert!(store.mark_complete(&node(), &seen).unwrap());
    let complete = store.identify(&node()).unwrap();
    assert!(complete.complete && complete.returned.is_none());
}

#[test]
fn a_root_that_has_returned_serves_nothing_it_held_and_a_stamp_that_it_knows_changes_nothing() {
    let root = new_root();
    let store = open(root.path());
    let known = stamp(&store);
    for (text, bytes) in [("a/b.jpg", "plain"), ("top.jpg", "top"), ("top.jpg/below", "escaped")] {
        put(&store, &name(text), at(1), bytes.as_bytes()).unwrap();
    }
    store.delete(&name("gone"), at(2)).unwrap();
    std::fs::write(root.path().join(".htaccess"), "deny").unwrap();
    std::fs::write(root.path().join("index.php"), "script").unwrap();
    store.raise_stamp(&node()).unwrap();
    for old in [known, stamp(&store)] {
        assert!(!store.begin_return(&node(), old).unwrap());
        store.finish_return(&node(), &Exclude::default()).unwrap();
    }
    assert_eq!(read(&store, &name("a/b.jpg")).unwrap().0, b"plain");

    let newest = stamp_of_another(5);
    assert!(store.begin_return(&node(), newest).unwrap());
    store.finish_return(&node(), &Exclude::default()).unwrap();
    let identity = store.identify(&node()).unwrap();
    assert!(!identity.complete && !identity.returning && identity.returned == Some(newest));
    assert!(!newest.contradicts(identity.stamp.unwrap()));
    assert_eq!(files(root.path()), [Path::new(".htaccess"), Path::new("index.php")], "no objects");
    assert!(!root.path().join("a").exists());
    for text in ["a/b.jpg", "top.jpg", "top.jpg/below"] {
        assert_eq!(store.held(&name(text)).unwrap(), Held::Nothing, "{text}");
    }
    assert_eq!(store.held(&name("gone")).unwrap(), Held::Tombstone { version: at(2) });
    let found: Vec<_> = returned(&store).into_iter().map(|found| (found.name, found.copy)).collect();
    let expected = [("a/b.jpg", "plain"), ("top.jpg", "top"), ("top.jpg/below", "escaped")];
    assert_eq!(found, expected.map(|(text, bytes)| (name(text), copy(1, bytes.as_bytes()))));
    // Life goes on, also under the same names, and it may return once more.
    put(&store, &name("a/b.jpg"), at(5), b"new").unwrap();
    let newer = {
        let other_root = new_root();
        let other = open(other_root.path());
        other.begin_return(&node(), stamp(&store)).unwrap();
        stamp(&other)
    };
    assert!(store.begin_return(&node(), newer).unwrap());
    store.finish_return(&node(), &Exclude::default()).unwrap();
    assert_eq!(store.held(&name("a/b.jpg")).unwrap(), Held::Nothing);
    assert_eq!(returned(&store).len(), 4);
}

#[test]
fn a_returned_file_moves_back_only_as_exactly_the_copy_that_an_owner_confirms() {
    for layout in [Layout::Path, Layout::WebdfsHashed(PhpVersion::V5_2)] {
        with_layout(layout, || {
            let root = new_root();
            let store = open(root.path());
            let names =
                ["a/b.jpg", "a/b.jpg/c", "late.jpg", "fetched.jpg", "newer.jpg", "deleted.jpg", "rotten.jpg"];
            for text in names {
                put(&store, &name(text), at(1), text.as_bytes()).unwrap();
            }
            make_return(&store);
            store.finish_return(&node(), &Exclude::default()).unwrap();
            let take_back = |text: &str, copy| store.take_back(&name(text), &copy).unwrap();
            for wrong in [copy(2, b"a/b.jpg"), copy(1, b"a/b.gif"), copy(1, b"short")] {
                assert!(!take_back("a/b.jpg", wrong), "{wrong:?}");
            }
            assert!(!take_back("unknown.jpg", copy(1, b"a/b.jpg")));
            // Two that cannot both lie at their paths, in the other order than before.
            for text in ["a/b.jpg/c", "a/b.jpg"] {
                assert!(take_back(text, copy(1, text.as_bytes())), "{text}");
                assert!(!take_back(text, copy(1, text.as_bytes())), "it is back already");
            }
            for text in ["a/b.jpg/c", "a/b.jpg"] {
                assert_eq!(read(&store, &name(text)), Some((text.into(), at(1))));
                assert_eq!(store.held(&name(text)).unwrap(), Held::Copy(copy(1, text.as_bytes())));
            }
            put(&store, &name("newer.jpg"), at(2), b"newer").unwrap();
            store.delete(&name("deleted.jpg"), at(1)).unwrap();
            for text in ["newer.jpg", "deleted.jpg"] {
                assert!(!take_back(text, copy(1, text.as_bytes())), "{text}");
            }
            assert_eq!(read(&store, &name("newer.jpg")).unwrap().0, b"newer");
            assert_eq!(read(&store, &name("deleted.jpg")), None);
            rot(&store, "rotten.jpg");
            assert!(!take_back("rotten.jpg", copy(1, b"rotten.jpg")));
            store.delete(&name("late.jpg"), at(0)).unwrap();
            assert!(take_back("late.jpg", copy(1, b"late.jpg")), "it is newer than the deletion");
            assert_eq!(read(&store, &name("late.jpg")).unwrap().0, b"late.jpg");
            // The same copy may have come from elsewhere since.
            put(&store, &name("fetched.jpg"), at(1), b"fetched.jpg").unwrap();
            assert!(!take_back("fetched.jpg", copy(1, b"fetched.jpg")));
            assert_eq!(read(&store, &name("fetched.jpg")).unwrap().0, b"fetched.jpg");
            let left: Vec<_> = returned(&store).into_iter().map(|found| found.name).collect();
            assert_eq!(left, ["deleted.jpg", "newer.jpg", "rotten.jpg"].map(name));
            assert_eq!(put(&store, &name("a/b.jpg"), at(3), b"next").unwrap(), Outcome::Done);
        });
    }
}

/// Changes a byte of a returned file, and nothing that is known of it.
fn rot(store: &Store, text: &str) {
    let found = returned(store).into_iter().find(|found| found.name == name(text)).expect("it is there");
    let path = store.root().join(found.path);
    let mtime = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, text.to_uppercase()).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
}

/// Lets every call fail from one on, as if the process had been killed there.
struct Dying {
    calls: AtomicUsize,
    last: usize,
}

impl Watch for Dying {
    fn before(&self, _op: &Op) -> Verdict {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if number < self.last { Verdict::Do } else { Verdict::Fail(Errno::IO) }
    }
}

#[test]
fn a_return_that_is_killed_anywhere_is_resumed_and_loses_nothing() {
    let texts = ["a/b.jpg", "a/c/d.jpg", "e.jpg", "e.jpg/f", "g.jpg", "g.jpg/h"];
    let mut resumed = 0;
    for last in 0.. {
        let root = new_root_in_memory();
        let store = open(root.path());
        for text in texts {
            put(&store, &name(text), at(1), text.as_bytes()).unwrap();
        }
        store.identify(&node()).unwrap();
        let newer = stamp_of_another(0);
        let dying = Dying { calls: AtomicUsize::new(0), last };
        // Opening makes calls, too: a death in these is of no interest here.
        let Ok(store) = open_watched(settings(root.path()), Arc::new(dying)) else { continue };
        let begun = store.begin_return(&node(), newer);
        let finished = begun.and_then(|_| store.finish_return(&node(), &Exclude::default()));
        let is_done = finished.is_ok();
        drop(store);

        let store = open(root.path());
        let identity = store.identify(&node()).unwrap();
        if identity.returned.is_none() {
            // It had not begun: what others remember is told once more.
            assert!(store.begin_return(&node(), newer).unwrap());
        }
        resumed += usize::from(identity.returning);
        assert!(!store.is_complete().unwrap());
        // Meanwhile clients may write, and what they write stays if it came after the files were moved.
        store.finish_return(&node(), &Exclude::default()).unwrap();
        assert!(!store.identify(&node()).unwrap().returning);
        assert!(files(root.path()).is_empty(), "after call {last}: {:?}", files(root.path()));
        let found: Vec<_> = returned(&store).into_iter().map(|found| (found.name, found.copy)).collect();
        assert_eq!(found, texts.map(|text| (name(text), copy(1, text.as_bytes()))), "after call {last}");
        if is_done {
            break;
        }
    }
    assert!(resumed > 5, "{resumed} deaths were in the middle");
}

#[test]
fn excluded_files_stay_where_they_are_in_whatever_folder_of_a_root_that_has_returned() {
    let root = new_root();
    let store = open(root.path());
    let objects = ["shop/a.jpg", "shop/deep/b.jpg", "shop/deep/pure/c.jpg", "pure/deep/d.jpg"];
    for text in objects {
        put(&store, &name(text), at(1), text.as_bytes()).unwrap();
    }
    let excluded =
        [".htaccess", "app/index.PHP", "shop/.git/objects/x", "shop/deep/.htaccess", "shop/deep/run.cgi"];
    for text in excluded {
        let path = root.path().join(text);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    store.identify(&node()).unwrap();
    make_return(&store);
    store.finish_return(&node(), &Exclude::default()).unwrap();
    assert_eq!(files(root.path()), excluded.map(std::path::PathBuf::from));
    assert!(!root.path().join("pure").exists() && !root.path().join("shop/deep/pure").exists());
    let found: Vec<_> = returned(&store).into_iter().map(|found| found.name).collect();
    let mut expected = objects.map(name);
    expected.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    assert_eq!(found, expected);
    for text in objects {
        assert!(store.take_back(&name(text), &copy(1, text.as_bytes())).unwrap(), "{text}");
        assert_eq!(read(&store, &name(text)), Some((text.into(), at(1))));
    }
}

#[test]
fn a_folder_that_cannot_be_moved_is_emptied_and_one_that_cannot_be_read_is_left() {
    struct Stuck;
    impl Watch for Stuck {
        fn before(&self, op: &Op) -> Verdict {
            match op {
                Op::Rename(from, _) if from == Path::new("mount") => Verdict::Fail(Errno::BUSY),
                Op::Rename(from, _) if from == Path::new("mount/disk") => Verdict::Fail(Errno::XDEV),
                _ => Verdict::Do,
            }
        }
    }
    let root = new_root();
    let store = open_watched(settings(root.path()), Arc::new(Stuck)).unwrap();
    for text in ["mount/x.jpg", "mount/disk/y.jpg", "z.jpg"] {
        put(&store, &name(text), at(1), text.as_bytes()).unwrap();
    }
    store.identify(&node()).unwrap();
    make_return(&store);
    store.finish_return(&node(), &Exclude::default()).unwrap();
    assert!(files(root.path()).is_empty());
    assert!(root.path().join("mount/disk").is_dir());
    assert_eq!(returned(&store).len(), 3);
}
