//! Versions: a time in nanoseconds since 1970 that orders the copies of one object (design section 4).  Pure.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::held::Held;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The version of a copy or tombstone: nanoseconds since 1970, the mtime of every replica. Of two copies the
/// higher version is the truth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
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

    /// This much earlier; 1970 at the earliest.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
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

/// How far ahead of a node's clock a version may lie, unless it follows one the node already holds for that key.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The version of a write, given the clock and the newest thing any owner holds: the clock, or just after what is
/// held if that is later, so that whoever writes after an acknowledged version always wins.
///
/// `size` is that of the new copy, `None` for a tombstone. The ETag of nginx shows whole seconds and the size, so a
/// copy that replaces a tombstone or one of its own size is put in a later second.
pub fn choose(now: Version, newest: &Held, size: Option<u64>) -> Version {
    let Some(before) = newest.version() else { return now };
    let version = now.max(before.successor());
    let same_etag = match (newest, size) {
        (_, None) | (Held::Nothing, _) => false,
        (Held::Tombstone { .. }, Some(_)) => true,
        (Held::Copy(copy), Some(size)) => copy.size == size,
    };
    if same_etag && version.seconds() == before.seconds() { before.next_second() } else { version }
}

/// Whether a node accepts a version by its own clock: one more than a day ahead comes from a node whose clock is
/// wrong, unless it follows one that this node already holds for the key.
pub fn is_acceptable(version: Version, held: &Held, now: Version) -> bool {
    let follows = held.version().is_some_and(|held| version <= held.next_second().next_second());
    follows || version.since(now) <= AHEAD_MAX
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
    use crate::held::CopyInfo;

    fn copy(nanos: u64, size: u64) -> Held {
        Held::Copy(CopyInfo { version: Version::from_nanos(nanos), size, crc32: None })
    }

    #[test]
    fn a_write_is_dated_by_the_clock_or_just_after_what_it_follows() {
        let now = Version::from_nanos(5 * SECOND);
        assert_eq!(choose(now, &Held::Nothing, Some(1)), now);
        assert_eq!(choose(now, &copy(4 * SECOND, 9), Some(1)), now);
        assert_eq!(choose(now, &copy(7 * SECOND, 9), Some(1)).nanos(), 7 * SECOND + 1);
    }

    #[test]
    fn a_copy_whose_etag_would_be_the_same_is_put_in_a_later_second() {
        let now = Version::from_nanos(5 * SECOND + 7);
        assert_eq!(choose(now, &copy(5 * SECOND, 1), Some(1)).nanos(), 6 * SECOND);
        assert_eq!(choose(now, &copy(5 * SECOND, 2), Some(1)), now);
        assert_eq!(choose(now, &copy(4 * SECOND, 1), Some(1)), now);
        let tombstone = Held::Tombstone { version: Version::from_nanos(5 * SECOND) };
        assert_eq!(choose(now, &tombstone, Some(1)).nanos(), 6 * SECOND);
        assert_eq!(choose(now, &copy(5 * SECOND, 1), None), now, "a tombstone has no ETag");
    }

    #[test]
    fn a_version_far_ahead_of_the_clock_is_accepted_only_after_one_like_it() {
        let now = Version::from_nanos(100 * SECOND);
        let day = 24 * 3600 * SECOND;
        let far = Version::from_nanos(100 * SECOND + 2 * day);
        assert!(is_acceptable(Version::from_nanos(100 * SECOND + day), &Held::Nothing, now));
        assert!(!is_acceptable(far, &Held::Nothing, now));
        assert!(!is_acceptable(far, &copy(100 * SECOND, 1), now));
        assert!(is_acceptable(far.successor(), &copy(far.nanos(), 1), now));
    }

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
