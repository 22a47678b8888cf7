//! What to do about one object between two nodes.  Pure: the agent executes plans and decides nothing.

use std::cmp::Ordering;

use crate::held::{CopyInfo, Held};
use crate::version::Version;

/// One step towards two nodes holding the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// They hold the same already.
    Nothing,
    /// Send our copy.
    SendCopy,
    /// Send our tombstone of this version.
    SendTombstone(Version),
    /// Fetch their copy.
    FetchCopy(CopyInfo),
    /// Write a tombstone of this version, which they have.
    TakeTombstone(Version),
}

/// The step that makes `theirs` what `ours` is, or the other way round, whichever is newer.
pub fn step(ours: &Held, theirs: &Held) -> Step {
    match (ours.supersedes(theirs), ours, theirs) {
        (Ordering::Equal, ..)
        | (Ordering::Greater, Held::Nothing, _)
        | (Ordering::Less, _, Held::Nothing) => Step::Nothing,
        (Ordering::Greater, Held::Copy(_), _) => Step::SendCopy,
        (Ordering::Greater, Held::Tombstone { version }, _) => Step::SendTombstone(*version),
        (Ordering::Less, _, Held::Copy(copy)) => Step::FetchCopy(*copy),
        (Ordering::Less, _, Held::Tombstone { version }) => Step::TakeTombstone(*version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_of_two_holdings_travels_to_the_other_side() {
        let version = Version::from_nanos;
        let info = |nanos| CopyInfo { version: version(nanos), size: 1, crc32: Some(1) };
        let copy = |nanos| Held::Copy(info(nanos));
        let tombstone = |nanos| Held::Tombstone { version: version(nanos) };
        for (ours, theirs, expected) in [
            (Held::Nothing, Held::Nothing, Step::Nothing),
            (copy(2), copy(2), Step::Nothing),
            (copy(2), Held::Nothing, Step::SendCopy),
            (copy(2), copy(1), Step::SendCopy),
            (copy(2), tombstone(1), Step::SendCopy),
            (tombstone(2), copy(2), Step::SendTombstone(version(2))),
            (tombstone(2), Held::Nothing, Step::SendTombstone(version(2))),
            (Held::Nothing, copy(1), Step::FetchCopy(info(1))),
            (copy(1), copy(2), Step::FetchCopy(info(2))),
            (copy(1), tombstone(1), Step::TakeTombstone(version(1))),
            (Held::Nothing, tombstone(1), Step::TakeTombstone(version(1))),
        ] {
            assert_eq!(step(&ours, &theirs), expected, "{ours:?} and {theirs:?}");
        }
    }
}
