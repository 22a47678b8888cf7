//! tokens.toml: the tokens of a node, by their hashes. Read here, and changed as text, so that comments stay.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use toml::Spanned;

use super::access::decide_right;
use super::decide::read;
use super::duration;
use super::error::{ConfigError, Reason, Refusal};
use super::file::{TokenFile, TokensFile};
use super::source::Source;
use crate::access::token::{TOKEN_START, Token, TokenHash, Tokens, check_name};

/// The entry of one token begins so.
const HEADER: &str = "[[token]]";
/// What its group and others must not do: whoever writes the file gives rights.
const WRITABLE: u32 = 0o022;
/// The longest time that may be said as a span, such as `30d`.
const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A text that says no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use a time as in RFC 3339, such as 2030-12-31T23:59:59Z")]
pub struct BadTime;

/// A text that says no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use a span of time from now, such as 30d, 12h or 15min, or a time such as 2030-12-31T23:59:59Z")]
pub struct BadEnd;

/// A point in time (RFC 3339) in seconds since 1970; 0 for those before.
///
/// # Errors
/// When the text is none.
pub fn parse_time(text: &str) -> Result<u64, BadTime> {
    let time: Timestamp = text.parse().map_err(|_| BadTime)?;
    Ok(u64::try_from(time.as_second()).unwrap_or(0))
}

/// Seconds since 1970 as a point in time (RFC 3339).
pub fn show_time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}

/// An end that a person gives, as a span from `now` or as a point in time; both in seconds since 1970.
///
/// # Errors
/// When the text is neither.
pub fn parse_end(text: &str, now: u64) -> Result<u64, BadEnd> {
    match duration::parse_within(text, Duration::from_secs(1), SPAN_MAX) {
        Ok(span) => Ok(now.saturating_add(span.as_secs())),
        Err(_) => parse_time(text).map_err(|_| BadEnd),
    }
}

/// Reads the tokens of a file; none if there is no such file.
///
/// # Errors
/// When it cannot be read, others than its owner may change it, or an entry is wrong; the error names its line.
pub fn load_tokens(path: &Path) -> Result<Option<Tokens>, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let read_error = |source| ConfigError::Read { file: path.to_owned(), source };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read_error(error)),
    };
    let mode = path.metadata().map_err(read_error)?.permissions().mode() & 0o7777;
    if mode & WRITABLE != 0 {
        return Err(ConfigError::Writable { file: path.to_owned(), mode });
    }
    parse_tokens(path, &bytes).map(Some)
}

/// The tokens in the content of the file at `path`.
///
/// # Errors
/// When an entry is wrong; the error names its line, and shows no token.
pub fn parse_tokens(path: &Path, content: &[u8]) -> Result<Tokens, ConfigError> {
    // What stands where a hash should be may be the token itself, and an error goes into the log.
    let has_token = |text: &str| text.contains(TOKEN_START);
    entries(path, content).map_err(|error| match error {
        ConfigError::Refused(refusal) if has_token(&refusal.to_string()) => {
            Refusal { setting: String::new(), reason: Reason::TokenInFile, ..*refusal }.into()
        }
        error => error,
    })
}

fn entries(path: &Path, content: &[u8]) -> Result<Tokens, ConfigError> {
    let source = Source::new(path, content)?;
    let file: TokensFile = source.parse()?;
    let mut names = HashSet::new();
    let mut tokens = Vec::new();
    for entry in &file.token {
        let token = decide_token(&source, entry)?;
        if !names.insert(token.name.clone()) {
            let setting = format!("{HEADER} name = \"{}\"", token.name);
            return Err(source.refuse_at(&setting, Some(entry.span().start), Reason::Twice(token.name)));
        }
        tokens.push(token);
    }
    Ok(Tokens(tokens))
}

fn decide_token(source: &Source<'_>, entry: &Spanned<TokenFile>) -> Result<Token, ConfigError> {
    let (file, at) = (entry.get_ref(), Some(entry.span().start));
    let name = source.required(&format!("{HEADER} name"), file.name.as_ref(), at, "name = \"ann\"")?;
    check_name(name.get_ref()).map_err(|error| source.refuse(&format!("{HEADER} name"), name, error))?;
    let name = name.get_ref().clone();
    let entry = format!("{HEADER} {name}:");
    let hash = source.required(&format!("{entry} hash"), file.hash.as_ref(), at, "hash = \"9f86d0...\"")?;
    let bad_hash = |error| source.refuse_at(&format!("{entry} hash"), Some(hash.span().start), error);
    let hash: TokenHash = hash.get_ref().parse().map_err(|error| bad_hash(Reason::TokenHash(error)))?;
    let right = decide_right(source, &entry, (file.prefix.as_ref(), file.methods.as_deref()), at)?;
    let expires = read(source, &format!("{entry} expires"), file.expires.as_ref(), parse_time)?;
    Ok(Token { name, hash, right, expires })
}

/// The text of tokens.toml with one more token at its end.
pub fn with_token(text: &str, token: &Token) -> String {
    // A path may have a quote or a backslash in it.
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let methods: Vec<String> = token.right.words().map(quoted).collect();
    let gap = match text {
        "" => {
            "# Tokens for webdfs, by their hashes: webdfs token new, list and revoke. Read again when it changes.\n\n"
        }
        _ if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let mut text = format!(
        "{text}{gap}{HEADER}\nname = \"{}\"\nhash = \"{}\"\nprefix = {}\nmethods = [{}]\n",
        token.name,
        token.hash,
        quoted(&token.right.prefix.to_string()),
        methods.join(", ")
    );
    if let Some(expires) = token.expires {
        text.push_str(&format!("expires = \"{}\"\n", show_time(expires)));
    }
    text
}

/// The text of tokens.toml without its entry number `index`, from 0: from its header to the next one. `None` if there are no
/// headers of their own to go by.
pub fn without_token(text: &str, index: usize) -> Option<String> {
    let is_header = |line: &str| line.split('#').next().unwrap_or_default().trim() == HEADER;
    let mut header = None;
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if is_header(line) {
            header = Some(header.map_or(0, |header: usize| header + 1));
        }
        if header != Some(index) {
            kept.push_str(line);
        }
    }
    header.is_some_and(|last| last >= index).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::right::{Operation, Right};

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn parse(text: &str) -> Result<Tokens, String> {
        parse_tokens(Path::new("tokens.toml"), text.as_bytes()).map_err(|error| error.to_string())
    }

    fn token(name: &str, expires: Option<u64>) -> Token {
        let right = Right {
            prefix: "/a \"b\"\\/".parse().unwrap(),
            operations: vec![Operation::Put, Operation::Delete],
        };
        Token { name: name.to_owned(), hash: HASH.parse().unwrap(), right, expires }
    }

    #[test]
    fn what_is_written_is_read_back_and_what_is_taken_out_is_gone() {
        let (ann, bob, eve) = (token("ann", None), token("bob", Some(1_900_000_000)), token("eve", None));
        let one = with_token("", &ann);
        let text = with_token(&with_token(&format!("{one}# kept"), &bob), &eve);
        assert_eq!(parse(&text), Ok(Tokens(vec![ann.clone(), bob.clone(), eve.clone()])));
        let without = without_token(&text, 1).unwrap();
        assert_eq!(parse(&without), Ok(Tokens(vec![ann.clone(), eve])));
        assert!(without.contains("# kept") && !without.contains("bob"));
        assert_eq!(parse(&without_token(&without, 1).unwrap()), Ok(Tokens(vec![ann])));
        assert_eq!(without_token(&text, 3), None);
        assert_eq!(without_token("token = []\n", 0), None);
    }

    #[test]
    fn an_entry_that_is_wrong_is_named_with_its_line() {
        let entry = |more: &str| format!("# tokens\n\n[[token]]\nname = \"ann\"\n{more}");
        let hash = format!("hash = \"{HASH}\"\n");
        let methods = "methods = [\"PUT\"]\n";
        for (text, says) in [
            ("[[token]]\n".to_owned(), "tokens.toml:1: [[token]] name: is missing"),
            (
                "[[token]]\nname = \"a b\"\n".to_owned(),
                "tokens.toml:2: [[token]] name = \"a b\": a token's name",
            ),
            (entry(""), "tokens.toml:3: [[token]] ann: hash: is missing"),
            (entry("hash = \"abc\"\n"), "tokens.toml:5: [[token]] ann: hash: use the token's SHA-256"),
            (entry(&hash), "tokens.toml:3: [[token]] ann: methods: is missing"),
            (entry(&format!("{hash}methods = []\n")), "tokens.toml:3: [[token]] ann: methods: is empty"),
            (
                entry(&format!("{hash}methods = [\"PUT\", \"POST\"]\n")),
                "tokens.toml:6: [[token]] ann: methods = \"POST\": use any of GET, PUT",
            ),
            (
                entry(&format!("{hash}{methods}prefix = \"a/\"\n")),
                "tokens.toml:7: [[token]] ann: prefix = \"a/\": the prefix `a/` must start with a slash",
            ),
            (
                entry(&format!("{hash}{methods}expires = \"tomorrow\"\n")),
                "tokens.toml:7: [[token]] ann: expires = \"tomorrow\": use a time as in RFC 3339",
            ),
            (entry(&format!("{hash}{methods}method = \"PUT\"\n")), "did you mean methods?"),
            (
                format!("{0}{0}", entry(&format!("{hash}{methods}"))),
                "tokens.toml:9: [[token]] name = \"ann\": ann stands there twice",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(says), "{error}\nis not\n{says}");
        }
    }

    #[test]
    fn a_token_in_the_place_of_its_hash_is_never_shown() {
        for line in
            ["hash = \"wdfs_0123\"", "hash = wdfs_0123", "name = \"wdfs_0123 \"", "hash = [\"wdfs_0123\"]"]
        {
            let error = parse(&format!("[[token]]\nname = \"a\"\n{line}\n")).unwrap_err();
            assert!(!error.contains("0123"), "{error}");
        }
    }

    #[test]
    fn an_end_is_a_span_or_a_point_in_time() {
        assert_eq!(parse_end("1h", 100), Ok(3700));
        assert_eq!(parse_end("2001-09-09T01:46:40Z", 0), Ok(1_000_000_000));
        assert_eq!(parse_end("2001-09-09T03:46:40+02:00", 0), Ok(1_000_000_000));
        assert_eq!(parse_time(&show_time(1_900_000_000)), Ok(1_900_000_000));
        for text in ["", "1", "soon", "2001-09-09", "0s"] {
            assert_eq!(parse_end(text, 0), Err(BadEnd), "{text}");
        }
    }
}
