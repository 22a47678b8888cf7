//! Logarithms and powers by integer arithmetic: the same on every machine, which what the standard library has does not
//! promise, and with bits to spare, so that roots that come out even in theory come out even here.

/// The natural logarithm of 2, times 2^128, rounded down.
const LN_2: u128 = 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af;

/// How many bits the fractions within [`power`] have.
const FRACTION_BITS: u32 = 120;

/// The upper half of a product.
const fn product_high(a: u128, b: u128) -> u128 {
    const LOW: u128 = u64::MAX as u128;
    let (a_high, a_low, b_high, b_low) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let (one, other) = (a_high * b_low, a_low * b_high);
    let carry = ((a_low * b_low) >> 64) + (one & LOW) + (other & LOW);
    a_high * b_high + (one >> 64) + (other >> 64) + (carry >> 64)
}

/// The first `bits` bits, at most 120, of the logarithm to base 2 of `x` / 2^127, which is from 1 to below 2.
///
/// Squaring x doubles its logarithm, whose whole part is the next bit. Each step loses less than 2^-126, which counts
/// for half as much at each further bit: the sum is exact to some 124 bits, then cut off.
pub(crate) const fn log2_bits(mut x: u128, bits: u32) -> u128 {
    let mut log = 0;
    let mut bit = 0;
    while bit < bits {
        // The square, halved, in the same unit.
        let square = product_high(x, x);
        log = log << 1 | square >> 127;
        x = if square >> 127 == 1 { square } else { square << 1 };
        bit += 1;
    }
    log
}

/// `base` to the power of `exponent`, rounded to the nearest, for a base from 1 to below 2^64 and an exponent from 2^-20
/// to 1.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    debug_assert!((1.0..2f64.powi(64)).contains(&base) && (2f64.powi(-20)..=1.0).contains(&exponent));
    let (base, base_scale) = parts(base);
    let (factor, factor_scale) = parts(exponent);
    // The logarithm of the base, with 6 bits before the point and 110 behind it.
    let whole = (base_scale as u128) << 110;
    let log = whole + log2_bits(u128::from(base) << 75, 110);
    // That of the result: the product of both, its lowest 64 bits left out. The factor is its 53 bits times
    // 2^(factor_scale - 52).
    let factor = u128::from(factor);
    let log = (log >> 64) * factor + (((log & u128::from(u64::MAX)) * factor) >> 64);
    let point = (110 - 64 + 52 - factor_scale) as u32;
    let (whole, fraction) = (log >> point, log & ((1 << point) - 1));
    let mantissa = exp2(fraction << (FRACTION_BITS - point));
    // To 53 bits.
    let dropped = FRACTION_BITS - 52;
    let rounded = (mantissa + (1 << (dropped - 1))) >> dropped;
    // Exact: 53 bits, and a power of two.
    rounded as f64 * f64::from_bits((1023 - 52 + whole as u64) << 52)
}

/// A number from 2^-1022 up as 53 bits, the first of which is 1, and the power of two that the first stands for.
fn parts(number: f64) -> (u64, i32) {
    let bits = number.to_bits();
    (bits & ((1 << 52) - 1) | 1 << 52, (bits >> 52) as i32 - 1023)
}

/// Two to the power of `fraction`, both times 2^[`FRACTION_BITS`]: the series of the exponential function.
fn exp2(fraction: u128) -> u128 {
    let exponent = product_high(fraction, LN_2);
    let (mut sum, mut term) = (0, 1u128 << FRACTION_BITS);
    let mut n = 1;
    while term > 0 {
        sum += term;
        term = (product_high(term, exponent) << (128 - FRACTION_BITS)) / n;
        n += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_logarithms_are_exact_where_they_can_be_checked() {
        assert_eq!(product_high(u128::MAX, u128::MAX), u128::MAX - 1);
        assert_eq!(product_high(1 << 127, 6), 3);
        assert_eq!(product_high((1 << 64) + 5, u128::MAX), (1 << 64) + 4);
        assert_eq!(log2_bits(1 << 127, 120), 0);
        // The bits of the logarithm of 1.5, of which double precision knows the first 53.
        assert_eq!(log2_bits(3 << 126, 48), (1.5f64.log2() * 2f64.powi(48)) as u128);
    }

    #[test]
    fn powers_that_are_whole_come_out_whole() {
        for (base, root, expected) in
            [(4.0, 2.0, 2.0), (8.0, 3.0, 2.0), (27.0, 3.0, 3.0), (1024.0, 10.0, 2.0), (7.0, 1.0, 7.0)]
        {
            assert_eq!(power(base, 1.0 / root), expected, "{base} {root}");
        }
        assert_eq!(power(1.0, 0.3), 1.0);
        assert_eq!(power(2.0, 0.5), std::f64::consts::SQRT_2);
    }

    #[test]
    fn powers_are_those_of_the_standard_library_but_for_the_last_bit() {
        let mut differing = 0;
        for i in 1..5_000u32 {
            let base = 1.0 + f64::from(i * i) / 777.0;
            let exponent = 1.0 / f64::from(i % 97 + 1);
            let (found, other) = (power(base, exponent), base.powf(exponent));
            let steps = found.to_bits().abs_diff(other.to_bits());
            assert!(steps <= 1, "{base} {exponent}: {found} {other}");
            differing += steps;
        }
        assert!(differing < 500, "{differing} of 4999 differ");
    }
}
