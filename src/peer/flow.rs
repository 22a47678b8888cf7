//! How a body on its way to another node fares: whether that node takes it, and when it has had all of it.
//!
//! A body may be slow because its source is, a client on a bad line for example. That is no fault of the node it
//! goes to, so only the time counts in which there is something to take.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep_until};

use crate::response::{BodyError, ByteStream};

/// A node that takes no bytes for this long has stalled.
pub(super) const STALL: Duration = Duration::from_secs(5);
/// How long a node may take to answer after the end of a body: it syncs the bytes before.
pub(super) const AFTER_END: Duration = Duration::from_secs(10);

/// Where a body is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// At its source, which has nothing yet.
    AtSource,
    /// On its way since then: the node has not asked for more.
    OnItsWay(Instant),
    /// All of it is on its way since then.
    Ended(Instant),
}

impl Place {
    /// When it is to be looked at again; the node has stalled if it is the same then.
    fn deadline(self, now: Instant, after_end: Duration) -> Instant {
        match self {
            Place::AtSource => now + STALL,
            Place::OnItsWay(since) => since + STALL,
            Place::Ended(since) => since + after_end,
        }
    }

    /// What is wrong at a time, if something is.
    fn problem(self, now: Instant, after_end: Duration) -> Option<&'static str> {
        match self {
            Place::AtSource => None,
            _ if now < self.deadline(now, after_end) => None,
            Place::OnItsWay(_) => Some("it takes no more bytes"),
            Place::Ended(_) => Some("no answer in time after the end of the body"),
        }
    }
}

/// Watches over a body from outside.
#[derive(Debug)]
pub(super) struct Flow(Arc<Mutex<Place>>);

impl Flow {
    /// Ends when the node has stalled, and says how. After the end of the body it may take `after_end` to answer.
    pub async fn stalled(&self, after_end: Duration) -> &'static str {
        loop {
            let now = Instant::now();
            let place = *self.0.lock().expect("no holder panics");
            if let Some(problem) = place.problem(now, after_end) {
                return problem;
            }
            // Nothing that happens until then makes the deadline an earlier one.
            sleep_until(place.deadline(now, after_end)).await;
        }
    }
}

/// A body that is watched.
struct Watched {
    body: ByteStream,
    /// Bytes still to come.
    remaining: u64,
    place: Arc<Mutex<Place>>,
}

/// A body of `length` bytes, and who watches over it.
pub(super) fn watched(body: ByteStream, length: u64) -> (ByteStream, Flow) {
    let now = Instant::now();
    // Nobody asks for an empty body.
    let place = if length == 0 { Place::Ended(now) } else { Place::OnItsWay(now) };
    let place = Arc::new(Mutex::new(place));
    let flow = Flow(Arc::clone(&place));
    (Box::pin(Watched { body, remaining: length, place }), flow)
}

impl Stream for Watched {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.body.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        }
        let mut place = self.place.lock().expect("no holder panics");
        *place = match (&polled, *place) {
            (_, Place::Ended(since)) => Place::Ended(since),
            (Poll::Pending, _) => Place::AtSource,
            (Poll::Ready(Some(Ok(_))), _) if self.remaining > 0 => Place::OnItsWay(Instant::now()),
            (Poll::Ready(_), _) => Place::Ended(Instant::now()),
        };
        drop(place);
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};

    use super::*;

    /// What is wrong with a body at a time from now.
    fn problem(flow: &Flow, later: Duration) -> Option<&'static str> {
        flow.0.lock().unwrap().problem(Instant::now() + later, AFTER_END)
    }

    #[test]
    fn only_the_time_counts_in_which_there_is_something_to_take() {
        let second = Duration::from_secs(1);
        let source: ByteStream = Box::pin(
            stream::iter([Ok(Bytes::from_static(b"half"))])
                .chain(stream::once(futures_util::future::pending())),
        );
        let (mut body, flow) = watched(source, 8);
        assert_eq!(problem(&flow, STALL - second), None);
        assert!(problem(&flow, STALL).is_some(), "it never began to take anything");
        assert!(body.next().now_or_never().is_some());
        assert_eq!(problem(&flow, STALL - second), None);
        assert!(problem(&flow, STALL).is_some(), "it takes no more");
        assert!(body.next().now_or_never().is_none());
        assert_eq!(problem(&flow, STALL * 100), None, "the source has nothing");
    }

    #[test]
    fn after_the_end_of_a_body_its_answer_has_a_deadline() {
        let source: ByteStream = Box::pin(stream::iter([Ok(Bytes::from_static(b"whole"))]));
        let (mut body, flow) = watched(source, 5);
        assert!(body.next().now_or_never().is_some());
        assert_eq!(problem(&flow, AFTER_END - Duration::from_secs(1)), None);
        assert!(problem(&flow, AFTER_END).is_some());
        let (_, flow) = watched(Box::pin(stream::empty()), 0);
        assert_eq!(problem(&flow, AFTER_END - Duration::from_secs(1)), None);
        assert!(problem(&flow, AFTER_END).is_some(), "nobody asks for an empty body");
    }
}
