//! What a node tells of itself, and its words on the wire.  Pure.
//!
//! Facts that change together share a key, so that nobody sees half of a change. A value is a few words; a later
//! release may append words, which this one leaves unread.

use crate::cluster::{Epoch, Fingerprint};

/// The key of [`Facts::map`], the one fact that is passed on at once.
pub(super) const MAP: &str = "map";
const FILL: &str = "fill";
const MOVING: &str = "moving";
const BACKGROUND: &str = "background";
const RELEASE: &str = "release";

/// What stands for background work that an operator has paused, and for other.
const PAUSED: &str = "paused";
const GOING: &str = "going";

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
    /// Whether an operator has paused its background work.
    pub paused: bool,
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
    /// Objects; none: not counted yet.
    pub objects: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
    /// Bytes that are free on the disk.
    pub free_bytes: u64,
    /// Bytes that the disk has.
    pub capacity_bytes: u64,
}

/// How far a pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moving {
    /// Keys that are left; none: not known yet.
    pub keys_left: Option<u64>,
    /// Bytes sent and fetched in a second, lately.
    pub bytes_per_second: u64,
}

impl Facts {
    /// The keys and values in which they are told. The map comes first.
    pub(super) fn words(&self) -> [(&'static str, String); 5] {
        let map = self.map.map_or(NONE.to_owned(), |map| {
            let passed = map.passed.map_or(NONE.to_owned(), |epoch| epoch.to_string());
            let complete = if map.complete { "complete" } else { "incomplete" };
            format!("{} {} {passed} {complete}", map.epoch, map.fingerprint)
        });
        let Fill { objects, bytes, free_bytes, capacity_bytes } = self.fill;
        let moving = self.moving.map_or(NONE.to_owned(), |moving| {
            format!("{} {}", word(moving.keys_left), moving.bytes_per_second)
        });
        [
            (MAP, map),
            (FILL, format!("{} {} {free_bytes} {capacity_bytes}", word(objects), word(bytes))),
            (MOVING, moving),
            (BACKGROUND, if self.paused { PAUSED } else { GOING }.to_owned()),
            (RELEASE, self.release.clone()),
        ]
    }

    /// What a node's keys and values say; none while one is missing or unreadable.
    pub(super) fn heard<'a>(value_of: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        let mut fill = value_of(FILL)?.split(' ');
        let (objects, bytes) = (optional_number(fill.next()?)?, optional_number(fill.next()?)?);
        let mut next = || fill.next()?.parse().ok();
        let (free_bytes, capacity_bytes) = (next()?, next()?);
        let fill = Fill { objects, bytes, free_bytes, capacity_bytes };
        let release = value_of(RELEASE)?;
        let printable = release.bytes().all(|byte| byte.is_ascii_graphic());
        if release.is_empty() || release.len() > RELEASE_BYTES_MAX || !printable {
            return None;
        }
        Some(Self {
            map: optional(value_of(MAP)?, map_heard)?,
            fill,
            moving: optional(value_of(MOVING)?, moving_heard)?,
            paused: value_of(BACKGROUND)?.split(' ').next() == Some(PAUSED),
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
    let mut words = value.split(' ');
    Some(Moving { keys_left: optional_number(words.next()?)?, bytes_per_second: words.next()?.parse().ok()? })
}

fn word(number: Option<u64>) -> String {
    number.map_or(NONE.to_owned(), |number| number.to_string())
}

fn optional_number(word: &str) -> Option<Option<u64>> {
    optional(word, |word| word.parse().ok())
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
            fill: Fill { objects: Some(1), bytes: Some(2), free_bytes: u64::MAX, capacity_bytes: 5 },
            moving: Some(Moving { keys_left: Some(3), bytes_per_second: 4 }),
            paused: true,
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
        let fresh = Facts { map, moving: None, paused: false, ..all.clone() };
        let nothing = Facts { map: None, fill: Fill::default(), ..fresh.clone() };
        let begun =
            Facts { moving: Some(Moving { keys_left: None, bytes_per_second: 0 }), ..nothing.clone() };
        for facts in [all, fresh, nothing, begun] {
            assert_eq!(heard(&BTreeMap::from(facts.words())), Some(facts.clone()), "{facts:?}");
        }
    }

    #[test]
    fn words_that_a_later_release_appends_are_left_unread() {
        let mut words = BTreeMap::from(facts().words());
        for key in [MAP, FILL, MOVING, BACKGROUND] {
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
