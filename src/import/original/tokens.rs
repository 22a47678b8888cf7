//! The text of a PHP file as tokens, by PHP's rules for comments, quotes and numbers
//! (<https://www.php.net/manual/en/language.types.string.php>). Nothing is run. Any bytes may come in: what is no PHP is
//! a [`Fault`] with its line, never a panic.

use super::Fault;

/// A part of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `$name`, without the dollar.
    Variable(Vec<u8>),
    /// A name: of a constant, a function, or a word of the language.
    Word(Vec<u8>),
    /// A text in quotes.
    Text(Vec<u8>),
    /// A text in double quotes that has variables in it.
    Woven,
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// `=>`
    Arrow,
    /// Any other single character.
    Sign(u8),
    /// The end of the program.
    End,
}

/// Takes a text apart.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    /// The line of `at`, from 1.
    line: usize,
}

impl<'a> Tokens<'a> {
    /// Begins behind the tag that begins a program; only white space, or a `#!` line, may stand before it.
    pub(super) fn new(text: &'a [u8]) -> Result<Self, Fault> {
        let mut tokens = Self { text, at: 0, line: 1 };
        tokens.take(b"\xef\xbb\xbf");
        if tokens.take(b"#!") {
            tokens.skip_while(|byte| byte != b'\n');
        }
        tokens.skip_while(|byte| byte.is_ascii_whitespace());
        if tokens.take(b"<?php") || tokens.take(b"<?") {
            return Ok(tokens);
        }
        Err(tokens.fault("it does not begin with <?php; is it the cluster_config.php of webDFS?"))
    }

    /// The next token, and its line.
    pub(super) fn next(&mut self) -> Result<(usize, Token), Fault> {
        if !self.skip_blank()? {
            return Ok((self.line, Token::End));
        }
        let line = self.line;
        let token = match self.peek() {
            None => Token::End,
            Some(b'\'') => Token::Text(self.single_quoted()?),
            Some(b'"') => self.double_quoted()?,
            Some(b'$') if self.after().is_some_and(starts_word) => {
                self.advance();
                Token::Variable(self.word())
            }
            Some(byte) if starts_word(byte) || byte == b'\\' => Token::Word(self.word()),
            Some(byte) if byte.is_ascii_digit() => self.number()?,
            Some(b'.') if self.after().is_some_and(|byte| byte.is_ascii_digit()) => self.number()?,
            Some(b'=') if self.after() == Some(b'>') => {
                self.at += 2;
                Token::Arrow
            }
            Some(b'<') if self.rest().starts_with(b"<<<") => {
                return Err(self.fault("a heredoc (<<<) is not read; write the text in quotes"));
            }
            Some(byte) => {
                self.advance();
                Token::Sign(byte)
            }
        };
        Ok((line, token))
    }

    fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault { line: self.line, reason: reason.into() }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn after(&self) -> Option<u8> {
        self.text.get(self.at + 1).copied()
    }

    /// Goes one byte on, if there is one, and returns it.
    fn advance(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn take(&mut self, expected: &[u8]) -> bool {
        let is_there =
            self.rest().get(..expected.len()).is_some_and(|got| got.eq_ignore_ascii_case(expected));
        if is_there {
            self.at += expected.len();
        }
        is_there
    }

    fn skip_while(&mut self, skipped: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&skipped) {
            self.advance();
        }
    }

    /// Skips white space and comments; `false` where the program ends with `?>`.
    fn skip_blank(&mut self) -> Result<bool, Fault> {
        loop {
            self.skip_while(|byte| byte.is_ascii_whitespace());
            let rest = self.rest();
            if rest.starts_with(b"/*") {
                let begun = self.fault("a comment begins here (/*) and never ends (*/)");
                self.at += 2;
                while !self.take(b"*/") {
                    self.advance().ok_or_else(|| begun.clone())?;
                }
            } else if rest.starts_with(b"//") || rest.starts_with(b"#") {
                while self.peek().is_some_and(|byte| byte != b'\n') && !self.rest().starts_with(b"?>") {
                    self.advance();
                }
            } else {
                return Ok(!rest.starts_with(b"?>"));
            }
        }
    }

    fn word(&mut self) -> Vec<u8> {
        let from = self.at;
        self.skip_while(|byte| starts_word(byte) || byte.is_ascii_digit() || byte == b'\\');
        self.text[from..self.at].to_vec()
    }

    fn single_quoted(&mut self) -> Result<Vec<u8>, Fault> {
        let begun = self.fault("a text begins here (') and never ends");
        self.advance();
        let mut text = Vec::new();
        loop {
            match self.advance().ok_or_else(|| begun.clone())? {
                b'\'' => return Ok(text),
                b'\\' if matches!(self.peek(), Some(b'\'' | b'\\')) => text.extend(self.advance()),
                byte => text.push(byte),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<Token, Fault> {
        let begun = self.fault("a text begins here (\") and never ends");
        self.advance();
        let (mut text, mut is_woven) = (Vec::new(), false);
        loop {
            let byte = self.advance().ok_or_else(|| begun.clone())?;
            match byte {
                b'"' if is_woven => return Ok(Token::Woven),
                b'"' => return Ok(Token::Text(text)),
                b'\\' => self.escaped(&mut text),
                _ => {
                    let next = self.peek();
                    is_woven |= byte == b'$' && next.is_some_and(|byte| starts_word(byte) || byte == b'{');
                    is_woven |= byte == b'{' && next == Some(b'$');
                    text.push(byte);
                }
            }
        }
    }

    /// What a backslash in double quotes means; it was read already.
    fn escaped(&mut self, text: &mut Vec<u8>) {
        let Some(byte) = self.peek() else { return text.push(b'\\') };
        let simple = match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'e' => 0x1b,
            b'f' => 0x0c,
            b'\\' | b'$' | b'"' => byte,
            b'0'..=b'7' => {
                let digits = self.digits(3, |byte| matches!(byte, b'0'..=b'7'));
                return text.push(u32::from_str_radix(&digits, 8).unwrap_or_default() as u8);
            }
            b'x' if self.after().is_some_and(|byte| byte.is_ascii_hexdigit()) => {
                self.advance();
                let digits = self.digits(2, |byte| byte.is_ascii_hexdigit());
                return text.push(u8::from_str_radix(&digits, 16).unwrap_or_default());
            }
            _ => return text.push(b'\\'),
        };
        self.advance();
        text.push(simple);
    }

    /// Takes at most so many of such bytes, which are ASCII.
    fn digits(&mut self, most: usize, is_one: impl Fn(u8) -> bool) -> String {
        let mut digits = String::new();
        while digits.len() < most && self.peek().is_some_and(&is_one) {
            digits.extend(self.advance().map(char::from));
        }
        digits
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let radix = match (self.peek(), self.after().map(|byte| byte.to_ascii_lowercase())) {
            (Some(b'0'), Some(b'x')) => 16,
            (Some(b'0'), Some(b'b')) => 2,
            (Some(b'0'), Some(b'0'..=b'9')) => 8,
            _ => 10,
        };
        if matches!(radix, 16 | 2) {
            self.at += 2;
        }
        let mut digits = self
            .digits(usize::MAX, |byte| byte.is_ascii_hexdigit() && (radix == 16 || byte.is_ascii_digit()));
        if radix != 10 {
            let value = i64::from_str_radix(&digits, radix);
            return value.map(Token::Int).map_err(|_| self.fault(format!("{digits:?} is no number")));
        }
        let mut is_whole = true;
        if self.peek() == Some(b'.') {
            is_whole = false;
            self.advance();
            digits.push('.');
            digits += &self.digits(usize::MAX, |byte| byte.is_ascii_digit());
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            let (sign, digit) = (self.after(), self.text.get(self.at + 2));
            let is_signed = matches!(sign, Some(b'+' | b'-')) && digit.is_some_and(u8::is_ascii_digit);
            if is_signed || sign.is_some_and(|byte| byte.is_ascii_digit()) {
                is_whole = false;
                digits.extend(self.advance().map(char::from));
                digits.extend(self.advance().map(char::from));
                digits += &self.digits(usize::MAX, |byte| byte.is_ascii_digit());
            }
        }
        if let (true, Ok(value)) = (is_whole, digits.parse()) {
            return Ok(Token::Int(value));
        }
        digits.parse().map(Token::Float).map_err(|_| self.fault(format!("{digits:?} is no number")))
    }
}

fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Token>, Fault> {
        let mut tokens = Tokens::new(text.as_bytes())?;
        let mut found = Vec::new();
        loop {
            match tokens.next()?.1 {
                Token::End => return Ok(found),
                token => found.push(token),
            }
        }
    }

    fn one(text: &str) -> Token {
        let found = all(&format!("<?php {text}")).unwrap();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        found.into_iter().next().unwrap()
    }

    #[test]
    fn texts_mean_what_they_mean_in_php() {
        let texts: [(&str, &[u8]); 13] = [
            (r"'it\'s \\ \n'", br"it's \ \n"),
            (r#""a\tb\n\"\\\$x""#, b"a\tb\n\"\\$x"),
            (r#""\x41\101\0z""#, b"AA\0z"),
            (r#""\q \xz""#, br"\q \xz"),
            (r#""100$ $%s $1""#, b"100$ $%s $1"),
            ("'\u{e9}'", "\u{e9}".as_bytes()),
            (r"'$name'", b"$name"),
            (r"''", b""),
            (r#""""#, b""),
            ("'a\nb'", b"a\nb"),
            (r#""\v\e\f\r""#, b"\x0b\x1b\x0c\r"),
            (r#""{ $ }""#, b"{ $ }"),
            (r#""\777""#, b"\xff"),
        ];
        for (text, expected) in texts {
            assert_eq!(one(text), Token::Text(expected.to_vec()), "{text}");
        }
        for woven in [r#""$name""#, r#""x ${name}""#, r#""{$name}""#] {
            assert_eq!(one(woven), Token::Woven, "{woven}");
        }
    }

    #[test]
    fn numbers_mean_what_they_mean_in_php() {
        let whole =
            [("0", 0), ("7", 7), ("0x1F", 31), ("0b101", 5), ("010", 8), ("9223372036854775807", i64::MAX)];
        for (text, expected) in whole {
            assert_eq!(one(text), Token::Int(expected), "{text}");
        }
        let others = [
            ("1.5", 1.5),
            (".5", 0.5),
            ("1e3", 1e3),
            ("2.5E-1", 0.25),
            ("9223372036854775808", 9.223_372_036_854_776e18),
        ];
        for (text, expected) in others {
            assert_eq!(one(text), Token::Float(expected), "{text}");
        }
    }

    #[test]
    fn comments_and_what_follows_the_end_are_passed_over() {
        let text = "\n<?php /** a\n* b */ // c\n# d 'e\nf /* * / **/ , // g ?> <html> 'h";
        assert_eq!(all(text).unwrap(), [Token::Word(b"f".to_vec()), Token::Sign(b',')]);
        assert_eq!(all("<?PHP\n?>").unwrap(), []);
    }

    #[test]
    fn what_never_ends_is_refused_with_the_line_of_its_beginning() {
        for (text, line) in
            [("<?php\n/* a\n", 2), ("<?php\n\n'a\n\n", 3), ("<?php \"a\\", 1), ("\nhello", 2), ("", 1)]
        {
            assert_eq!(all(text).unwrap_err().line, line, "{text:?}");
        }
        assert!(all("<?php <<<X").unwrap_err().reason.contains("heredoc"));
        assert!(all("<?php 08").unwrap_err().reason.contains("no number"));
    }
}
