//! `mt_rand(0, last)` and `rand(0, last)`: how PHP makes an output a number of a range.

use super::PhpVersion;

/// A number from 0 to `last`, which is below `u32::MAX`, made of as many outputs as it takes.
#[inline]
pub fn range(version: PhpVersion, last: u32, mut next_output: impl FnMut() -> u32) -> u32 {
    let count = last + 1;
    match version {
        // The fraction that the output is of 2^31, times the count: high bits count, and the last bit is lost.
        PhpVersion::V5_2 => {
            let fraction = f64::from(next_output() >> 1) / 2_147_483_648.0;
            ((f64::from(last) + 1.0) * fraction) as u32
        }
        PhpVersion::V7_1 if count.is_power_of_two() => next_output() & last,
        // Without the outputs at the end that would favour small numbers.
        PhpVersion::V7_1 => {
            let end = u32::MAX - u32::MAX % count;
            loop {
                let output = next_output();
                if output < end {
                    return output % count;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_would_favour_small_numbers_are_passed_over() {
        let mut outputs = [u32::MAX, u32::MAX - 1, 2_863_311_529].into_iter();
        let last = 2_863_311_529;
        assert_eq!(range(PhpVersion::V7_1, last, || outputs.next().unwrap()), last);
        assert_eq!(range(PhpVersion::V7_1, 0, || u32::MAX), 0);
        assert_eq!(range(PhpVersion::V5_2, 9, || u32::MAX), 9);
    }
}
