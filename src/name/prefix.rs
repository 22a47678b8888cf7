//! The URL prefix in front of every key.  Pure.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_encode;

use super::{ObjectName, URL_ENCODED, write_lossy};

/// The URL path in front of every key, as the configuration gives it: written decoded, like the path of an nginx
/// `location`. It starts and ends with a slash and has no segment that is empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Vec<u8>);

impl Prefix {
    /// The whole URL space.
    pub fn root() -> Self {
        Self(b"/".to_vec())
    }

    /// The decoded path, a slash at both ends.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The absolute URL path of an object, percent-encoded.
    pub fn url_path(&self, name: &ObjectName) -> String {
        let mut path = percent_encode(&self.0, URL_ENCODED).to_string();
        path.push_str(&name.url_path());
        path
    }

    /// Whether a decoded, normalised path lies below it.
    pub fn covers(&self, path: &[u8]) -> bool {
        path.starts_with(&self.0)
    }

    /// What follows the prefix in a decoded, normalised path.
    pub(super) fn strip<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        path.strip_prefix(self.0.as_slice())
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self::root()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lossy(&self.0, f)
    }
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The first character is not a slash.
    #[error("the prefix `{0}` must start with a slash, as in `/images/`")]
    NotAbsolute(String),
    /// A segment that no normalised path has, so that nothing would ever match.
    #[error("the prefix `{0}` has an empty segment, `.` or `..`; write it as in `/images/`")]
    Unnormalised(String),
    /// A character that belongs to an encoded URL or to no URL.
    #[error(
        "the prefix `{prefix}` contains {character:?}; write it decoded, without query, as in `/images/`"
    )]
    Character {
        /// The text refused.
        prefix: String,
        /// The first offending character.
        character: char,
    },
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let Some(below) = text.strip_prefix('/') else {
            return Err(PrefixError::NotAbsolute(text.to_owned()));
        };
        if let Some(character) = text.chars().find(|&c| c.is_control() || matches!(c, '%' | '?' | '#')) {
            return Err(PrefixError::Character { prefix: text.to_owned(), character });
        }
        let below = below.strip_suffix('/').unwrap_or(below);
        if below.is_empty() && text.len() <= 1 {
            return Ok(Self::root());
        }
        if below.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PrefixError::Unnormalised(text.to_owned()));
        }
        Ok(Self(format!("/{below}/").into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_in_a_slash_however_it_is_written() {
        for (text, normal) in
            [("/", "/"), ("/images", "/images/"), ("/images/", "/images/"), ("/a/b c", "/a/b c/")]
        {
            let prefix: Prefix = text.parse().expect(text);
            assert_eq!(prefix.to_string(), normal);
        }
        assert_eq!(Prefix::default(), "/".parse().expect("the root"));
    }

    #[test]
    fn a_prefix_that_could_never_match_is_refused() {
        for text in ["", "images/", "images"] {
            assert_eq!(text.parse::<Prefix>(), Err(PrefixError::NotAbsolute(text.into())));
        }
        for text in ["//", "/a//b", "/a//", "/./a", "/..", "/a/../b/"] {
            assert_eq!(text.parse::<Prefix>(), Err(PrefixError::Unnormalised(text.into())));
        }
        for (text, character) in
            [("/a%20b", '%'), ("/a?b", '?'), ("/a#b", '#'), ("/a\0", '\0'), ("/a\n", '\n')]
        {
            assert_eq!(
                text.parse::<Prefix>(),
                Err(PrefixError::Character { prefix: text.into(), character })
            );
        }
    }

    #[test]
    fn the_url_of_an_object_is_encoded_prefix_and_all() {
        let prefix: Prefix = "/my images".parse().expect("a good prefix");
        let name = ObjectName::from_bytes(b"a/b c.jpg").expect("a good name");
        assert_eq!(prefix.url_path(&name), "/my%20images/a/b%20c.jpg");
    }
}
