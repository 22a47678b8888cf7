//! PHP's Mersenne Twister (Matsumoto & Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998), in the form of PHP 7.1
//! and, with a slip in the step between words, in that of the releases before.
//!
//! A seeded twister is 624 words. Lookups need its first few outputs only, and output i, up to the 227th, comes from
//! the words i, i + 1 and i + 397 of the seeding alone. So no array is filled for those: two words move along the
//! recurrence of the seeding.

use super::PhpVersion;

/// Words of the state.
const WORDS: usize = 624;
/// How far ahead lies the third word that an output is made of.
const AHEAD: usize = 397;
/// As many outputs can be had from the words of the seeding alone.
const CHEAP: usize = WORDS - AHEAD;

/// The outputs for one seed, from the first on: all 32 bits, of which `mt_rand()` drops the lowest.
#[derive(Clone, Debug)]
pub struct Twister {
    version: PhpVersion,
    seed: u32,
    front: Front<1>,
    /// The state, from the output on that the front cannot give; and the place of the next output in it.
    state: Option<([u32; WORDS], usize)>,
}

impl Twister {
    /// That of `mt_srand(seed)`.
    pub fn new(version: PhpVersion, seed: u32) -> Self {
        Self { version, seed, front: Front::new(version, [seed]), state: None }
    }

    /// The next output.
    pub fn next_output(&mut self) -> u32 {
        if let Some([output]) = self.front.next_outputs() {
            return output;
        }
        let (words, next) = self.state.get_or_insert_with(|| {
            let mut words = seeded(self.seed);
            regenerate(self.version, &mut words);
            (words, CHEAP)
        });
        if *next == WORDS {
            regenerate(self.version, words);
            *next = 0;
        }
        let word = words[*next];
        *next += 1;
        temper(word)
    }
}

/// The first outputs for several seeds at once, which the processor computes side by side.
#[derive(Clone, Debug)]
pub(super) struct Front<const LANES: usize> {
    version: PhpVersion,
    /// How many outputs were given, i.
    given: usize,
    /// Word i of each seeding.
    low: [u32; LANES],
    /// Word i + [`AHEAD`].
    high: [u32; LANES],
}

impl<const LANES: usize> Front<LANES> {
    /// Before the first output.
    pub(super) fn new(version: PhpVersion, seeds: [u32; LANES]) -> Self {
        let mut high = seeds;
        for index in 1..=AHEAD {
            advance(&mut high, index);
        }
        Self { version, given: 0, low: seeds, high }
    }

    /// The next output of each, as long as the seeding gives it.
    pub(super) fn next_outputs(&mut self) -> Option<[u32; LANES]> {
        if self.given == CHEAP {
            return None;
        }
        let mut next = self.low;
        advance(&mut next, self.given + 1);
        let mut outputs = [0; LANES];
        for lane in 0..LANES {
            outputs[lane] = temper(twist(self.version, self.high[lane], self.low[lane], next[lane]));
        }
        self.low = next;
        self.given += 1;
        advance(&mut self.high, self.given + AHEAD);
        Some(outputs)
    }
}

/// The words of a seeding.
fn seeded(seed: u32) -> [u32; WORDS] {
    let (mut words, mut word) = ([seed; WORDS], [seed]);
    for (index, place) in words.iter_mut().enumerate().skip(1) {
        advance(&mut word, index);
        *place = word[0];
    }
    words
}

/// From the words before `index` of several seedings to those at it.
#[inline]
fn advance<const LANES: usize>(words: &mut [u32; LANES], index: usize) {
    for word in words {
        *word = 1_812_433_253u32.wrapping_mul(*word ^ (*word >> 30)).wrapping_add(index as u32);
    }
}

/// All words anew, in place and in order.
fn regenerate(version: PhpVersion, words: &mut [u32; WORDS]) {
    for i in 0..WORDS {
        words[i] = twist(version, words[(i + AHEAD) % WORDS], words[i], words[(i + 1) % WORDS]);
    }
}

/// A new word, from the one it replaces, the next, and the one ahead.
#[inline]
fn twist(version: PhpVersion, ahead: u32, word: u32, next: u32) -> u32 {
    let joined = (word & 0x8000_0000) | (next & 0x7fff_ffff);
    let odd = match version {
        // Whether the matrix is added depends on the wrong one of the two words.
        PhpVersion::V5_2 => word & 1,
        PhpVersion::V7_1 => next & 1,
    };
    ahead ^ (joined >> 1) ^ (0x9908_b0df & odd.wrapping_neg())
}

#[inline]
fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    word ^ (word >> 18)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_7_1_on_it_is_the_standard_generator() {
        // The 10,000th output for the default seed, which the C++ standard gives to check mt19937 by
        // ([rand.predef] of ISO/IEC 14882).
        let mut twister = Twister::new(PhpVersion::V7_1, 5489);
        assert_eq!((0..10_000).map(|_| twister.next_output()).last(), Some(4_123_659_995));
    }

    #[test]
    fn several_at_once_give_what_each_gives_alone() {
        for version in PhpVersion::ALL {
            let seeds = [0, 1, 7, u32::MAX];
            let mut together = Front::new(version, seeds);
            let mut alone = seeds.map(|seed| Twister::new(version, seed));
            for _ in 0..CHEAP {
                assert_eq!(together.next_outputs(), Some(alone.each_mut().map(Twister::next_output)));
            }
            assert_eq!(together.next_outputs(), None);
        }
    }
}
