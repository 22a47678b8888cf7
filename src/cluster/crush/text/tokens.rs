//! A text map as words: what follows a `#` is left out, and braces are words of their own. Where lines end plays no
//! part except in messages.

use super::{TextError, TextFault};

/// The words of a text not read yet.
pub(super) struct Tokens<'a> {
    /// Each word with its line.
    words: Vec<(usize, &'a str)>,
    next: usize,
    /// The number of lines of the text.
    line_last: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut words = Vec::new();
        let mut line_last = 1;
        for (number, line) in (1..).zip(text.lines()) {
            line_last = number;
            let line = line.split('#').next().unwrap_or_default();
            for mut word in line.split_whitespace() {
                while let Some(at) = word.find(['{', '}']) {
                    let (before, rest) = word.split_at(at);
                    let (brace, after) = rest.split_at(1);
                    words
                        .extend([before, brace].iter().filter(|word| !word.is_empty()).map(|w| (number, *w)));
                    word = after;
                }
                if !word.is_empty() {
                    words.push((number, word));
                }
            }
        }
        Self { words, next: 0, line_last }
    }

    /// The next word, left where it is.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).map(|(_, word)| *word)
    }

    /// The line of the next word, or the last one at the end.
    pub(super) fn line(&self) -> usize {
        self.words.get(self.next).map_or(self.line_last, |(line, _)| *line)
    }

    /// Takes the next word, which should be what `expected` describes.
    pub(super) fn word(&mut self, expected: &'static str) -> Result<&'a str, TextError> {
        match self.words.get(self.next) {
            Some((_, word)) => {
                self.next += 1;
                Ok(word)
            }
            None => Err(self.refuse(TextFault::End { expected })),
        }
    }

    /// Takes the next word, which should be a name.
    pub(super) fn name(&mut self, expected: &'static str) -> Result<&'a str, TextError> {
        match self.peek() {
            Some("{" | "}") => Err(self.unexpected(expected)),
            _ => self.word(expected),
        }
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        self.next += usize::from(found);
        found
    }

    /// Takes the next word, which must be this one.
    pub(super) fn expect(&mut self, word: &'static str) -> Result<(), TextError> {
        if self.take(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    /// Takes a whole number within bounds.
    pub(super) fn number(&mut self, what: &'static str, least: i64, most: i64) -> Result<i64, TextError> {
        let line = self.line();
        let word = self.word(what)?;
        // A leading plus is no part of a number here.
        let number =
            word.parse().ok().filter(|number| !word.starts_with('+') && (least..=most).contains(number));
        let fault = || TextFault::Number { what, given: word.to_owned(), least, most };
        number.ok_or_else(|| TextError { line, fault: fault() })
    }

    /// Takes a whole number from 0 to `most`.
    pub(super) fn count(&mut self, what: &'static str, most: u32) -> Result<u32, TextError> {
        // Within the bounds of a u32.
        self.number(what, 0, most.into()).map(|number| number as u32)
    }

    /// Takes a 0 or a 1.
    pub(super) fn flag(&mut self, what: &'static str) -> Result<bool, TextError> {
        Ok(self.count(what, 1)? == 1)
    }

    /// The refusal of the next word.
    pub(super) fn unexpected(&self, expected: &'static str) -> TextError {
        self.refuse(match self.peek() {
            Some(found) => TextFault::Expected { expected, found: found.to_owned() },
            None => TextFault::End { expected },
        })
    }

    /// A refusal on the line of the next word.
    pub(super) fn refuse(&self, fault: TextFault) -> TextError {
        TextError { line: self.line(), fault }
    }
}
