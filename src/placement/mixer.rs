//! The random source of every placement of webdfs's own: SplitMix64 addressed by a counter (Steele, Lea & Flood,
//! "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, <https://doi.org/10.1145/2660193.2660195>).
//!
//! FROZEN: files lie on disk by these numbers. Nothing in this file that changes a result may ever change; a
//! better source would be a new placement with a new name.
//!
//! SplitMix64 adds a constant to a counter and scrambles the sum. Here the counter is not the number of draws made
//! so far but says what the draw is for (purpose, sub-cluster, position), so any draw can be computed without those
//! before it: no state is carried along, and the processor works on several at once.

use super::ObjectKey;

/// The increment of SplitMix64: odd, next to 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixed into every key, so that key 0 does not start at 0, the one number the scrambling leaves as it is.
const KEY_TAG: u64 = u64::from_be_bytes(*b"webdfs 1");

/// Where the parts of a counter start: position below, then sub-cluster, then purpose.
const SUBCLUSTER_SHIFT: u32 = 24;
const PURPOSE_SHIFT: u32 = 56;

/// What a draw decides. Draws of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// How many replicas a sub-cluster receives, or which.
    Draw = 0,
    /// Which of its servers receive them.
    Pick = 1,
    /// Which sub-cluster substitutes for a node that is out.
    SubstituteDraw = 2,
    /// Which of its servers does.
    SubstitutePick = 3,
    /// Where the search for a substitute starts when drawing found none.
    SubstituteScan = 4,
    /// How long a subtree of sub-clusters waits; drawn by its label in place of a sub-cluster.
    Wait = 5,
}

/// The random numbers of one key.
#[derive(Clone, Copy, Debug)]
pub struct Mixer {
    start: u64,
}

impl Mixer {
    /// The random numbers of `key`.
    #[inline]
    pub fn new(key: ObjectKey) -> Self {
        Self { start: scramble(KEY_TAG ^ u64::from(key.number())) }
    }

    /// The draw at `position` (below 2^24) for that sub-cluster and purpose: 64 random bits.
    #[inline]
    pub fn bits(self, purpose: Purpose, subcluster: u32, position: u32) -> u64 {
        debug_assert!(position < 1 << SUBCLUSTER_SHIFT, "position {position} would run into the sub-cluster");
        let counter = (purpose as u64) << PURPOSE_SHIFT
            | u64::from(subcluster) << SUBCLUSTER_SHIFT
            | u64::from(position);
        scramble(self.start.wrapping_add(GAMMA.wrapping_mul(counter)))
    }

    /// [`Mixer::bits`] for sub-cluster `first` and every `step`-th after it, without end. Cheaper than one by one.
    #[inline]
    pub(super) fn bits_of_every(
        self,
        purpose: Purpose,
        first: u32,
        step: u32,
        position: u32,
    ) -> impl Iterator<Item = u64> {
        debug_assert!(position < 1 << SUBCLUSTER_SHIFT, "position {position} would run into the sub-cluster");
        let counter =
            (purpose as u64) << PURPOSE_SHIFT | u64::from(first) << SUBCLUSTER_SHIFT | u64::from(position);
        let stride = GAMMA.wrapping_mul(u64::from(step) << SUBCLUSTER_SHIFT);
        let mut sum = self.start.wrapping_add(GAMMA.wrapping_mul(counter));
        std::iter::repeat_with(move || {
            let bits = scramble(sum);
            sum = sum.wrapping_add(stride);
            bits
        })
    }
}

/// Random bits as a real in `[0, 1)`: the top 53 as a fraction. Every such number is a double, so nothing is rounded
/// and 1.0 is never reached.
#[inline]
pub(super) fn unit(bits: u64) -> f64 {
    const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
    (bits >> 11) as f64 * SCALE
}

/// Random bits as a whole number below `end`, which is at least 1: the fraction they stand for, times `end`, rounded
/// down.
#[inline]
pub(super) fn below(bits: u64, end: u32) -> u32 {
    ((u128::from(bits) * u128::from(end)) >> 64) as u32
}

/// The scrambling of SplitMix64 (its `mix64`, with the constants of Stafford's variant 13): a bijection in which
/// each bit of the input changes about half of those of the output.
#[inline]
fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_splitmix64() {
        // The first outputs for seed 1234567, as published with the generators' reference code and on Rosetta Code.
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        let outputs = (1..=5).map(|i| scramble(1_234_567u64.wrapping_add(GAMMA.wrapping_mul(i))));
        assert!(outputs.eq(expected));
    }

    #[test]
    fn its_numbers_never_change() {
        let mixer = Mixer::new(ObjectKey::from_number(0xcbf4_3926));
        let numbers = [
            mixer.bits(Purpose::Draw, 0, 0),
            mixer.bits(Purpose::Draw, 1, 2),
            mixer.bits(Purpose::Pick, 1, 2),
            mixer.bits(Purpose::SubstituteDraw, 65_535, 255),
            mixer.bits(Purpose::SubstitutePick, 65_535, 255),
            mixer.bits(Purpose::SubstituteScan, 0, 0),
            mixer.bits(Purpose::Wait, 131_072, 15),
        ];
        // Computed from the description above by a second program.
        let expected = [
            0x1ab8_cdd4_75a3_3f35,
            0x60f7_dd96_2741_df45,
            0xf3a8_0f5e_7211_f6ad,
            0xdcac_0a6b_7c15_56e0,
            0x223b_5bc0_4211_77dd,
            0xa32b_5aec_447a_ea15,
            0x0e1b_8d6f_bb6f_7140,
        ];
        assert_eq!(numbers, expected);
        let zero = Mixer::new(ObjectKey::from_number(0));
        assert_eq!(zero.bits(Purpose::Draw, 0, 0), 0x9476_25f4_e94b_e635);
    }

    #[test]
    fn those_of_every_third_sub_cluster_are_what_each_alone_is() {
        let mixer = Mixer::new(ObjectKey::from_number(7));
        let every = mixer.bits_of_every(Purpose::Wait, 5, 3, 2).take(20);
        assert!(every.eq((0..20).map(|i| mixer.bits(Purpose::Wait, 5 + 3 * i, 2))));
    }

    #[test]
    fn reals_and_whole_numbers_stay_below_their_ends() {
        assert_eq!(unit(0), 0.0);
        assert_eq!(unit(1 << 63), 0.5);
        assert_eq!(unit(u64::MAX), 1.0 - f64::EPSILON / 2.0);
        for end in [1, 2, 3, 65_536, u32::MAX] {
            assert_eq!((below(0, end), below(1 << 63, end), below(u64::MAX, end)), (0, end / 2, end - 1));
        }
    }
}
