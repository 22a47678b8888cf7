//! The stamps of roots (design section 5): each root has one, which grows, and remembers the newest of every other node.
//! So a node that starts on an empty disk, or on an older copy of its own, is told so by the others.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::layout;
use super::{Store, StoreError};
use crate::cluster::NodeName;
use crate::failpoint::{Step, step};

/// By how much the stamp of a root that has returned exceeds what others remember: more than the stamp they may have
/// missed can exceed theirs, in all the hours that a node runs. Else one that was away meanwhile would take what has been
/// stored since for an older copy, too.
const LEAP: u64 = 1 << 24;

/// How far a root has come: a number that grows, and a draw that tells it from another that has come as far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stamp {
    number: u64,
    draw: u64,
}

/// A stamp that is none.
#[derive(Debug, thiserror::Error)]
#[error("a stamp is NUMBER-DRAW, such as 17-0123456789abcdef")]
pub struct StampError;

impl Stamp {
    /// That of a new root.
    pub(super) fn first() -> Self {
        Self::numbered(1)
    }

    /// The one that follows this.
    pub(super) fn next(self) -> Self {
        Self::numbered(self.number.saturating_add(1))
    }

    /// That of a root which has returned, when others remember this one.
    pub(super) fn leap(self) -> Self {
        Self::numbered(self.number.saturating_add(LEAP))
    }

    fn numbered(number: u64) -> Self {
        Self { number, draw: fastrand::u64(..) }
    }

    /// Whether a root that still has the stamp `own`, while others remember this one of its node, is another root than
    /// they know, or an older copy of that. They remember only what a root had already on its disk.
    pub fn contradicts(self, own: Stamp) -> bool {
        self != own && self.number >= own.number
    }

    /// How far the root has come.
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.number, self.draw)
    }
}

impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        let (number, draw) = text.split_once('-').ok_or(StampError)?;
        let is_plain =
            |text: &str, digit: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|b| digit(&b));
        if !is_plain(number, u8::is_ascii_digit) || draw.len() != 16 || !is_plain(draw, u8::is_ascii_hexdigit)
        {
            return Err(StampError);
        }
        let number = number.parse().map_err(|_| StampError)?;
        Ok(Self { number, draw: u64::from_str_radix(draw, 16).map_err(|_| StampError)? })
    }
}

impl TryFrom<String> for Stamp {
    type Error = StampError;

    fn try_from(text: String) -> Result<Self, StampError> {
        text.parse()
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        stamp.to_string()
    }
}

impl Store {
    /// Raises the root's stamp. It is on the disk when this returns, so that nobody can remember more than a root knows.
    ///
    /// # Errors
    /// As [`Store::identify`], and when the disk fails.
    pub fn raise_stamp(&self, node: &NodeName) -> Result<(), StoreError> {
        self.change_identity(node, |identity| {
            identity.stamp = Some(identity.stamp.map_or_else(Stamp::first, Stamp::next));
            true
        })?;
        step(Step::StampRaised);
        Ok(())
    }

    /// Remembers the stamp of another node's root if it is newer than what is remembered, durably. What was remembered
    /// before.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for what webdfs has not written, and when the disk fails.
    pub fn remember_stamp(&self, node: &NodeName, stamp: Stamp) -> Result<Option<Stamp>, StoreError> {
        let known = self.remembered_stamp(node)?;
        if known.is_some_and(|known| known.number >= stamp.number) {
            return Ok(known);
        }
        let _lock = self.lock_stamps()?;
        let known = self.remembered_stamp(node)?;
        if known.is_none_or(|known| known.number < stamp.number) {
            self.replace(&layout::stamp(node.as_str()), format!("{stamp}\n").as_bytes(), None)?;
            step(Step::StampRemembered);
        }
        Ok(known)
    }

    fn remembered_stamp(&self, node: &NodeName) -> Result<Option<Stamp>, StoreError> {
        let path = layout::stamp(node.as_str());
        let Some(text) = self.read_own(&path)? else { return Ok(None) };
        text.trim_end().parse().map(Some).map_err(|error: StampError| StoreError::Damaged {
            path: self.settings.root.join(&path),
            problem: error.to_string(),
        })
    }

    /// The text of a small file of our own; `None` if there is none.
    pub(super) fn read_own(&self, path: &Path) -> Result<Option<String>, StoreError> {
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((mut file, _)) = opened else { return Ok(None) };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|source| self.io("read", path, source))?;
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_text_that_reads_back() {
        let stamp = Stamp { number: 17, draw: 0xabc };
        assert_eq!(stamp.to_string(), "17-0000000000000abc");
        assert_eq!(stamp.to_string().parse::<Stamp>().unwrap(), stamp);
        for text in
            ["", "17", "17-", "-0000000000000abc", "17-abc", "+7-0000000000000abc", "7-+000000000000abc"]
        {
            assert!(text.parse::<Stamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_remembered_contradicts_every_root_but_the_one_it_came_from() {
        let old = Stamp::first();
        let new = old.next();
        assert!(!old.contradicts(old), "it is the same");
        assert!(!old.contradicts(new), "the root has come further since");
        assert!(new.contradicts(old), "the root is an older copy");
        assert!(Stamp::first().contradicts(old), "the root is another, though it has come as far");
        assert!(!new.contradicts(old.next().next()));
        assert!(!new.next().next().contradicts(new.leap()), "some may have missed what others remember");
    }
}
