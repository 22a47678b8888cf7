//! What a node holds of an object, and the order in which copies supersede each other (design section 4).  Pure.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::version::Version;

/// What one node holds under one object name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Held {
    /// Neither a replica nor a tombstone.
    #[default]
    Nothing,
    /// A replica.
    Copy(CopyInfo),
    /// The record that the object was deleted at this version.
    Tombstone {
        /// The version of the deletion.
        version: Version,
    },
}

/// What identifies the bytes of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyInfo {
    /// The replica's version.
    pub version: Version,
    /// Bytes.
    pub size: u64,
    /// Checksum from the replica's attribute; a file put there by hand has none yet.
    pub crc32: Option<u32>,
}

impl Held {
    /// The version of the copy or tombstone, if there is either.
    pub fn version(&self) -> Option<Version> {
        match self {
            Held::Nothing => None,
            Held::Copy(copy) => Some(copy.version),
            Held::Tombstone { version } => Some(*version),
        }
    }

    /// The replica, if it is one.
    pub fn copy(&self) -> Option<&CopyInfo> {
        match self {
            Held::Copy(copy) => Some(copy),
            Held::Nothing | Held::Tombstone { .. } => None,
        }
    }

    /// Whether it is a file without a checksum, put there or edited by hand a short while ago: nobody else is told of it.
    pub fn is_by_hand(&self) -> bool {
        self.copy().is_some_and(|copy| copy.crc32.is_none())
    }

    /// Which of the two is the truth: the higher version; at equal versions a tombstone beats a replica, then the
    /// higher checksum, then the larger one. The order is total, so that every node decides alike whatever the
    /// order of arrival. `Equal` means that both are the same copy.
    pub fn supersedes(&self, other: &Held) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    /// A tuple that sorts as [`Held::supersedes`] says.
    fn rank(&self) -> (Option<Version>, bool, Option<u32>, u64) {
        match self {
            Held::Nothing => (None, false, None, 0),
            Held::Copy(copy) => (Some(copy.version), false, copy.crc32, copy.size),
            Held::Tombstone { version } => (Some(*version), true, None, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(version: u64, crc32: u32, size: u64) -> Held {
        Held::Copy(CopyInfo { version: Version::from_nanos(version), size, crc32: Some(crc32) })
    }

    fn tombstone(version: u64) -> Held {
        Held::Tombstone { version: Version::from_nanos(version) }
    }

    #[test]
    fn copies_are_ordered_by_version_then_tombstone_then_checksum_then_size() {
        let ascending = [
            Held::Nothing,
            copy(1, 9, 9),
            tombstone(1),
            copy(2, 1, 5),
            copy(2, 2, 3),
            copy(2, 2, 4),
            tombstone(2),
            copy(3, 0, 0),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(a.supersedes(b), i.cmp(&j), "{a:?} against {b:?}");
            }
        }
    }

    #[test]
    fn what_is_held_travels_as_json() {
        for held in [Held::Nothing, copy(7, 8, 9), tombstone(5)] {
            let text = serde_json::to_string(&held).unwrap();
            assert_eq!(serde_json::from_str::<Held>(&text).unwrap(), held, "{text}");
        }
    }
}
