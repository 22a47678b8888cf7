//! The nodes, or their web servers, that files are sent to: used in turn, and put aside for a growing time when they fail.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long a target is put aside that fails for the first time, and at most.
const ASIDE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Where files are sent.
#[derive(Debug)]
pub(super) struct Targets {
    urls: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: usize,
    /// For each target how often it has failed since it last did well, and until when it is put aside.
    failed: Vec<(u32, Instant)>,
}

impl Targets {
    /// Of at least one URL, without slashes at their ends.
    pub(super) fn new(urls: Vec<String>) -> Self {
        let failed = vec![(0, Instant::now()); urls.len()];
        Self { urls, state: Mutex::new(State { next: 0, failed }) }
    }

    pub(super) fn url(&self, target: usize) -> &str {
        &self.urls[target]
    }

    /// The one to ask next; waits while all are put aside.
    pub(super) async fn next(&self) -> usize {
        let (target, until) = {
            let mut state = self.state.lock().expect("no one panics while holding it");
            let (count, next, now) = (self.urls.len(), state.next, Instant::now());
            let turns = (0..count).map(|turn| (next + turn) % count);
            let target =
                turns.min_by_key(|target| state.failed[*target].1.max(now)).expect("there is a target");
            state.next = (target + 1) % count;
            (target, state.failed[target].1)
        };
        sleep_until(until).await;
        target
    }

    /// It did what it was asked, or said why not.
    pub(super) fn answered(&self, target: usize) {
        self.state.lock().expect("no one panics while holding it").failed[target].0 = 0;
    }

    /// It cannot be reached, or broke off.
    pub(super) fn failed(&self, target: usize) {
        let mut state = self.state.lock().expect("no one panics while holding it");
        let now = Instant::now();
        let (times, until) = &mut state.failed[target];
        // Requests that were under way together count once.
        if *until <= now {
            *until = now + ASIDE.0.saturating_mul(1 << (*times).min(10)).min(ASIDE.1);
            *times += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn targets_take_turns_and_those_that_fail_are_left_out_for_longer_and_longer() {
        let targets = Targets::new(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        assert_eq!(
            [targets.next().await, targets.next().await, targets.next().await, targets.next().await],
            [0, 1, 2, 0]
        );
        targets.failed(1);
        targets.failed(1);
        assert_eq!([targets.next().await, targets.next().await, targets.next().await], [2, 0, 2]);
        tokio::time::advance(ASIDE.0).await;
        assert_eq!([targets.next().await, targets.next().await], [0, 1]);
        targets.failed(1);
        tokio::time::advance(ASIDE.0).await;
        assert_eq!([targets.next().await, targets.next().await], [2, 0]);
        (0..3).for_each(|target| targets.failed(target));
        let before = Instant::now();
        targets.next().await;
        assert_eq!(before.elapsed(), ASIDE.0, "one has to wait until the first of them is tried again");
    }
}
