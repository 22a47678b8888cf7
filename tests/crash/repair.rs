//! What the repair of a root does to single keys, and what a crash in the middle of that may leave.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use webdfs::clock;
use webdfs::held::Held;
use webdfs::store::{REST, Settled, Store, Verdict};
use webdfs::version::Version;

use super::disk::{Disk, Loss};
use super::oracle::Action;
use super::record::{self, Log, Recorder};
use crate::store_support::{self as support, Op, Text, at, crc32, name};

/// One repair.
pub struct Repair {
    pub title: &'static str,
    pub settled: Vec<Action>,
    /// What somebody, or the disk, then appends to a file, and the mtime that has afterwards.
    pub by_hand: Option<(&'static str, &'static str, Version)>,
    pub work: fn(&Store),
    /// Whether a root is as it may be; and as it must be, if the work was done.
    pub check: fn(&Store, &Path, bool) -> Result<(), String>,
}

/// Stops the machine after each call of a repair, in every way; how many times it was stopped.
///
/// # Errors
/// The first root that is not as it may be.
pub fn crash_everywhere(repair: &Repair) -> Result<usize, String> {
    let root = support::new_root_in_memory();
    let log = Arc::new(Log::default());
    let store = record::open(root.path(), Recorder::new(&log));
    repair.settled.iter().for_each(|action| action.run(&store).expect("what comes before succeeds"));
    let mut disk = Disk::new();
    log.ops().iter().for_each(|op| disk.apply(op));
    if let Some((path, bytes, mtime)) = repair.by_hand {
        by_hand(root.path(), &mut disk, (path, bytes, mtime));
    }
    disk.settle();

    let log = Arc::new(Log::default());
    let store = record::open(root.path(), Recorder::new(&log));
    let opened = log.length();
    (repair.work)(&store);
    let ops = log.ops();
    ops[..opened].iter().for_each(|op| disk.apply(op));
    let mut survived = 0;
    for count in opened..=ops.len() {
        if count > opened {
            disk.apply(&ops[count - 1]);
        }
        let certain = [Loss::Nothing, Loss::Unsynced, Loss::Contents].into_iter();
        for loss in certain.chain((0..4).map(|seed| Loss::Some(seed * 1000 + count as u64))) {
            let root = support::new_root_in_memory();
            disk.write_out(loss, root.path());
            let store = support::open(root.path());
            (repair.check)(&store, root.path(), count == ops.len()).map_err(|problem| {
                let done = &ops[opened..count];
                format!("{}, losing {loss:?} after {done:#?}: {problem}", repair.title)
            })?;
            survived += 1;
        }
    }
    Ok(survived)
}

fn by_hand(root: &Path, disk: &mut Disk, (path, bytes, mtime): (&str, &str, Version)) {
    let is_new = !root.join(path).exists();
    let mut file = File::options().append(true).create(true).open(root.join(path)).expect("a file");
    file.write_all(bytes.as_bytes()).expect("written");
    file.set_modified(mtime.time()).expect("its mtime is set");
    if is_new {
        disk.apply(&Op::Create(path.into()));
    }
    disk.apply(&Op::Write(path.into(), Text(bytes.into())));
    disk.apply(&Op::SetMtime(path.into(), mtime));
}

fn settle(store: &Store) -> Settled {
    store.settle_by_hand(&name("a/x"), rested(), &mut |_| Ok(())).expect("the disk is well")
}

/// A moment at which whatever was just written has rested.
fn rested() -> Version {
    Version::from_time(clock::now().time() + REST + Duration::from_secs(1))
}

fn quarantine_stray(store: &Store) {
    let held = store.held(&name("a/x")).expect("the disk is well");
    store.quarantine_stray(&name("a/x"), &held).expect("the disk is well");
}

fn lose_by_hand(store: &Store) {
    let found = store.read_by_hand(&name("x"), rested(), &mut |_| Ok(())).expect("the disk is well");
    let part = |found| store.part_with_by_hand(&name("x"), &found, true).expect("the disk is well");
    store.remove_together(|| found.map(part)).expect("the disk is well");
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found:?}, not {expected:?}")) }
}

/// Whether the file at `a/x` is served with these bytes, and adopted under this version at last.
fn is_adopted(store: &Store, done: bool, (bytes, version): (&str, Version)) -> Result<(), String> {
    let read = || support::read(store, &name("a/x")).map(|(bytes, _)| bytes);
    let held = || store.held(&name("a/x")).expect("the disk is well");
    expect("what is served", read(), Some(bytes.into()))?;
    let crc32 = crc32(bytes.as_bytes());
    let copy = webdfs::held::CopyInfo { version, size: bytes.len() as u64, crc32: Some(crc32) };
    if done {
        expect("what is held", held(), Held::Copy(copy))?;
    }
    settle(store);
    expect("what is held in the end", held(), Held::Copy(copy))?;
    expect("what is served in the end", read(), Some(bytes.into()))
}

/// Whether the one file is still where it was or in quarantine, or both, and only there at last.
fn is_quarantined(store: &Store, root: &Path, done: bool, again: fn(&Store)) -> Result<(), String> {
    let places = || (support::files(root).len(), support::private_files(root, "quarantine").len());
    let before = places();
    if before == (0, 0) || done && before != (0, 1) {
        return Err(format!("{before:?} are the files in place and in quarantine"));
    }
    again(store);
    match places() {
        (0, 1..) => Ok(()),
        places => Err(format!("{places:?} are the files in place and in quarantine in the end")),
    }
}

pub fn all() -> Vec<Repair> {
    use super::scenarios::{delete, put};
    let other = || put("b/other.jpg", 1, "another key");
    vec![
        Repair {
            title: "a file put there by hand",
            settled: vec![put("a/y", 1, "beside")],
            by_hand: Some(("a/x", "by hand", at(5))),
            work: |store| assert!(matches!(settle(store), Settled::Adopted(_))),
            check: |store, _, done| is_adopted(store, done, ("by hand", at(5))),
        },
        Repair {
            title: "a file edited by hand that has an older mtime than before",
            settled: vec![put("a/x", 10, "stored")],
            by_hand: Some(("a/x", " and edited", at(3))),
            work: |store| assert!(matches!(settle(store), Settled::Adopted(_))),
            check: |store, _, done| is_adopted(store, done, ("stored and edited", at(11))),
        },
        Repair {
            title: "a file that was touched",
            settled: vec![put("a/x", 10, "stored")],
            by_hand: Some(("a/x", "", at(30))),
            work: |store| assert!(matches!(settle(store), Settled::Restored(_))),
            check: |store, _, done| is_adopted(store, done, ("stored", at(10))),
        },
        Repair {
            title: "a file put there by hand over a tombstone",
            settled: vec![delete("a/x", 4), put("a/y", 1, "beside")],
            by_hand: Some(("a/x", "by hand", at(5))),
            work: |store| assert!(matches!(settle(store), Settled::Adopted(_))),
            check: |store, _, done| is_adopted(store, done, ("by hand", at(5))),
        },
        Repair {
            title: "a file put there by hand below a tombstone",
            settled: vec![delete("x", 9)],
            by_hand: Some(("x", "by hand", at(5))),
            work: |store| store.recover().unwrap(),
            check: |store, root, done| is_quarantined(store, root, done, |store| store.recover().unwrap()),
        },
        Repair {
            title: "a rotten replica",
            settled: vec![put("a/x", 10, "stored")],
            by_hand: Some(("a/x", "!", at(10))),
            work: |store| assert_eq!(store.verify(&name("a/x"), &mut |_| Ok(())).unwrap(), Verdict::Rotten),
            check: |store, root, done| {
                is_quarantined(store, root, done, |store| {
                    store.verify(&name("a/x"), &mut |_| Ok(())).unwrap();
                })?;
                expect(
                    "whether its absence counts",
                    store.answer_counts(&name("a/x"), &Held::Nothing).unwrap(),
                    false,
                )
            },
        },
        Repair {
            title: "a copy on a node that does not own it, and that an owner lacks",
            settled: vec![put("a/x", 10, "stored")],
            by_hand: None,
            work: quarantine_stray,
            check: |store, root, done| is_quarantined(store, root, done, quarantine_stray),
        },
        Repair {
            title: "a file put there by hand that is older than what its owners hold",
            settled: vec![delete("y", 1)],
            by_hand: Some(("x", "by hand", at(5))),
            work: lose_by_hand,
            check: |store, root, done| is_quarantined(store, root, done, lose_by_hand),
        },
        Repair {
            title: "a copy that every owner has",
            settled: vec![put("a/x", 10, "stored"), other()],
            by_hand: None,
            work: |store| {
                let held = store.held(&name("a/x")).unwrap();
                let removed = store.remove_together(|| store.unlink_stray(&name("a/x"), &held).unwrap());
                assert!(removed.unwrap());
            },
            check: |store, root, done| {
                let read = support::read(store, &name("a/x"));
                if done || read.is_some_and(|read| read != (b"stored".to_vec(), at(10))) {
                    expect("whether it lies there", root.join("a/x").exists(), false)?;
                }
                expect(
                    "whether the other is served",
                    support::read(store, &name("b/other.jpg")).is_some(),
                    true,
                )
            },
        },
        Repair {
            title: "a tombstone that all owners agree to forget",
            settled: vec![put("a/x", 9, "stored"), delete("a/x", 10), other()],
            by_hand: None,
            work: |store| {
                store.set_tombstone_agreed(&name("a/x"), at(10), at(20)).unwrap();
                store.forget_tombstone(&name("a/x"), at(10)).unwrap();
            },
            check: |store, root, _| {
                expect("what is served", support::read(store, &name("a/x")), None)?;
                expect("whether it lies there", root.join("a/x").exists(), false)?;
                expect(
                    "whether the other is served",
                    support::read(store, &name("b/other.jpg")).is_some(),
                    true,
                )
            },
        },
        Repair {
            title: "a tombstone that is forgotten while what it has hidden still lies there",
            settled: vec![delete("x", 10)],
            by_hand: Some(("x", "by hand", at(5))),
            work: |store| _ = store.forget_tombstone(&name("x"), at(10)).unwrap(),
            check: |store, root, done| {
                expect("what is served", support::read(store, &name("x")), None)?;
                is_quarantined(store, root, done, |store| {
                    store.forget_tombstone(&name("x"), at(10)).unwrap();
                })?;
                let counts = store.answer_counts(&name("x"), &store.held(&name("x")).unwrap());
                expect("whether its absence counts in the end", counts.unwrap(), true)
            },
        },
    ]
}
