//! The frame of a `multipart/byteranges` answer (RFC 9110 section 14.6).  Pure.
//!
//! The bytes of the file are never here: a front puts them between the heads. The layout is nginx's, down to the
//! line break before the first boundary.

use std::fmt::Write;

use bytes::Bytes;
use http::HeaderValue;

use super::{ByteRange, ascii_value};

/// What stands around and between the parts of an answer with several ranges.
///
/// The body is, for each part in order, its head and its bytes of the file, and then [`Multipart::tail`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    parts: Vec<(Bytes, ByteRange)>,
    tail: Bytes,
    boundary: String,
}

impl Multipart {
    /// Frames `ranges` of a file of `size` bytes and type `content_type`. The caller draws `boundary` at random for
    /// each answer, so that no file can be made to contain it.
    pub fn new(ranges: &[ByteRange], size: u64, content_type: &str, boundary: u64) -> Self {
        // As wide as the largest number, so that all boundaries have one length.
        let boundary = format!("{boundary:020}");
        let head = |range: &ByteRange| {
            let mut head = format!("\r\n--{boundary}\r\n");
            let last = range.offset() + (range.length() - 1);
            // Writing to a string cannot fail.
            let _ = write!(head, "Content-Type: {content_type}\r\n");
            let _ = write!(head, "Content-Range: bytes {}-{last}/{size}\r\n\r\n", range.offset());
            Bytes::from(head)
        };
        let parts = ranges.iter().map(|range| (head(range), *range)).collect();
        let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        Self { parts, tail, boundary }
    }

    /// The `Content-Type` of the answer.
    pub fn content_type(&self) -> HeaderValue {
        ascii_value(format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// The `Content-Length` of the answer: all heads, all parts and the tail.
    pub fn content_length(&self) -> u64 {
        self.parts.iter().fold(self.tail.len() as u64, |sum, (head, range)| {
            sum.saturating_add(head.len() as u64).saturating_add(range.length())
        })
    }

    /// Each part with the head that goes before its bytes.
    pub fn parts(&self) -> &[(Bytes, ByteRange)] {
        &self.parts
    }

    /// What follows the last part.
    pub fn tail(&self) -> &Bytes {
        &self.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::{FrontKind, Selection, Validators, select};
    use crate::version::Version;
    use http::{HeaderMap, Method, header::RANGE};

    fn ranges(value: &str, size: u64) -> Vec<ByteRange> {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_str(value).expect("a header value"))]);
        let file = Validators { version: Version::default(), size, front: FrontKind::Nginx };
        match select(&Method::GET, &headers, &file) {
            Selection::Ranges(ranges) => ranges,
            other => panic!("no ranges: {other:?}"),
        }
    }

    #[test]
    fn the_answer_is_byte_for_byte_what_nginx_sends() {
        // Pinned from nginx 1.22.1, the twelfth multipart answer of its life.
        let expected = "\r\n--00000000000000000012\r\nContent-Type: image/jpeg\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
            \r\n--00000000000000000012\r\nContent-Type: image/jpeg\r\nContent-Range: bytes 3-4/10\r\n\r\n34\
            \r\n--00000000000000000012--\r\n";
        let file = b"0123456789";
        let multipart = Multipart::new(&ranges("bytes=0-1,3-4", 10), 10, "image/jpeg", 12);
        let mut body = Vec::new();
        for (head, range) in multipart.parts() {
            body.extend_from_slice(head);
            body.extend(file.iter().skip(range.offset() as usize).take(range.length() as usize));
        }
        body.extend_from_slice(multipart.tail());
        assert_eq!(body.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        assert_eq!(multipart.content_length(), 198);
        assert_eq!(multipart.content_type(), "multipart/byteranges; boundary=00000000000000000012");
    }

    #[test]
    fn the_length_does_not_depend_on_the_boundary() {
        let ranges = ranges("bytes=0-0,5-8,-1", 1 << 40);
        let length = |boundary| Multipart::new(&ranges, 1 << 40, "image/png", boundary).content_length();
        assert_eq!(length(0), length(u64::MAX));
    }
}
