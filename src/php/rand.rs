//! PHP's `rand()`: until 7.0 that of the C library, here glibc's `random()` and, in builds for threads, `rand_r()`;
//! from 7.1 on another name for the Mersenne Twister.

use super::{PhpVersion, Twister};

/// Which PHP is run: one of its versions, or one that users cannot choose, because nothing is known to have been
/// stored under it, but whose answers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// PHP 5.2.1 to 7.0.
    Php52,
    /// The same in a build for threads.
    Php52Threaded,
    /// PHP 7.1 and later.
    Php71,
}

impl Runtime {
    /// The version, which is all that matters to anything but `rand()`.
    pub fn version(self) -> PhpVersion {
        match self {
            Self::Php52 | Self::Php52Threaded => PhpVersion::V5_2,
            Self::Php71 => PhpVersion::V7_1,
        }
    }
}

impl From<PhpVersion> for Runtime {
    fn from(version: PhpVersion) -> Self {
        match version {
            PhpVersion::V5_2 => Self::Php52,
            PhpVersion::V7_1 => Self::Php71,
        }
    }
}

/// The outputs of `rand()` after `srand(seed)`, from the first on: 32 bits, of which `rand()` drops the lowest.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack of one lookup and is never moved")]
pub enum Rand {
    /// PHP 7.1 and later.
    Twister(Twister),
    /// The additive generator of the C library.
    Additive(Additive),
    /// The congruential generator of its threads: its state.
    Congruential(u32),
}

impl Rand {
    /// After `srand(seed)`.
    pub fn new(runtime: Runtime, seed: u32) -> Self {
        match runtime {
            Runtime::Php52 => Self::Additive(Additive::new(seed)),
            Runtime::Php52Threaded => Self::Congruential(seed),
            Runtime::Php71 => Self::Twister(Twister::new(PhpVersion::V7_1, seed)),
        }
    }

    /// The next output.
    pub fn next_output(&mut self) -> u32 {
        match self {
            Self::Twister(twister) => twister.next_output(),
            Self::Additive(additive) => additive.next_output(),
            Self::Congruential(state) => {
                let mut bits = |count: u32| {
                    *state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    (*state >> 16) & ((1 << count) - 1)
                };
                let (high, middle, low) = (bits(11), bits(10), bits(10));
                ((high << 20) | (middle << 10) | low) << 1
            }
        }
    }
}

/// glibc's `random()`: each number is the sum of those 31 and 3 places before it.
#[derive(Clone, Debug)]
pub struct Additive {
    /// Number i stands at place i modulo the length, as long as it is needed.
    numbers: [u32; 32],
    /// The number of the next.
    next: usize,
}

impl Additive {
    /// The numbers up to here only start the sequence.
    const FIRST_OUTPUT: usize = 344;

    fn new(seed: u32) -> Self {
        let mut numbers = [0; 32];
        let mut number = seed.max(1) as i32;
        numbers[0] = number as u32;
        for place in &mut numbers[1..31] {
            // 16807 times the number, modulo 2^31 - 1, without a product that is too large (Schrage 1979).
            let (high, low) = (number / 127_773, number % 127_773);
            number = 16_807 * low - 2_836 * high;
            number += if number < 0 { i32::MAX } else { 0 };
            *place = number as u32;
        }
        // The 31st to 33rd repeat the first three.
        numbers[31] = numbers[0];
        numbers[0] = numbers[1];
        numbers[1] = numbers[2];
        let mut started = Self { numbers, next: 34 };
        while started.next < Self::FIRST_OUTPUT {
            started.next_output();
        }
        started
    }

    fn next_output(&mut self) -> u32 {
        let length = self.numbers.len();
        let before = |places: usize| self.numbers[(self.next - places) % length];
        let number = before(31).wrapping_add(before(3));
        self.numbers[self.next % length] = number;
        self.next += 1;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_starts_as_everyone_knows_it() {
        // What rand() of glibc gives first to a program that calls no srand(), whose seed is 1.
        let mut rand = Rand::new(Runtime::Php52, 1);
        assert_eq!([(); 3].map(|()| rand.next_output() >> 1), [1_804_289_383, 846_930_886, 1_681_692_777]);
    }
}
