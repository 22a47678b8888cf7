//! What a connection and one of its requests share: the body on its way to the handler, and how far the web server
//! still wants the answer.
//!
//! Here are only queues and wake-ups; no socket and no records. The lock is held for a few instructions, never across
//! an await.
//!
//! A body is bounded: when a queue is full, the connection is not read until the handler has taken something out of
//! it. On a connection with several requests this also delays the others; the alternative, to let queues grow, lets
//! one slow disk take all memory.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream;

use crate::response::BodyError;

/// What a queued piece costs beside its bytes: its place in the queue, and its record header in the input buffer. So a
/// body sent in records of one byte cannot take more memory than any other.
const PIECE_OVERHEAD: usize = 64;

/// Whether the web server still waits for the answer. Only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// It does.
    Yes,
    /// It aborted the request, and waits for nothing but the record that ends it.
    EndOnly,
    /// The connection is gone, or out of step.
    No,
}

/// The shared state of one request.
#[derive(Debug)]
pub(super) struct Exchange {
    queue_bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pieces: VecDeque<Bytes>,
    /// The sum over `pieces` of their length and [`PIECE_OVERHEAD`].
    queued_bytes: usize,
    body: BodyState,
    wanted: Wanted,
    /// The handler, waiting for a piece.
    on_piece: Option<Waker>,
    /// The connection, waiting for room.
    on_room: Option<Waker>,
    /// The writer of the answer, waiting for bytes or for `wanted` to change.
    on_unwanted: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyState {
    Arriving,
    Complete,
    Cut,
    /// The handler has dropped it, or was told that it is cut. What still comes is thrown away.
    Unread,
}

impl Exchange {
    /// A request whose body has not begun. `queue_bytes_max` is what the queue may hold before the connection is no
    /// longer read; the piece that passes it is still taken.
    pub(super) fn new(queue_bytes_max: usize) -> Arc<Self> {
        let state = State {
            pieces: VecDeque::new(),
            queued_bytes: 0,
            body: BodyState::Arriving,
            wanted: Wanted::Yes,
            on_piece: None,
            on_room: None,
            on_unwanted: None,
        };
        Arc::new(Self { queue_bytes_max, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }

    /// A piece of the body has arrived.
    pub(super) fn push(&self, bytes: Bytes) {
        let mut state = self.lock();
        if state.body == BodyState::Arriving {
            state.queued_bytes += bytes.len() + PIECE_OVERHEAD;
            state.pieces.push_back(bytes);
            wake(&mut state.on_piece);
        }
    }

    /// The body is complete.
    pub(super) fn complete(&self) {
        let mut state = self.lock();
        if state.body == BodyState::Arriving {
            state.body = BodyState::Complete;
            wake(&mut state.on_piece);
        }
    }

    /// The web server wants less than before. A body that is not complete is cut: its queued pieces are dropped, since
    /// nothing of it may be kept.
    pub(super) fn reduce(&self, wanted: Wanted) {
        let mut state = self.lock();
        state.wanted = state.wanted.max(wanted);
        if state.body == BodyState::Arriving {
            state.body = BodyState::Cut;
            state.clear();
            wake(&mut state.on_piece);
            wake(&mut state.on_room);
        }
        wake(&mut state.on_unwanted);
    }

    /// Whether the web server still waits.
    pub(super) fn wanted(&self) -> Wanted {
        self.lock().wanted
    }

    /// Ready when the queue may take another read.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.queued_bytes < self.queue_bytes_max {
            return Poll::Ready(());
        }
        register(&mut state.on_room, context);
        Poll::Pending
    }

    /// What `future` gives, or `None` as soon as the web server wants less than `least`. At most one such wait may be
    /// under way, or one within another with the same waker, as in one task.
    pub(super) async fn while_wanted<F: Future>(&self, least: Wanted, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| {
            let mut state = self.lock();
            if state.wanted > least {
                return Poll::Ready(None);
            }
            register(&mut state.on_unwanted, context);
            drop(state);
            future.as_mut().poll(context).map(Some)
        })
        .await
    }
}

impl State {
    fn clear(&mut self) {
        self.pieces = VecDeque::new();
        self.queued_bytes = 0;
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn register(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
}

/// The body as the handler sees it.
#[derive(Debug)]
pub(super) struct RequestBody(pub(super) Arc<Exchange>);

impl Stream for RequestBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.lock();
        if let Some(piece) = state.pieces.pop_front() {
            state.queued_bytes -= piece.len() + PIECE_OVERHEAD;
            if state.queued_bytes < self.0.queue_bytes_max {
                wake(&mut state.on_room);
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        match state.body {
            BodyState::Arriving => {
                register(&mut state.on_piece, context);
                Poll::Pending
            }
            BodyState::Cut => {
                state.body = BodyState::Unread;
                Poll::Ready(Some(Err(BodyError::Cut)))
            }
            BodyState::Complete | BodyState::Unread => Poll::Ready(None),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.body = BodyState::Unread;
        state.clear();
        wake(&mut state.on_room);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn piece(length: usize) -> Bytes {
        Bytes::from(vec![b'x'; length])
    }

    fn has_room(exchange: &Exchange) -> bool {
        exchange.poll_room(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_body_ends_only_when_its_sender_said_so() {
        let exchange = Exchange::new(1000);
        let mut body = RequestBody(exchange.clone());
        assert!(body.next().now_or_never().is_none(), "nothing has arrived");
        exchange.push(piece(3));
        exchange.complete();
        assert_eq!(body.next().now_or_never().unwrap().unwrap().unwrap(), piece(3));
        assert!(body.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn a_body_that_is_cut_drops_what_was_queued_and_says_so_once() {
        let exchange = Exchange::new(1000);
        let mut body = RequestBody(exchange.clone());
        exchange.push(piece(3));
        exchange.reduce(Wanted::No);
        exchange.push(piece(3));
        exchange.complete();
        assert!(matches!(body.next().now_or_never(), Some(Some(Err(BodyError::Cut)))));
        assert!(matches!(body.next().now_or_never(), Some(None)));
    }

    #[test]
    fn a_complete_body_stays_whole_when_the_connection_is_lost() {
        let exchange = Exchange::new(1000);
        let mut body = RequestBody(exchange.clone());
        exchange.push(piece(3));
        exchange.complete();
        exchange.reduce(Wanted::No);
        assert_eq!(body.next().now_or_never().unwrap().unwrap().unwrap(), piece(3));
        assert!(body.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn a_full_queue_has_room_again_when_something_is_taken_out_or_nobody_reads_it() {
        let exchange = Exchange::new(1000);
        let mut body = RequestBody(exchange.clone());
        (0..3).for_each(|_| exchange.push(piece(400)));
        assert!(!has_room(&exchange));
        body.next().now_or_never().unwrap();
        assert!(has_room(&exchange));
        exchange.push(piece(1000));
        assert!(!has_room(&exchange));
        drop(body);
        assert!(has_room(&exchange));
        exchange.push(piece(5000));
        assert!(has_room(&exchange), "what nobody reads is thrown away");
    }

    #[test]
    fn many_tiny_pieces_fill_a_queue_as_well() {
        let exchange = Exchange::new(1000);
        let _body = RequestBody(exchange.clone());
        let taken =
            std::iter::repeat_with(|| exchange.push(piece(1))).take_while(|()| has_room(&exchange)).count();
        assert!(taken <= 1000 / PIECE_OVERHEAD, "{taken}");
    }

    #[test]
    fn waiting_ends_when_the_answer_is_no_longer_wanted_and_never_goes_back() {
        let exchange = Exchange::new(1000);
        let forever = || exchange.while_wanted(Wanted::EndOnly, std::future::pending::<()>());
        assert!(forever().now_or_never().is_none());
        exchange.reduce(Wanted::EndOnly);
        assert!(forever().now_or_never().is_none());
        exchange.reduce(Wanted::No);
        assert_eq!(forever().now_or_never(), Some(None));
        exchange.reduce(Wanted::EndOnly);
        assert_eq!(exchange.wanted(), Wanted::No);
        let ready = exchange.while_wanted(Wanted::EndOnly, std::future::ready(7));
        assert_eq!(ready.now_or_never(), Some(None), "not even looked at");
    }
}
