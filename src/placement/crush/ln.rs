//! The logarithm of straw2 buckets: fixed-point arithmetic with two tables, which are computed here, when the
//! program is compiled, from what `tests/vectors/crush/README.md` says of each entry. FROZEN, with its mistakes.

use crate::cluster::crush::log2_bits;

/// [`log2`] is in units of one divided by this.
#[cfg(test)]
pub(super) const UNIT: u64 = 1 << 44;

/// The logarithm of 2^16, which no draw reaches.
const TOP: u64 = 1 << 48;

/// What most entries of the table of low parts are too large by.
const LOW_EXCESS: u64 = 0x1_4770_0000;

/// The low parts that are exact besides those from [`LOW_EXACT_FROM`] on.
const LOW_EXACT: [usize; 14] = [0, 1, 203, 216, 222, 233, 237, 238, 239, 243, 244, 245, 246, 248];
const LOW_EXACT_FROM: usize = 248;

/// The low parts that follow no rule.
const LOW_ODD: [(usize, u64); 23] = [
    (56, 0xa2_b07f_3458),
    (127, 0x16d_f6ca_19bd),
    (134, 0x182_b07f_3458),
    (181, 0x209_c06e_6212),
    (184, 0x212_b07f_3458),
    (188, 0x21d_6a73_a78f),
    (193, 0x22c_2367_9b4e),
    (198, 0x23a_2c3b_0ea4),
    (199, 0x23d_13ee_805b),
    (200, 0x240_35e9_221f),
    (207, 0x254_9264_4d65),
    (210, 0x25d_13ee_805b),
    (212, 0x262_9645_3882),
    (225, 0x287_bdbf_5255),
    (227, 0x28d_13ee_805b),
    (228, 0x290_35e9_221f),
    (229, 0x292_9645_3882),
    (231, 0x299_02a3_7aab),
    (235, 0x2a4_c760_5d61),
    (236, 0x2a7_bdbf_5255),
    (240, 0x2b2_9645_3882),
    (241, 0x2b5_d022_d80f),
    (247, 0x2c6_1a5e_8f4c),
];

/// For k from 0 to 128: 2^55 / (128 + k), rounded up, and 2^48 times the logarithm of 1 + k/128, rounded down.
static HIGH: [(u64, u64); 129] = high_table();

/// For i from 0 to 255: 2^48 times the logarithm of 1 + i/2^15, more or less.
static LOW: [u64; 256] = low_table();

/// About 2^44 times the logarithm to base 2 of `u + 1`, for `u` up to 65535 (higher bits are left out).
#[inline]
pub fn log2(u: u32) -> u64 {
    let v = (u & 0xffff) + 1;
    // Shifted up until bit 15 or, for the largest alone, bit 16 is set.
    let shift = v.leading_zeros().saturating_sub(16);
    let v = u64::from(v << shift);
    let (reciprocal, high) = HIGH[(v >> 8) as usize - 128];
    let low = LOW[((v * reciprocal) >> 48) as usize & 0xff];
    (u64::from(15 - shift) << 44) + ((high + low) >> 4)
}

/// How far the logarithm of a draw is from that of 2^16: what straw2 divides by the weight. Above 0.
#[inline]
pub(in crate::placement) fn distance(u: u32) -> u64 {
    TOP - log2(u)
}

const fn high_table() -> [(u64, u64); 129] {
    let mut table = [(0, 0); 129];
    let mut k = 0;
    while k < 128 {
        table[k] = ((1u64 << 55).div_ceil(128 + k as u64), log2_bits((128 + k as u128) << 120, 48) as u64);
        k += 1;
    }
    // Not 2^48, so that no logarithm reaches the top.
    table[128] = ((1u64 << 55).div_ceil(256), 0xffff_0000_0000);
    table
}

const fn low_table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let excess = if i >= LOW_EXACT_FROM { 0 } else { LOW_EXCESS };
        table[i] = exact_low(i) + excess;
        i += 1;
    }
    let mut at = 0;
    while at < LOW_EXACT.len() {
        table[LOW_EXACT[at]] = exact_low(LOW_EXACT[at]);
        at += 1;
    }
    at = 0;
    while at < LOW_ODD.len() {
        table[LOW_ODD[at].0] = LOW_ODD[at].1;
        at += 1;
    }
    table
}

const fn exact_low(i: usize) -> u64 {
    log2_bits((0x8000 + i as u128) << 112, 48) as u64
}
