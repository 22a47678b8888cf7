//! The hash of CRUSH, rjenkins1: Bob Jenkins's mix of three words of 1997 (<https://burtleburtle.net/bob/hash/evahash.html>),
//! applied in the orders that `tests/vectors/crush/README.md` lists. FROZEN: placements depend on every bit.
//!
//! Ids below 0 go in modulo 2^32.

use crate::cluster::crush::LANES;

/// What the hash starts as, before the arguments.
const SEED: u32 = 1_315_423_911;

/// Two words that are mixed in besides the arguments.
const EXTRA: (u32, u32) = (231_232, 1_232);

/// Mixes three words, in place.
#[inline(always)]
fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    *a = a.wrapping_sub(*b).wrapping_sub(*c) ^ (*c >> 13);
    *b = b.wrapping_sub(*c).wrapping_sub(*a) ^ (*a << 8);
    *c = c.wrapping_sub(*a).wrapping_sub(*b) ^ (*b >> 13);
    *a = a.wrapping_sub(*b).wrapping_sub(*c) ^ (*c >> 12);
    *b = b.wrapping_sub(*c).wrapping_sub(*a) ^ (*a << 16);
    *c = c.wrapping_sub(*a).wrapping_sub(*b) ^ (*b >> 5);
    *a = a.wrapping_sub(*b).wrapping_sub(*c) ^ (*c >> 3);
    *b = b.wrapping_sub(*c).wrapping_sub(*a) ^ (*a << 10);
    *c = c.wrapping_sub(*a).wrapping_sub(*b) ^ (*b >> 15);
}

/// The hash of one word.
pub fn hash1(a: u32) -> u32 {
    let (mut hash, (mut x, mut y)) = (SEED ^ a, EXTRA);
    let (mut a, mut b) = (a, a);
    mix(&mut b, &mut x, &mut hash);
    mix(&mut y, &mut a, &mut hash);
    hash
}

/// The hash of two words.
#[inline]
pub fn hash2(mut a: u32, mut b: u32) -> u32 {
    let (mut hash, (mut x, mut y)) = (SEED ^ a ^ b, EXTRA);
    mix(&mut a, &mut b, &mut hash);
    mix(&mut x, &mut a, &mut hash);
    mix(&mut b, &mut y, &mut hash);
    hash
}

/// The hash of three words.
#[inline(always)]
pub fn hash3(mut a: u32, mut b: u32, mut c: u32) -> u32 {
    let (mut hash, (mut x, mut y)) = (SEED ^ a ^ b ^ c, EXTRA);
    mix(&mut a, &mut b, &mut hash);
    mix(&mut c, &mut x, &mut hash);
    mix(&mut y, &mut a, &mut hash);
    mix(&mut b, &mut x, &mut hash);
    mix(&mut y, &mut c, &mut hash);
    hash
}

/// The hash of four words.
#[inline]
pub fn hash4(mut a: u32, mut b: u32, mut c: u32, mut d: u32) -> u32 {
    let (mut hash, (mut x, mut y)) = (SEED ^ a ^ b ^ c ^ d, EXTRA);
    mix(&mut a, &mut b, &mut hash);
    mix(&mut c, &mut d, &mut hash);
    mix(&mut a, &mut x, &mut hash);
    mix(&mut y, &mut b, &mut hash);
    mix(&mut c, &mut x, &mut hash);
    mix(&mut y, &mut d, &mut hash);
    hash
}

/// The hash of five words.
pub fn hash5(mut a: u32, mut b: u32, mut c: u32, mut d: u32, mut e: u32) -> u32 {
    let (mut hash, (mut x, mut y)) = (SEED ^ a ^ b ^ c ^ d ^ e, EXTRA);
    mix(&mut a, &mut b, &mut hash);
    mix(&mut c, &mut d, &mut hash);
    mix(&mut e, &mut x, &mut hash);
    mix(&mut y, &mut a, &mut hash);
    mix(&mut b, &mut x, &mut hash);
    mix(&mut y, &mut c, &mut hash);
    mix(&mut d, &mut x, &mut hash);
    mix(&mut y, &mut e, &mut hash);
    hash
}

/// The lowest 16 bits of [`hash3`] of `x`, each of `items` and `r`. A plain loop, which the compiler turns into
/// instructions that work on several items at once.
#[inline(always)]
pub(super) fn draws(x: u32, items: &[i32; LANES], r: u32) -> [u32; LANES] {
    let mut draws = [0; LANES];
    for (draw, item) in draws.iter_mut().zip(items) {
        *draw = hash3(x, *item as u32, r) & 0xffff;
    }
    draws
}
