//! How fast the background work goes: all that it reads and transfers shares one number of bytes per second.
//!
//! A token bucket kept as a time (GCRA, ITU-T I.371 annex A): until when what was taken so far is paid for. Whoever takes
//! bytes waits until his turn; nobody needs a timer of his own, and nobody is overtaken.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::response::ByteStream;

/// What may be taken at once after a rest, as the time it takes at the full rate.
const BURST: Duration = Duration::from_millis(100);

/// A rate that many share. Clones share it, too.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    /// Bytes in a second; none: no limit.
    rate: Option<NonZeroU64>,
    paid_until: Arc<Mutex<Option<Instant>>>,
}

impl Throttle {
    /// At most so many bytes in a second, or as many as the machine can.
    pub fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { rate: bytes_per_second, paid_until: Arc::default() }
    }

    /// Takes bytes, and waits for its turn. Dropping the future takes them all the same.
    pub async fn take(&self, bytes: u64) {
        let wait = self.reserve(bytes, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// The same on a thread that may wait.
    pub fn take_blocking(&self, bytes: u64) {
        let wait = self.reserve(bytes, Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
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

    #[test]
    fn all_who_share_a_throttle_together_get_its_rate() {
        let throttle = Throttle::new(NonZeroU64::new(1000));
        let (other, now) = (throttle.clone(), Instant::now());
        assert_eq!(throttle.reserve(1000, now), SECOND);
        assert_eq!(other.reserve(500, now), SECOND * 3 / 2, "after the first has had its bytes");
        assert_eq!(throttle.reserve(500, now + SECOND), SECOND);
    }

    #[test]
    fn a_rest_is_no_credit_but_for_a_small_burst() {
        let throttle = Throttle::new(NonZeroU64::new(1000));
        let now = Instant::now();
        throttle.reserve(1, now);
        assert_eq!(throttle.reserve(100, now + SECOND * 3600), Duration::ZERO);
        assert_eq!(throttle.reserve(1000, now + SECOND * 3600), SECOND);
    }

    #[test]
    fn without_a_rate_nobody_waits_and_no_amount_is_too_much() {
        let now = Instant::now();
        assert_eq!(Throttle::default().reserve(u64::MAX, now), Duration::ZERO);
        let throttle = Throttle::new(NonZeroU64::new(1));
        for _ in 0..3 {
            assert!(throttle.reserve(u64::MAX, now) > SECOND);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_stream_is_the_same_stream_at_its_rate() {
        let pieces = (0..4u8).map(|number| Ok(bytes::Bytes::from(vec![number; 500])));
        let stream: ByteStream = Box::pin(futures_util::stream::iter(pieces));
        let (throttle, now) = (Throttle::new(NonZeroU64::new(1000)), Instant::now());
        let bytes: Vec<_> = throttle.stream(stream).collect().await;
        assert_eq!(bytes.len(), 4);
        assert!(
            bytes.into_iter().enumerate().all(|(number, piece)| piece.unwrap() == vec![number as u8; 500])
        );
        let until = throttle.paid_until.lock().unwrap().unwrap();
        assert!(until >= now + SECOND * 2, "all of it was taken");
    }
}
