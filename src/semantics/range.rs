//! Range and If-Range (RFC 9110 sections 13.1.5 and 14).  Pure.
//!
//! Which bytes of a file are sent. Where the RFC leaves a choice (broken, overlapping or too many ranges), the choice
//! is that of nginx 1.22, so that a client sees no difference between a file that nginx serves and one that webdfs
//! serves; the table in the tests was taken from it.

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method};

use super::{Validators, ascii_value, http_date_seconds};

/// The most ranges that one answer has. A request for more gets the whole file, as in nginx with `max_ranges`; it
/// bounds the heads that a multipart answer keeps in memory.
pub const RANGES_MAX: usize = 256;

/// The largest number in a range that is understood, as in nginx: the largest file offset there is.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// A run of bytes of a file. Invariant: not empty, and within the file it was selected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    offset: u64,
    length: u64,
}

impl ByteRange {
    /// The first byte, counted from 0.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes; at least one.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// All of a file; `None` if it is empty.
    pub fn whole(size: u64) -> Option<Self> {
        (size > 0).then_some(Self { offset: 0, length: size })
    }

    /// What is left of it after its first `count` bytes; `None` if that is nothing.
    pub fn after(&self, count: u64) -> Option<Self> {
        let length = self.length.checked_sub(count).filter(|&length| length > 0)?;
        Some(Self { offset: self.offset + count, length })
    }

    /// The `Range` that asks for it.
    pub fn as_range(&self) -> HeaderValue {
        ascii_value(format!("bytes={}-{}", self.offset, self.offset + (self.length - 1)))
    }

    /// The `Content-Range` of an answer that holds just this part of a file of `size` bytes.
    pub fn content_range(&self, size: u64) -> HeaderValue {
        ascii_value(format!("bytes {}-{}/{size}", self.offset, self.offset + (self.length - 1)))
    }
}

/// The `Content-Range` of a 416 for a file of `size` bytes.
pub fn unsatisfied_content_range(size: u64) -> HeaderValue {
    ascii_value(format!("bytes */{size}"))
}

/// Whether the range that is asked for is one in the plainest form, which all servers understand alike: `bytes=0-99`,
/// `bytes=100-` or `bytes=-5`, and no number so large that some could not hold it.
pub fn is_plain_range(headers: &HeaderMap) -> bool {
    const DIGITS_MAX: usize = 15;
    let mut lines = headers.get_all(RANGE).iter();
    let (Some(only), None) = (lines.next(), lines.next()) else { return false };
    let Some(spec) = only.as_bytes().strip_prefix(b"bytes=") else { return false };
    let Some(dash) = spec.iter().position(|&byte| byte == b'-') else { return false };
    let is_number = |digits: &[u8]| digits.len() <= DIGITS_MAX && digits.iter().all(u8::is_ascii_digit);
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    is_number(first) && is_number(last) && !(first.is_empty() && last.is_empty())
}

/// Which bytes of a file to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All: 200.
    Whole,
    /// These, in this order: 206. One is sent as it is, several as [`super::Multipart`]. Never empty, at most
    /// [`RANGES_MAX`], and together not more bytes than the file has.
    Ranges(Vec<ByteRange>),
    /// None: 416, with [`unsatisfied_content_range`].
    Unsatisfiable,
}

/// Which bytes to send of the file that `validators` describe. To be asked only when the answer would otherwise be
/// 200, after [`super::evaluate`].
///
/// Only GET has ranges (RFC 9110 section 14.2). nginx answers HEAD with 206 as well, which the RFC forbids.
pub fn select(method: &Method, headers: &HeaderMap, validators: &Validators) -> Selection {
    let Some(range) = headers.get(RANGE) else { return Selection::Whole };
    if method != Method::GET || !if_range_holds(headers, validators) {
        return Selection::Whole;
    }
    let value = range.as_bytes().trim_ascii();
    match value.split_at_checked(b"bytes=".len()) {
        Some((unit, set)) if unit.eq_ignore_ascii_case(b"bytes=") && !set.is_empty() => {
            select_from(set, validators.size)
        }
        _ => Selection::Whole,
    }
}

/// Whether the file is still the one that the client has a part of. Without If-Range nobody asks.
fn if_range_holds(headers: &HeaderMap, validators: &Validators) -> bool {
    let mut lines = headers.get_all(IF_RANGE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(only), None) => {
            // Strong comparison: our tag is strong, so an equal one is too, and a weak one is not equal.
            only.as_bytes().trim_ascii() == validators.etag().as_bytes()
                || http_date_seconds(only) == Some(validators.version.seconds())
        }
        (Some(_), Some(_)) => false,
    }
}

/// Applies a range set, what follows `bytes=`, to a file of `size` bytes.
fn select_from(set: &[u8], size: u64) -> Selection {
    let mut ranges = Vec::new();
    // Wide enough for as many of the largest ranges as are allowed.
    let mut total: u128 = 0;
    let mut reader = Reader { rest: set };
    loop {
        let Some(spec) = reader.spec() else { return Selection::Unsatisfiable };
        let (offset, end) = match spec {
            Spec::From(first) => (first, size),
            Spec::Between(first, last) => (first, last.saturating_add(1).min(size)),
            Spec::Last(count) => (size.saturating_sub(count), size),
        };
        if offset < end {
            if ranges.len() == RANGES_MAX {
                return Selection::Whole;
            }
            ranges.push(ByteRange { offset, length: end - offset });
            total += u128::from(end - offset);
        } else if offset == 0 {
            // Only of an empty file: nothing from its beginning is all there is.
            return Selection::Whole;
        }
        if !reader.take(b',') {
            break;
        }
    }
    if ranges.is_empty() {
        return Selection::Unsatisfiable;
    }
    // More than the file has: cheaper to send whole, and it keeps a small request from asking for much (section 14.2).
    if total > u128::from(size) { Selection::Whole } else { Selection::Ranges(ranges) }
}

/// One range as it was asked for (section 14.1.1).
enum Spec {
    /// `first-`
    From(u64),
    /// `first-last`
    Between(u64, u64),
    /// `-count`
    Last(u64),
}

/// Reads a range set from left to right.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// One range and the spaces around it, up to a comma or the end; `None` if that is not what stands here.
    fn spec(&mut self) -> Option<Spec> {
        self.spaces();
        let spec = if self.take(b'-') {
            Spec::Last(self.number()?)
        } else {
            let first = self.number()?;
            self.spaces();
            if !self.take(b'-') {
                return None;
            }
            self.spaces();
            if self.is_at_end_of_spec() { Spec::From(first) } else { Spec::Between(first, self.number()?) }
        };
        self.spaces();
        self.is_at_end_of_spec().then_some(spec)
    }

    /// Digits, at least one; `None` also if they say more than [`NUMBER_MAX`].
    fn number(&mut self) -> Option<u64> {
        let digits = self.rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        // No digits are no number, which `parse` says too.
        std::str::from_utf8(number).ok()?.parse().ok().filter(|&number| number <= NUMBER_MAX)
    }

    /// Spaces; nginx knows no tabs here.
    fn spaces(&mut self) {
        while self.take(b' ') {}
    }

    fn take(&mut self, byte: u8) -> bool {
        let Some((&first, rest)) = self.rest.split_first() else { return false };
        let is_there = first == byte;
        if is_there {
            self.rest = rest;
        }
        is_there
    }

    fn is_at_end_of_spec(&self) -> bool {
        matches!(self.rest.first(), None | Some(b','))
    }
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
