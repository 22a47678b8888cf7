//! Work over the whole root: when it is due, who has asked for it, and how far it is.
//!
//! The work itself ([`Task`]) knows nothing of that. Whoever asks is told of the end of a run that *began after he asked*:
//! one that runs already may have passed the key he thinks of. So everybody who asks during a run shares the next one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::control::{Progress, State, Work};
use crate::store::Orders;

/// After a run has failed, the next begins after this time, unless the work knows better.
const RETRY: Duration = Duration::from_secs(60);
/// While runs fail for the same cause, the log says so this often at most.
const SAY_AGAIN: Duration = Duration::from_secs(60 * 60);

/// What is said to those who wait while a run goes on that began before they asked.
const AFTER_ANOTHER: &str = "this begins when what began earlier has ended";
/// What is said to those who wait while an operator has the work rest.
const PAUSED: &str = "the background work is paused, and waits for `webdfs agent resume`";

/// Why a run did not reach its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Unfinished {
    /// For a person to read: which node or file, what was wrong, and what would help.
    pub problem: String,
    /// What of it stays the same as long as nothing else is wrong: neither counts nor times.
    pub cause: String,
}

impl Unfinished {
    /// A problem that reads the same every time.
    pub fn new(problem: impl ToString) -> Self {
        let problem = problem.to_string();
        Self { cause: problem.clone(), problem }
    }
}

/// Why a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Its time has come.
    Due,
    /// Somebody waits for it.
    Asked,
}

/// Work over the whole root.
pub trait Task: std::fmt::Debug + Send + Sync {
    /// Does it from the beginning to the end, and shows in `report` how far it is. Success means that nothing was left out.
    ///
    /// The future may be dropped at any time, when this process is told to stop or reads its configuration again, and what
    /// it has begun on other threads should end soon then ([`Report::is_over`]). The work is done again from the start.
    fn run(&self, occasion: Occasion, report: Report) -> BoxFuture<'_, Result<(), Unfinished>>;

    /// Whether a run that was merely due is cut short when somebody asks, since it takes its time.
    fn gives_way(&self) -> bool {
        false
    }

    /// Returns once another run may end better than the last, which has failed. Nobody waits for it longer than until the
    /// work is due anyway.
    fn recovery(&self) -> BoxFuture<'_, ()> {
        Box::pin(sleep(RETRY))
    }
}

/// What a process knows of the work over its root. Clones share it. It outlives the agent that does the work, so that
/// whoever waits for some goes on waiting when the configuration is read again.
#[derive(Debug, Clone)]
pub struct Tasks {
    works: Arc<[watch::Sender<Shown>; Work::ALL.len()]>,
    /// What the operator has ordered. The throttle obeys; here it is told to those who wait.
    orders: watch::Sender<Orders>,
}

/// The runs of one kind of work. Runs are counted from 1, in this process.
///
/// `ended <= begun`, and `ended <= wanted` unless a run was merely due. A run that was cut short never ends.
#[derive(Debug, Clone, Default)]
struct Shown {
    /// The last run that has begun.
    begun: u64,
    /// The last run that has reached its end, or failed.
    ended: u64,
    /// The first run that is good enough for everybody who has asked.
    wanted: u64,
    progress: Progress,
    /// How the last run that has ended did so; none: none has.
    outcome: Option<Result<Progress, Unfinished>>,
}

impl Default for Tasks {
    fn default() -> Self {
        let works = Arc::new(Work::ALL.map(|_| watch::Sender::new(Shown::default())));
        Self { works, orders: watch::Sender::default() }
    }
}

impl Tasks {
    /// Asks for a run that has not begun yet.
    pub fn ask(&self, work: Work) -> Asked {
        let mut run = 0;
        let slot = self.slot(work);
        slot.send_modify(|shown| {
            run = shown.begun + 1;
            shown.wanted = run;
        });
        Asked { run, shown: slot.subscribe(), orders: self.orders.subscribe() }
    }

    /// How far some work is, or how it last ended.
    pub fn progress(&self, work: Work) -> Progress {
        self.slot(work).borrow().progress.clone()
    }

    /// What the operator has ordered, for whoever changes or obeys it.
    pub fn orders(&self) -> watch::Sender<Orders> {
        self.orders.clone()
    }

    /// Does the work whenever somebody has asked for it or its time has come: `first` from now, then `every` so often
    /// after a run has reached its end; never: only when asked. `finished` is told of every run that has reached its end.
    pub async fn keep_doing<F: Future<Output = ()>>(
        &self,
        work: Work,
        task: &dyn Task,
        (first, every): (Duration, Option<Duration>),
        finished: impl Fn() -> F,
    ) {
        let mut rest = every.map(|every| first.min(every));
        let mut failure = Failure::default();
        loop {
            let recovery = async {
                match every {
                    Some(_) if failure.goes_on() => task.recovery().await,
                    _ => std::future::pending().await,
                }
            };
            let occasion = self.next_occasion(work, rest, recovery).await;
            let run = Run::begin(self.slot(work));
            let result = tokio::select! {
                result = task.run(occasion, run.report()) => result,
                () = self.asked(work), if occasion == Occasion::Due && task.gives_way() => continue,
            };
            if result.is_ok() {
                finished().await;
            }
            failure.note(work, result.as_ref().err());
            rest = every;
            run.end(result);
        }
    }

    async fn next_occasion(
        &self,
        work: Work,
        rest: Option<Duration>,
        recovery: impl Future<Output = ()>,
    ) -> Occasion {
        let due = async {
            match rest {
                Some(rest) => sleep(rest).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.asked(work) => Occasion::Asked,
            () = due => Occasion::Due,
            () = recovery => Occasion::Due,
        }
    }

    /// Returns once somebody waits for a run that has not begun or was cut short.
    async fn asked(&self, work: Work) {
        let mut shown = self.slot(work).subscribe();
        // The sender is not dropped while `self` is there.
        let _ = shown.wait_for(|shown| shown.wanted > shown.ended).await;
    }

    fn slot(&self, work: Work) -> &watch::Sender<Shown> {
        match work {
            Work::Reconcile => &self.works[0],
            Work::Scrub => &self.works[1],
        }
    }
}

/// That runs fail, and what the log has been told of it: a node may be down for days.
#[derive(Debug, Default)]
struct Failure {
    /// The cause that was told of last, and when; none: the last run has reached its end.
    told: Option<(String, Instant)>,
}

impl Failure {
    fn goes_on(&self) -> bool {
        self.told.is_some()
    }

    /// Tells of how a run has ended, if that is news.
    fn note(&mut self, work: Work, failure: Option<&Unfinished>) {
        match failure {
            Some(failure) if self.is_news(failure) => log::warn!("{work}: {failure}"),
            Some(failure) => log::debug!("{work}, as before: {failure}"),
            None if self.told.take().is_some() => log::info!("{work} is finished again"),
            None => {}
        }
    }

    fn is_news(&mut self, failure: &Unfinished) -> bool {
        let is_known = |(cause, at): &(String, Instant)| *cause == failure.cause && at.elapsed() < SAY_AGAIN;
        let is_news = !self.told.as_ref().is_some_and(is_known);
        if is_news {
            self.told = Some((failure.cause.clone(), Instant::now()));
        }
        is_news
    }
}

/// A run that goes on.
struct Run<'a> {
    number: u64,
    slot: &'a watch::Sender<Shown>,
}

impl<'a> Run<'a> {
    fn begin(slot: &'a watch::Sender<Shown>) -> Self {
        let mut number = 0;
        slot.send_modify(|shown| {
            shown.begun += 1;
            number = shown.begun;
            shown.progress = Progress { state: State::Running, ..Progress::default() };
        });
        Self { number, slot }
    }

    fn report(&self) -> Report {
        Report { run: self.number, slot: self.slot.clone() }
    }

    fn end(self, result: Result<(), Unfinished>) {
        self.slot.send_modify(|shown| {
            shown.ended = self.number;
            shown.progress.state = if result.is_ok() { State::Finished } else { State::Failed };
            shown.outcome = Some(result.map(|()| shown.progress.clone()));
        });
    }
}

impl Drop for Run<'_> {
    /// Cut short, unless it has ended.
    fn drop(&mut self) {
        self.slot.send_if_modified(|shown| {
            let cut_short = shown.ended < self.number;
            if cut_short {
                shown.progress.state = State::Waiting;
            }
            cut_short
        });
    }
}

/// Where a run says how far it is. Clones say it of the same run, from any thread.
#[derive(Debug, Clone)]
pub struct Report {
    run: u64,
    slot: watch::Sender<Shown>,
}

impl Report {
    /// Says what is being done now, for a person to read.
    pub fn doing(&self, what: &str) {
        self.change(|progress| what.clone_into(&mut progress.doing));
    }

    /// Says of how many keys `done` are done with; `None` while that is not known.
    pub fn set(&self, done: u64, of: Option<u64>) {
        self.change(|progress| (progress.done, progress.of) = (done, of));
    }

    /// Says that so many keys more are done with, and that so many bytes were read, sent and fetched for them.
    pub fn advance(&self, keys: u64, bytes: u64) {
        self.change(|progress| {
            progress.done += keys;
            progress.bytes += bytes;
        });
    }

    /// Whether this run is over, by its end or cut short: nobody needs any more of it.
    pub fn is_over(&self) -> bool {
        !self.is_current(&self.slot.borrow())
    }

    fn is_current(&self, shown: &Shown) -> bool {
        shown.begun == self.run && shown.progress.state == State::Running
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        self.slot.send_if_modified(|shown| {
            let current = self.is_current(shown);
            if current {
                change(&mut shown.progress);
            }
            current
        });
    }
}

/// A run that somebody has asked for.
#[derive(Debug)]
pub struct Asked {
    run: u64,
    shown: watch::Receiver<Shown>,
    orders: watch::Receiver<Orders>,
}

/// What became of a run that somebody has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It has not ended.
    Running(Progress),
    /// It, or one that began later, has reached its end.
    Finished(Progress),
    /// It, or one that began later, has failed.
    Failed(Unfinished),
}

impl Asked {
    /// How the run stands.
    pub fn seen(&mut self) -> Seen {
        let paused = self.orders.borrow_and_update().paused;
        let shown = self.shown.borrow_and_update();
        match &shown.outcome {
            Some(Ok(progress)) if shown.ended >= self.run => Seen::Finished(progress.clone()),
            Some(Err(failure)) if shown.ended >= self.run => Seen::Failed(failure.clone()),
            _ if paused => Seen::Running(Progress {
                doing: PAUSED.to_owned(),
                // What is shown may be of a run that began before.
                ..if shown.begun >= self.run { shown.progress.clone() } else { Progress::default() }
            }),
            _ if shown.begun >= self.run => Seen::Running(shown.progress.clone()),
            _ => {
                let is_next = shown.progress.state == State::Running;
                let doing = if is_next { AFTER_ANOTHER } else { "" }.to_owned();
                Seen::Running(Progress { doing, ..Progress::default() })
            }
        }
    }

    /// Returns once there may be something new to see.
    pub async fn changed(&mut self) {
        let changed = tokio::select! {
            changed = self.shown.changed() => changed,
            changed = self.orders.changed() => changed,
        };
        if changed.is_err() {
            // Nobody is left to change anything.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
#[path = "tasks_tests.rs"]
mod tests;
