//! How fast the background work goes: all that it reads and transfers shares one number of bytes per second, and one of
//! files at the same time.
//!
//! A token bucket kept as a time (GCRA, ITU-T I.371 annex A): until when what was taken so far is paid for. Whoever takes
//! bytes waits until his turn; nobody needs a timer of his own, and nobody is overtaken.
//!
//! So in a time t the files' bytes that move are at most rate * (t + [`BURST`]), and one piece of each file at work, of
//! [`PIECE_BYTES`] at most: a piece is read, and then waits.
//!
//! An operator may order another rate, and have the work rest, at any time ([`Orders`]). Work that rests begins no file
//! ([`Throttle::turn`]) and takes no other step ([`Throttle::unpaused`]); what it has begun it finishes, since another node
//! may wait for the rest of a file.

use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::Rate;
use crate::control::Background;
use crate::response::ByteStream;
use crate::store::Orders;

/// What may be taken at once after a rest, as the time it takes at the full rate.
const BURST: Duration = Duration::from_millis(100);
/// No piece of a file is larger.
const PIECE_BYTES: u64 = 128 << 10;
/// Files that move at the same time take turns with their pieces. No more of them do than leave each a piece in this time:
/// where nothing comes for longer, the other side may take this one for dead.
const TURN_MAX: Duration = Duration::from_secs(2);

/// A rate that many share, and whether an operator has the work rest. Clones share it, too.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// Bytes in a second, unless an operator has ordered another rate; none: no limit.
    configured: Option<NonZeroU64>,
    /// Files that are worked on at the same time at most, whatever the rate.
    concurrency: NonZeroUsize,
    /// What an operator has ordered. It may change at any time.
    orders: watch::Sender<Orders>,
    /// Whether whoever uses this one goes on while the work is paused.
    is_urgent: bool,
    paid_until: Arc<Mutex<Option<Instant>>>,
    /// A permit for each file that may be worked on beside the others.
    files: Arc<Semaphore>,
    /// How many permits of `concurrency` there are not, since the rate is low.
    withheld: Arc<Mutex<usize>>,
}

/// The right to work on a file, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    /// Always there, until it is dropped.
    permit: Option<OwnedSemaphorePermit>,
    of: Throttle,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.take_back(self.permit.take());
    }
}

impl Throttle {
    /// At most so many bytes in a second, or as many as the machine can, and so many files at the same time, unless
    /// `orders` says otherwise.
    pub fn new(
        bytes_per_second: Option<NonZeroU64>,
        concurrency: NonZeroUsize,
        orders: watch::Sender<Orders>,
    ) -> Self {
        let throttle = Self {
            configured: bytes_per_second,
            concurrency,
            orders,
            is_urgent: false,
            paid_until: Arc::default(),
            files: Arc::new(Semaphore::new(concurrency.get())),
            withheld: Arc::default(),
        };
        throttle.fit_files();
        throttle
    }

    /// The same for work that goes on while the rest is paused.
    pub fn urgent(&self) -> Self {
        Self { is_urgent: true, ..self.clone() }
    }

    /// How fast what it throttles goes.
    pub fn background(&self) -> Background {
        let Orders { paused, rate } = *self.orders.borrow();
        let allowed = self.concurrency.get() - *self.withheld.lock().expect("no holder panics");
        Background {
            paused,
            bytes_per_second: self.rate(),
            by_command: rate.is_some(),
            files: allowed.saturating_sub(self.files.available_permits()),
        }
    }

    /// Returns once the work may go on: at once, unless it is paused and not urgent.
    pub async fn unpaused(&self) {
        if self.is_urgent {
            return;
        }
        // The sender is not dropped while `self` is there.
        let _ = self.orders.subscribe().wait_for(|orders| !orders.paused).await;
    }

    /// Waits until one file more may be worked on. Whoever comes first is first.
    pub async fn turn(&self) -> Turn {
        self.fit_files();
        loop {
            self.unpaused().await;
            let permit = Arc::clone(&self.files).acquire_owned().await.expect("never closed");
            let turn = Turn { permit: Some(permit), of: self.clone() };
            // It may have been paused while this one stood in the queue.
            if self.is_urgent || !self.orders.borrow().paused {
                return turn;
            }
        }
    }

    /// Takes the right to work on a file back, and passes it on if as many files are still to be worked on.
    fn take_back(&self, permit: Option<OwnedSemaphorePermit>) {
        let mut withheld = self.withheld.lock().expect("no holder panics");
        if *withheld < self.to_withhold()
            && let Some(permit) = permit
        {
            permit.forget();
            *withheld += 1;
        }
        drop(withheld);
        self.fit_files();
    }

    /// Gives out as many permits as the rate allows, or takes in those that nobody has. The others come in later.
    fn fit_files(&self) {
        let wanted = self.to_withhold();
        let mut withheld = self.withheld.lock().expect("no holder panics");
        if *withheld < wanted {
            *withheld += self.files.forget_permits(wanted - *withheld);
        } else {
            self.files.add_permits(*withheld - wanted);
            *withheld = wanted;
        }
    }

    /// How many permits of `concurrency` nobody is to have at this rate.
    fn to_withhold(&self) -> usize {
        let in_time = self.rate().map_or(u64::MAX, |rate| rate.get().saturating_mul(TURN_MAX.as_secs()));
        let files = usize::try_from(in_time / PIECE_BYTES).unwrap_or(usize::MAX).max(1);
        self.concurrency.get().saturating_sub(files)
    }

    /// Bytes in a second, now; none: no limit.
    fn rate(&self) -> Option<NonZeroU64> {
        self.orders.borrow().rate.map_or(self.configured, Rate::bytes)
    }

    /// For a thread that reads a file: makes it wait after each piece, and ends its work once `is_over` says so.
    pub fn pace(&self, is_over: impl Fn() -> bool) -> impl FnMut(usize) -> io::Result<()> {
        move |bytes| {
            if is_over() {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "the work is over"));
            }
            let wait = self.reserve(bytes as u64, Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            Ok(())
        }
    }

    /// Takes bytes, and waits for its turn. Dropping the future takes them all the same.
    pub async fn take(&self, bytes: u64) {
        let wait = self.reserve(bytes, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// A stream at this rate, whatever that is by the time of each piece. It goes on while the work is paused: the other side
    /// would take this one for dead.
    pub fn stream(&self, stream: ByteStream) -> ByteStream {
        let throttle = self.clone();
        Box::pin(stream.then(move |piece| {
            let throttle = throttle.clone();
            async move {
                if let Ok(piece) = &piece {
                    throttle.take(piece.len() as u64).await;
                }
                piece
            }
        }))
    }

    /// Takes bytes; how long to wait for them.
    fn reserve(&self, bytes: u64, now: Instant) -> Duration {
        let Some(rate) = self.rate() else { return Duration::ZERO };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut paid_until = self.paid_until.lock().expect("no holder panics");
        // What was not taken is lost, but for the burst.
        let from = paid_until.map_or(now, |paid| paid.max(now.checked_sub(BURST).unwrap_or(now)));
        // A time too far away to be told is never waited for in earnest.
        let until = from.checked_add(price).unwrap_or(from);
        *paid_until = Some(until);
        until.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MANY: NonZeroUsize = NonZeroUsize::new(256).unwrap();

    /// At so many bytes in a second; 0: no limit.
    fn throttle(rate: u64) -> Throttle {
        Throttle::new(NonZeroU64::new(rate), MANY, watch::Sender::default())
    }

    fn order(throttle: &Throttle, rate: &str) {
        throttle.orders.send_modify(|orders| orders.rate = Some(rate.parse().unwrap()));
    }

    #[test]
    fn all_who_share_a_throttle_together_get_its_rate() {
        let throttle = throttle(1000);
        let (other, now) = (throttle.clone(), Instant::now());
        assert_eq!(throttle.reserve(1000, now), SECOND);
        assert_eq!(other.reserve(500, now), SECOND * 3 / 2, "after the first has had its bytes");
        assert_eq!(throttle.reserve(500, now + SECOND), SECOND);
    }

    #[test]
    fn a_rest_is_no_credit_but_for_a_small_burst() {
        let throttle = throttle(1000);
        let now = Instant::now();
        throttle.reserve(1, now);
        assert_eq!(throttle.reserve(100, now + SECOND * 3600), Duration::ZERO);
        assert_eq!(throttle.reserve(1000, now + SECOND * 3600), SECOND);
    }

    #[test]
    fn without_a_rate_nobody_waits_and_no_amount_is_too_much() {
        let now = Instant::now();
        assert_eq!(throttle(0).reserve(u64::MAX, now), Duration::ZERO);
        let throttle = throttle(1);
        for _ in 0..3 {
            assert!(throttle.reserve(u64::MAX, now) > SECOND);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_stream_is_the_same_stream_at_its_rate() {
        let pieces = (0..4u8).map(|number| Ok(bytes::Bytes::from(vec![number; 500])));
        let stream: ByteStream = Box::pin(futures_util::stream::iter(pieces));
        let (throttle, now) = (throttle(1000), Instant::now());
        let bytes: Vec<_> = throttle.stream(stream).collect().await;
        assert_eq!(bytes.len(), 4);
        assert!(
            bytes.into_iter().enumerate().all(|(number, piece)| piece.unwrap() == vec![number as u8; 500])
        );
        let until = throttle.paid_until.lock().unwrap().unwrap();
        assert!(until >= now + SECOND * 2, "all of it was taken");
    }

    #[test]
    fn scrub_and_transfers_together_move_what_the_rate_allows_and_hardly_less() {
        // Three who take pieces of their own sizes, each as soon as he has had his last one.
        const RATE: u64 = 1 << 20;
        let (throttle, begun) = (throttle(RATE), Instant::now());
        let mut takers = [(64 << 10, begun), (PIECE_BYTES, begun), (1000, begun)];
        let (mut moved, mut now) = (0, begun);
        while now < begun + SECOND * 60 {
            let next = takers.iter_mut().min_by_key(|(_, ready)| *ready).expect("three");
            now = now.max(next.1);
            // The piece has been read; then it waits.
            moved += next.0;
            next.1 = now + throttle.reserve(next.0, now);
        }
        let elapsed = (now - begun).as_secs_f64();
        let (least, most) = (RATE as f64 * elapsed, RATE as f64 * (elapsed + BURST.as_secs_f64()));
        let pieces = (takers.iter().map(|(bytes, _)| bytes).sum::<u64>()) as f64;
        assert!((least..=most + pieces).contains(&(moved as f64)), "{moved} bytes in {elapsed} s");
    }

    #[tokio::test]
    async fn no_more_files_have_their_turn_than_may_and_none_waits_too_long_for_its_next_piece() {
        let two = Throttle::new(None, NonZeroUsize::new(2).unwrap(), watch::Sender::default());
        let (first, _second) = (two.turn().await, two.clone().turn().await);
        assert!(two.files.clone().try_acquire_owned().is_err());
        drop(first);
        two.turn().await;
        // At 1 MiB/s 256 files would have a piece every 32 seconds.
        let slow = throttle(1 << 20);
        assert_eq!(slow.files.available_permits(), 16);
        assert_eq!(throttle(1).files.available_permits(), 1);
        assert_eq!(throttle(0).files.available_permits(), MANY.get());
    }

    #[test]
    fn a_reader_whose_work_is_over_ends() {
        let throttle = throttle(0);
        assert!(throttle.pace(|| false)(7).is_ok());
        assert_eq!(throttle.pace(|| true)(7).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }

    #[tokio::test]
    async fn a_rate_that_is_ordered_holds_from_the_next_piece_and_file_on_until_it_is_ordered_no_more() {
        const MIB: u64 = 1 << 20;
        let (throttle, now) = (throttle(0), Instant::now());
        let slow = |files| Background {
            bytes_per_second: NonZeroU64::new(MIB),
            by_command: true,
            files,
            ..Background::default()
        };
        assert_eq!(throttle.reserve(u64::MAX, now), Duration::ZERO);
        let mut turns = Vec::new();
        for _ in 0..20 {
            turns.push(throttle.turn().await);
        }
        order(&throttle, "1MiB");
        assert_eq!((throttle.reserve(MIB, now), throttle.background()), (SECOND, slow(20)));
        // As many files as this rate allows are 16: those that are too many end, and none takes their places.
        turns.truncate(17);
        assert_eq!(throttle.background(), slow(17));
        let next = throttle.turn();
        tokio::pin!(next);
        assert!(futures_util::poll!(&mut next).is_pending());
        turns.truncate(16);
        assert!(futures_util::poll!(&mut next).is_pending());
        turns.truncate(15);
        assert!(futures_util::poll!(&mut next).is_ready());

        order(&throttle, "2MiB");
        assert_eq!(throttle.reserve(MIB, now + SECOND * 9), SECOND / 2 - BURST);
        throttle.orders.send_modify(|orders| orders.rate = None);
        assert_eq!(throttle.reserve(u64::MAX, now), Duration::ZERO);
        drop(turns);
        assert_eq!(throttle.files.available_permits(), MANY.get());
        assert_eq!(throttle.background(), Background::default());
    }

    #[tokio::test]
    async fn while_the_work_is_paused_only_what_is_urgent_has_its_turn_and_what_is_begun_goes_on() {
        let throttle = Throttle::new(None, NonZeroUsize::new(1).unwrap(), watch::Sender::default());
        let running = throttle.turn().await;
        let (next, urgent) = (throttle.turn(), throttle.urgent());
        tokio::pin!(next);
        assert!(futures_util::poll!(&mut next).is_pending(), "it stands in the queue");
        throttle.orders.send_modify(|orders| orders.paused = true);
        assert_eq!((throttle.background().paused, throttle.background().files), (true, 1));
        throttle.take(1 << 40).await;
        drop(running);
        assert!(futures_util::poll!(&mut next).is_pending(), "its turn has come, and it does not take it");
        assert_eq!(throttle.background().files, 0);
        urgent.unpaused().await;
        drop(urgent.turn().await);
        let unpaused = throttle.unpaused();
        tokio::pin!(unpaused);
        assert!(futures_util::poll!(&mut unpaused).is_pending());
        throttle.orders.send_modify(|orders| orders.paused = false);
        unpaused.await;
        next.await;
    }
}
