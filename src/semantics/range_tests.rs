//! Ranges as nginx reads them.

use super::*;
use crate::semantics::FrontKind;
use crate::version::Version;
use proptest::prelude::*;

fn file(size: u64) -> Validators {
    Validators { version: Version::from_mtime(1_700_000_000, 5), size, front: FrontKind::Nginx }
}

fn headers(lines: &[(http::HeaderName, &str)]) -> HeaderMap {
    let latin1 =
        |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect::<Vec<_>>();
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, HeaderValue::from_bytes(&latin1(value)).expect("a header value"));
    }
    headers
}

/// The answer in the words of the tables: `whole`, `none`, or first and last byte of each part.
fn answer(headers: &HeaderMap, size: u64) -> String {
    match select(&Method::GET, headers, &file(size)) {
        Selection::Whole => "whole".into(),
        Selection::Unsatisfiable => "none".into(),
        Selection::Ranges(ranges) => {
            let part = |range: &ByteRange| format!("{}-{}", range.offset, range.offset + range.length - 1);
            ranges.iter().map(part).collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn ranges_of_a_file_are_those_that_nginx_sends() {
    // Pinned from nginx 1.22.1: a file of ten bytes; 200 is `whole`, 416 is `none`.
    let cases = [
        ("bytes=0-3", "0-3"),
        ("bytes=3-", "3-9"),
        ("bytes=-3", "7-9"),
        ("bytes=-0", "none"),
        ("bytes=-10", "0-9"),
        ("bytes=-11", "0-9"),
        ("bytes=-99999", "0-9"),
        ("bytes=0-9", "0-9"),
        ("bytes=0-10", "0-9"),
        ("bytes=0-99999", "0-9"),
        ("bytes=9-9", "9-9"),
        ("bytes=9-", "9-9"),
        ("bytes=10-", "none"),
        ("bytes=10-20", "none"),
        ("bytes=5-3", "none"),
        ("bytes=0-0", "0-0"),
        ("bytes=abc", "none"),
        ("bytes=", "whole"),
        ("bytes= ", "whole"),
        ("bytes", "whole"),
        ("bytes=-", "none"),
        ("bytes=--1", "none"),
        ("bytes=-1-", "none"),
        ("bytes=1", "none"),
        ("bytes=1-2-3", "none"),
        ("bytes=0x1-2", "none"),
        ("bytes=+1-2", "none"),
        ("bytes=1.0-2", "none"),
        ("BYTES=0-3", "0-3"),
        ("Bytes=0-3", "0-3"),
        ("bytes =0-3", "whole"),
        ("bytes= 0-3", "0-3"),
        ("bytes=0 -3", "0-3"),
        ("bytes=0- 3", "0-3"),
        ("bytes=0-3 ", "0-3"),
        ("bytes=- 3", "none"),
        ("bytes=\t0-3", "none"),
        ("bytes=0-\t3", "none"),
        ("items=0-3", "whole"),
        ("octets=0-3", "whole"),
        ("bytes=0-3,5-6", "0-3 5-6"),
        ("bytes=0-3, 5-6", "0-3 5-6"),
        ("bytes=0-3 ,5-6", "0-3 5-6"),
        ("bytes=0-3,\t5-6", "none"),
        ("bytes=0-3,", "none"),
        ("bytes=,0-3", "none"),
        ("bytes=0-3,,5-6", "none"),
        ("bytes=0-3;5-6", "none"),
        ("bytes=0-3,bytes=5-6", "none"),
        ("bytes=5-6,0-3", "5-6 0-3"),
        ("bytes=0-3,2-5", "0-3 2-5"),
        ("bytes=0-5,0-3", "0-5 0-3"),
        ("bytes=0-5,0-4", "whole"),
        ("bytes=0-9,0-0", "whole"),
        ("bytes=0-,0-", "whole"),
        ("bytes=0-3,20-30", "0-3"),
        ("bytes=20-30,0-3", "0-3"),
        ("bytes=20-30,40-50", "none"),
        ("bytes=0-3,abc", "none"),
        ("bytes=0-3,-0", "0-3"),
        ("bytes=0-3,8-2", "0-3"),
        ("bytes=5-0", "none"),
        ("bytes=0-3,5-0", "0-3"),
        ("bytes=-3,0-1", "7-9 0-1"),
        ("bytes=-3,-2", "7-9 8-9"),
        ("bytes=0-9223372036854775807", "0-9"),
        ("bytes=0-9223372036854775808", "none"),
        ("bytes=9223372036854775807-", "none"),
        ("bytes=9223372036854775808-", "none"),
        ("bytes=-9223372036854775807", "0-9"),
        ("bytes=-9223372036854775808", "none"),
        ("bytes=0-99999999999999999999", "none"),
        ("bytes=18446744073709551616-", "none"),
        ("bytes=00000000000000000000001-2", "1-2"),
        ("bytes=0-3é", "none"),
        ("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9", "0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7 8-8 9-9"),
        ("bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0", "0-0 0-0 0-0 0-0 0-0 0-0 0-0 0-0 0-0 0-0"),
        ("bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0", "whole"),
        ("none=0-3", "whole"),
        ("bytes=0-3,-", "none"),
        ("bytes=9-20,10-", "9-9"),
        ("bytes:0-3", "whole"),
    ];
    for (value, expected) in cases {
        assert_eq!(answer(&headers(&[(RANGE, value)]), 10), expected, "{value}");
    }
}

#[test]
fn ranges_of_an_empty_file_are_those_that_nginx_sends() {
    // Pinned from nginx 1.22.1.
    let cases = [
        ("bytes=0-", "whole"),
        ("bytes=0-0", "whole"),
        ("bytes=-1", "whole"),
        ("bytes=-0", "whole"),
        ("bytes=0-,0-", "whole"),
        ("bytes=1-,0-", "whole"),
        ("bytes=1-", "none"),
        ("bytes=1-2", "none"),
        ("bytes=abc", "none"),
    ];
    for (value, expected) in cases {
        assert_eq!(answer(&headers(&[(RANGE, value)]), 0), expected, "{value}");
    }
}

#[test]
fn of_several_range_lines_the_first_counts_as_in_nginx() {
    assert_eq!(answer(&headers(&[(RANGE, "bytes=0-1"), (RANGE, "bytes=3-4")]), 10), "0-1");
}

#[test]
fn without_a_range_or_a_method_that_has_ranges_the_file_is_whole() {
    assert_eq!(answer(&headers(&[]), 10), "whole");
    for method in [Method::HEAD, Method::PUT, Method::OPTIONS] {
        let selection = select(&method, &headers(&[(RANGE, "bytes=0-3")]), &file(10));
        assert_eq!(selection, Selection::Whole, "{method}");
    }
}

#[test]
fn if_range_must_name_the_very_state_of_the_file() {
    // Pinned from nginx 1.22.1.
    let cases = [
        ("\"6553f100-a\"", true),
        ("Tue, 14 Nov 2023 22:13:20 GMT", true),
        ("Tuesday, 14-Nov-23 22:13:20 GMT", true),
        ("Tue Nov 14 22:13:20 2023", true),
        ("W/\"6553f100-a\"", false),
        ("\"x\"", false),
        ("\"6553f100-a\", \"x\"", false),
        ("6553f100-a", false),
        ("Tue, 14 Nov 2023 22:13:21 GMT", false),
        ("Tue, 14 Nov 2023 22:13:19 GMT", false),
        ("garbage", false),
        ("*", false),
        ("", false),
    ];
    for (value, holds) in cases {
        let ask = |range| answer(&headers(&[(RANGE, range), (IF_RANGE, value)]), 10);
        assert_eq!(ask("bytes=0-3"), if holds { "0-3" } else { "whole" }, "{value}");
        assert_eq!(ask("bytes=20-"), if holds { "none" } else { "whole" }, "{value}");
    }
    let twice = headers(&[(RANGE, "bytes=0-3"), (IF_RANGE, "\"6553f100-a\""), (IF_RANGE, "\"6553f100-a\"")]);
    assert_eq!(answer(&twice, 10), "whole");
}

#[test]
fn too_many_ranges_get_the_whole_file() {
    let value = |count: usize| format!("bytes=0-0{}", ",1-1".repeat(count - 1));
    let size = RANGES_MAX as u64 * 2;
    let Selection::Ranges(ranges) =
        select(&Method::GET, &headers(&[(RANGE, &value(RANGES_MAX))]), &file(size))
    else {
        panic!("as many as allowed are not too many")
    };
    assert_eq!(ranges.len(), RANGES_MAX);
    assert_eq!(answer(&headers(&[(RANGE, &value(RANGES_MAX + 1))]), size), "whole");
    // As in nginx only those that select something are counted.
    let beyond = format!("bytes=0-0{}", ",9999-".repeat(RANGES_MAX));
    assert_eq!(answer(&headers(&[(RANGE, &beyond)]), size), "0-0");
}

#[test]
fn content_range_names_first_and_last_byte_and_size() {
    assert_eq!(ByteRange { offset: 0, length: 1 }.content_range(10), "bytes 0-0/10");
    assert_eq!(ByteRange { offset: 7, length: 3 }.content_range(10), "bytes 7-9/10");
    assert_eq!(unsatisfied_content_range(0), "bytes */0");
}

/// The slow way: every byte of a small file asked whether a valid range of the RFC's grammar covers it.
fn covered(specs: &[(Option<u8>, Option<u8>)], size: u64) -> Vec<bool> {
    let covers = |at: u64, spec: &(Option<u8>, Option<u8>)| match *spec {
        (Some(first), Some(last)) => u64::from(first) <= at && at <= u64::from(last),
        (Some(first), None) => u64::from(first) <= at,
        (None, Some(count)) => at + u64::from(count) >= size,
        (None, None) => false,
    };
    (0..size).map(|at| specs.iter().any(|spec| covers(at, spec))).collect()
}

proptest! {
    #[test]
    fn the_parts_hold_exactly_the_bytes_asked_for(
        specs in proptest::collection::vec((proptest::option::of(0..40_u8), proptest::option::of(0..40_u8)), 1..5),
        size in 1..40_u64,
    ) {
        let text = |number: Option<u8>| number.map(|number| number.to_string()).unwrap_or_default();
        let set: Vec<_> = specs.iter().map(|&(from, to)| format!("{}-{}", text(from), text(to))).collect();
        let selection = select(&Method::GET, &headers(&[(RANGE, &format!("bytes={}", set.join(",")))]), &file(size));
        let expected = covered(&specs, size);
        match selection {
            Selection::Ranges(ranges) => {
                let mut found = vec![false; expected.len()];
                for range in &ranges {
                    prop_assert!(range.length > 0 && range.offset + range.length <= size);
                    let end = usize::try_from(range.offset + range.length).expect("small");
                    found[usize::try_from(range.offset).expect("small")..end].fill(true);
                }
                prop_assert_eq!(found, expected);
            }
            Selection::Unsatisfiable => {
                prop_assert!(specs.contains(&(None, None)) || !expected.contains(&true));
            }
            Selection::Whole => prop_assert!(expected.contains(&true)),
        }
    }
}
