//! Runs actions on a store while a model of the disk takes part, and knows at which call each was acknowledged.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use webdfs::store::Store;

use super::disk::{Disk, Loss};
use super::oracle::{self, Action, Past};
use crate::store_support::{self as support, Op, Verdict, Watch};

/// What two stores on one root do, in the order in which they did it.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Op>>);

impl Log {
    pub fn length(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn ops(&self) -> Vec<Op> {
        self.0.lock().unwrap().clone()
    }
}

/// Something to do in the middle.
pub type Interruption = Box<dyn FnOnce() + Send>;

/// Makes calls fail or be skipped, as a test wants.
pub type Judge = Box<dyn Fn(usize, &Op) -> Verdict + Send + Sync>;

/// Records the calls of one store.
pub struct Recorder {
    pub log: Arc<Log>,
    /// Calls made or tried by this store.
    made: Mutex<usize>,
    /// What happens before a certain one of them.
    interruption: Mutex<Option<(usize, Interruption)>>,
    judge: Judge,
}

impl Recorder {
    pub fn new(log: &Arc<Log>) -> Self {
        Self::with_judge(log, Box::new(|_, _| Verdict::Do))
    }

    pub fn with_judge(log: &Arc<Log>, judge: Judge) -> Self {
        Self { log: Arc::clone(log), made: Mutex::new(0), interruption: Mutex::new(None), judge }
    }

    pub fn made(&self) -> usize {
        *self.made.lock().unwrap()
    }

    pub fn interrupt(&self, before: usize, interruption: Interruption) {
        *self.interruption.lock().unwrap() = Some((before, interruption));
    }
}

impl Watch for Recorder {
    fn before(&self, op: &Op) -> Verdict {
        let number = {
            let mut made = self.made.lock().unwrap();
            *made += 1;
            *made - 1
        };
        let due = self.interruption.lock().unwrap().take_if(|(before, _)| *before == number);
        if let Some((_, interruption)) = due {
            interruption();
        }
        (self.judge)(number, op)
    }

    fn after(&self, op: Op) {
        self.log.0.lock().unwrap().push(op);
    }
}

/// An action and the calls between which it ran: begun with call `begun`, acknowledged before call `ended`.
#[derive(Debug, Clone)]
pub struct Step {
    pub action: Action,
    pub begun: usize,
    /// `None` if it failed.
    pub ended: Option<usize>,
}

/// A recording: the disk before the first call, the calls, and what they were made for.
#[derive(Debug)]
pub struct Recording {
    pub settled: Vec<Action>,
    pub before: Disk,
    pub ops: Vec<Op>,
    pub steps: Vec<Step>,
}

impl Recording {
    /// What was acknowledged and what begun when the machine stopped after `count` calls.
    pub fn past(&self, count: usize) -> Past {
        let settled = self.settled.iter().flat_map(Action::parts).collect();
        let mut past = Past { done: settled, unknown: Vec::new() };
        for step in self.steps.iter().filter(|step| step.begun <= count) {
            let done = step.ended.is_some_and(|ended| ended <= count);
            if done { &mut past.done } else { &mut past.unknown }.extend(step.action.parts());
        }
        past
    }

    /// The disk after `count` calls.
    pub fn disk(&self, count: usize) -> Disk {
        let mut disk = self.before.clone();
        self.ops[..count].iter().for_each(|op| disk.apply(op));
        disk
    }
}

/// Opens a root and does what came before: all of it is on the disk when the recording starts. With `settled` empty
/// the recording starts before the root is opened.
pub fn record(settled: &[Action], steps: &[Action], judge: Judge) -> Recording {
    let root = support::new_root_in_memory();
    let log = Arc::new(Log::default());
    let mut before = Disk::new();
    if !settled.is_empty() {
        let store = open(root.path(), Recorder::new(&log));
        settled.iter().for_each(|action| action.run(&store).expect("what comes before succeeds"));
        for op in log.ops() {
            before.apply(&op);
        }
        before.settle();
    }
    let log = Arc::new(Log::default());
    // A process of its own: it knows nothing of what is durable.
    let store = open(root.path(), Recorder::with_judge(&log, judge));
    let steps = steps.iter().map(|action| run(action, &store, &log)).collect();
    Recording { settled: settled.to_vec(), before, ops: log.ops(), steps }
}

pub fn run(action: &Action, store: &Arc<Store>, log: &Log) -> Step {
    let begun = log.length();
    let done = action.run(store).is_ok();
    Step { action: action.clone(), begun, ended: done.then(|| log.length()) }
}

pub fn open(root: &Path, recorder: Recorder) -> Arc<Store> {
    let store = support::open_watched(support::settings(root), Arc::new(recorder)).expect("the root opens");
    store.identify(&oracle::node()).expect("the root is ours");
    store
}

/// Stops the machine after every number of calls, in every way, and checks what is found then. Returns the number
/// of crashes survived.
///
/// # Errors
/// The first promise that was broken.
pub fn crash_everywhere(recording: &Recording, seeds: Range<u64>) -> Result<usize, String> {
    crash_from(0, recording, seeds)
}

/// The same after no fewer than `from` calls.
///
/// # Errors
/// The first promise that was broken.
pub fn crash_from(from: usize, recording: &Recording, seeds: Range<u64>) -> Result<usize, String> {
    let mut survived = 0;
    let mut disk = recording.before.clone();
    for count in 0..=recording.ops.len() {
        if let Some(last) = count.checked_sub(1) {
            disk.apply(&recording.ops[last]);
        }
        if count < from {
            continue;
        }
        let past = recording.past(count);
        let certain = [Loss::Nothing, Loss::Unsynced, Loss::Contents].into_iter();
        for loss in certain.chain(seeds.clone().map(|seed| Loss::Some(seed * 1000 + count as u64))) {
            let root = support::new_root_in_memory();
            disk.write_out(loss, root.path());
            oracle::check(root.path(), &past).map_err(|problem| {
                let last = count.checked_sub(1).map(|last| &recording.ops[last]);
                format!("after call {count}, {last:?}, losing {loss:?}: {problem}")
            })?;
            survived += 1;
        }
    }
    Ok(survived)
}

/// A judge that lets one call fail, and notes which that was.
pub fn failing(number: usize, errno: Errno, failed: &Arc<Mutex<Option<Op>>>) -> Judge {
    let failed = Arc::clone(failed);
    Box::new(move |at, op| {
        if at != number {
            return Verdict::Do;
        }
        *failed.lock().unwrap() = Some(op.clone());
        Verdict::Fail(errno)
    })
}
