//! Versions: a time in nanoseconds since 1970 that orders the copies of one object (design section 4).  Pure.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The version of a copy or tombstone: nanoseconds since 1970, the mtime of every replica. Of two copies the
/// higher version is the truth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(u64);

impl Version {
    /// From nanoseconds since 1970.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From a file's mtime. Times before 1970 count as 1970.
    pub fn from_mtime(seconds: i64, nanos: i64) -> Self {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        Self(seconds.saturating_mul(SECOND).saturating_add(u64::try_from(nanos).unwrap_or(0)))
    }

    /// From a wall clock time. Times before 1970 count as 1970.
    pub fn from_time(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Nanoseconds since 1970.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970: what `Last-Modified` shows.
    pub const fn seconds(self) -> u64 {
        self.0 / SECOND
    }

    /// The nanoseconds within the second.
    pub const fn subsecond_nanos(self) -> u32 {
        (self.0 % SECOND) as u32
    }

    /// The same as a wall clock time.
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0)
    }

    /// The next higher version.
    pub const fn successor(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The first version in the next whole second.
    pub const fn next_second(self) -> Self {
        Self((self.0 / SECOND).saturating_add(1).saturating_mul(SECOND))
    }

    /// How far this lies after `other`; zero if it does not.
    pub const fn since(self, other: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

impl FromStr for Version {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_mtime_in_nanoseconds() {
        let version = Version::from_mtime(1_700_000_000, 5);
        assert_eq!(version.nanos(), 1_700_000_000_000_000_005);
        assert_eq!((version.seconds(), version.subsecond_nanos()), (1_700_000_000, 5));
        assert_eq!(Version::from_time(version.time()), version);
        assert_eq!(version.to_string().parse(), Ok(version));
    }

    #[test]
    fn times_before_1970_and_the_end_of_time_do_not_wrap() {
        assert_eq!(Version::from_mtime(-5, 0), Version::default());
        assert_eq!(Version::from_nanos(u64::MAX).successor().nanos(), u64::MAX);
        assert_eq!(Version::from_mtime(i64::MAX, 0).nanos(), u64::MAX);
    }

    #[test]
    fn the_next_second_is_later_even_at_a_whole_second() {
        assert_eq!(Version::from_nanos(2 * SECOND).next_second().nanos(), 3 * SECOND);
        assert_eq!(Version::from_nanos(2 * SECOND + 1).next_second().nanos(), 3 * SECOND);
    }
}
