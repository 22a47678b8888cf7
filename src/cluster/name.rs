//! The names and numbers of a map: names of nodes, sub-clusters and places, node indices, epochs. Parsing only; uniqueness is
//! the map's business.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name of a node, sub-cluster or place, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The name of a node, which it bears for ever: 1 to [`NAME_BYTES_MAX`] of the characters `A-Z a-z 0-9 . _ -`, not
/// starting with `.` or `-`. Such a name is safe in a header, a URL, a file name and on a command line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

/// The name of a sub-cluster; the same rule as for a [`NodeName`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct SubClusterName(Arc<str>);

/// The name of a place that nodes share, such as a rack; the same rule as for a [`NodeName`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceName(Arc<str>);

/// A text that cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name is empty; it needs 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-'")]
    Empty,
    /// Longer than [`NAME_BYTES_MAX`].
    #[error("the name {start:?}... has {length} bytes; at most {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// How it starts.
        start: String,
        /// Its length in bytes.
        length: usize,
    },
    /// Its first character is `.` or `-`.
    #[error("the name {name:?} starts with {first:?}; it must start with a letter, a digit or '_'")]
    Start {
        /// The text.
        name: String,
        /// Its first character.
        first: char,
    },
    /// A character that is not allowed.
    #[error("the name {name:?} contains {found:?}; allowed are A-Z, a-z, 0-9, '.', '_' and '-'")]
    Character {
        /// The text.
        name: String,
        /// The first such character.
        found: char,
    },
}

/// Refuses what cannot be a name.
fn check(text: &str) -> Result<(), NameError> {
    if text.len() > NAME_BYTES_MAX {
        let start = text.chars().take(16).collect();
        return Err(NameError::TooLong { start, length: text.len() });
    }
    let Some(first) = text.chars().next() else {
        return Err(NameError::Empty);
    };
    if let Some(found) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || ".-_".contains(*c))) {
        return Err(NameError::Character { name: text.to_owned(), found });
    }
    if matches!(first, '.' | '-') {
        return Err(NameError::Start { name: text.to_owned(), first });
    }
    Ok(())
}

macro_rules! name_type {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_type!(NodeName);

impl TryFrom<String> for NodeName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.as_str().to_owned()
    }
}

name_type!(SubClusterName);

impl From<SubClusterName> for String {
    fn from(name: SubClusterName) -> Self {
        name.as_str().to_owned()
    }
}
name_type!(PlaceName);

/// A node of one map: its number, counted through all sub-clusters in order from 0. It means something only
/// together with that map, so it is never written down or sent; names are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(u32);

impl NodeIndex {
    /// The node of that number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number, to index with.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// The number of a version of the map, from 1 to [`Epoch::MAX`]. Of two maps the one of the higher epoch counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(NonZeroU64);

/// A text that is no epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an epoch; it is a whole number from 1 to {}", Epoch::MAX)]
pub struct EpochError;

impl Epoch {
    /// The epoch of a cluster's first map.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The last epoch: cluster.toml can say no larger number.
    pub const MAX: u64 = i64::MAX as u64;

    /// The epoch of that number; `None` for 0 and above [`Epoch::MAX`].
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) if number.get() <= Self::MAX => Some(Self(number)),
            _ => None,
        }
    }

    /// The one that follows; `None` after the last.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.get() + 1)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({})", self.0)
    }
}

impl FromStr for Epoch {
    type Err = EpochError;

    /// Digits only: a sign, which `u64` would take, is refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(EpochError);
        }
        text.parse().ok().and_then(Self::new).ok_or(EpochError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_disks_are_accepted_as_they_are() {
        for text in ["a", "7", "_x", "web-01.example.org", "sdb_2", &"n".repeat(NAME_BYTES_MAX)] {
            assert_eq!(text.parse::<NodeName>().unwrap().as_str(), text);
            assert_eq!(text.parse::<SubClusterName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_refused_name_says_what_is_right() {
        let cases = [
            ("", "1 to 64 letters"),
            (".a", "must start with"),
            ("-a", "must start with"),
            ("a b", "contains ' '"),
            ("a/b", "contains '/'"),
            ("ä", "contains 'ä'"),
            ("a\n", "contains '\\n'"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<NodeName>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let error = "ä".repeat(33).parse::<NodeName>().unwrap_err().to_string();
        assert!(error.contains("66 bytes"), "{error}");
    }

    #[test]
    fn epochs_start_at_one_and_are_ordered() {
        assert_eq!(Epoch::new(0), None);
        assert!(Epoch::new(2).unwrap() > Epoch::FIRST);
        let last: Epoch = "9223372036854775807".parse().unwrap();
        assert_eq!((last.get(), last.next()), (Epoch::MAX, None));
        assert_eq!(Epoch::FIRST.next(), Epoch::new(2));
        for text in ["", "0", "+1", "-1", "1.0", " 1", "9223372036854775808", "18446744073709551616"] {
            assert_eq!(text.parse::<Epoch>(), Err(EpochError), "{text:?}");
        }
    }
}
