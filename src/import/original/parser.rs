//! What a PHP file returns, found without running it: `return`, `define()`, `const` and assignments of values that are
//! written down. Depth and size are bounded, however they come about.

use std::collections::BTreeMap;

use super::Fault;
use super::tokens::{Token, Tokens};
use super::value::{Key, List, Located, VALUE_BYTES, Value, lossy};

/// How deep arrays may lie in each other; a configuration has five levels.
const DEPTH_MAX: usize = 64;
/// How much may come into being, in bytes: values of about [`VALUE_BYTES`] and their texts, copies by variables included.
const WORK_MAX: usize = 64 << 20;

/// The value that the file returns.
pub(super) fn returned(text: &[u8]) -> Result<Located, Fault> {
    let mut tokens = Tokens::new(text)?;
    let ahead = tokens.next()?;
    let mut parser =
        Parser { tokens, ahead, variables: BTreeMap::new(), constants: BTreeMap::new(), depth: 0, work: 0 };
    parser.file()
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    /// The token that comes next, and its line.
    ahead: (usize, Token),
    variables: BTreeMap<Vec<u8>, Located>,
    constants: BTreeMap<Vec<u8>, Located>,
    /// How many arrays and parentheses are open: at most [`DEPTH_MAX`].
    depth: usize,
    /// What has come into being: at most [`WORK_MAX`].
    work: usize,
}

impl Parser<'_> {
    fn file(&mut self) -> Result<Located, Fault> {
        loop {
            let (line, token) = self.take()?;
            match token {
                Token::Word(word) if word.eq_ignore_ascii_case(b"return") => {
                    let value = self.expression()?;
                    self.expect(b';')?;
                    return Ok(value);
                }
                Token::Word(word) if word.eq_ignore_ascii_case(b"define") => self.define()?,
                Token::Word(word) if word.eq_ignore_ascii_case(b"const") => {
                    let Token::Word(name) = self.take()?.1 else {
                        return Err(fault(line, "after const stands the name of a constant"));
                    };
                    self.expect(b'=')?;
                    let value = self.expression()?;
                    self.expect(b';')?;
                    self.constants.insert(name, value);
                }
                Token::Variable(name) => self.assign(name, line)?,
                Token::Sign(b';') => {}
                Token::End => return Err(fault(line, "the file ends without `return`; is it cut off?")),
                other => {
                    let what = describe(&other);
                    let reason = format!(
                        "{what} is not understood: only `return array(...)`, define(), const and `$name = ...` are read, and \
                         nothing is run; write the array out"
                    );
                    return Err(fault(line, reason));
                }
            }
        }
    }

    /// `define('NAME', value);`
    fn define(&mut self) -> Result<(), Fault> {
        self.expect(b'(')?;
        let name = self.expression()?;
        self.expect(b',')?;
        let value = self.expression()?;
        while self.found(b',')? {
            self.expression()?;
        }
        self.expect(b')')?;
        self.expect(b';')?;
        let Value::Text(text) = name.value else {
            return Err(fault(
                name.line,
                "the first argument of define() is the name of a constant in quotes",
            ));
        };
        self.constants.insert(text, value);
        Ok(())
    }

    /// `$name = value;` and `$name['key'][] = value;`
    fn assign(&mut self, name: Vec<u8>, line: usize) -> Result<(), Fault> {
        let mut path = Vec::new();
        while self.found(b'[')? {
            path.push(match self.found(b']')? {
                true => None,
                false => {
                    let key = self.expression()?;
                    self.expect(b']')?;
                    Some(key_of(key)?)
                }
            });
        }
        self.expect(b'=')?;
        let value = self.expression()?;
        self.expect(b';')?;
        self.check_depth(path.len() + value.value.extent().1, line)?;
        let mut place = self.variables.entry(name).or_insert_with(|| Located { line, value: Value::Null });
        for key in path {
            if place.value == Value::Null {
                place.value = Value::List(List::default());
            }
            let Value::List(list) = &mut place.value else {
                return Err(fault(line, "the variable is no array; write the array out"));
            };
            place = list.place(key, line);
        }
        *place = value;
        Ok(())
    }

    /// Parts joined by dots.
    fn expression(&mut self) -> Result<Located, Fault> {
        let mut joined = self.part()?;
        while self.found(b'.')? {
            let part = self.part()?;
            joined.value = match (text_of(joined.value), text_of(part.value)) {
                (Ok(mut text), Ok(more)) => {
                    text.extend(more);
                    self.charge(text.len(), joined.line)?;
                    Value::Text(text)
                }
                (Err(unknown), _) | (_, Err(unknown)) => unknown,
            };
        }
        Ok(joined)
    }

    fn part(&mut self) -> Result<Located, Fault> {
        let (line, token) = self.take()?;
        self.charge(VALUE_BYTES, line)?;
        let value = match token {
            Token::Text(text) => {
                self.charge(text.len(), line)?;
                Value::Text(text)
            }
            Token::Woven => Value::Unknown("a text with variables in it".to_owned()),
            Token::Int(number) => Value::Int(number),
            Token::Float(number) => Value::Float(number),
            Token::Sign(sign @ (b'-' | b'+')) => match (sign, self.deeper(line, Self::part)?.value) {
                (b'-', Value::Int(number)) => Value::Int(number.wrapping_neg()),
                (b'-', Value::Float(number)) => Value::Float(-number),
                (_, number @ (Value::Int(_) | Value::Float(_))) => number,
                (_, other) => return Err(fault(line, format!("a sign stands before {}", other.kind()))),
            },
            Token::Sign(b'[') => self.list(b']', line)?,
            Token::Sign(b'(') => {
                let inner = self.deeper(line, Self::expression)?;
                self.expect(b')')?;
                inner.value
            }
            Token::Variable(name) => self.variable(&name, line)?,
            Token::Word(word) => self.word(&word, line)?,
            other => return Err(fault(line, format!("{} stands where a value is wanted", describe(&other)))),
        };
        Ok(Located { line, value })
    }

    fn variable(&mut self, name: &[u8], line: usize) -> Result<Value, Fault> {
        let mut path = Vec::new();
        while self.found(b'[')? {
            let key = self.deeper(line, Self::expression)?;
            self.expect(b']')?;
            path.push(key_of(key)?);
        }
        let mut found = self.variables.get(name);
        for key in &path {
            found = match found.map(|found| &found.value) {
                Some(Value::List(list)) => list.at(key),
                _ => None,
            };
        }
        let Some(found) = found else {
            return Err(fault(line, format!("${} has no value before this line", lossy(name))));
        };
        let (extent, value) = (found.value.extent(), found.value.clone());
        self.charge_copy(extent, line)?;
        Ok(value)
    }

    fn word(&mut self, word: &[u8], line: usize) -> Result<Value, Fault> {
        if word.eq_ignore_ascii_case(b"array") && self.found(b'(')? {
            return self.list(b')', line);
        }
        if self.found(b'(')? {
            self.list(b')', line)?;
            return Ok(Value::Unknown(format!("what {}() returns", lossy(word))));
        }
        match word.to_ascii_lowercase().as_slice() {
            b"true" => return Ok(Value::Bool(true)),
            b"false" => return Ok(Value::Bool(false)),
            b"null" => return Ok(Value::Null),
            b"require" | b"require_once" | b"include" | b"include_once" | b"new" | b"function" | b"fn" => {
                return Err(fault(
                    line,
                    format!("`{}` would have to be run; write the array out", lossy(word)),
                ));
            }
            _ => {}
        }
        let Some(constant) = self.constants.get(word) else {
            return Ok(Value::Unknown(format!("the constant {}", lossy(word))));
        };
        let (extent, value) = (constant.value.extent(), constant.value.clone());
        self.charge_copy(extent, line)?;
        Ok(value)
    }

    /// The entries of an array, or the arguments of a function, up to `end`.
    fn list(&mut self, end: u8, line: usize) -> Result<Value, Fault> {
        self.deeper(line, |parser| {
            let mut list = List::default();
            while !parser.found(end)? {
                let first = parser.expression()?;
                if parser.ahead.1 == Token::Arrow {
                    parser.take()?;
                    let value = parser.expression()?;
                    *list.place(Some(key_of(first)?), line) = value;
                } else {
                    *list.place(None, line) = first;
                }
                if !parser.found(b',')? && parser.ahead.1 != Token::Sign(end) {
                    let (line, token) = &parser.ahead;
                    let reason = format!(
                        "{} stands where a comma or `{}` is wanted",
                        describe(token),
                        char::from(end)
                    );
                    return Err(fault(*line, reason));
                }
            }
            Ok(Value::List(list))
        })
    }

    /// What is inside an array or a parenthesis.
    fn deeper<T>(
        &mut self,
        line: usize,
        inner: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.check_depth(1, line)?;
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// A value of that extent is copied to where the parser is.
    fn charge_copy(&mut self, (size, depth): (usize, usize), line: usize) -> Result<(), Fault> {
        self.charge(size, line)?;
        self.check_depth(depth, line)
    }

    fn check_depth(&self, more: usize, line: usize) -> Result<(), Fault> {
        if self.depth + more > DEPTH_MAX {
            return Err(fault(line, format!("arrays lie more than {DEPTH_MAX} deep in each other")));
        }
        Ok(())
    }

    fn charge(&mut self, work: usize, line: usize) -> Result<(), Fault> {
        self.work = self.work.saturating_add(work);
        if self.work > WORK_MAX {
            return Err(fault(line, "the values become too large for a configuration"));
        }
        Ok(())
    }

    fn take(&mut self) -> Result<(usize, Token), Fault> {
        let next = self.tokens.next()?;
        Ok(std::mem::replace(&mut self.ahead, next))
    }

    /// Takes the next token if it is that sign.
    fn found(&mut self, sign: u8) -> Result<bool, Fault> {
        let is_there = self.ahead.1 == Token::Sign(sign);
        if is_there {
            self.take()?;
        }
        Ok(is_there)
    }

    fn expect(&mut self, sign: u8) -> Result<(), Fault> {
        let (line, token) = self.take()?;
        if token == Token::Sign(sign) {
            return Ok(());
        }
        Err(fault(line, format!("{} stands where `{}` is wanted", describe(&token), char::from(sign))))
    }
}

/// As PHP has it: a text that is a whole number in its plain form is that number.
fn key_of(key: Located) -> Result<Key, Fault> {
    match key.value {
        Value::Int(number) => Ok(Key::Int(number)),
        Value::Text(text) => {
            let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<i64>().ok());
            Ok(match number.filter(|number| number.to_string().as_bytes() == text) {
                Some(number) => Key::Int(number),
                None => Key::Text(text),
            })
        }
        other => Err(fault(
            key.line,
            format!("the key of an entry is {}; write a text or a whole number", other.kind()),
        )),
    }
}

/// What joins to a text; what does not is known only when the program runs.
fn text_of(value: Value) -> Result<Vec<u8>, Value> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        Value::Unknown(what) => Err(Value::Unknown(what)),
        other => Err(Value::Unknown(format!("a text joined with {}", other.kind()))),
    }
}

fn fault(line: usize, reason: impl Into<String>) -> Fault {
    Fault { line, reason: reason.into() }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Variable(name) => format!("`${}`", lossy(name)),
        Token::Word(word) => format!("`{}`", lossy(word)),
        Token::Text(_) | Token::Woven => "a text".to_owned(),
        Token::Int(_) | Token::Float(_) => "a number".to_owned(),
        Token::Arrow => "`=>`".to_owned(),
        Token::Sign(sign) => format!("`{}`", sign.escape_ascii()),
        Token::End => "the end of the file".to_owned(),
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
