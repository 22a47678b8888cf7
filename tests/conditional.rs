//! Conditionals and ranges: webdfs answers as nginx does for the same file, whichever way it is delivered.
//!
//! nginx itself is the oracle: what it answers for a static file is compared with what webdfs answers for one with the
//! same bytes. Where webdfs differs on purpose, the reason stands beside the case.

mod common;

use std::time::{Duration, SystemTime};

use common::{Answer, Call, Cluster, Front, noise, shared};

const LENGTH: usize = 1000;

/// An object's validators, to build requests with.
struct Known<'a> {
    etag: &'a str,
    modified: SystemTime,
}

impl Known<'_> {
    /// The date of the object, moved by so many seconds.
    fn date(&self, seconds: i64) -> String {
        let moved = Duration::from_secs(seconds.unsigned_abs());
        httpdate::fmt_http_date(if seconds < 0 { self.modified - moved } else { self.modified + moved })
    }
}

/// The headers of one request, written with `{etag}`, and `{date}`, `{date+1}` or `{date-1}` for the object's own
/// date and one a day later or earlier; and why webdfs may differ from nginx.
type Case = (&'static [(&'static str, &'static str)], Option<&'static str>);

const CASES: &[Case] = &[
    (&[], None),
    // One range.
    (&[("Range", "bytes=0-0")], None),
    (&[("Range", "bytes=0-")], None),
    (&[("Range", "bytes=10-19")], None),
    (&[("Range", "bytes=999-")], None),
    (&[("Range", "bytes=0-99999")], None),
    (&[("Range", "bytes=-1")], None),
    (&[("Range", "bytes=-1000")], None),
    (&[("Range", "bytes=-2000")], None),
    (&[("Range", "bytes=0-99999999999999999998")], None),
    (&[("Range", "bytes=0-9223372036854775806")], None),
    (&[("Range", "BYTES=0-1")], None),
    (&[("Range", "bytes= 0 - 1 ")], None),
    // Beyond the end, and nonsense.
    (&[("Range", "bytes=1000-")], None),
    (&[("Range", "bytes=5000-6000")], None),
    (&[("Range", "bytes=-0")], None),
    (&[("Range", "bytes=5-3")], None),
    (&[("Range", "bytes=")], None),
    (&[("Range", "bytes=a-b")], None),
    (&[("Range", "bytes=1")], None),
    (&[("Range", "bytes=--1")], None),
    (&[("Range", "bytes=0-1-2")], None),
    (&[("Range", "items=0-1")], None),
    (&[("Range", "0-1")], None),
    (&[("Range", "bytes=99999999999999999999-")], None),
    // Several ranges.
    (&[("Range", "bytes=0-1,5-6")], None),
    (&[("Range", "bytes=5-6,0-1")], None),
    (&[("Range", "bytes=0-1, 2-3 ,-1")], None),
    (&[("Range", "bytes=0-1,5000-6000")], None),
    (&[("Range", "bytes=5000-,6000-")], None),
    (&[("Range", "bytes=0-600,400-999")], None),
    (&[("Range", "bytes=0-,0-,0-,0-")], None),
    (&[("Range", "bytes=0-1,x")], None),
    (&[("Range", "bytes=0-1,")], None),
    // If-None-Match.
    (&[("If-None-Match", "{etag}")], None),
    (&[("If-None-Match", "W/{etag}")], None),
    (&[("If-None-Match", "\"other\"")], None),
    (&[("If-None-Match", "\"other\", {etag}")], None),
    (&[("If-None-Match", "\"other\",W/{etag} , \"more\"")], None),
    (&[("If-None-Match", "*")], None),
    (&[("If-None-Match", "garbage")], None),
    (&[("If-None-Match", "{etag}"), ("Range", "bytes=0-1")], None),
    // If-Modified-Since.
    (&[("If-Modified-Since", "{date}")], None),
    (&[("If-Modified-Since", "{date+1}")], None),
    (&[("If-Modified-Since", "{date-1}")], None),
    (&[("If-Modified-Since", "yesterday")], None),
    (&[("If-Modified-Since", "")], None),
    (&[("If-Modified-Since", "Sat, 06 Nov 2094 08:49:37 GMT")], None),
    (&[("If-Modified-Since", "{date}"), ("Range", "bytes=0-1")], None),
    // Both.
    (&[("If-None-Match", "{etag}"), ("If-Modified-Since", "{date}")], None),
    (&[("If-None-Match", "\"other\""), ("If-Modified-Since", "{date}")], None),
    (
        &[("If-None-Match", "{etag}"), ("If-Modified-Since", "{date-1}")],
        Some("RFC 9110 section 13.2.2: If-None-Match decides alone; nginx asks both"),
    ),
    // If-Match and If-Unmodified-Since.
    (&[("If-Match", "{etag}")], None),
    (&[("If-Match", "*")], None),
    (&[("If-Match", "\"other\"")], None),
    (&[("If-Match", "\"other\", {etag}")], None),
    (&[("If-Match", "W/{etag}")], None),
    (&[("If-Match", "{etag}"), ("If-None-Match", "{etag}")], None),
    (&[("If-Match", "\"other\""), ("If-None-Match", "{etag}")], None),
    (&[("If-Unmodified-Since", "{date}")], None),
    (&[("If-Unmodified-Since", "{date+1}")], None),
    (&[("If-Unmodified-Since", "{date-1}")], None),
    (
        &[("If-Unmodified-Since", "tomorrow")],
        Some("RFC 9110 section 13.1.4: a date that is none is ignored; nginx answers 412"),
    ),
    // If-Range.
    (&[("If-Range", "{etag}"), ("Range", "bytes=0-1")], None),
    (&[("If-Range", "W/{etag}"), ("Range", "bytes=0-1")], None),
    (&[("If-Range", "\"other\""), ("Range", "bytes=0-1")], None),
    (&[("If-Range", "{date}"), ("Range", "bytes=0-1")], None),
    (&[("If-Range", "{date-1}"), ("Range", "bytes=0-1")], None),
    (&[("If-Range", "{date+1}"), ("Range", "bytes=0-1")], None),
    (&[("If-Range", "garbage"), ("Range", "bytes=0-1")], None),
    (&[("If-Range", "{etag}"), ("Range", "bytes=5000-")], None),
    (&[("If-Range", "\"other\""), ("Range", "bytes=5000-")], None),
    (&[("If-Range", "{etag}"), ("Range", "bytes=0-1,5-6")], None),
];

fn call(method: &str, target: &str, case: &Case, known: &Known) -> Call {
    case.0.iter().fold(Call::new(method, target), |call, (name, value)| {
        let value = value
            .replace("{etag}", known.etag)
            .replace("{date}", &known.date(0))
            .replace("{date+1}", &known.date(86_400))
            .replace("{date-1}", &known.date(-86_400));
        call.header(name, &value)
    })
}

/// What of an answer is the same whoever gives it: the object's validators and the boundary get common names.
fn comparable(answer: Answer, known: &Known) -> String {
    let mut lines = vec![answer.status.to_string()];
    let mut boundary = None;
    for name in ["Content-Type", "Content-Length", "Content-Range", "ETag", "Last-Modified", "Accept-Ranges"]
    {
        let value = answer.header(name);
        // nginx describes its own error pages; what is said there is not about the object.
        let about_page = answer.status >= 400 && matches!(name, "Content-Type" | "Content-Length");
        if about_page {
            continue;
        }
        let value = value.map(|value| match value.split_once("boundary=") {
            Some((kind, text)) => {
                boundary = Some(text.to_owned());
                format!("{kind}boundary=BOUNDARY of {} characters", text.len())
            }
            None => value.replace(known.etag, "ETAG").replace(&known.date(0), "DATE"),
        });
        lines.push(format!("{name}: {value:?}"));
    }
    if answer.status < 400 {
        let mut body = answer.body.escape_ascii().to_string();
        if let Some(boundary) = boundary {
            body = body.replace(&boundary, "BOUNDARY");
        }
        lines.push(body);
    }
    lines.join("\n")
}

/// One way to an object.
struct Way<'a> {
    name: &'static str,
    cluster: &'a Cluster,
    beside: bool,
    target: String,
    etag: String,
    modified: SystemTime,
}

impl<'a> Way<'a> {
    /// Stores an object of these bytes to be read on this way.
    fn to(name: &'static str, cluster: &'a Cluster, beside: bool, target: String, body: &[u8]) -> Self {
        let stored = cluster.put(0, &target, body).expect(201);
        let modified = httpdate::parse_http_date(stored.header("Last-Modified").unwrap()).unwrap();
        Self { name, cluster, beside, target, etag: stored.etag().to_owned(), modified }
    }

    fn answer(&self, method: &str, case: &Case) -> String {
        let known = Known { etag: &self.etag, modified: self.modified };
        let call = call(method, &self.target, case, &known);
        let address = if self.beside { self.cluster.side_address(0) } else { self.cluster.address(0) };
        comparable(call.send(address), &known)
    }
}

fn compare(method: &str, length: usize, allowed: impl Fn(&Case) -> bool) {
    let (nginx, responder) = (shared(Front::Nginx), shared(Front::Responder));
    let body = noise(1, length);
    let target = format!("/compared/{method}-{length}.jpg");
    let no_path = format!("/compared/{method}-{length}/{}.jpg", "x".repeat(300));
    let oracle = Way::to("nginx", &nginx, false, target.clone(), &body);
    let ways = [
        Way::to("the responder", &responder, false, target, &body),
        Way::to("the responder, for a file without a path", &nginx, false, no_path, &body),
        Way {
            name: "the embedded front",
            beside: true,
            etag: oracle.etag.clone(),
            target: oracle.target.clone(),
            ..oracle
        },
    ];
    let mut differing = Vec::new();
    for case in CASES {
        let expected = oracle.answer(method, case);
        for way in &ways {
            let answer = way.answer(method, case);
            if answer != expected && !allowed(case) {
                differing.push(format!(
                    "{method} {:?}\n-- nginx\n{expected}\n-- {}\n{answer}\n",
                    case.0, way.name
                ));
            }
        }
    }
    // Cut, so that the bytes of a large file do not bury the rest.
    let differing: Vec<_> =
        differing.iter().map(|text| text.chars().take(1500).collect::<String>()).collect();
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn get_of_a_small_object_is_answered_as_nginx_answers_it() {
    compare("GET", LENGTH, |case| case.1.is_some());
}

#[test]
fn get_of_an_object_left_to_nginx_is_answered_alike_on_every_way() {
    compare("GET", 300_000, |case| case.1.is_some());
}

#[test]
fn get_of_an_object_without_bytes_is_answered_as_nginx_answers_it() {
    compare("GET", 0, |case| case.1.is_some());
}

#[test]
fn head_is_answered_as_nginx_answers_it() {
    // RFC 9110 section 14.2: Range is defined for GET alone; nginx applies it to HEAD too.
    let has_range = |case: &Case| case.0.iter().any(|(name, _)| *name == "Range");
    compare("HEAD", LENGTH, |case| case.1.is_some() || has_range(case));
}
