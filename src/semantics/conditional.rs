//! Conditional requests (RFC 9110 section 13).  Pure.
//!
//! `If-Range` is not here but in [`super::range`]: it decides about bytes, not about the request.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Validators, http_date_seconds};

/// What the conditions of a request say about carrying it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Carry it out.
    Proceed,
    /// The client has this state already: 304.
    NotModified,
    /// The object is not in the state that the client wants: 412.
    Failed,
}

/// Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since` in the order of RFC 9110
/// section 13.2.2. `current` is the state of the object the request names, `None` if it does not exist.
///
/// A GET or HEAD of what does not exist always proceeds, to its 404 (section 13.2.1). Broken dates are ignored, and
/// a broken entity tag is one that matches nothing.
pub fn evaluate(method: &Method, headers: &HeaderMap, current: Option<&Validators>) -> Precondition {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let selects_nothing = matches!(*method, Method::OPTIONS | Method::TRACE | Method::CONNECT);
    if selects_nothing || (is_read && current.is_none()) {
        return Precondition::Proceed;
    }
    let etag = current.map(Validators::etag);
    let modified = current.map(|validators| validators.version.seconds());

    if headers.contains_key(IF_MATCH) {
        if !names(headers, IF_MATCH, etag.as_ref(), Comparison::Strong) {
            return Precondition::Failed;
        }
    } else if let (Some(since), Some(modified)) = (single_date(headers, IF_UNMODIFIED_SINCE), modified)
        && modified > since
    {
        return Precondition::Failed;
    }

    if headers.contains_key(IF_NONE_MATCH) {
        if names(headers, IF_NONE_MATCH, etag.as_ref(), Comparison::Weak) {
            return if is_read { Precondition::NotModified } else { Precondition::Failed };
        }
    } else if is_read
        && let (Some(since), Some(modified)) = (single_date(headers, IF_MODIFIED_SINCE), modified)
        && modified <= since
    {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

/// How entity tags are compared (RFC 9110 section 8.8.3.2). Our own are strong, so only theirs can be weak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a field of entity tags names the current state: by its tag, or by `*` when there is one.
fn names(headers: &HeaderMap, field: HeaderName, etag: Option<&HeaderValue>, comparison: Comparison) -> bool {
    let Some(etag) = etag else { return false };
    let mut lines = headers.get_all(&field).iter();
    if let (Some(only), None) = (lines.next(), lines.next())
        && only.as_bytes().trim_ascii() == b"*"
    {
        return true;
    }
    headers
        .get_all(&field)
        .iter()
        .flat_map(|line| EntityTags { rest: line.as_bytes() })
        .any(|tag| (comparison == Comparison::Weak || !tag.is_weak) && tag.quoted == etag.as_bytes())
}

/// The date of a field, if the field is there once and is a date (section 13.1.3 wants all else ignored).
fn single_date(headers: &HeaderMap, field: HeaderName) -> Option<u64> {
    let mut lines = headers.get_all(field).iter();
    match (lines.next(), lines.next()) {
        (Some(only), None) => http_date_seconds(only),
        _ => None,
    }
}

/// One entity tag of a list.
struct EntityTag<'a> {
    is_weak: bool,
    /// With its quotes.
    quoted: &'a [u8],
}

/// Reads a list of entity tags (section 8.8.3) and passes over elements that are none.
struct EntityTags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for EntityTags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        loop {
            let skipped = self.rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
            let (_, element) = self.rest.split_at(skipped);
            let unprefixed = element.strip_prefix(b"W/");
            let tag = unprefixed.unwrap_or(element);
            let length = match tag.strip_prefix(b"\"") {
                // The opening quote, what is between, the closing quote. A comma in between belongs to the tag.
                Some(inner) => inner.iter().position(|&byte| byte == b'"')? + 2,
                None => 0,
            };
            let (quoted, after) = tag.split_at(length);
            let comma = after.iter().position(|&byte| byte == b',').unwrap_or(after.len());
            let (between, rest) = after.split_at(comma);
            self.rest = rest;
            if !quoted.is_empty() && between.trim_ascii().is_empty() {
                return Some(EntityTag { is_weak: unprefixed.is_some(), quoted });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Precondition::{Failed, NotModified, Proceed};
    use super::*;
    use crate::semantics::FrontKind;
    use crate::version::Version;

    /// The file that nginx was asked for: ten bytes, mtime 1700000000.
    const ETAG: &str = "\"6553f100-a\"";
    const EARLIER: &str = "Mon, 14 Nov 2022 22:13:20 GMT";
    const EXACT: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const LATER: &str = "Thu, 14 Nov 2024 22:13:20 GMT";

    fn current() -> Validators {
        Validators { version: Version::from_mtime(1_700_000_000, 5), size: 10, front: FrontKind::Nginx }
    }

    /// Header lines as `name: value`, separated by `|`; ETAG, EARLIER, EXACT and LATER stand for their values.
    fn headers(lines: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines.split('|').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("name: value");
            let value = [("ETAG", ETAG), ("EARLIER", EARLIER), ("EXACT", EXACT), ("LATER", LATER)]
                .iter()
                .fold(value.to_owned(), |text, (word, meaning)| text.replace(word, meaning));
            let latin1: Vec<u8> =
                value.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
            let name: HeaderName = name.parse().expect("a header name");
            headers.append(name, HeaderValue::from_bytes(&latin1).expect("a header value"));
        }
        headers
    }

    #[test]
    fn reads_are_answered_as_nginx_answers_them() {
        // Pinned from nginx 1.22.1 with `if_modified_since before`.
        let cases = [
            ("", Proceed),
            ("if-none-match: ETAG", NotModified),
            ("if-none-match: W/ETAG", NotModified),
            ("if-none-match: *", NotModified),
            ("if-none-match: \"x\", ETAG", NotModified),
            ("if-none-match: \"x\",\"a,b\" ,ETAG", NotModified),
            ("if-none-match: \"é\", ETAG", NotModified),
            ("if-none-match: 6553f100-a", Proceed),
            ("if-none-match: \"x\", *", Proceed),
            ("if-none-match: ", Proceed),
            ("if-none-match: \"x\"|if-modified-since: EXACT", Proceed),
            ("if-match: ETAG", Proceed),
            ("if-match: W/ETAG", Failed),
            ("if-match: \"x\"", Failed),
            ("if-match: *", Proceed),
            ("if-match: ", Failed),
            ("if-match: ETAG|if-none-match: ETAG", NotModified),
            ("if-unmodified-since: EXACT", Proceed),
            ("if-unmodified-since: EARLIER", Failed),
            ("if-modified-since: EXACT", NotModified),
            ("if-modified-since: LATER", NotModified),
            ("if-modified-since: EARLIER", Proceed),
            ("if-modified-since: garbage", Proceed),
            ("if-none-match: ETAG|range: bytes=0-3", NotModified),
        ];
        for (lines, expected) in cases {
            for method in [Method::GET, Method::HEAD] {
                assert_eq!(
                    evaluate(&method, &headers(lines), Some(&current())),
                    expected,
                    "{method} {lines}"
                );
            }
        }
    }

    #[test]
    fn where_nginx_departs_from_the_rfc_the_rfc_is_followed() {
        let cases = [
            // If-None-Match overrules If-Modified-Since, If-Match overrules If-Unmodified-Since (section 13.2.2).
            ("if-none-match: ETAG|if-modified-since: EARLIER", NotModified),
            ("if-match: ETAG|if-unmodified-since: EARLIER", Proceed),
            // A date that is none is ignored (sections 13.1.3 and 13.1.4).
            ("if-unmodified-since: garbage", Proceed),
            ("if-unmodified-since: Tue, 99 Nov 2023 22:13:20 GMT", Proceed),
            ("if-modified-since: EXACT|if-modified-since: EXACT", Proceed),
            // Lines of one field are one list (section 5.3).
            ("if-none-match: \"x\"|if-none-match: ETAG", NotModified),
            ("if-match: \"x\"|if-match: ETAG", Proceed),
            ("if-match: *|if-match: *", Failed),
        ];
        for (lines, expected) in cases {
            assert_eq!(evaluate(&Method::GET, &headers(lines), Some(&current())), expected, "{lines}");
        }
    }

    #[test]
    fn all_forms_of_dates_count() {
        for date in
            ["Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023", " Tue, 14 Nov 2023 22:13:20 GMT "]
        {
            let lines = format!("if-modified-since: {date}");
            assert_eq!(evaluate(&Method::GET, &headers(&lines), Some(&current())), NotModified, "{date}");
        }
    }

    #[test]
    fn broken_tags_match_nothing() {
        for value in [
            "\"6553f100-a",
            "6553f100-a\"",
            "W/",
            "W/*",
            "w/ETAG",
            "ETAGx",
            "xETAG",
            "\"\"",
            "ETAG\"",
            ",,",
            "**",
        ] {
            let value = value.replace("ETAG", ETAG);
            let found = evaluate(&Method::PUT, &headers(&format!("if-match: {value}")), Some(&current()));
            assert_eq!(found, Failed, "{value}");
        }
        let mixed = headers("if-match: junk, W/ETAG \"\", ,\t ETAG ,");
        assert_eq!(evaluate(&Method::PUT, &mixed, Some(&current())), Proceed);
    }

    #[test]
    fn writes_are_checked_against_what_is_there() {
        let there = current();
        let cases = [
            ("if-none-match: *", Some(&there), Failed),
            ("if-none-match: *", None, Proceed),
            ("if-none-match: ETAG", Some(&there), Failed),
            ("if-none-match: ETAG", None, Proceed),
            ("if-match: *", Some(&there), Proceed),
            ("if-match: *", None, Failed),
            ("if-match: ETAG", Some(&there), Proceed),
            ("if-match: ETAG", None, Failed),
            ("if-match: W/ETAG", Some(&there), Failed),
            ("if-unmodified-since: EARLIER", Some(&there), Failed),
            ("if-unmodified-since: EXACT", Some(&there), Proceed),
            // Nothing that could have been modified: the condition does not apply (section 13.1.4).
            ("if-unmodified-since: EARLIER", None, Proceed),
            // Only for reads (section 13.1.3).
            ("if-modified-since: LATER", Some(&there), Proceed),
        ];
        for (lines, current, expected) in cases {
            for method in [Method::PUT, Method::DELETE] {
                assert_eq!(
                    evaluate(&method, &headers(lines), current),
                    expected,
                    "{method} {lines} {current:?}"
                );
            }
        }
    }

    #[test]
    fn conditions_do_not_turn_a_404_into_something_else_and_mean_nothing_to_options() {
        for lines in ["if-match: ETAG", "if-match: *", "if-none-match: *", "if-unmodified-since: EARLIER"] {
            assert_eq!(evaluate(&Method::GET, &headers(lines), None), Proceed, "{lines}");
            assert_eq!(evaluate(&Method::OPTIONS, &headers(lines), Some(&current())), Proceed, "{lines}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_evaluation_panic(
            value in proptest::collection::vec(proptest::sample::select(&b"W/\"*, \t6553f100-a\xe9"[..]), 0..60),
        ) {
            let line = HeaderValue::from_bytes(&value).expect("all of these may stand in a header");
            for field in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
                let headers = HeaderMap::from_iter([(field.clone(), line.clone())]);
                let found = evaluate(&Method::PUT, &headers, Some(&current()));
                proptest::prop_assert!(found != NotModified, "{field} answered 304 to a PUT");
                if field == IF_MATCH && found == Proceed {
                    let names_it = value.windows(ETAG.len()).any(|window| window == ETAG.as_bytes());
                    proptest::prop_assert!(names_it || value.trim_ascii() == b"*");
                }
            }
        }
    }
}
