//! Object names: what a replica is called, and how a URL becomes such a name (design section 5).  Pure.
//!
//! A name is bytes, not text: a URL is decoded once and what comes out is the path below the storage root. The
//! rules here keep every name inside that root and out of `.webdfs`; nobody makes a name any other way. Nothing
//! here touches a file, and what a request wants to do with the name is not known here.

mod exclude;
mod prefix;
mod target;

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

pub use exclude::{DEFAULT_EXCLUDES, Exclude, ExcludeError};
pub use prefix::{Prefix, PrefixError};
pub use target::{Folder, Target, query};

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// The folder in a storage root that belongs to webdfs; no object lives under it.
pub const RESERVED_SEGMENT: &[u8] = b".webdfs";

/// What [`ObjectName::url_path`] encodes: all but the unreserved characters of RFC 3986 section 2.3, the slash
/// between segments, and the few delimiters that no web server, shell or cache gives a meaning inside a path
/// (`;` starts parameters in some, `+` is a space to others, `&`, `'` and `$` mean something to shells and pages).
const URL_ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b'!')
    .remove(b'(')
    .remove(b')')
    .remove(b',')
    .remove(b'=')
    .remove(b'@');

/// The name of an object: the URL path below the configured prefix, decoded once, as bytes.
///
/// Invariants: 1 to [`NAME_BYTES_MAX`] bytes, no NUL, no segment that is empty, `.` or `..` (so no slash at either
/// end), and the first segment is not [`RESERVED_SEGMENT`]. Joined to the storage root it names something below it.
/// Cloning copies a pointer.
///
/// In messages between nodes it is what [`ObjectName::url_path`] makes of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ObjectName(Arc<[u8]>);

impl ObjectName {
    /// Takes bytes as a name.
    ///
    /// # Errors
    /// The rule of the type that the bytes break.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NameError> {
        check_length(bytes.len())?;
        if bytes.contains(&0) {
            return Err(NameError::Nul);
        }
        for (index, segment) in bytes.split(|&byte| byte == b'/').enumerate() {
            match segment {
                b"" => return Err(NameError::EmptySegment),
                b"." | b".." => return Err(NameError::DotSegment),
                _ if index == 0 && segment == RESERVED_SEGMENT => return Err(NameError::Reserved),
                _ => {}
            }
        }
        Ok(Self(bytes.into()))
    }

    /// The name of which this is the [`url_path`](ObjectName::url_path).
    ///
    /// # Errors
    /// The rule of the type that it breaks.
    pub fn from_url_path(path: &str) -> Result<Self, NameError> {
        Self::from_bytes(&percent_decode_str(path).collect::<Vec<u8>>())
    }

    /// The name itself, segments separated by slashes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The parts between the slashes; at least one, none empty.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/')
    }

    /// The bytes after the last dot of the last segment. As in nginx a leading dot starts no extension, and a
    /// trailing one an empty one, which is none.
    pub fn extension(&self) -> Option<&[u8]> {
        let last = self.segments().next_back()?;
        let dot = last.iter().rposition(|&byte| byte == b'.')?;
        let extension = last.get(dot + 1..)?;
        (dot > 0 && !extension.is_empty()).then_some(extension)
    }

    /// The name as part of a URL path, without a leading slash. Every byte that a web server, a proxy or a browser
    /// might change is percent-encoded; [`Target::parse`] of it, below any prefix, gives this name again.
    pub fn url_path(&self) -> String {
        percent_encode(&self.0, URL_ENCODED).to_string()
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.url_path()
    }
}

impl TryFrom<String> for ObjectName {
    type Error = NameError;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        Self::from_url_path(&path)
    }
}

impl fmt::Display for ObjectName {
    /// For people and logs: bytes that are not UTF-8 are replaced and control characters escaped, so that a name
    /// cannot forge a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lossy(&self.0, f)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectName({})", self.0.escape_ascii())
    }
}

/// Why something is no name of an object. The request that brought it is refused with [`NameError::status`];
/// repeating it unchanged is pointless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no bytes.
    #[error("the name is empty")]
    Empty,
    /// The name has more than [`NAME_BYTES_MAX`] bytes.
    #[error("the name has {length} bytes, {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A NUL byte, plain or encoded.
    #[error("the name contains a NUL byte")]
    Nul,
    /// Two slashes in a row, or one at either end.
    #[error("the name has an empty segment: no slash may stand first, last or beside another")]
    EmptySegment,
    /// A segment `.` or `..`.
    #[error("the name has a segment `.` or `..`")]
    DotSegment,
    /// A slash where a single file name is wanted.
    #[error("a file name cannot contain a slash")]
    SlashInFileName,
    /// The first segment is the one that webdfs keeps for itself.
    #[error("names under `.webdfs/` are reserved")]
    Reserved,
    /// `%2F`: servers disagree on whether it separates segments, so that it would name two things.
    #[error("the path contains an encoded slash")]
    EncodedSlash,
    /// A percent sign without two hexadecimal digits after it.
    #[error(
        "the path contains a percent sign without two hexadecimal digits; the sign itself is written %25"
    )]
    BrokenEscape,
    /// A space or control byte that should have been percent-encoded.
    #[error("the path contains the byte {0:#04x}, which must be percent-encoded")]
    Unencoded(u8),
    /// More `..` than folders.
    #[error("the path leads out of the root")]
    LeavesRoot,
    /// Neither a path nor an absolute URL, for example the `*` of `OPTIONS *`.
    #[error("the request target is no path: it must start with a slash")]
    NotAPath,
    /// A path that webdfs is not configured to serve: nothing is there.
    #[error("the path lies outside the configured prefix")]
    OutsidePrefix,
}

impl NameError {
    /// The status to refuse the request with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::OutsidePrefix => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Checks an absolute URL path, decoded: that of an object, or, with a slash at its end, of a folder.
///
/// # Errors
/// The rule of [`ObjectName`] that it breaks.
pub fn check_path(path: &[u8]) -> Result<(), NameError> {
    let below = path.strip_prefix(b"/").ok_or(NameError::NotAPath)?;
    match below {
        b"" => Ok(()),
        _ => ObjectName::from_bytes(below.strip_suffix(b"/").unwrap_or(below)).map(drop),
    }
}

/// A decoded URL path, percent-encoded in the one way that webdfs does it: all but letters, digits and `-._~/!(),=@`, in
/// capital hexadecimal digits.
pub fn encoded_path(path: &[u8]) -> String {
    percent_encode(path, URL_ENCODED).to_string()
}

fn check_length(length: usize) -> Result<(), NameError> {
    match length {
        0 => Err(NameError::Empty),
        1..=NAME_BYTES_MAX => Ok(()),
        _ => Err(NameError::TooLong { length }),
    }
}

fn write_lossy(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() {
            write!(f, "{}", character.escape_default())?;
        } else {
            write!(f, "{character}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(bytes: &[u8]) -> ObjectName {
        ObjectName::from_bytes(bytes).expect("a good name")
    }

    #[test]
    fn a_name_keeps_its_bytes_whatever_they_are() {
        for bytes in [
            &b"cat.jpg"[..],
            b"a/b/c",
            b"...",
            b"a/..b/.c",
            b"\xff\xfe",
            b"a\\..\\b",
            b"a\nb",
            b"x/.webdfs/y",
        ] {
            assert_eq!(name(bytes).as_bytes(), bytes);
        }
        assert!(ObjectName::from_bytes(&[b'a'; NAME_BYTES_MAX]).is_ok());
    }

    #[test]
    fn what_could_leave_the_root_or_touch_its_bookkeeping_is_no_name() {
        let long = [b'a'; NAME_BYTES_MAX + 1];
        let cases: [(&[u8], NameError); 13] = [
            (b"", NameError::Empty),
            (&long, NameError::TooLong { length: NAME_BYTES_MAX + 1 }),
            (b"a\0b", NameError::Nul),
            (b"/a", NameError::EmptySegment),
            (b"a/", NameError::EmptySegment),
            (b"/", NameError::EmptySegment),
            (b"a//b", NameError::EmptySegment),
            (b".", NameError::DotSegment),
            (b"..", NameError::DotSegment),
            (b"a/../b", NameError::DotSegment),
            (b"a/.", NameError::DotSegment),
            (b".webdfs", NameError::Reserved),
            (b".webdfs/maps/1.toml", NameError::Reserved),
        ];
        for (bytes, error) in cases {
            assert_eq!(ObjectName::from_bytes(bytes).unwrap_err(), error, "{}", bytes.escape_ascii());
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        }
        assert_eq!(NameError::OutsidePrefix.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_extension_is_what_nginx_takes_for_it() {
        let cases: [(&[u8], Option<&[u8]>); 8] = [
            (b"a/cat.jpg", Some(b"jpg")),
            (b"cat.tar.gz", Some(b"gz")),
            (b"cat", None),
            (b"a.b/cat", None),
            (b".htaccess", None),
            (b"a/.jpg", None),
            (b"cat.", None),
            (b".a.png", Some(b"png")),
        ];
        for (bytes, extension) in cases {
            assert_eq!(name(bytes).extension(), extension, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_url_path_encodes_all_that_means_something_to_servers_and_shells() {
        assert_eq!(name(b"a/b-c_d~e.jpg").url_path(), "a/b-c_d~e.jpg");
        assert_eq!(name(b"(1),x=@!").url_path(), "(1),x=@!");
        assert_eq!(name(b"a b%c?d#e").url_path(), "a%20b%25c%3Fd%23e");
        assert_eq!(name(b"\\;+&'$:*\"<>").url_path(), "%5C%3B%2B%26%27%24%3A%2A%22%3C%3E");
        assert_eq!(name("é\n\u{7f}".as_bytes()).url_path(), "%C3%A9%0A%7F");
    }

    #[test]
    fn a_name_cannot_forge_a_log_line() {
        assert_eq!(name(b"a\nb\xff").to_string(), "a\\nb\u{fffd}");
        assert_eq!(format!("{:?}", name(b"a\nb\xff")), "ObjectName(a\\nb\\xff)");
    }

    /// Segments of any bytes, those that mean something in paths and URLs far more often than by chance.
    fn segments() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![1 => any::<u8>(), 1 => proptest::sample::select(&b"./%?#\\+; \0"[..])];
        proptest::collection::vec(byte, 1..40)
    }

    proptest! {
        #[test]
        fn every_name_comes_back_from_its_url(bytes in segments()) {
            if let Ok(name) = ObjectName::from_bytes(&bytes) {
                for prefix in ["/", "/images/", "/a b/é"] {
                    let prefix: Prefix = prefix.parse().expect("a good prefix");
                    let target = Target::parse(prefix.url_path(&name).as_bytes(), &prefix);
                    prop_assert_eq!(target, Ok(Target::Object(name.clone())));
                }
            }
        }
    }
}
