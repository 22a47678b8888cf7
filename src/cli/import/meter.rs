//! How far an import is: a bar on a terminal, elsewhere now and then a line on standard error.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};

use crate::import::{Source, Summary};

/// How often a line tells how far it is, where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Dropping it removes the bar.
pub(super) struct Meter {
    bar: ProgressBar,
    start: Instant,
    last: Mutex<Instant>,
    /// How many files there are; 0 while that is not known.
    total: Arc<AtomicU64>,
}

impl Meter {
    pub(super) fn new(source: &Source) -> Self {
        let total = Arc::new(AtomicU64::new(0));
        let (counted, source) = (Arc::clone(&total), source.clone());
        // It may take as long as the import; nobody waits for it.
        std::thread::spawn(move || counted.store(source.count().unwrap_or_default(), Ordering::Relaxed));
        let now = Instant::now();
        let bar = ProgressBar::no_length();
        style(&bar, "{spinner} {pos} done: {msg}");
        Self { bar, start: now, last: Mutex::new(now), total }
    }

    pub(super) fn show(&self, summary: &Summary) {
        let total = self.total.load(Ordering::Relaxed);
        let text = self.text(summary);
        if self.bar.is_hidden() {
            let mut last = self.last.lock().expect("no one panics while holding it");
            if last.elapsed() > LINE_EVERY {
                *last = Instant::now();
                let of = if total > 0 { format!(" of {total}") } else { String::new() };
                eprintln!("webdfs: import: {}{of} done: {text}", summary.done());
            }
            return;
        }
        if total > 0 && self.bar.length().is_none() {
            style(&self.bar, "{bar:40} {pos} of {len} ({eta} left): {msg}");
            self.bar.set_length(total);
        }
        self.bar.set_position(summary.done());
        self.bar.set_message(text);
    }

    fn text(&self, summary: &Summary) -> String {
        let Summary { files, bytes, same, resumed, failed, .. } = summary;
        let rate = *bytes as f64 / self.start.elapsed().as_secs_f64().max(0.001);
        let there = same + resumed;
        format!("{files} stored, {there} there, {failed} failed, {}/s", BinaryBytes(rate as u64))
    }
}

fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
