//! What the original webDFS (2009 to 2012, in PHP) computes: where replicas go, and in which folder a file lies. The
//! results are those of its own programs on the PHP they ran on, down to PHP's random numbers, so that what they
//! stored is found. `tests/vectors/webdfs_php/README.md` lists the facts followed here and the answers they are held
//! to.
//!
//! Here are the parts, on plain numbers; nothing here knows of maps, files or settings. FROZEN: data directories of
//! running sites were laid out by these numbers.

mod locator;
mod path_hash;
mod rand;
mod range;
mod rush_p;
mod rush_r;
mod twister;

use std::fmt;
use std::str::FromStr;

pub use locator::{Fault, Group, Kind, Locator, REPLICAS_MAX, Steps};
pub use path_hash::path_hash;
pub use rand::{Rand, Runtime};
pub use range::range;
pub use twister::Twister;

/// The releases of PHP that differ in their random numbers, each named by its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhpVersion {
    /// 5.2.1 to 7.0, on Linux, not built for threads: what the original was written for.
    V5_2,
    /// 7.1 and later.
    V7_1,
}

/// A release that has no random numbers of its own here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use \"5.2\" for PHP 5.2.1 to 7.0, or \"7.1\" for PHP 7.1 and later")]
pub struct UnknownPhp;

impl PhpVersion {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V5_2, Self::V7_1];

    /// The release, as settings name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V5_2 => "5.2",
            Self::V7_1 => "7.1",
        }
    }
}

impl fmt::Display for PhpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PhpVersion {
    type Err = UnknownPhp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnknownPhp)
    }
}

/// What a name is reduced to before anything is drawn: 15 bits of its checksum. Names of one seed share their
/// placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(u16);

impl Seed {
    /// How many there are.
    pub const COUNT: usize = 1 << 15;

    /// That of a name with this CRC-32 (the one of zlib).
    pub const fn of_crc32(crc32: u32) -> Self {
        Self((crc32 >> 16) as u16 & 0x7fff)
    }

    /// That of a name.
    pub fn of(name: &[u8]) -> Self {
        Self::of_crc32(crc32fast::hash(name))
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u16).map(Self)
    }

    /// The number: below [`Seed::COUNT`].
    pub const fn get(self) -> u16 {
        self.0
    }

    /// A short name that has this seed, to show what would happen to it.
    pub fn example(self) -> String {
        (0u64..)
            .map(|number| format!("{number}.jpg"))
            .find(|name| Self::of(name.as_bytes()) == self)
            .expect("the numbers do not end, and their checksums take every value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_has_a_name_that_shows_it() {
        for seed in Seed::all().step_by(1111) {
            assert_eq!(Seed::of(seed.example().as_bytes()), seed);
        }
        assert_eq!(Seed::all().count(), Seed::COUNT);
    }

    #[test]
    fn releases_are_known_by_the_first_of_their_kind() {
        for version in PhpVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
        }
        for text in ["", "5", "5.3", "7.0", "8.2", "5.2 "] {
            assert_eq!(text.parse::<PhpVersion>(), Err(UnknownPhp), "{text}");
        }
    }
}
