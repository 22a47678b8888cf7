//! Jobs of one connection at the same time, in the task of the connection; what they do is not known here.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Poll, ready};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// Jobs under way. Most end without a wait as soon as they are looked at; only one that does not is put among those that
/// can be woken one by one, which costs more than many an answer.
pub(super) struct Work<F> {
    begun: VecDeque<Pin<Box<F>>>,
    waiting: Option<FuturesUnordered<Pin<Box<F>>>>,
}

impl<F> Default for Work<F> {
    fn default() -> Self {
        Self { begun: VecDeque::new(), waiting: None }
    }
}

impl<F: Future> Work<F> {
    pub(super) fn begin(&mut self, job: F) {
        self.begun.push_back(Box::pin(job));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.waiting.as_ref().is_none_or(FuturesUnordered::is_empty)
    }

    /// The next job that has ended. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> F::Output {
        poll_fn(|context| {
            while let Some(mut job) = self.begun.pop_front() {
                match job.as_mut().poll(context) {
                    Poll::Ready(done) => return Poll::Ready(done),
                    Poll::Pending => self.waiting.get_or_insert_default().push(job),
                }
            }
            match &mut self.waiting {
                Some(waiting) => match ready!(waiting.poll_next_unpin(context)) {
                    Some(done) => Poll::Ready(done),
                    None => Poll::Pending,
                },
                None => Poll::Pending,
            }
        })
        .await
    }
}
