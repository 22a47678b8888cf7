//! Signed URLs: a URL that lets whoever has it GET one file, or PUT one, until a time.  Pure.
//!
//! A site's own code makes them: it needs a signing key and nothing else, no node and no map. What is signed is a text of
//! seven lines, joined by line feeds, with no line feed at the end:
//!
//! ```text
//! webdfs-url-1
//! METHOD           GET, which covers HEAD, or PUT
//! PATH             the URL path, percent-encoded in one way: see `encoded_path`
//! KEY              the id of the signing key
//! EXPIRES          seconds since 1970
//! MAX-SIZE         bytes, or nothing
//! FROM             an address or a range of addresses, or nothing
//! ```
//!
//! The signature is its HMAC-SHA256 (RFC 2104) in hexadecimal. All but method and path travel in the query, as
//! `webdfs-key`, `webdfs-expires`, `webdfs-max-size`, `webdfs-from` and `webdfs-signature`; other parameters are not covered.
//!
//! Nothing of a server is used here, so that it may be compiled for a browser, and called from C.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use percent_encoding::percent_decode;
use sha2::Sha256;

use super::rule::address_range;
use crate::name::{NameError, check_path, encoded_path};

/// The first line of what is signed: the version of this format.
const FORMAT: &str = "webdfs-url-1";
/// The longest id of a key, in characters.
const ID_MAX: usize = 64;
/// The shortest key, in bytes.
const KEY_BYTES_MIN: usize = 16;

const KEY: &str = "webdfs-key";
const EXPIRES: &str = "webdfs-expires";
const MAX_SIZE: &str = "webdfs-max-size";
const FROM: &str = "webdfs-from";
const SIGNATURE: &str = "webdfs-signature";

/// A key that signs URLs, and its id, which stands in them. Written `ID:HEX`, the key in hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    id: String,
    secret: Vec<u8>,
}

/// Why a text is no signing key. No variant holds any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No colon.
    #[error("a signing key is ID:HEX; make one: webdfs sign --new-key")]
    Form,
    /// The id is empty, too long, or has other characters.
    #[error("a signing key's id is 1 to {ID_MAX} letters, digits, \".\", \"_\" and \"-\"")]
    Id,
    /// The key is no hexadecimal text, or too short.
    #[error("a signing key has {} hexadecimal digits or more behind its id", 2 * KEY_BYTES_MIN)]
    Secret,
}

impl SigningKey {
    /// The key of these bytes, under this id.
    ///
    /// # Errors
    /// When the id could not stand in a URL as it is, or the key is so short that it could be guessed.
    pub fn new(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if id.is_empty() || id.len() > ID_MAX || !id.chars().all(is_good) {
            return Err(KeyError::Id);
        }
        if secret.len() < KEY_BYTES_MIN {
            return Err(KeyError::Secret);
        }
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as it is written into a file. It is a secret.
    pub fn to_text(&self) -> String {
        format!("{}:{}", self.id, hex::encode(&self.secret))
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let key = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        key.chain_update(text.as_bytes())
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (id, secret) = text.split_once(':').ok_or(KeyError::Form)?;
        Self::new(id, &hex::decode(secret).map_err(|_| KeyError::Secret)?)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, not shown)", self.id)
    }
}

/// What a signed URL may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedMethod {
    /// GET and HEAD.
    Get,
    /// PUT.
    Put,
}

impl SignedMethod {
    /// The word that is signed.
    fn word(self) -> &'static str {
        match self {
            SignedMethod::Get => "GET",
            SignedMethod::Put => "PUT",
        }
    }

    fn of(method: &str) -> Option<Self> {
        match method {
            "GET" | "HEAD" => Some(SignedMethod::Get),
            "PUT" => Some(SignedMethod::Put),
            _ => None,
        }
    }
}

/// What a URL is to allow.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// For what.
    pub method: SignedMethod,
    /// The URL path, decoded, beginning with a slash: `/a b/cat.jpg`.
    pub path: &'a [u8],
    /// Until when, in seconds since 1970.
    pub expires: u64,
    /// The largest upload, in bytes; none: as large as the node allows. Without meaning for GET.
    pub max_size: Option<u64>,
    /// From where; none: from everywhere.
    pub from: Option<IpNet>,
}

/// A signed URL: its path and its query, to be put behind `https://HOST`.
///
/// # Errors
/// When the path cannot be that of a file or a folder here.
///
/// # Examples
/// ```
/// use webdfs::access::signed::{Grant, SignedMethod, SigningKey, sign};
///
/// let key: SigningKey = "site1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".parse()?;
/// let grant = Grant {
///     method: SignedMethod::Get,
///     path: "/members/team photo.jpg".as_bytes(),
///     expires: 1_800_000_000,
///     max_size: None,
///     from: None,
/// };
/// let url = sign(&key, &grant)?;
/// assert!(url.starts_with("/members/team%20photo.jpg?webdfs-key=site1&webdfs-expires=1800000000&webdfs-signature="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sign(key: &SigningKey, grant: &Grant<'_>) -> Result<String, NameError> {
    check_path(grant.path)?;
    let path = encoded_path(grant.path);
    let expires = grant.expires.to_string();
    let max_size = grant.max_size.map(|size| size.to_string());
    let from = grant.from.map(|range| range.to_string());
    let terms = Terms {
        key: key.id(),
        expires: &expires,
        max_size: max_size.as_deref().unwrap_or_default(),
        from: from.as_deref().unwrap_or_default(),
    };
    let signature = hex::encode(key.mac(&terms.text(grant.method, &path)).finalize().into_bytes());
    let mut url = format!("{path}?{KEY}={}&{EXPIRES}={expires}", key.id());
    for (name, value) in [(MAX_SIZE, terms.max_size), (FROM, terms.from)] {
        if !value.is_empty() {
            url.push_str(&format!("&{name}={value}"));
        }
    }
    Ok(format!("{url}&{SIGNATURE}={signature}"))
}

/// A request with a signed URL.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its URL path, decoded and normalised, beginning with a slash.
    pub path: &'a [u8],
    /// Its query, as it came, without the question mark.
    pub query: &'a [u8],
    /// Where it comes from, if that is known.
    pub address: Option<IpAddr>,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// What a good signature allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The id of the key that made it.
    pub key: String,
    /// The largest upload, in bytes.
    pub max_size: Option<u64>,
}

/// Why a signed URL lets nobody in. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A parameter is missing, there twice, or makes no sense.
    #[error("signed URL: {0} is missing, there twice, or not valid")]
    Parameter(&'static str),
    /// The key is none of ours.
    #[error("signed URL: no key has the id that it names")]
    UnknownKey,
    /// There are signed URLs for GET, HEAD and PUT alone.
    #[error("signed URL: such URLs are for GET, HEAD and PUT alone")]
    Method,
    /// It was made for another method or path, or changed, or never signed.
    #[error("signed URL of key {key}: the signature is not that of this method, path and query")]
    Wrong {
        /// The key that it names.
        key: String,
    },
    /// Its time is over.
    #[error("signed URL of key {key}: it has expired")]
    Expired {
        /// The key that made it.
        key: String,
    },
    /// It was made for others.
    #[error("signed URL of key {key}: it is for other addresses")]
    Elsewhere {
        /// The key that made it.
        key: String,
    },
}

/// Whether a query is that of a signed URL, good or bad.
pub fn is_signed(query: &[u8]) -> bool {
    parameters(query).any(|(name, _)| name == SIGNATURE.as_bytes())
}

/// What a signed URL allows its bearer. The signature is compared in a time that does not depend on where it differs.
///
/// # Errors
/// Why it allows nothing.
pub fn verify(keys: &[SigningKey], presented: &Presented<'_>) -> Result<Verified, SignatureError> {
    let method = SignedMethod::of(presented.method).ok_or(SignatureError::Method)?;
    let id = required(presented.query, KEY)?;
    let key = keys.iter().find(|key| key.id == id).ok_or(SignatureError::UnknownKey)?;
    let expires = required(presented.query, EXPIRES)?;
    let max_size = optional(presented.query, MAX_SIZE)?;
    let from = optional(presented.query, FROM)?;
    let mut signature = [0; 32];
    hex::decode_to_slice(required(presented.query, SIGNATURE)?, &mut signature)
        .map_err(|_| SignatureError::Parameter(SIGNATURE))?;
    let terms = Terms {
        key: &id,
        expires: &expires,
        max_size: max_size.as_deref().unwrap_or_default(),
        from: from.as_deref().unwrap_or_default(),
    };
    let text = terms.text(method, &encoded_path(presented.path));
    let id = || key.id.clone();
    key.mac(&text).verify_slice(&signature).map_err(|_| SignatureError::Wrong { key: id() })?;
    // From here on the texts are those that were signed.
    if presented.now >= number(&expires).ok_or(SignatureError::Parameter(EXPIRES))? {
        return Err(SignatureError::Expired { key: id() });
    }
    if let Some(from) = from {
        let range = address_range(&from).map_err(|_| SignatureError::Parameter(FROM))?;
        if !presented.address.is_some_and(|address| range.contains(&address.to_canonical())) {
            return Err(SignatureError::Elsewhere { key: id() });
        }
    }
    let max_size = max_size.map(|text| number(&text).ok_or(SignatureError::Parameter(MAX_SIZE)));
    Ok(Verified { key: id(), max_size: max_size.transpose()? })
}

/// The parameters of a signed URL, but for the signature; empty for those that are not there.
struct Terms<'a> {
    key: &'a str,
    expires: &'a str,
    max_size: &'a str,
    from: &'a str,
}

impl Terms<'_> {
    /// What is signed.
    fn text(&self, method: SignedMethod, path: &str) -> String {
        [FORMAT, method.word(), path, self.key, self.expires, self.max_size, self.from].join("\n")
    }
}

fn parameters(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|byte| *byte == b'&').map(|pair| match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[][..]),
    })
}

/// The value of a parameter, decoded. One that is there without a value would be signed as if it were not there.
fn optional(query: &[u8], name: &'static str) -> Result<Option<String>, SignatureError> {
    let mut values = parameters(query).filter(|(found, _)| *found == name.as_bytes());
    let Some((_, value)) = values.next() else { return Ok(None) };
    let value = percent_decode(value).decode_utf8().ok().filter(|text| !text.is_empty());
    match (value, values.next()) {
        (Some(value), None) if !value.contains('\n') => Ok(Some(value.into_owned())),
        _ => Err(SignatureError::Parameter(name)),
    }
}

fn required(query: &[u8], name: &'static str) -> Result<String, SignatureError> {
    optional(query, name)?.ok_or(SignatureError::Parameter(name))
}

/// A number of digits alone.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "signed_tests.rs"]
mod tests;
