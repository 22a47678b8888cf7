//! Who waits for which run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Work that ends when the test says so.
#[derive(Debug)]
struct Staged {
    begun: mpsc::UnboundedSender<(Occasion, Report)>,
    ends: tokio::sync::Mutex<mpsc::UnboundedReceiver<Result<(), Unfinished>>>,
    gives_way: bool,
}

impl Task for Staged {
    fn run(&self, occasion: Occasion, report: Report) -> BoxFuture<'_, Result<(), Unfinished>> {
        self.begun.send((occasion, report)).unwrap();
        Box::pin(async { self.ends.lock().await.recv().await.expect("the test goes on") })
    }

    fn gives_way(&self) -> bool {
        self.gives_way
    }
}

/// The test's side of it.
struct Stage {
    tasks: Tasks,
    task: Arc<Staged>,
    begun: mpsc::UnboundedReceiver<(Occasion, Report)>,
    end: mpsc::UnboundedSender<Result<(), Unfinished>>,
    finished: Arc<AtomicUsize>,
    agent: Mutex<Option<JoinHandle<()>>>,
}

const WORK: Work = Work::Reconcile;
const HOUR: Duration = Duration::from_secs(3600);

impl Stage {
    fn new(gives_way: bool) -> Self {
        let ((begin, begun), (end, ends)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let task = Arc::new(Staged { begun: begin, ends: ends.into(), gives_way });
        Self { tasks: Tasks::default(), task, begun, end, finished: Arc::default(), agent: Mutex::default() }
    }

    /// An agent does the work, `first` from now and then every hour; one that did so before stops.
    fn elect(&self, first: Duration) {
        let (tasks, task, finished) =
            (self.tasks.clone(), Arc::clone(&self.task), Arc::clone(&self.finished));
        let agent = tokio::spawn(async move {
            let count = || async {
                finished.fetch_add(1, Ordering::Relaxed);
            };
            tasks.keep_doing(WORK, &*task, (first, Some(HOUR)), count).await;
        });
        if let Some(before) = self.agent.lock().unwrap().replace(agent) {
            before.abort();
        }
    }

    async fn begins(&mut self) -> (Occasion, Report) {
        self.begun.recv().await.expect("the task is there")
    }

    fn finish(&self) {
        self.end.send(Ok(())).unwrap();
    }
}

async fn end_of(asked: &mut Asked) -> Seen {
    loop {
        match asked.seen() {
            Seen::Running(_) => asked.changed().await,
            seen => return seen,
        }
    }
}

async fn is_waiting(asked: &mut Asked) -> bool {
    timeout(Duration::from_secs(10), end_of(asked)).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_while_a_run_goes_on_waits_for_the_end_of_the_next() {
    let mut stage = Stage::new(false);
    stage.elect(HOUR);
    let mut first = stage.tasks.ask(WORK);
    let (occasion, report) = stage.begins().await;
    assert_eq!(occasion, Occasion::Asked);
    report.set(3, Some(10));
    let (mut second, mut third) = (stage.tasks.ask(WORK), stage.tasks.ask(WORK));
    let waits = Progress { doing: AFTER_ANOTHER.to_owned(), ..Progress::default() };
    assert_eq!(second.seen(), Seen::Running(waits), "what runs is not what was asked for");
    stage.finish();
    let Seen::Finished(progress) = end_of(&mut first).await else { panic!() };
    assert_eq!((progress.done, progress.of, progress.state), (3, Some(10), State::Finished));
    let (_, later) = stage.begins().await;
    assert!(report.is_over() && !later.is_over());
    report.set(9, None);
    assert_eq!(stage.tasks.progress(WORK).done, 0, "a run that is over says nothing any more");
    assert!(is_waiting(&mut second).await && is_waiting(&mut third).await);
    stage.finish();
    assert!(matches!(end_of(&mut second).await, Seen::Finished(_)));
    assert!(matches!(end_of(&mut third).await, Seen::Finished(_)));
    let none = timeout(Duration::from_secs(60), stage.begins()).await;
    assert!(none.is_err(), "the two share a run");
    assert_eq!(stage.finished.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_is_told_to_who_asked_and_not_repeated_for_him() {
    let mut stage = Stage::new(false);
    stage.elect(HOUR);
    let mut asked = stage.tasks.ask(WORK);
    stage.begins().await;
    let failure = Unfinished::new("img2 did not answer");
    stage.end.send(Err(failure.clone())).unwrap();
    assert_eq!(end_of(&mut asked).await, Seen::Failed(failure));
    assert_eq!(stage.tasks.progress(WORK).state, State::Failed);
    assert_eq!(stage.finished.load(Ordering::Relaxed), 0);
    assert!(timeout(RETRY / 2, stage.begins()).await.is_err());
    assert_eq!(stage.begins().await.0, Occasion::Due, "but it is not forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_short_begins_again_for_whoever_waits() {
    let mut stage = Stage::new(false);
    stage.elect(HOUR);
    let mut asked = stage.tasks.ask(WORK);
    let (_, report) = stage.begins().await;
    report.doing("half of it");
    stage.elect(HOUR);
    let (occasion, _) = stage.begins().await;
    assert!(report.is_over());
    assert_eq!(occasion, Occasion::Asked);
    assert!(is_waiting(&mut asked).await);
    stage.finish();
    assert!(matches!(end_of(&mut asked).await, Seen::Finished(_)));
}

#[tokio::test(start_paused = true)]
async fn work_is_done_when_it_is_due_and_nobody_asks() {
    let mut stage = Stage::new(false);
    let start = tokio::time::Instant::now();
    stage.elect(Duration::ZERO);
    for run in 0..3 {
        assert_eq!(stage.begins().await.0, Occasion::Due);
        assert_eq!(start.elapsed().as_secs() / 3600, run);
        stage.finish();
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_its_time_when_due_begins_anew_for_whoever_asks() {
    let mut stage = Stage::new(true);
    stage.elect(Duration::ZERO);
    let (occasion, slow) = stage.begins().await;
    assert_eq!(occasion, Occasion::Due);
    let mut asked = stage.tasks.ask(WORK);
    assert_eq!(stage.begins().await.0, Occasion::Asked);
    assert!(slow.is_over());
    // The next one who asks does not cut that short.
    let mut other = stage.tasks.ask(WORK);
    assert!(timeout(Duration::from_secs(10), stage.begins()).await.is_err());
    stage.finish();
    assert!(matches!(end_of(&mut asked).await, Seen::Finished(_)));
    stage.begins().await;
    stage.finish();
    assert!(matches!(end_of(&mut other).await, Seen::Finished(_)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_news_when_its_cause_changes_and_once_an_hour() {
    let about =
        |cause: &str, keys: u32| Unfinished { problem: format!("{keys} keys"), cause: cause.to_owned() };
    let mut failure = Failure::default();
    assert!(!failure.goes_on());
    assert!(failure.is_news(&about("img2", 1)));
    let mut told = 0;
    for keys in 0..600 {
        tokio::time::sleep(RETRY).await;
        told += usize::from(failure.is_news(&about("img2", keys)));
    }
    assert_eq!(told, 10, "in ten hours");
    assert!(failure.is_news(&about("img2 and img3", 1)) && !failure.is_news(&about("img2 and img3", 2)));
    assert!(failure.is_news(&about("img2", 1)) && failure.goes_on());
    failure.note(WORK, None);
    assert!(!failure.goes_on() && failure.is_news(&about("img2", 1)), "it was well meanwhile");
}
