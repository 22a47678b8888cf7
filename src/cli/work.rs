//! `webdfs reconcile --once` and `webdfs scrub`: have the running node do work over its whole root, and wait for its end.

use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Builder;

use super::CliError;
use super::status::progress_text;
use crate::config;
use crate::control::{AgentClient, Progress, Work};

/// How often a line tells how far the work is, where there is no terminal, though it does the same as before.
const LINE_EVERY: Duration = Duration::from_secs(30);

pub(super) fn run(config: &Path, work: Work) -> Result<(), CliError> {
    let agent = agent_of(config)?;
    let mut meter = Meter::new(work);
    let result = wait_for(agent.have_done(work, |progress| meter.show(progress)));
    meter.bar.finish_and_clear();
    let progress = result??;
    writeln!(io::stdout().lock(), "{work} is finished: {}", in_the_end(&progress))?;
    Ok(())
}

/// The way to the process that does the background work of a node.
pub(super) fn agent_of(config: &Path) -> Result<AgentClient, CliError> {
    Ok(AgentClient { root: config::load_site(config)?.root })
}

/// Waits for a future on a runtime of its own.
pub(super) fn wait_for<T>(future: impl Future<Output = T>) -> io::Result<T> {
    Ok(Builder::new_current_thread().enable_all().build()?.block_on(future))
}

fn in_the_end(progress: &Progress) -> String {
    progress_text(&Progress { doing: String::new(), of: None, ..progress.clone() })
}

/// How far the work is: a bar on a terminal, elsewhere a line on standard error whenever something else is done, and now
/// and then.
struct Meter {
    work: Work,
    bar: ProgressBar,
    last: Option<(String, Instant)>,
}

impl Meter {
    fn new(work: Work) -> Self {
        Self { work, bar: ProgressBar::no_length(), last: None }
    }

    fn show(&mut self, progress: &Progress) {
        let style = match progress.of {
            Some(_) => "{prefix}: {bar:40} {percent} %, {msg}",
            None => "{prefix}: {spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(self.work.to_string());
        match progress.of {
            Some(of) => self.bar.set_length(of),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(progress.done);
        self.bar.set_message(progress_text(progress));
        if self.bar.is_hidden() && self.is_due(progress) {
            eprintln!("webdfs: {}: {}", self.work, progress_text(progress));
            self.last = Some((progress.doing.clone(), Instant::now()));
        }
    }

    fn is_due(&self, progress: &Progress) -> bool {
        let is_new = |(doing, at): &(String, Instant)| *doing != progress.doing || at.elapsed() > LINE_EVERY;
        self.last.as_ref().map_or(!progress.doing.is_empty(), is_new)
    }
}
