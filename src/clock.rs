//! The wall clock, read here and nowhere else, and through std alone, so that tests can shift it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::version::Version;

/// Now, as a version.
pub fn now() -> Version {
    Version::from_time(SystemTime::now())
}

/// Now, in seconds since 1970; a clock before 1970 says 0.
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
