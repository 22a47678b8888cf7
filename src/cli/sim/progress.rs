//! How far the simulation is: a bar on a terminal; elsewhere, once it has taken long, now and then a line on standard
//! error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::sim::Progress;

/// What takes less needs no lines.
const LONG: Duration = Duration::from_secs(3);

/// How many lines stand in for the bar at most.
const LINES: u64 = 4;

/// The progress of all passes over the objects together. Dropping it removes the bar.
pub(super) struct Meter {
    bar: ProgressBar,
    total: u64,
    done: AtomicU64,
    start: Instant,
}

impl Meter {
    pub(super) fn new(total: u64) -> Self {
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("placing {bar:40} {percent} % ({eta} left)") {
            bar.set_style(style);
        }
        Self { bar, total, done: AtomicU64::new(0), start: Instant::now() }
    }
}

impl Progress for Meter {
    fn advance(&self, objects: u64) {
        self.bar.inc(objects);
        let before = self.done.fetch_add(objects, Ordering::Relaxed);
        let lines = |done: u64| u128::from(done) * u128::from(LINES) / u128::from(self.total.max(1));
        let (was, is) = (lines(before), lines(before + objects));
        if self.bar.is_hidden() && is > was && self.start.elapsed() > LONG {
            eprintln!("webdfs: placing: {is} of {LINES} parts done");
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
