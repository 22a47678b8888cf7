//! Tokens: what a program shows to be let in, `Authorization: Bearer wdfs_...`.  Pure.
//!
//! Only a token's SHA-256 is kept. A token is 256 random bits, so that nobody finds it from its hash, and a hash that is
//! slow on purpose would gain nothing.

use std::fmt;

use ctutils::CtEq;
use sha2::{Digest, Sha256};

use super::right::{Lacking, Operation, Right};

/// How every token begins, so that it is told from what other applications take, and is found where it should not be.
pub const TOKEN_START: &str = "wdfs_";
/// Random bytes in a token.
pub const TOKEN_BYTES: usize = 32;
/// The longest name of a token, in characters.
pub const TOKEN_NAME_MAX: usize = 64;

/// The SHA-256 of a token's text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

/// A text that is no hash of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use the token's SHA-256, 64 hexadecimal digits, as `webdfs token new` writes it")]
pub struct BadHash;

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl std::str::FromStr for TokenHash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map(|()| Self(hash)).map_err(|_| BadHash)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(not shown)")
    }
}

/// The text of a token made of random bytes.
pub fn token_text(random: &[u8; TOKEN_BYTES]) -> String {
    format!("{TOKEN_START}{}", hex::encode(random))
}

/// A name that no token can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token's name is 1 to {TOKEN_NAME_MAX} letters, digits, \".\", \"_\", \"@\" and \"-\"")]
pub struct BadName;

/// Checks a token's name: it stands in logs.
///
/// # Errors
/// When it is empty, too long, or has other characters.
pub fn check_name(name: &str) -> Result<(), BadName> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if name.is_empty() || name.len() > TOKEN_NAME_MAX || !name.chars().all(is_good) {
        return Err(BadName);
    }
    Ok(())
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name, which stands in the log; no two have the same.
    pub name: String,
    /// Its hash.
    pub hash: TokenHash,
    /// What it allows.
    pub right: Right,
    /// When it ends, in seconds since 1970; none: never.
    pub expires: Option<u64>,
}

/// Why a token lets nobody in. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No such token is known (any more).
    #[error("its token is none of those in tokens.toml")]
    Unknown,
    /// Its time is over.
    #[error("token {name} has expired")]
    Expired {
        /// The token's name.
        name: String,
    },
    /// It is for something else.
    #[error("token {name}: {lacking}")]
    Lacking {
        /// The token's name.
        name: String,
        /// What it lacks.
        lacking: Lacking,
    },
}

/// The tokens of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(pub Vec<Token>);

impl Tokens {
    /// The token with this text. All hashes are looked at to their ends, so that the time says nothing about any of them.
    fn find(&self, text: &[u8]) -> Option<&Token> {
        let hash = TokenHash::of(text);
        self.0.iter().fold(
            None,
            |found, token| {
                if token.hash.0.ct_eq(&hash.0).to_bool() { Some(token) } else { found }
            },
        )
    }

    /// Whether the token of this text allows an operation at a decoded path, at `now` in seconds since 1970.
    ///
    /// # Errors
    /// Why not.
    pub fn allow(
        &self,
        text: &[u8],
        operation: Operation,
        path: &[u8],
        now: u64,
    ) -> Result<&Token, TokenError> {
        let token = self.find(text).ok_or(TokenError::Unknown)?;
        let name = || token.name.clone();
        if token.expires.is_some_and(|expires| now >= expires) {
            return Err(TokenError::Expired { name: name() });
        }
        let allowed = token.right.allows(operation, path);
        allowed.map(|()| token).map_err(|lacking| TokenError::Lacking { name: name(), lacking })
    }
}

/// The token in the value of an Authorization header; none if it is about something else, which another application, or
/// the web server, may ask for.
pub fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(SCHEME) && token.starts_with(TOKEN_START.as_bytes())).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> (Tokens, String) {
        let text = token_text(&[7; TOKEN_BYTES]);
        let right = Right { prefix: "/up/".parse().unwrap(), operations: vec![Operation::Put] };
        let token = |name: &str, text: &str, expires| Token {
            name: name.to_owned(),
            hash: TokenHash::of(text.as_bytes()),
            right: right.clone(),
            expires,
        };
        (Tokens(vec![token("other", "wdfs_other", None), token("ann", &text, Some(100))]), text)
    }

    #[test]
    fn a_token_allows_what_it_is_for_until_it_expires() {
        let (tokens, text) = tokens();
        let allow = |text: &str, operation, path: &str, now| {
            tokens.allow(text.as_bytes(), operation, path.as_bytes(), now).map(|token| token.name.clone())
        };
        assert_eq!(allow(&text, Operation::Put, "/up/a.jpg", 99), Ok("ann".to_owned()));
        let name = || "ann".to_owned();
        assert_eq!(allow(&text, Operation::Put, "/up/a.jpg", 100), Err(TokenError::Expired { name: name() }));
        assert_eq!(
            allow(&text, Operation::Delete, "/up/a.jpg", 0),
            Err(TokenError::Lacking { name: name(), lacking: Lacking::Operation })
        );
        assert_eq!(
            allow(&text, Operation::Put, "/a.jpg", 0),
            Err(TokenError::Lacking { name: name(), lacking: Lacking::Prefix })
        );
        for wrong in ["", "wdfs_", &text[..text.len() - 1], &format!("{text}0"), &text.to_uppercase()] {
            assert_eq!(allow(wrong, Operation::Put, "/up/a.jpg", 0), Err(TokenError::Unknown), "{wrong}");
        }
    }

    #[test]
    fn a_bearer_token_is_told_from_what_others_ask_for() {
        for value in ["Bearer wdfs_1", "bearer wdfs_1", "BEARER   wdfs_1 "] {
            assert_eq!(bearer(value.as_bytes()), Some(&b"wdfs_1"[..]), "{value}");
        }
        for value in ["", "Bearer", "Bearer eyJhbGciOi", "Basic wdfs_1", "Bearerwdfs_1", "wdfs_1"] {
            assert_eq!(bearer(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_name_is_fit_for_a_log() {
        for name in ["a", "ann@example.org", "ci_1-2.x"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "a b", "a\n", "é", &"x".repeat(65)] {
            assert_eq!(check_name(name), Err(BadName), "{name}");
        }
    }

    #[test]
    fn a_hash_is_read_back_and_never_shown_by_debug() {
        let hash = TokenHash::of(b"wdfs_1");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!(!format!("{hash:?}").contains(&hash.to_string()));
        for text in ["", "00", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
            assert_eq!(text.parse::<TokenHash>(), Err(BadHash), "{text}");
        }
    }
}
