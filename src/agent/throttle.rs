//! How fast the background work goes: all that it reads and transfers shares one number of bytes per second, and one of
//! files at the same time.
//!
//! A token bucket kept as a time (GCRA, ITU-T I.371 annex A): until when what was taken so far is paid for. Whoever takes
//! bytes waits until his turn; nobody needs a timer of his own, and nobody is overtaken.
//!
//! So in a time t the files' bytes that move are at most rate * (t + [`BURST`]), and one piece of each file at work, of
//! [`PIECE_BYTES`] at most: a piece is read, and then waits.

use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::response::ByteStream;

/// What may be taken at once after a rest, as the time it takes at the full rate.
const BURST: Duration = Duration::from_millis(100);
/// No piece of a file is larger.
const PIECE_BYTES: u64 = 128 << 10;
/// Files that move at the same time take turns with their pieces. No more of them do than leave each a piece in this time:
/// where nothing comes for longer, the other side may take this one for dead.
const TURN_MAX: Duration = Duration::from_secs(2);

/// A rate that many share. Clones share it, too.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// Bytes in a second; none: no limit.
    rate: Option<NonZeroU64>,
    paid_until: Arc<Mutex<Option<Instant>>>,
    /// A permit for each file that may be worked on beside the others.
    files: Arc<Semaphore>,
}

/// The right to work on a file, until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "only its end counts")] OwnedSemaphorePermit);

impl Throttle {
    /// At most so many bytes in a second, or as many as the machine can; and so many files at the same time.
    pub fn new(bytes_per_second: Option<NonZeroU64>, concurrency: NonZeroUsize) -> Self {
        let in_time = bytes_per_second.map_or(u64::MAX, |rate| rate.get().saturating_mul(TURN_MAX.as_secs()));
        let files = usize::try_from(in_time / PIECE_BYTES).unwrap_or(usize::MAX).clamp(1, concurrency.get());
        Self { rate: bytes_per_second, paid_until: Arc::default(), files: Arc::new(Semaphore::new(files)) }
    }

    /// Waits until one file more may be worked on. Whoever comes first is first.
    pub async fn turn(&self) -> Turn {
        let permit = Arc::clone(&self.files).acquire_owned().await;
        Turn(permit.expect("never closed"))
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

    /// A stream at this rate.
    pub fn stream(&self, stream: ByteStream) -> ByteStream {
        if self.rate.is_none() {
            return stream;
        }
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
        let Some(rate) = self.rate else { return Duration::ZERO };
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

    #[test]
    fn all_who_share_a_throttle_together_get_its_rate() {
        let throttle = Throttle::new(NonZeroU64::new(1000), MANY);
        let (other, now) = (throttle.clone(), Instant::now());
        assert_eq!(throttle.reserve(1000, now), SECOND);
        assert_eq!(other.reserve(500, now), SECOND * 3 / 2, "after the first has had its bytes");
        assert_eq!(throttle.reserve(500, now + SECOND), SECOND);
    }

    #[test]
    fn a_rest_is_no_credit_but_for_a_small_burst() {
        let throttle = Throttle::new(NonZeroU64::new(1000), MANY);
        let now = Instant::now();
        throttle.reserve(1, now);
        assert_eq!(throttle.reserve(100, now + SECOND * 3600), Duration::ZERO);
        assert_eq!(throttle.reserve(1000, now + SECOND * 3600), SECOND);
    }

    #[test]
    fn without_a_rate_nobody_waits_and_no_amount_is_too_much() {
        let now = Instant::now();
        assert_eq!(Throttle::new(None, MANY).reserve(u64::MAX, now), Duration::ZERO);
        let throttle = Throttle::new(NonZeroU64::new(1), MANY);
        for _ in 0..3 {
            assert!(throttle.reserve(u64::MAX, now) > SECOND);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_stream_is_the_same_stream_at_its_rate() {
        let pieces = (0..4u8).map(|number| Ok(bytes::Bytes::from(vec![number; 500])));
        let stream: ByteStream = Box::pin(futures_util::stream::iter(pieces));
        let (throttle, now) = (Throttle::new(NonZeroU64::new(1000), MANY), Instant::now());
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
        let (throttle, begun) = (Throttle::new(NonZeroU64::new(RATE), MANY), Instant::now());
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
        let two = Throttle::new(None, NonZeroUsize::new(2).unwrap());
        let (first, _second) = (two.turn().await, two.clone().turn().await);
        assert!(two.files.clone().try_acquire_owned().is_err());
        drop(first);
        two.turn().await;
        // At 1 MiB/s 256 files would have a piece every 32 seconds.
        let slow = Throttle::new(NonZeroU64::new(1 << 20), MANY);
        assert_eq!(slow.files.available_permits(), 16);
        assert_eq!(Throttle::new(NonZeroU64::new(1), MANY).files.available_permits(), 1);
        assert_eq!(Throttle::new(None, MANY).files.available_permits(), MANY.get());
    }

    #[test]
    fn a_reader_whose_work_is_over_ends() {
        let throttle = Throttle::new(None, MANY);
        assert!(throttle.pace(|| false)(7).is_ok());
        assert_eq!(throttle.pace(|| true)(7).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
