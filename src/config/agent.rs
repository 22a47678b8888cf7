//! `[agent]`: how the background work goes.

use std::fmt::{self, Display, Formatter};
use std::num::{NonZeroU64, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decide::read;
use super::error::{ConfigError, Reason};
use super::file::AgentFile;
use super::size::SizeError;
use super::source::Source;
use super::{duration, size};

/// The words for no limit and no time.
const UNLIMITED: &str = "unlimited";
const NEVER: &str = "never";

/// The lowest `bytes_per_second`. Below it the pieces of a file would be so far apart that a node or its web server may
/// take the sender for dead.
const RATE_MIN: u64 = 1 << 20;
/// `concurrency` unless the file says otherwise: enough to hide the round trips.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(8).expect("not 0");
/// The highest `concurrency`.
const CONCURRENCY_MAX: usize = 256;
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = HOUR.saturating_mul(24);
/// `pass_every` unless the file says otherwise, and its bounds.
const PASS_EVERY: Duration = HOUR.saturating_mul(6);
const PASS_EVERY_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), DAY.saturating_mul(30));
/// `scrub_every` unless the file says otherwise, and its bounds.
const SCRUB_EVERY: Duration = DAY.saturating_mul(30);
const SCRUB_EVERY_BOUNDS: (Duration, Duration) = (HOUR, DAY.saturating_mul(365));

/// Bytes of files in a second: from [`RATE_MIN`] on, or no limit. Written as a size, or as "unlimited".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(Option<NonZeroU64>);

/// Why a text is no [`Rate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; or \"{UNLIMITED}\"")]
pub struct RateError(#[source] SizeError);

impl Rate {
    /// How many; none: no limit.
    pub fn bytes(self) -> Option<NonZeroU64> {
        self.0
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text {
            UNLIMITED => Ok(Self(None)),
            _ => size::parse_within(text, RATE_MIN, size::SIZE_MAX)
                .map(|bytes| Self(NonZeroU64::new(bytes)))
                .map_err(RateError),
        }
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => f.write_str(&size::show(bytes.get())),
            None => f.write_str(UNLIMITED),
        }
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

/// How the background work goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Bytes of files that it reads and transfers in a second, all together, unless an operator has ordered another rate.
    pub bytes_per_second: Rate,
    /// Files that it works on at the same time.
    pub concurrency: NonZeroUsize,
    /// From the end of a full pass to the beginning of the next.
    pub pass_every: Duration,
    /// From the end of a scrub to the beginning of the next; none: only when asked.
    pub scrub_every: Option<Duration>,
}

impl Agent {
    /// What the file says, with the defaults for the rest.
    pub(super) fn decide(source: &Source<'_>, file: &AgentFile) -> Result<Self, ConfigError> {
        let rate = read(source, "[agent] bytes_per_second", file.bytes_per_second.as_ref(), |text| {
            text.parse().map_err(|RateError(error)| error)
        })?;
        let concurrency = match &file.concurrency {
            None => CONCURRENCY,
            Some(value) => usize::try_from(*value.get_ref())
                .ok()
                .and_then(NonZeroUsize::new)
                .filter(|number| number.get() <= CONCURRENCY_MAX)
                .ok_or_else(|| {
                    let reason = Reason::OutOfBounds { least: 1, most: CONCURRENCY_MAX as u64 };
                    source.refuse("[agent] concurrency", value, reason)
                })?,
        };
        let (least, most) = PASS_EVERY_BOUNDS;
        let pass_every = read(source, "[agent] pass_every", file.pass_every.as_ref(), |text| {
            duration::parse_within(text, least, most)
        })?;
        let (least, most) = SCRUB_EVERY_BOUNDS;
        let scrub_every =
            read(source, "[agent] scrub_every", file.scrub_every.as_ref(), |text| match text {
                NEVER => Ok(None),
                _ => duration::parse_within(text, least, most).map(Some),
            })?;
        Ok(Self {
            bytes_per_second: rate.unwrap_or(Rate(None)),
            concurrency,
            pass_every: pass_every.unwrap_or(PASS_EVERY),
            scrub_every: scrub_every.unwrap_or(Some(SCRUB_EVERY)),
        })
    }

    /// As [`super::Settings::decided`].
    pub(super) fn decided(&self) -> [(&'static str, String); 4] {
        [
            ("agent.bytes_per_second", self.bytes_per_second.to_string()),
            ("agent.concurrency", self.concurrency.to_string()),
            ("agent.pass_every", duration::show(self.pass_every)),
            ("agent.scrub_every", self.scrub_every.map_or_else(|| NEVER.to_owned(), duration::show)),
        ]
    }
}
