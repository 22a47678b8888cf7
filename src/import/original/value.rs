//! Values of PHP as far as they are written down: nested arrays, texts and numbers. What only a running program could
//! tell is [`Value::Unknown`].

use std::collections::BTreeMap;

/// What a value counts without its text.
pub(super) const VALUE_BYTES: usize = 32;

/// A value, and the line on which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What PHP distinguishes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Vec<u8>),
    List(List),
    /// Something that is known only when the program runs; the words say what.
    Unknown(String),
}

/// The key of an entry in an array.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Int(i64),
    Text(Vec<u8>),
}

/// An array of PHP: keys in the order in which they came, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct List {
    entries: Vec<(Key, Located)>,
    places: BTreeMap<Key, usize>,
    /// The key of the next entry that comes without one.
    next: i64,
}

impl List {
    pub(super) fn entries(&self) -> &[(Key, Located)] {
        &self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<&Located> {
        self.at(&Key::Text(key.as_bytes().to_vec()))
    }

    pub(super) fn at(&self, key: &Key) -> Option<&Located> {
        self.places.get(key).and_then(|place| self.entries.get(*place)).map(|(_, value)| value)
    }

    /// The place of a key, or of the entry that comes next without one; a place that is not there yet is made. As PHP
    /// does: what is put where something is takes its place.
    pub(super) fn place(&mut self, key: Option<Key>, line: usize) -> &mut Located {
        let key = key.unwrap_or(Key::Int(self.next));
        if let Key::Int(number) = key {
            self.next = self.next.max(number.saturating_add(1));
        }
        let place = *self.places.entry(key.clone()).or_insert(self.entries.len());
        if place == self.entries.len() {
            self.entries.push((key, Located { line, value: Value::Null }));
        }
        &mut self.entries[place].1
    }
}

impl Value {
    /// For messages.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "an array",
            Self::Unknown(what) => what,
        }
    }

    /// What it counts, and how deep it is.
    pub(super) fn extent(&self) -> (usize, usize) {
        match self {
            Self::Text(text) => (VALUE_BYTES + text.len(), 0),
            Self::List(list) => list.entries.iter().fold((VALUE_BYTES, 1), |(size, depth), (_, entry)| {
                let (own, below) = entry.value.extent();
                (size + own, depth.max(below + 1))
            }),
            _ => (VALUE_BYTES, 0),
        }
    }
}

/// For messages, on one line and not too long.
pub(super) fn lossy(text: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(text);
    let shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN { shown + "..." } else { shown }
}
