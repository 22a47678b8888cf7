//! A crash of the store between any two of its calls: after every prefix of the calls it makes, the machine stops,
//! what was not synced is lost in several ways, and the root is opened again (design, sections 5 and 12).
//!
//! `crash/disk.rs` models what a disk keeps, `crash/oracle.rs` says what must be found, `crash/scenarios.rs` what is
//! done before the crash, `crash/repair.rs` the same for repairs, `crash/record.rs` brings them together. `WEBDFS_CRASH_SEED` starts the random losses elsewhere.

mod crash {
    pub mod disk;
    pub mod oracle;
    pub mod record;
    pub mod repair;
    pub mod scenarios;
}
mod store_support;

use std::sync::Arc;

use rustix::io::Errno;
use webdfs::config::Layout;
use webdfs::php::PhpVersion;
use webdfs::store::StoreError;
use webdfs::store::layout::{self, NameHash};

use crash::disk::Loss;
use crash::oracle::{self, Action, Past};
use crash::record::{self, Judge, Log, Recorder, Recording, Step, crash_everywhere, crash_from, record};
use crash::repair;
use crash::scenarios::{self, Scenario, delete, put};
use store_support::{Op, Verdict, name};

/// Random losses per crash.
const SEEDS: u64 = 2;

fn seeds() -> std::ops::Range<u64> {
    let first = std::env::var("WEBDFS_CRASH_SEED").map_or(0, |text| text.parse().expect("a number"));
    first..first + SEEDS
}

/// Calls, one a line.
fn listed(ops: &[Op]) -> String {
    ops.iter().enumerate().map(|(number, op)| format!("{number:4} {op:?}\n")).collect()
}

fn nothing() -> Judge {
    Box::new(|_, _| Verdict::Do)
}

fn recorded(scenario: &Scenario) -> Recording {
    let recording = record(&scenario.settled, &scenario.steps, nothing());
    assert!(recording.steps.iter().all(|step| step.ended.is_some()), "{}: {recording:?}", scenario.title);
    recording
}

#[test]
fn after_a_crash_between_any_two_calls_acknowledged_writes_are_there_and_others_wholly_or_not_at_all() {
    let survived = crash_in(scenarios::all());
    assert!(survived > 1000, "{survived} crashes are too few to show anything");
}

#[test]
fn the_same_holds_where_names_share_paths() {
    let all = scenarios::of_one_path().into_iter().chain(scenarios::all());
    let survived = where_names_share_paths(|| crash_in(all.collect()));
    assert!(survived > 1000, "{survived} crashes are too few to show anything");
}

#[test]
fn a_repair_cut_off_by_a_crash_loses_no_bytes_and_ends_the_same_when_it_is_repeated() {
    for repair in repair::all() {
        let survived = repair::crash_everywhere(&repair).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(survived > 10, "{}: {survived} crashes are too few to show anything", repair.title);
    }
}

fn where_names_share_paths<T>(act: impl FnOnce() -> T) -> T {
    store_support::with_layout(Layout::WebdfsHashed(PhpVersion::V5_2), act)
}

/// Does something with each scenario of roots where each name has a path, and of roots where names share paths.
fn in_both_layouts(act: impl Fn(Scenario)) {
    scenarios::all().into_iter().for_each(&act);
    where_names_share_paths(|| scenarios::of_one_path().into_iter().for_each(&act));
}

/// Stops the machine after each call of each scenario; how many times it was stopped.
fn crash_in(scenarios: Vec<Scenario>) -> usize {
    let mut survived = 0;
    for scenario in scenarios {
        let recording = recorded(&scenario);
        match crash_everywhere(&recording, seeds()) {
            Ok(crashes) => survived += crashes,
            Err(problem) => panic!("{}: {problem}\n{}", scenario.title, listed(&recording.ops)),
        }
    }
    survived
}

#[test]
fn a_write_repeated_after_the_death_of_its_process_survives_a_loss_of_power() {
    in_both_layouts(|scenario| {
        let recording = recorded(&scenario);
        for count in 0..recording.ops.len() {
            let Some(step) =
                recording.steps.iter().find(|step| (step.begun..step.ended.unwrap()).contains(&count))
            else {
                continue;
            };
            repeat_after_death(&scenario, &recording, count, &step.action, &step.action);
            if let Action::Put(name, ..) = &step.action {
                // Another client's, between what was there and what was cut off.
                let other = Action::Put(name.clone(), store_support::at(9), b"other".into());
                repeat_after_death(&scenario, &recording, count, &step.action, &other);
            }
        }
    });
}

/// The process dies during `cut_off`, another does `action`, then the power fails.
fn repeat_after_death(
    scenario: &Scenario,
    recording: &Recording,
    count: usize,
    cut_off: &Action,
    action: &Action,
) {
    let root = store_support::new_root_in_memory();
    let mut disk = recording.disk(count);
    disk.write_out(Loss::Nothing, root.path());
    let log = Arc::new(Log::default());
    let store = record::open(root.path(), Recorder::new(&log));
    action.run(&store).unwrap_or_else(|error| panic!("{}: call {count}: {error}", scenario.title));
    log.ops().iter().for_each(|op| disk.apply(op));

    let mut past = recording.past(count);
    past.unknown.extend(cut_off.parts());
    past.done.extend(action.parts());
    for loss in [Loss::Unsynced, Loss::Contents] {
        let root = store_support::new_root_in_memory();
        disk.write_out(loss, root.path());
        if let Err(problem) = oracle::check(root.path(), &past) {
            let title = scenario.title;
            panic!(
                "{title}: death after call {count}, then {action:?}, {loss:?}: {problem}\n{}",
                listed(&log.ops())
            );
        }
    }
}

#[test]
fn a_recovery_that_is_itself_cut_off_loses_nothing() {
    let cut_off = std::cell::Cell::new(0);
    in_both_layouts(|scenario| {
        let recording = recorded(&scenario);
        for count in 0..recording.ops.len() {
            let root = store_support::new_root_in_memory();
            let mut disk = recording.disk(count);
            disk.write_out(Loss::Nothing, root.path());
            let log = Arc::new(Log::default());
            let store = record::open(root.path(), Recorder::new(&log));
            let opened = log.length();
            log.ops().iter().for_each(|op| disk.apply(op));
            store.recover().unwrap();
            let ops = log.ops()[opened..].to_vec();
            if ops.is_empty() {
                continue;
            }
            let past = recording.past(count);
            let begun = |action: &Action| Step { action: action.clone(), begun: 0, ended: None };
            let steps = past.unknown.iter().map(begun).collect();
            let recovery = Recording { settled: past.done, before: disk, ops, steps };
            match crash_everywhere(&recovery, seeds()) {
                Ok(survived) => cut_off.set(cut_off.get() + survived),
                Err(problem) => panic!(
                    "{}: recovery from a death after call {count}: {problem}\n{}",
                    scenario.title,
                    listed(&recovery.ops)
                ),
            }
        }
    });
    assert!(cut_off.get() > 50, "there was nothing to recover from");
}

#[test]
fn two_writers_in_one_folder_lose_nothing_wherever_one_overtakes_the_other() {
    let settled = [put("shop/other.jpg", 1, "another key"), put("d/x", 1, "x"), put("d/y", 1, "y")];
    let cases: [(&[Action], Action, Action); 7] = [
        (&settled[..1], put("d/x", 10, "first"), put("d/y", 11, "second")),
        (&settled[..1], put("d/e/x", 10, "first"), put("d/f/y", 11, "second")),
        (&settled[..], delete("d/x", 10), delete("d/y", 11)),
        (&settled[..2], delete("d/x", 10), put("d/y", 11, "second")),
        (&settled[..2], put("d/y", 10, "second"), delete("d/x", 11)),
        (&settled[..1], put("d", 10, "above"), put("d/y", 11, "below")),
        (&settled[..1], put("d/y", 10, "below"), put("d", 11, "above")),
    ];
    for (settled, first, second) in cases {
        // Or they would wait for each other.
        let lock = |action: &Action| {
            let name = action.name().unwrap();
            layout::lock(Layout::Path, name, NameHash::of(name))
        };
        assert_ne!(lock(&first), lock(&second), "{first:?} and {second:?} share a lock: choose other names");
        let alone = record(settled, std::slice::from_ref(&first), nothing());
        let calls = alone.ops.len() * 2;
        for before in 0..calls {
            let Some(recording) = overtaken(settled, &first, &second, before) else { break };
            // Up to there everything is as if it came alone.
            let overtaking = recording.steps[1].begun;
            if let Err(problem) = crash_from(overtaking, &recording, 0..0) {
                panic!("{second:?} before call {before} of {first:?}: {problem}\n{}", listed(&recording.ops));
            }
        }
    }
}

/// `first`, with all of `second`, done by another process, before one of its calls; `None` if it makes fewer calls.
fn overtaken(settled: &[Action], first: &Action, second: &Action, before: usize) -> Option<Recording> {
    let root = store_support::new_root_in_memory();
    let log = Arc::new(Log::default());
    let earlier = record::open(root.path(), Recorder::new(&log));
    settled.iter().for_each(|action| action.run(&earlier).unwrap());
    let mut disk = crash::disk::Disk::new();
    log.ops().iter().for_each(|op| disk.apply(op));
    disk.settle();

    let log = Arc::new(Log::default());
    let other = record::open(root.path(), Recorder::new(&log));
    let recorder = Arc::new(Recorder::new(&log));
    let store = store_support::open_watched(store_support::settings(root.path()), recorder.clone()).unwrap();
    let came = Arc::new(std::sync::Mutex::new(None));
    let interruption = {
        let (came, log, second) = (Arc::clone(&came), Arc::clone(&log), second.clone());
        move || *came.lock().unwrap() = Some(record::run(&second, &other, &log))
    };
    recorder.interrupt(recorder.made() + before, Box::new(interruption));
    let own = record::run(first, &store, &log);
    let second = came.lock().unwrap().take()?;
    for step in [&own, &second] {
        assert!(step.ended.is_some(), "{step:?} fails, before call {before} of {first:?}");
    }
    assert!(!store.sync_has_failed());
    Some(Recording { settled: settled.to_vec(), before: disk, ops: log.ops(), steps: vec![own, second] })
}

#[test]
fn when_any_one_call_fails_nothing_acknowledged_changes_and_the_next_try_succeeds() {
    for errno in [Errno::NOSPC, Errno::IO, Errno::MFILE] {
        in_both_layouts(|scenario| {
            let calls = recorded(&scenario).ops.len();
            for number in 0..calls {
                one_call_fails(&scenario, number, errno);
            }
        });
    }
}

fn one_call_fails(scenario: &Scenario, number: usize, errno: Errno) {
    let root = store_support::new_root_in_memory();
    let log = Arc::new(Log::default());
    let earlier = record::open(root.path(), Recorder::new(&log));
    let mut past = Past::default();
    for action in &scenario.settled {
        action.run(&earlier).unwrap();
        past.done.extend(action.parts());
    }
    let failed = Arc::new(std::sync::Mutex::new(None));
    let recorder = Recorder::with_judge(&log, record::failing(number, errno, &failed));
    let settings = store_support::settings(root.path());
    // A root that cannot be prepared does not open; that is tested with the roots that are refused.
    let Ok(store) = store_support::open_watched(settings, Arc::new(recorder)) else { return };
    let title = scenario.title;
    for action in &scenario.steps {
        match action.run(&store) {
            Ok(()) => past.done.extend(action.parts()),
            Err(error) => {
                let full = matches!(error, StoreError::Full { .. });
                assert_eq!(full, errno == Errno::NOSPC, "{title}: {error} after {errno} of call {number}");
                past.unknown.extend(action.parts());
                let again = action.run(&store);
                assert_eq!(
                    again.is_err(),
                    store.sync_has_failed(),
                    "{title}: call {number}, {errno}: {again:?}"
                );
                if again.is_ok() {
                    past.done.extend(action.parts());
                } else {
                    break;
                }
            }
        }
    }
    // An upload or batch that found no room is dropped; everything else that could not be synced is a lie from then on.
    let lies = match &*failed.lock().unwrap() {
        Some(Op::SyncFile(path)) if path.starts_with(".webdfs/tmp") => errno == Errno::IO,
        Some(Op::SyncAll) => errno == Errno::IO,
        Some(Op::SyncFile(_) | Op::SyncFolder(_)) => errno != Errno::MFILE,
        _ => false,
    };
    assert_eq!(store.sync_has_failed(), lies, "{title}: {errno} of call {number}");
    drop(store);
    if let Err(problem) = oracle::check(root.path(), &past) {
        panic!("{title}: call {number} fails with {errno}: {problem}\n{}", listed(&log.ops()));
    }
}

#[test]
fn an_upload_prepared_before_a_loss_of_power_is_committed_whole_or_not_at_all() {
    let (x, bytes) = (name("a/x"), b"all or nothing".to_vec());
    let prepare = Action::Prepare(x.clone(), bytes.clone());
    let recording = record(&[put("other", 1, "another key")], &[prepare], nothing());
    let (mut whole, mut refused) = (0, 0);
    for count in 0..=recording.ops.len() {
        let disk = recording.disk(count);
        let losses = [Loss::Nothing, Loss::Unsynced, Loss::Contents].into_iter();
        for loss in losses.chain((0..40).map(|seed| Loss::Some(seeds().start + seed))) {
            let root = store_support::new_root_in_memory();
            disk.write_out(loss, root.path());
            let store = record::open(root.path(), Recorder::new(&Arc::new(Log::default())));
            let left = store_support::private_files(root.path(), "tmp");
            for id in left.iter().filter_map(|path| path.to_str()?.parse().ok()) {
                match store.commit(&store_support::order(id, &x, store_support::at(10), &bytes)) {
                    Ok(_) => whole += 1,
                    Err(StoreError::NotPrepared) => refused += 1,
                    Err(error) => panic!("after call {count}, losing {loss:?}: {error}"),
                }
                let read = store_support::read(&store, &x);
                assert!(read.is_none_or(|(read, _)| read == bytes), "after call {count}, losing {loss:?}");
            }
        }
    }
    assert!(whole > 0 && refused > 0, "{whole} were whole and {refused} refused: nothing is shown");
}

/// Whether the checks notice a store with a fault.
fn notices(judge: fn(usize, &Op) -> Verdict) -> bool {
    let scenario =
        |title: &str| scenarios::all().into_iter().find(|scenario| scenario.title == title).unwrap();
    ["an object replaced", "new folders", "a deletion"].into_iter().any(|title| {
        let Scenario { settled, steps, .. } = scenario(title);
        crash_everywhere(&record(&settled, &steps, Box::new(judge)), seeds()).is_err()
    })
}

#[test]
fn a_store_that_forgets_a_sync_or_mixes_up_the_order_is_found_out() {
    assert!(!notices(|_, _| Verdict::Do));
    assert!(notices(|_, op| if matches!(op, Op::SyncFile(_)) { Verdict::Skip } else { Verdict::Do }));
    assert!(notices(|_, op| if matches!(op, Op::SyncFolder(_)) { Verdict::Skip } else { Verdict::Do }));
    assert!(notices(|_, op| match op {
        // Not the one by which a store tries the file system out.
        Op::SetMtime(path, _) if !path.to_string_lossy().contains("probe") => Verdict::Skip,
        _ => Verdict::Do,
    }));
    // The root's own names: new folders in it are not durable.
    assert!(notices(|_, op| match op {
        Op::SyncFolder(path) if path.as_os_str().is_empty() => Verdict::Skip,
        _ => Verdict::Do,
    }));
}

#[test]
fn a_deletion_that_unlinks_before_its_tombstone_is_durable_is_found_out() {
    let settled = [put("cat.jpg", 1, "miaou")];
    let mut recording = record(&settled, &[delete("cat.jpg", 10)], nothing());
    assert!(crash_everywhere(&recording, 0..0).is_ok());
    let unlink = recording
        .ops
        .iter()
        .position(|op| matches!(op, Op::Unlink(path) if path == std::path::Path::new("cat.jpg")));
    let unlink = recording.ops.remove(unlink.expect("a deletion unlinks"));
    let first = recording.steps[0].begun;
    recording.ops.insert(first, unlink);
    assert!(crash_everywhere(&recording, 0..0).is_err());
}

#[test]
fn a_replica_that_is_edited_in_place_is_found_out() {
    let settled = [put("cat.jpg", 1, "miaou")];
    let mut recording = record(&settled, &[put("cat.jpg", 10, "meow")], nothing());
    recording.ops.insert(0, Op::Write("cat.jpg".into(), store_support::Text(b"!".to_vec())));
    assert!(crash_everywhere(&recording, 0..0).is_err());
    assert_eq!(recording.past(0).names(), [name("cat.jpg")]);
}
