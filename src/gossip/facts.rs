//! What a node tells of itself, and its words on the wire.  Pure.
//!
//! Facts that change together share a key, so that nobody sees half of a change. A value is a few words; a later
//! release may append words, which this one leaves unread.

use crate::cluster::{Epoch, Fingerprint};

/// The key of [`Facts::map`], the one fact that is passed on at once.
pub(super) const MAP: &str = "map";
const FILL: &str = "fill";
const MOVING: &str = "moving";
const RELEASE: &str = "release";

/// What stands for a fact that there is not.
const NONE: &str = "-";

/// The longest release that is heard, in bytes.
const RELEASE_BYTES_MAX: usize = 64;

/// What a node tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The map it goes by; none: it has no map yet.
    pub map: Option<MapFacts>,
    /// What it holds.
    pub fill: Fill,
    /// What its pass has left to do; none: no pass is running.
    pub moving: Option<Moving>,
    /// The release it runs, such as `0.1.0`: 1 to 64 printable ASCII characters without a blank.
    pub release: String,
}

/// Where a node stands with the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapFacts {
    /// The epoch of its current map.
    pub epoch: Epoch,
    /// That map's fingerprint.
    pub fingerprint: Fingerprint,
    /// The newest epoch under which it has finished a full pass; none: not one yet.
    pub passed: Option<Epoch>,
    /// Whether it holds everything it should (design, section 8).
    pub complete: bool,
}

/// What a node holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that are free on the disk.
    pub free_bytes: u64,
}

/// How far a pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moving {
    /// Keys that are left.
    pub keys_left: u64,
    /// Bytes sent and fetched in a second, lately.
    pub bytes_per_second: u64,
}

impl Facts {
    /// The keys and values in which they are told. The map comes first.
    pub(super) fn words(&self) -> [(&'static str, String); 4] {
        let map = self.map.map_or(NONE.to_owned(), |map| {
            let passed = map.passed.map_or(NONE.to_owned(), |epoch| epoch.to_string());
            let complete = if map.complete { "complete" } else { "incomplete" };
            format!("{} {} {passed} {complete}", map.epoch, map.fingerprint)
        });
        let Fill { objects, bytes, free_bytes } = self.fill;
        let moving = self
            .moving
            .map_or(NONE.to_owned(), |moving| format!("{} {}", moving.keys_left, moving.bytes_per_second));
        [
            (MAP, map),
            (FILL, format!("{objects} {bytes} {free_bytes}")),
            (MOVING, moving),
            (RELEASE, self.release.clone()),
        ]
    }

    /// What a node's keys and values say; none while one is missing or unreadable.
    pub(super) fn heard<'a>(value_of: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        let mut fill = value_of(FILL)?.split(' ').map(|word| word.parse().ok());
        let mut next = || fill.next().flatten();
        let fill = Fill { objects: next()?, bytes: next()?, free_bytes: next()? };
        let release = value_of(RELEASE)?;
        let printable = release.bytes().all(|byte| byte.is_ascii_graphic());
        if release.is_empty() || release.len() > RELEASE_BYTES_MAX || !printable {
            return None;
        }
        Some(Self {
            map: optional(value_of(MAP)?, map_heard)?,
            fill,
            moving: optional(value_of(MOVING)?, moving_heard)?,
            release: release.to_owned(),
        })
    }
}

/// The epoch that a value of [`MAP`] names.
pub(super) fn epoch_heard(value: &str) -> Option<Epoch> {
    map_heard(value).map(|map| map.epoch)
}

fn map_heard(value: &str) -> Option<MapFacts> {
    let mut words = value.split(' ');
    Some(MapFacts {
        epoch: words.next()?.parse().ok()?,
        fingerprint: words.next()?.parse().ok()?,
        passed: optional(words.next()?, |word| word.parse().ok())?,
        complete: match words.next()? {
            "complete" => true,
            "incomplete" => false,
            _ => return None,
        },
    })
}

fn moving_heard(value: &str) -> Option<Moving> {
    let mut words = value.split(' ').map(|word| word.parse().ok());
    Some(Moving { keys_left: words.next()??, bytes_per_second: words.next()?? })
}

/// The outer none: unreadable; the inner: there is no such fact.
fn optional<T>(value: &str, heard: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if value == NONE { Some(None) } else { heard(value).map(Some) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn facts() -> Facts {
        let map = MapFacts {
            epoch: Epoch::new(7).unwrap(),
            fingerprint: "00112233445566778899aabbccddeeff".parse().unwrap(),
            passed: Epoch::new(6),
            complete: true,
        };
        Facts {
            map: Some(map),
            fill: Fill { objects: 1, bytes: 2, free_bytes: u64::MAX },
            moving: Some(Moving { keys_left: 3, bytes_per_second: 4 }),
            release: "0.1.0".to_owned(),
        }
    }

    fn heard(words: &BTreeMap<&str, String>) -> Option<Facts> {
        Facts::heard(|key| words.get(key).map(String::as_str))
    }

    #[test]
    fn what_is_told_is_what_is_heard() {
        let all = facts();
        let map = all.map.map(|map| MapFacts { passed: None, complete: false, ..map });
        let fresh = Facts { map, moving: None, ..all.clone() };
        let nothing = Facts { map: None, ..fresh.clone() };
        for facts in [all, fresh, nothing] {
            assert_eq!(heard(&BTreeMap::from(facts.words())), Some(facts.clone()), "{facts:?}");
        }
    }

    #[test]
    fn words_that_a_later_release_appends_are_left_unread() {
        let mut words = BTreeMap::from(facts().words());
        for key in [MAP, FILL, MOVING] {
            words.get_mut(key).unwrap().push_str(" and more");
        }
        assert_eq!(heard(&words), Some(facts()));
    }

    #[test]
    fn what_is_missing_or_means_nothing_is_not_heard() {
        let told = BTreeMap::from(facts().words());
        for key in [MAP, FILL, MOVING, RELEASE] {
            let mut words = told.clone();
            words.remove(key);
            assert_eq!(heard(&words), None, "without {key}");
            for nonsense in
                ["", " ", "x", "-1", "0", "1 2", "1  2 3", "18446744073709551616 1 1", "\u{1b}[2J"]
            {
                let means_something =
                    matches!((key, nonsense), (MOVING, "1 2") | (RELEASE, "x" | "-1" | "0"));
                words.insert(key, nonsense.to_owned());
                assert_eq!(heard(&words).is_some(), means_something, "{key} {nonsense:?}");
            }
        }
        let mut words = told.clone();
        words.insert(RELEASE, "9".repeat(RELEASE_BYTES_MAX + 1));
        assert_eq!(heard(&words), None);
    }
}
