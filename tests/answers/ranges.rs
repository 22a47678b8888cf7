//! Range and If-Range (RFC 9110 sections 13.1.5 and 14).

use super::case::{
    A, Case, Content, Expected, LENGTH, Want, answer, bare, case, head_of, of_a, replaced, stored, whole,
};
use super::facts::{APACHE_416, GO_RANGES, HEAD_RANGE, LIGHTTPD_416, LIGHTTPD_NONSENSE};
use crate::common::noise;

/// A server may ignore a Range, above all one that makes no sense.
const IGNORED: &str =
    "RFC 9110 section 14.2: a server may ignore Range, and refuse or ignore what is invalid";

pub fn cases() -> Vec<Case> {
    [single(), several(), refused(), if_range(), elsewhere()].concat()
}

fn get(name: &'static str, range: &str) -> Case {
    of_a(name, "GET").header("Range", range)
}

/// One part: 206.
fn part(first: usize, last: usize) -> Expected {
    part_of(&stored(), first, last)
}

fn part_of(all: &[u8], first: usize, last: usize) -> Expected {
    let range: &'static str = format!("bytes {first}-{last}/{}", all.len()).leak();
    let length: &'static str = (last + 1 - first).to_string().leak();
    let body = Content::Is(all[first..=last].to_vec());
    let expected = Expected { body, validators: true, ..answer(206) };
    let expected = expected.with("Content-Range", Want::Is(range)).with("Content-Length", Want::Is(length));
    expected.with("Content-Type", Want::Is("image/jpeg"))
}

/// Several parts: 206.
fn parts(parts: &[(usize, usize)]) -> Expected {
    let expected = Expected { body: Content::Parts(parts.to_vec()), validators: true, ..answer(206) };
    expected.with("Content-Range", Want::Absent)
}

/// Nothing of it is there: 416, with the length that there is (section 15.5.17).
fn unsatisfiable() -> Expected {
    answer(416).with("Content-Range", Want::Is("bytes */1000"))
}

/// A part that is not there.
fn gone(case: Case) -> Case {
    case.expect(unsatisfiable()).except(&APACHE_416, answer(416)).except(&LIGHTTPD_416, answer(416))
}

fn all() -> Expected {
    whole(stored()).with("Content-Range", Want::Absent)
}

fn single() -> Vec<Case> {
    let ranges = [
        ("the first byte", "bytes=0-0", 0, 0),
        ("the first hundred bytes", "bytes=0-99", 0, 99),
        ("ten bytes in the middle", "bytes=10-19", 10, 19),
        ("all from the middle on", "bytes=500-", 500, 999),
        ("all from the first byte on", "bytes=0-", 0, 999),
        ("the last byte by its number", "bytes=999-999", 999, 999),
        ("the last byte by its distance", "bytes=-1", 999, 999),
        ("the last hundred bytes", "bytes=-100", 900, 999),
        ("as many last bytes as there are", "bytes=-1000", 0, 999),
        ("more last bytes than there are", "bytes=-2000", 0, 999),
        ("more bytes than there are", "bytes=0-99999", 0, 999),
        ("all bytes by their numbers", "bytes=0-999", 0, 999),
        ("the end, and beyond it", "bytes=990-2000", 990, 999),
    ];
    let mut cases: Vec<Case> = ranges
        .into_iter()
        .map(|(name, range, first, last)| get(name, range).expect(part(first, last)))
        .collect();
    let large = noise(6, 700_000);
    cases.push(
        case("a part of a large file", "GET", A)
            .stored(A, large.clone())
            .header("Range", "bytes=100000-399999")
            .expect(part_of(&large, 100_000, 399_999)),
    );
    cases.push(
        case("the end of a large file", "GET", A)
            .stored(A, large.clone())
            .header("Range", "bytes=-300000")
            .expect(part_of(&large, 400_000, 699_999)),
    );
    cases
}

fn several() -> Vec<Case> {
    let coalesced = "RFC 9110 section 15.3.7.2: ranges that overlap or adjoin may be joined";
    vec![
        get("two parts", "bytes=0-9,500-599").expect(parts(&[(0, 9), (500, 599)])),
        get("three parts, the last one from the end", "bytes=0-9,500-599,-10").expect(parts(&[
            (0, 9),
            (500, 599),
            (990, 999),
        ])),
        get("parts with spaces between them", "bytes=0-9, 500-599")
            .expect(parts(&[(0, 9), (500, 599)]))
            .or(all(), IGNORED),
        get("parts in another order", "bytes=500-599,0-9")
            .expect(parts(&[(500, 599), (0, 9)]))
            .or(parts(&[(0, 9), (500, 599)]), "RFC 9110 section 15.3.7.2: the order may be another"),
        get("of two parts only one is there", "bytes=0-1,5000-6000").expect(part(0, 1)).or(
            parts(&[(0, 1)]),
            "RFC 9110 section 15.3.7.2: a single part of several asked for may be multipart",
        ),
        gone(get("of several parts none is there", "bytes=5000-,6000-")),
        get("parts that overlap", "bytes=0-600,400-999")
            .expect(all())
            .or(part(0, 999), coalesced)
            .or(parts(&[(0, 600), (400, 999)]), coalesced),
        get("the whole many times over", "bytes=0-,0-,0-,0-,0-,0-").expect(all()).or(part(0, 999), coalesced),
    ]
}

fn refused() -> Vec<Case> {
    let not_there = [
        ("a part behind the end", "bytes=1000-"),
        ("a part far behind the end", "bytes=5000-6000"),
        ("no last bytes", "bytes=-0"),
    ];
    let invalid = [
        ("a part that ends before it begins", "bytes=5-3"),
        ("no part", "bytes="),
        ("letters for numbers", "bytes=a-b"),
        ("a number alone", "bytes=1"),
        ("two numbers too many", "bytes=0-1-2"),
        ("a part and nonsense", "bytes=0-1,x"),
        ("two signs", "bytes=--1"),
    ];
    let not_there = not_there.into_iter().map(|(name, range)| match range {
        "bytes=-0" => get(name, range)
            .expect(unsatisfiable())
            .or(all(), IGNORED)
            .except(&LIGHTTPD_416, answer(416))
            .except(&GO_RANGES, bare(206)),
        _ => gone(get(name, range)),
    });
    let invalid = invalid.into_iter().map(|(name, range)| {
        let name: &'static str = format!("a range of {name} is ignored or refused").leak();
        let case = get(name, range).expect(all()).or(answer(416), IGNORED);
        if range.ends_with('x') { case.except(&LIGHTTPD_NONSENSE, part(0, 1)) } else { case }
    });
    let unknown = [
        get("a range of another unit is ignored", "items=0-1").expect(all()).except(&GO_RANGES, answer(416)),
        get("a range without a unit is ignored", "0-1").expect(all()).except(&GO_RANGES, answer(416)),
    ];
    not_there.chain(invalid).chain(unknown).collect()
}

fn if_range() -> Vec<Case> {
    let get = |name, condition: &str, range: &str| {
        of_a(name, "GET").header("If-Range", condition).header("Range", range)
    };
    vec![
        get("If-Range with the ETag sends the part", "{etag}", "bytes=0-9").expect(part(0, 9)),
        get("If-Range with another ETag sends all", "\"other\"", "bytes=0-9").expect(all()),
        get("If-Range with a weak ETag sends all", "W/{etag}", "bytes=0-9").expect(all()),
        get("If-Range with the date sends the part", "{date}", "bytes=0-9")
            .expect(part(0, 9))
            .or(all(), "RFC 9110 section 13.1.5: a date that is too young is no strong validator"),
        get("If-Range with an earlier date sends all", "{date-1}", "bytes=0-9").expect(all()),
        get("If-Range with a later date sends all, for it must be the very one", "{date+1}", "bytes=0-9")
            .expect(all()),
        get("If-Range with nonsense sends all", "nonsense", "bytes=0-9").expect(all()),
        gone(get("If-Range with the ETag and a part that is not there is 416", "{etag}", "bytes=5000-")),
        get("If-Range with another ETag and a part that is not there sends all", "\"other\"", "bytes=5000-")
            .expect(all()),
        get("If-Range with the ETag sends several parts", "{etag}", "bytes=0-9,500-599")
            .expect(parts(&[(0, 9), (500, 599)])),
        of_a("If-Range without Range says nothing", "GET").header("If-Range", "{etag}").expect(all()),
    ]
}

fn elsewhere() -> Vec<Case> {
    vec![
        of_a("HEAD knows no Range", "HEAD")
            .header("Range", "bytes=0-9")
            .expect(head_of(stored()).with("Content-Range", Want::Absent))
            .except(&HEAD_RANGE, Expected { body: Content::Is(Vec::new()), ..part(0, 9) }),
        of_a("PUT knows no Range", "PUT")
            .header("Range", "bytes=0-1")
            .body("other")
            .expect(replaced())
            .then(A, "other"),
        of_a("DELETE knows no Range", "DELETE")
            .header("Range", "bytes=0-1")
            .expect(answer(204))
            .then_missing(A),
        case("a part of what is missing is missing", "GET", A)
            .header("Range", "bytes=0-1")
            .expect(answer(404)),
        case("a part of a file without bytes is nothing or 416", "GET", A)
            .stored(A, "")
            .header("Range", "bytes=0-0")
            .expect(answer(416).with("Content-Range", Want::Is("bytes */0")))
            .or(whole(Vec::new()), IGNORED),
        get("the file has not changed, whatever part of it is asked for", "bytes=0-9")
            .header("If-None-Match", "{etag}")
            .expect(super::case::not_modified()),
        get("the file is another, whatever part of it is asked for", "bytes=0-9")
            .header("If-Match", "\"other\"")
            .expect(answer(412)),
        get("a part of a file that is known to be the right one", "bytes=0-9")
            .header("If-Match", "{etag}")
            .expect(part(0, 9)),
        get("the unit may be written large", "BYTES=0-9")
            .expect(part(0, 9))
            .or(all(), IGNORED)
            .except(&GO_RANGES, answer(416)),
    ]
}

const _: () = assert!(LENGTH == 1000, "the ranges are written for this length");
