//! Digests that a client sends with an upload: `Content-MD5` (RFC 1864), and `Content-Digest` and `Repr-Digest`
//! (RFC 9530). They guard against damage on the way, not against an attacker.  Pure.
//!
//! An upload is stored as it comes, so its content and its representation are the same bytes. Without one of these
//! headers nothing is computed. The obsolete `Digest` of RFC 3230 is not read.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, StatusCode};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

/// The most digests that one upload may carry; nobody needs more than a few, and each is compared.
const DIGESTS_MAX: usize = 32;

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Base64 that forgives missing padding and set pad bits, as RFC 8941 section 4.2.7 asks of a reader.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An algorithm that is checked; others are ignored (RFC 9530 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `md5`, also that of Content-MD5. Broken against attackers, fine against damage.
    Md5,
    /// `sha-256`.
    Sha256,
    /// `sha-512`.
    Sha512,
}

impl Algorithm {
    fn from_key(key: &[u8]) -> Option<Self> {
        match key {
            b"md5" => Some(Self::Md5),
            b"sha-256" => Some(Self::Sha256),
            b"sha-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::Md5 => <Md5 as Digest>::output_size(),
            Self::Sha256 => <Sha256 as Digest>::output_size(),
            Self::Sha512 => <Sha512 as Digest>::output_size(),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        })
    }
}

/// Why an upload is refused; nothing of it may be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// A header that cannot be read, or says a digest of the wrong length.
    #[error("the header {header} cannot be read: {reason}")]
    Malformed {
        /// Which header.
        header: HeaderName,
        /// What is wrong with it, and what would be right.
        reason: &'static str,
    },
    /// The bytes that arrived are not those that were sent.
    #[error("the upload does not match its {header}: {algorithm} should be {expected}, but is {found}")]
    Mismatch {
        /// Which header.
        header: HeaderName,
        /// Which of its digests.
        algorithm: Algorithm,
        /// The client's digest, in hex.
        expected: String,
        /// That of the bytes that arrived, in hex.
        found: String,
    },
}

impl DigestError {
    /// The status to refuse the upload with.
    pub fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// The digests that a client promised, and the running digests of what has arrived.
///
/// Give every byte of the body to [`Expected::update`] in order, then ask [`Expected::verify`].
#[derive(Clone, Debug)]
pub struct Expected {
    /// Header, algorithm, digest of that algorithm's length. Not empty, at most [`DIGESTS_MAX`].
    promised: Vec<(HeaderName, Algorithm, Vec<u8>)>,
    md5: Option<Md5>,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Expected {
    /// Reads the digest headers of an upload. `None` if there are none, or none of an algorithm that is checked.
    ///
    /// # Errors
    /// A header that cannot be read.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, DigestError> {
        let mut promised = Vec::new();
        let mut md5_lines = headers.get_all(CONTENT_MD5).iter();
        if let Some(line) = md5_lines.next() {
            let malformed = |reason| DigestError::Malformed { header: CONTENT_MD5, reason };
            if md5_lines.next().is_some() {
                return Err(malformed("it is there more than once"));
            }
            let digest = decode(line.as_bytes().trim_ascii(), Algorithm::Md5).map_err(malformed)?;
            promised.push((CONTENT_MD5, Algorithm::Md5, digest));
        }
        for header in [CONTENT_DIGEST, REPR_DIGEST] {
            for line in headers.get_all(&header) {
                let malformed = |reason| DigestError::Malformed { header: header.clone(), reason };
                let members = dictionary(line.as_bytes()).map_err(malformed)?;
                for (algorithm, digest) in members {
                    if promised.len() == DIGESTS_MAX {
                        return Err(malformed("there are too many digests"));
                    }
                    promised.push((header.clone(), algorithm, digest));
                }
            }
        }
        if promised.is_empty() {
            return Ok(None);
        }
        let wants = |wanted| promised.iter().any(|&(_, algorithm, _)| algorithm == wanted);
        let (md5, sha256, sha512) =
            (wants(Algorithm::Md5), wants(Algorithm::Sha256), wants(Algorithm::Sha512));
        Ok(Some(Self {
            promised,
            md5: md5.then(Md5::new),
            sha256: sha256.then(Sha256::new),
            sha512: sha512.then(Sha512::new),
        }))
    }

    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// Compares, after the last byte of the body.
    ///
    /// # Errors
    /// The first promise that is not kept.
    pub fn verify(self) -> Result<(), DigestError> {
        let md5 = self.md5.map(|md5| md5.finalize().to_vec()).unwrap_or_default();
        let sha256 = self.sha256.map(|sha256| sha256.finalize().to_vec()).unwrap_or_default();
        let sha512 = self.sha512.map(|sha512| sha512.finalize().to_vec()).unwrap_or_default();
        for (header, algorithm, expected) in self.promised {
            let found = match algorithm {
                Algorithm::Md5 => &md5,
                Algorithm::Sha256 => &sha256,
                Algorithm::Sha512 => &sha512,
            };
            if *found != expected {
                let (expected, found) = (hex::encode(expected), hex::encode(found));
                return Err(DigestError::Mismatch { header, algorithm, expected, found });
            }
        }
        Ok(())
    }
}

/// Reads `sha-256=:BASE64:, md5=:BASE64:`, a dictionary of byte sequences (RFC 8941 section 3.2), and returns those
/// of known algorithms. Parameters are passed over: none are defined, so none with a comma in it is expected.
fn dictionary(line: &[u8]) -> Result<Vec<(Algorithm, Vec<u8>)>, &'static str> {
    const FORM: &str = "it must be a list like `sha-256=:BASE64:, sha-512=:BASE64:`";
    let mut found = Vec::new();
    if line.trim_ascii().is_empty() {
        return Ok(found);
    }
    for member in line.split(|&byte| byte == b',') {
        let (key, value) = split_once(member.trim_ascii(), b'=').ok_or(FORM)?;
        let is_key = key.first().is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'*')
            && key
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(byte));
        let (encoded, parameters) =
            value.strip_prefix(b":").and_then(|rest| split_once(rest, b':')).ok_or(FORM)?;
        if !is_key || !(parameters.is_empty() || parameters.starts_with(b";")) {
            return Err(FORM);
        }
        match Algorithm::from_key(key) {
            Some(algorithm) => found.push((algorithm, decode(encoded, algorithm)?)),
            None => drop(BASE64.decode(encoded).map_err(|_| FORM)?),
        }
    }
    Ok(found)
}

fn decode(encoded: &[u8], algorithm: Algorithm) -> Result<Vec<u8>, &'static str> {
    let digest = BASE64.decode(encoded).map_err(|_| "a digest is written in base64")?;
    if digest.len() == algorithm.digest_bytes() { Ok(digest) } else { Err("a digest has the wrong length") }
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    let (before, after) = bytes.split_at(at);
    Some((before, after.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const BODY: &[u8] = b"{\"hello\": \"world\"}\n";
    /// Digests of [`BODY`]: sha-256 and sha-512 as in RFC 9530 appendix D, md5 from md5sum.
    const SHA256: &str = "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=";
    const SHA512: &str =
        "YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==";
    const MD5: &str = "UFIauregE76D7gDe0/n0JA==";

    fn headers(lines: &[(&str, String)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().expect("a header name");
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        headers
    }

    fn read(name: &str, value: String) -> Result<Option<Expected>, DigestError> {
        Expected::from_headers(&headers(&[(name, value)]))
    }

    /// Feeds a body in pieces of every size from one byte to all.
    fn check(lines: &[(&str, String)], body: &[u8]) -> Result<(), DigestError> {
        let fresh = Expected::from_headers(&headers(lines))?.expect("a digest that is checked");
        let mut results = (1..=body.len()).map(|size| {
            let mut expected = fresh.clone();
            body.chunks(size).for_each(|piece| expected.update(piece));
            expected.verify()
        });
        let first = results.next().expect("a body");
        assert!(results.all(|result| result == first), "the size of the pieces must not matter");
        first
    }

    #[test]
    fn an_upload_that_keeps_all_its_promises_is_fine() {
        assert_eq!(check(&[("content-md5", MD5.into())], BODY), Ok(()));
        assert_eq!(check(&[("content-digest", format!("sha-256=:{SHA256}:"))], BODY), Ok(()));
        assert_eq!(check(&[("repr-digest", format!("sha-512=:{SHA512}:,\tmd5=:{MD5}:;a=1"))], BODY), Ok(()));
        let all = [
            ("content-md5", format!(" {MD5} ")),
            ("content-digest", format!("sha-256=:{SHA256}:")),
            ("content-digest", format!("sha-512=:{SHA512}:")),
            ("repr-digest", format!("unixsum=:aGVsbG8=:, sha-256=:{}:", SHA256.trim_end_matches('='))),
        ];
        assert_eq!(check(&all, BODY), Ok(()));
    }

    #[test]
    fn one_broken_promise_is_enough_and_is_named() {
        let lines = [("content-md5", MD5.to_owned()), ("repr-digest", format!("sha-256=:{SHA256}:"))];
        let error = check(&lines, b"something else").unwrap_err();
        assert!(matches!(&error, DigestError::Mismatch { header, .. } if header == CONTENT_MD5), "{error}");

        let other = SHA256.replace("RK", "RL");
        let lines = [("content-md5", MD5.to_owned()), ("repr-digest", format!("sha-256=:{other}:"))];
        let error = check(&lines, BODY).unwrap_err();
        let is_named = matches!(&error, DigestError::Mismatch { header, algorithm: Algorithm::Sha256, .. } if header == REPR_DIGEST);
        assert!(is_named, "{error}");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn nothing_is_computed_when_nothing_known_is_promised() {
        let none = [
            ("etag", "\"x\"".to_owned()),
            ("content-digest", String::new()),
            ("content-digest", "crc32c=:AAAAAA==:, sha=:AAAA:".to_owned()),
            ("repr-digest", " ".to_owned()),
        ];
        assert!(Expected::from_headers(&headers(&none)).expect("readable").is_none());
    }

    #[test]
    fn a_header_that_cannot_be_read_is_an_error_rather_than_no_promise() {
        let broken = [
            ("content-md5", String::new()),
            ("content-md5", "abc".to_owned()),
            ("content-md5", SHA256.to_owned()),
            ("content-md5", format!("\"{MD5}\"")),
            ("content-digest", "sha-256".to_owned()),
            ("content-digest", format!("sha-256={SHA256}")),
            ("content-digest", format!("sha-256=:{SHA256}")),
            ("content-digest", format!("sha-256=:{SHA512}:")),
            ("content-digest", format!("sha-256=:{SHA256}:,")),
            ("content-digest", format!("sha-256=:{SHA256}: x")),
            ("content-digest", format!("SHA-256=:{SHA256}:")),
            ("content-digest", format!("=:{SHA256}:")),
            ("content-digest", "sha-256=::".to_owned()),
            ("repr-digest", "crc32c=:!:".to_owned()),
            ("repr-digest", "sha-256=:\u{e9}:".to_owned()),
            ("repr-digest", vec!["md5=:AAAAAAAAAAAAAAAAAAAAAA==:"; DIGESTS_MAX + 1].join(",")),
        ];
        for (name, value) in broken {
            let error = read(name, value.clone()).map(|_| ()).unwrap_err();
            assert!(
                matches!(&error, DigestError::Malformed { header, .. } if header == name),
                "{name}: {value}"
            );
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        }
        let twice = headers(&[("content-md5", MD5.into()), ("content-md5", MD5.into())]);
        assert!(Expected::from_headers(&twice).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            value in proptest::collection::vec(proptest::sample::select(&b"sha-256=:md5,; AAA=\xe9"[..]), 0..60),
        ) {
            let line = HeaderValue::from_bytes(&value).expect("all of these may stand in a header");
            for header in [CONTENT_MD5, CONTENT_DIGEST, REPR_DIGEST] {
                if let Ok(Some(expected)) = Expected::from_headers(&HeaderMap::from_iter([(header, line.clone())])) {
                    proptest::prop_assert!(!expected.promised.is_empty());
                }
            }
        }
    }
}
