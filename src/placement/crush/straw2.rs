//! The straw2 bucket: each item draws (ln(hash) - 2^48) / weight, in 64-bit integers that truncate, and the highest
//! draw wins, the first on ties; an item of weight 0 wins only when all have it.
//!
//! All draws are at most 0, so the lowest of (2^48 - ln(hash)) / weight, rounded down, wins. Computing that for every
//! item takes a table lookup and a long division each. Instead, each gets bounds in floating point, which the
//! compiler works out for several items at once, and only those that may be the lowest are computed. The answer
//! is the same; the tests check the bounds for every hash there is.

use super::hash::draws;
use super::ln::distance;
use crate::cluster::crush::{Bucket, LANES};

/// An upper bound of the difference between [`distance_estimate`] and [`distance`] in its unit.
const ERROR: f32 = 6e-5;

/// A lower bound of any distance, in the unit of the estimate; above 0, so that an item of weight 0 is infinitely far.
const LEAST: f32 = 2e-6;

/// Covers the rounding of the estimates, several times over.
const SLACK: f32 = 1.0 + 1e-5;

/// Two items whose exact quotients are less than 1 apart may be equal once rounded down. In the unit of the estimate
/// that is 2^-44; twice that covers the rounding.
const TIE: f32 = 1.0 / (1u64 << 43) as f32;

/// A polynomial for the logarithm to base 2 of 1 + t, t from 0 to below 1: it meets that at Chebyshev's points.
const COEFFICIENTS: [f32; 6] =
    [0.000_016_5, 1.441_492_4, -0.706_486_4, 0.409_470_3, -0.187_488_6, 0.043_005_0];

/// The item that the bucket chooses; none if it is empty.
#[inline]
pub(super) fn choose(bucket: Bucket<'_>, x: u32, r: u32) -> Option<i32> {
    let (items, weights) = (bucket.items(), bucket.weights());
    let mut best: Option<Contender> = None;
    // No item whose lower bound is above this can win.
    let mut limit = f32::INFINITY;
    for (group, (ids, inverse_weights)) in bucket.lanes().enumerate() {
        let draws = draws(x, ids, r);
        let (lows, highs) = bounds(&draws, inverse_weights);
        let high = highs.into_iter().fold(f32::INFINITY, f32::min);
        limit = limit.min(high * SLACK + TIE);
        for (lane, low) in lows.into_iter().enumerate() {
            if low > limit {
                continue;
            }
            let at = group * LANES + lane;
            // Where there is no item, or none of weight above 0 so far.
            let Some(weight) = weights.get(at).copied().filter(|weight| *weight > 0) else { continue };
            let contender = Contender { at, draw: draws[lane], weight, low };
            best = match best {
                // The limit comes from this one, or from one that this one has to be compared with.
                Some(holder) if holder.low <= limit && !contender.beats(&holder) => Some(holder),
                _ => Some(contender),
            };
        }
    }
    items.get(best.map_or(0, |best| best.at)).copied()
}

/// An item that may win.
#[derive(Clone, Copy)]
struct Contender {
    at: usize,
    draw: u32,
    /// Above 0.
    weight: u32,
    low: f32,
}

impl Contender {
    /// Whether it wins against one that stands before it.
    #[cold]
    fn beats(&self, earlier: &Self) -> bool {
        let quotient = |one: &Self| distance(one.draw) / u64::from(one.weight);
        quotient(self) < quotient(earlier)
    }
}

/// Bounds of the quotients of these draws, in units of 2^44, given one divided by each weight.
#[inline(always)]
fn bounds(draws: &[u32; LANES], inverse_weights: &[f32; LANES]) -> ([f32; LANES], [f32; LANES]) {
    let (mut lows, mut highs) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        let estimate = distance_estimate(draws[lane]);
        let least = estimate - ERROR;
        // Written out, since the compiler's own maximum minds what is no number.
        let least = if least > LEAST { least } else { LEAST };
        lows[lane] = least * inverse_weights[lane];
        highs[lane] = (estimate + ERROR) * inverse_weights[lane];
    }
    (lows, highs)
}

/// About [`distance`] in units of 2^44: 16 minus the logarithm to base 2 of `draw + 1`.
#[inline(always)]
fn distance_estimate(draw: u32) -> f32 {
    const MANTISSA: u32 = (1 << 23) - 1;
    // As a signed number, because the oldest processors convert nothing else at once.
    let bits = ((draw + 1) as i32 as f32).to_bits();
    let whole = ((bits >> 23) as i32 - 127) as f32;
    let t = f32::from_bits(bits & MANTISSA | 1.0f32.to_bits()) - 1.0;
    let log2 = COEFFICIENTS.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient);
    16.0 - whole - log2
}

#[cfg(test)]
mod tests {
    use super::super::ln::UNIT;
    use super::*;

    #[test]
    fn the_estimate_of_every_draw_is_within_its_bounds() {
        let exact = |draw: u32| distance(draw) as f64 / UNIT as f64;
        let worst = (0..=0xffff)
            .map(|draw| (f64::from(distance_estimate(draw)) - exact(draw)).abs())
            .fold(0.0, f64::max);
        assert!(worst < f64::from(ERROR), "{worst}");
        let least = (0..=0xffff).map(exact).fold(f64::INFINITY, f64::min);
        assert!(least >= f64::from(LEAST), "{least}");
    }
}
