//! CRUSH maps as text, as `crushtool -d` prints them: from the text to a plain [`CrushSpec`], with the line of
//! everything in it (Ceph documentation, "Manually editing a CRUSH map",
//! <https://docs.ceph.com/en/latest/rados/operations/crush-map-edits/>).
//!
//! Here is what a caller sees; `tokens.rs` cuts the text into words, `parse.rs` reads them, `shadow.rs` builds the
//! copies of the hierarchy that rules with a device class take, `print.rs` is the way back. Whether the parts fit
//! together is the business of [`CrushMap::new`].

mod parse;
mod print;
mod shadow;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::error::{CrushFault, CrushPlace};
use super::{CrushMap, CrushSpec};

pub use print::print_text;

/// A map read from a text, not yet checked as a whole.
#[derive(Clone, Debug)]
pub struct TextMap {
    /// What it says.
    pub spec: CrushSpec,
    lines: Lines,
}

/// The lines, from 1, on which the parts of a specification stand.
#[derive(Clone, Debug, Default)]
struct Lines {
    tunables: HashMap<&'static str, usize>,
    devices: Vec<usize>,
    types: Vec<usize>,
    /// Each bucket's, and those of its items.
    buckets: Vec<(usize, Vec<usize>)>,
    /// Each rule's, and those of its steps.
    rules: Vec<(usize, Vec<usize>)>,
}

/// Reads a text map.
///
/// # Errors
/// The first thing that is no part of a text map, or that names what the lines before it do not know.
pub fn parse_text(text: &str) -> Result<TextMap, TextError> {
    parse::parse(text)
}

impl TextMap {
    /// The line of a part of [`TextMap::spec`], from 1; line 1 for the map as a whole.
    pub fn line_of(&self, place: CrushPlace) -> usize {
        let lines = &self.lines;
        let inner = |parts: &[(usize, Vec<usize>)], at: usize, below: Option<usize>| {
            let (line, inner) = parts.get(at)?;
            Some(below.and_then(|below| inner.get(below)).copied().unwrap_or(*line))
        };
        let line = match place {
            CrushPlace::Map => None,
            CrushPlace::Tunable(name) => lines.tunables.get(name).copied(),
            CrushPlace::Device(at) => lines.devices.get(at).copied(),
            CrushPlace::Type(at) => lines.types.get(at).copied(),
            CrushPlace::Bucket(at) => inner(&lines.buckets, at, None),
            CrushPlace::Item(at, item) => inner(&lines.buckets, at, Some(item)),
            CrushPlace::Rule(at) => inner(&lines.rules, at, None),
            CrushPlace::Step(at, step) => inner(&lines.rules, at, Some(step)),
        };
        line.unwrap_or(1)
    }
}

impl CrushMap {
    /// Reads a text map and checks it.
    ///
    /// # Errors
    /// The first thing wrong with it, and on which line.
    pub fn from_text(text: &str) -> Result<Self, TextError> {
        let map = parse_text(text)?;
        let spec = map.spec.clone();
        Self::new(spec)
            .map_err(|error| TextError { line: map.line_of(error.place), fault: TextFault::Map(error.fault) })
    }
}

/// A text map that is refused: on which line, and why. The text is at fault; correct it and read it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: TextFault,
}

/// What is wrong with a text map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Something else should stand here.
    #[error("expected {expected}, found {found:?}")]
    Expected {
        /// What should.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// The text ends too early.
    #[error("the text ends where {expected} is expected")]
    End {
        /// What should follow.
        expected: &'static str,
    },
    /// A tunable that CRUSH does not have.
    #[error("unknown tunable {0:?}")]
    UnknownTunable(String),
    /// A tunable or another part that follows the first bucket or rule.
    #[error("{0} belongs before the buckets and rules")]
    TooLate(String),
    /// A number that is none, negative or too large for what it is.
    #[error("{given:?} is no {what}; it must be a whole number from {least} to {most}")]
    Number {
        /// What it should be.
        what: &'static str,
        /// What was given.
        given: String,
        /// The least it can be.
        least: i64,
        /// The most it can be.
        most: i64,
    },
    /// A weight that is none, negative, not finite or too large.
    #[error("{0:?} is no weight; it must be from 0 to below 65536")]
    Weight(String),
    /// A type that is not declared above.
    #[error("type {0:?} is not declared above")]
    UnknownType(String),
    /// An item that is not declared above.
    #[error("item {0:?} is neither a device nor a bucket declared above")]
    UnknownItem(String),
    /// A kind of bucket that CRUSH does not have.
    #[error("unknown bucket algorithm {0:?}; known: uniform, list, tree, straw, straw2")]
    UnknownKind(String),
    /// A hash that CRUSH does not have.
    #[error("unknown hash {0:?}; the only one is 0, rjenkins1")]
    UnknownHash(String),
    /// A bucket or rule lacks a line that it needs, or has it twice.
    #[error("{owner} needs exactly one line {line:?}")]
    One {
        /// The bucket or rule.
        owner: String,
        /// What the line starts with.
        line: &'static str,
    },
    /// Positions that do not number the items of a bucket.
    #[error("the positions of the items of bucket {0} must be 0 to one less than their count, each once")]
    Positions(String),
    /// A rule takes the devices of a class, but the text does not say which ids that copy of a bucket has.
    #[error(
        "bucket {bucket} has no line \"id N class {class}\", which a rule that takes class {class} needs"
    )]
    NoShadow {
        /// The bucket.
        bucket: String,
        /// The class.
        class: String,
    },
    /// A class is taken of what is no bucket.
    #[error("{0} is a device; a class can be taken of a bucket only")]
    ClassOfDevice(String),
    /// The map has weight sets.
    #[error(
        "choose_args (weight sets) are not supported; remove them from the cluster and export the map again"
    )]
    ChooseArgs,
    /// The parts do not fit together.
    #[error(transparent)]
    Map(CrushFault),
}
