//! One import from its beginning to its end: a source, workers, a journal and a summary.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::content::{self, Content, ReadError};
use super::http::{Http, Trouble};
use super::journal::{Journal, JournalError, key};
use super::source::{Found, Item, Origin, Source};
use super::summary::{Failed, Summary};
use super::targets::Targets;
use super::upload::{Done, NotBrought, Uploader, pause};
use crate::cluster::NodeUrl;
use crate::name::Prefix;

/// How often a file is read again that changes while it is read, and how long to wait each time.
const READS: (u32, Duration) = (4, Duration::from_millis(300));
/// The import stops when so many files in a row were given up: no node works.
const GIVEN_UP_MAX: u32 = 32;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Import {
    /// Nodes, or their web servers; at least one.
    pub to: Vec<NodeUrl>,
    /// What stands before each name in its URL there.
    pub prefix: Prefix,
    /// Files under way at once; at least one.
    pub concurrency: usize,
    /// How often a file is tried again that a node could not take.
    pub retries: u32,
    /// Whether files with other bytes are replaced.
    pub overwrite: bool,
    /// Whether files with the same bytes are written once more.
    pub again: bool,
    /// Whether nothing is sent.
    pub dry_run: bool,
    /// Where it is written down what is finished.
    pub journal: Option<PathBuf>,
    /// What the import is called in that file: the same for the same source.
    pub title: String,
}

/// What became of one thing that the source named.
enum Outcome {
    Stored { bytes: u64, line: Option<String> },
    Same { line: Option<String> },
    Resumed,
    Failed { failed: Failed, given_up: bool },
}

/// What every worker has.
struct Shared {
    uploader: Uploader,
    source: Source,
    prefix: Prefix,
    finished: HashSet<[u8; 16]>,
    dry_run: bool,
    keeps_journal: bool,
}

/// Imports everything, telling `progress` after each file how far it is.
///
/// # Errors
/// When the journal cannot be used. What failed otherwise is in the summary.
pub async fn run(
    import: &Import,
    source: &Source,
    mut progress: impl FnMut(&Summary),
) -> Result<Summary, JournalError> {
    let (mut journal, finished) = match &import.journal {
        // What only looks leaves nothing behind.
        Some(path) if !import.dry_run || path.exists() => {
            let (journal, finished) = Journal::open(path, &import.title)?;
            (Some(journal), finished)
        }
        _ => (None, HashSet::new()),
    };
    let targets = Targets::new(import.to.iter().map(ToString::to_string).collect());
    let (retries, overwrite, again) = (import.retries, import.overwrite, import.again);
    let shared = Arc::new(Shared {
        uploader: Uploader { http: Http::new(), targets, retries, overwrite, again },
        source: source.clone(),
        prefix: import.prefix.clone(),
        finished,
        dry_run: import.dry_run,
        keeps_journal: journal.is_some() && !import.dry_run,
    });
    let (named, naming) = source.begin(2 * import.concurrency);
    let named = Arc::new(Mutex::new(named));
    let (done, mut outcomes) = channel(2 * import.concurrency);
    let mut workers = JoinSet::new();
    for _ in 0..import.concurrency {
        workers.spawn(work(Arc::clone(&shared), Arc::clone(&named), done.clone()));
    }
    drop(done);
    let mut tally = Tally::default();
    while let Some(outcome) = outcomes.recv().await {
        let line = tally.add(outcome);
        if let (Some(journal), Some(line)) = (&mut journal, line) {
            journal.finish(&line)?;
        }
        progress(&tally.summary);
        if tally.given_up_in_a_row == GIVEN_UP_MAX {
            let why = format!("the last {GIVEN_UP_MAX} files were given up, so nothing more was tried");
            tally.summary.fail(Failed::new("the import", why));
            workers.abort_all();
            naming.abort();
            break;
        }
    }
    while let Some(ended) = workers.join_next().await {
        not_by_panic(ended);
    }
    if tally.given_up_in_a_row < GIVEN_UP_MAX {
        // Else it may wait for standard input, for ever.
        not_by_panic(naming.await);
    }
    if let Some(journal) = &mut journal {
        journal.sync()?;
    }
    Ok(tally.summary)
}

/// A task that has panicked has left something out, and nothing may look as if all had been done.
fn not_by_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

#[derive(Default)]
struct Tally {
    summary: Summary,
    given_up_in_a_row: u32,
}

impl Tally {
    /// Counts an outcome; returns what the journal is to say of it.
    fn add(&mut self, outcome: Outcome) -> Option<String> {
        let before = std::mem::take(&mut self.given_up_in_a_row);
        match outcome {
            Outcome::Stored { bytes, line } => {
                self.summary.files += 1;
                self.summary.bytes += bytes;
                line
            }
            Outcome::Same { line } => {
                self.summary.same += 1;
                line
            }
            Outcome::Resumed => {
                self.summary.resumed += 1;
                None
            }
            Outcome::Failed { failed, given_up } => {
                self.summary.fail(failed);
                self.given_up_in_a_row = before + u32::from(given_up);
                None
            }
        }
    }
}

async fn work(shared: Arc<Shared>, named: Arc<Mutex<Receiver<Found>>>, done: Sender<Outcome>) {
    loop {
        let next = named.lock().await.recv().await;
        let outcome = match next {
            None => return,
            Some(Err(failed)) => Outcome::Failed { failed, given_up: false },
            Some(Ok(item)) => match shared.bring(&item).await {
                Ok(outcome) => outcome,
                Err(error) => Outcome::Failed {
                    failed: Failed::new(format!("/{}", item.name), &error),
                    given_up: matches!(error, NotBrought::GivenUp { .. }),
                },
            },
        };
        if done.send(outcome).await.is_err() {
            return;
        }
    }
}

impl Shared {
    async fn bring(&self, item: &Item) -> Result<Outcome, NotBrought> {
        let refused = |error: &dyn std::fmt::Display| NotBrought::Refused(error.to_string());
        let line = match &item.origin {
            _ if self.finished.is_empty() && !self.keeps_journal => None,
            Origin::File { path, .. } => {
                let path = path.clone();
                spawn_blocking(move || content::mark(&path)).await.map_err(|error| refused(&error))?
            }
            Origin::Url(url) => Some(url.escape_debug().to_string()),
            Origin::Key(_) => Some("-".to_owned()),
        };
        let line = line.map(|mark| format!("{}\t{mark}", item.name.url_path()));
        if line.as_ref().is_some_and(|line| self.finished.contains(&key(line))) {
            return Ok(Outcome::Resumed);
        }
        if self.dry_run {
            let bytes = match &item.origin {
                Origin::File { path, .. } => {
                    path.metadata().map(|about| about.len()).map_err(|error| refused(&error))?
                }
                Origin::Url(_) | Origin::Key(_) => 0,
            };
            return Ok(Outcome::Stored { bytes, line: None });
        }
        let mut read = 0;
        loop {
            let content = self.content(&item.origin).await.map_err(NotBrought::Refused)?;
            let path = self.prefix.url_path(&item.name);
            match self.uploader.bring(&path, &content).await {
                Ok(Done::Stored) => return Ok(Outcome::Stored { bytes: content.length, line }),
                Ok(Done::Same) => return Ok(Outcome::Same { line }),
                Err(NotBrought::Changes) if read < READS.0 => {
                    read += 1;
                    sleep(READS.1).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn content(&self, origin: &Origin) -> Result<Content, String> {
        match origin {
            Origin::File { path, follow } => read_file(path.clone(), *follow).await,
            Origin::Url(url) => self.fetch(url).await.map_err(|trouble| trouble.why),
            Origin::Key(key) => {
                let Source::MogileFs { tracker, .. } = &self.source else {
                    unreachable!("only a tracker names keys");
                };
                let mut why = String::new();
                for path in tracker.paths(key).await.map_err(|trouble| trouble.why)? {
                    match self.uploader.http.fetch(&path).await {
                        Ok(content) => return Ok(content),
                        Err(trouble) => why = trouble.why,
                    }
                }
                Err(format!("none of its places gives it; the last: {why}"))
            }
        }
    }

    /// What a web server has, in several attempts.
    async fn fetch(&self, url: &str) -> Result<Content, Trouble> {
        let mut attempt = 0;
        loop {
            match self.uploader.http.fetch(url).await {
                Err(trouble) if trouble.may_pass && attempt < self.uploader.retries => {
                    sleep(pause(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

async fn read_file(path: PathBuf, follow: bool) -> Result<Content, String> {
    let mut read = 0;
    loop {
        let file = path.clone();
        let content =
            spawn_blocking(move || content::read(&file, follow)).await.map_err(|error| error.to_string())?;
        match content {
            Err(ReadError::Changes) if read < READS.0 => {
                read += 1;
                sleep(READS.1).await;
            }
            result => return result.map_err(|error| error.to_string()),
        }
    }
}
