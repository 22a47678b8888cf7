//! The text of a configuration file: parsed, and asked for the line of whatever is wrong in it.  Pure.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;

use super::error::{ConfigError, Reason, Refusal};

/// What serde calls the types of the settings, and what an operator writes for them.
const TYPES: [(&str, &str); 6] = [
    ("a string", "a text in quotes"),
    ("a boolean", "true or false, without quotes"),
    ("a sequence", "a list in brackets: [\"...\", \"...\"]"),
    ("a map", "a table: { rack = \"r2\", host = \"h7\" }"),
    ("i64", "a whole number, without quotes"),
    ("f64", "a number, without quotes"),
];

/// How much of a refused line is shown, in characters.
const QUOTE_CHARS_MAX: usize = 100;

/// A key this many single-letter changes away from a known one is taken for a slip.
const SLIP_CHANGES_MAX: usize = 2;

/// What serde says where a table stands in the place of a list of tables.
const MAP_FOR_SEQUENCE: &str = "invalid type: map, expected a sequence";

/// The text of a configuration file and the name it goes by in errors.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl<'a> Source<'a> {
    /// The bytes of `file`, which must be text.
    pub fn new(file: &'a Path, bytes: &'a [u8]) -> Result<Self, ConfigError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { file, text }),
            Err(error) => {
                let text = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                let line = Some(Self { file, text }.line(text.len()));
                Err(Refusal { file: file.to_owned(), line, setting: String::new(), reason: Reason::NotText }
                    .into())
            }
        }
    }

    /// The file as a value of type `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(self.text).map_err(|error| {
            let line = error.span().map_or("", |span| self.whole_line(span.start));
            let reason = reason_of(error.message(), line);
            match error.span() {
                Some(span) => self.refusal(Some(self.line(span.start)), self.quote_to(&span), reason),
                None => self.refusal(None, String::new(), reason),
            }
        })
    }

    /// `value`, the value of `setting`, is refused.
    pub fn refuse<T>(&self, setting: &str, value: &Spanned<T>, reason: impl Into<Reason>) -> ConfigError {
        let span = value.span();
        let shown = self.text.get(span.clone()).unwrap_or_default();
        let setting = quote(&format!("{setting} = {shown}"));
        self.refusal(Some(self.line(span.start)), setting, reason.into())
    }

    /// `setting`, or its absence, is refused in the table that starts at `table`, or in the whole file.
    pub fn refuse_at(&self, setting: &str, table: Option<usize>, reason: impl Into<Reason>) -> ConfigError {
        self.refusal(table.map(|start| self.line(start)), setting.to_owned(), reason.into())
    }

    /// The value of a setting that has no default.
    pub fn required<T>(
        &self,
        setting: &str,
        value: Option<T>,
        table: Option<usize>,
        example: &'static str,
    ) -> Result<T, ConfigError> {
        value.ok_or_else(|| self.refuse_at(setting, table, Reason::Missing(example)))
    }

    /// The text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The folder that paths in the file start from: the file's own.
    pub fn folder(&self) -> &'a Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    fn refusal(&self, line: Option<usize>, setting: String, reason: Reason) -> ConfigError {
        Refusal { file: self.file.to_owned(), line, setting, reason }.into()
    }

    /// The line, from 1, of the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// The text of the line that the byte at `offset` is in.
    fn whole_line(&self, offset: usize) -> &'a str {
        let (before, after) = self.text.split_at_checked(offset).unwrap_or((self.text, ""));
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after.find('\n').map_or(self.text.len(), |newline| before.len() + newline);
        &self.text[start..end]
    }

    /// The line that `span` starts in, up to the end of the span, with the header of its table in front.
    fn quote_to(&self, span: &Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let whole_line = self.whole_line(span.start);
        if let Some(header) = header_of(whole_line) {
            return quote(header);
        }
        let line = whole_line.get(..span.end - line_start).unwrap_or(whole_line).trim();
        match self.text[..line_start].lines().rev().find_map(header_of) {
            Some(table) if !line.is_empty() => quote(&format!("{table} {line}")),
            _ => quote(line),
        }
    }
}

/// Something on `line`, from 1, of `file` is refused.
pub(super) fn refuse_line(file: &Path, line: usize, reason: Reason) -> ConfigError {
    Refusal { file: file.to_owned(), line: Some(line), setting: String::new(), reason }.into()
}

/// The header of a table, `[deliver]`, if `line` is one.
fn header_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let end = line.starts_with('[').then(|| line.rfind(']')).flatten()?;
    line.get(..=end)
}

/// One line without control characters and of bounded length, fit for a terminal and a log.
fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTE_CHARS_MAX).collect();
    if quoted.len() < text.len() {
        quoted.push_str("...");
    }
    quoted.replace(|c: char| c.is_control(), " ")
}

/// What the parser's `message` about `line` means to an operator.
fn reason_of(message: &str, line: &str) -> Reason {
    if message == MAP_FOR_SEQUENCE {
        return Reason::TableNotInList;
    }
    if let Some((found, wanted)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        let wanted = TYPES.iter().find(|(name, _)| *name == wanted).map_or(wanted, |(_, words)| words);
        return Reason::Type {
            found: found.replace('`', "").replace(" as i128", ""),
            wanted: wanted.to_owned(),
        };
    }
    unknown_key(message)
        .or_else(|| unquoted(line))
        .unwrap_or_else(|| Reason::Toml(message.replace('\n', ", ")))
}

/// The commonest slip in a line that is no TOML: a text without its quotes.
fn unquoted(line: &str) -> Option<Reason> {
    let (key, value) = line.split_once('=')?;
    let value = value.split('#').next().unwrap_or_default().trim();
    if ["yes", "no", "on", "off", "True", "False"].contains(&value) {
        return Some(Reason::Type {
            found: value.to_owned(),
            wanted: "true or false, without quotes".to_owned(),
        });
    }
    let bare = !value.is_empty() && !value.contains(['"', '\'', '[', '{', '\\']);
    bare.then(|| Reason::Unquoted(quote(&format!("{} = \"{value}\"", key.trim()))))
}

/// What serde's message about an unknown key says: "unknown field `a`, expected `b` or `c`".
fn unknown_key(message: &str) -> Option<Reason> {
    let (unknown, known) = message.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    let known: Vec<String> = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let changes = |key: &&String| changes_between(unknown, key);
    let nearest = known.iter().min_by_key(changes).filter(|key| changes(key) <= SLIP_CHANGES_MAX).cloned();
    Some(Reason::UnknownKey { nearest, known })
}

/// The number of letters to change, add or remove to make one word of the other (Levenshtein's distance).
fn changes_between(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_two_words_counts_single_letters() {
        for (from, to, changes) in [("", "", 0), ("", "abc", 3), ("root", "root", 0), ("rooot", "root", 1)] {
            assert_eq!(
                (changes_between(from, to), changes_between(to, from)),
                (changes, changes),
                "{from} {to}"
            );
        }
        assert_eq!(changes_between("secretfile", "secret_file"), 1);
        assert_eq!(changes_between("kitten", "sitting"), 3);
    }

    #[test]
    fn a_refused_line_is_shown_short_and_without_control_characters() {
        assert_eq!(quote("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(quote(&"a".repeat(200)), format!("{}...", "a".repeat(QUOTE_CHARS_MAX)));
    }

    #[test]
    fn no_text_makes_the_parser_or_its_errors_panic() {
        let file = Path::new("f");
        for bytes in [
            &b"\xff"[..],
            b"a = 1\n\xff",
            b"[",
            b"\n\n\"",
            b"a = \"\xc3\xa4",
            b"\xef\xbb\xbfa = 1",
            b"a.b.c = 1",
        ] {
            let parsed =
                Source::new(file, bytes).and_then(|source| source.parse::<crate::config::file::NodeFile>());
            let error = parsed.unwrap_err().to_string();
            assert!(error.starts_with("f:") && !error.contains('\n'), "{error}");
        }
    }
}
