//! Names of any bytes and any length, and the types they have.

use super::case::{Case, Want, answer, case, created, head_of, whole};
use super::facts::{APACHE_NO_TYPE, LIGHTTPD_UTF8};
use crate::common::noise;

pub fn cases() -> Vec<Case> {
    [bytes(), raw(), lengths(), file_and_folder(), types()].concat()
}

/// Percent-encoded: name of the case, target.
const BYTES: [(&str, &str); 26] = [
    ("a space", "{}/a%20b.jpg"),
    ("a space alone", "{}/%20.jpg"),
    ("a space at the end", "{}/a.jpg%20"),
    ("an apostrophe", "{}/it's.jpg"),
    ("quotes", "{}/%22quoted%22.jpg"),
    ("a percent sign", "{}/100%25.jpg"),
    ("what looks like a percent form", "{}/a%252Fb.jpg"),
    ("a question mark", "{}/what%3Fnow.jpg"),
    ("a hash", "{}/no%231.jpg"),
    ("an ampersand", "{}/a&b%26c.jpg"),
    ("a plus", "{}/1+1%2B1.jpg"),
    ("a semicolon", "{}/a;b%3Bc.jpg"),
    ("other delimiters", "{}/a=b,c@d!(e)$f*g~h:i.jpg"),
    ("angle brackets", "{}/%3Ca%3E.jpg"),
    ("a backslash", "{}/a%5Cb.jpg"),
    ("brackets and bars", "{}/%5Ba%5D%7Bb%7D%7Cc%5Ed%60.jpg"),
    ("UTF-8 letters", "{}/%C3%A9%E2%82%AC.jpg"),
    ("a UTF-8 cat", "{}/%F0%9F%90%88.jpg"),
    ("a Latin-1 letter", "{}/latin-%E9.jpg"),
    ("bytes that are no text", "{}/%FF%FE%80.jpg"),
    ("a tab", "{}/a%09b.jpg"),
    ("a line feed", "{}/a%0Ab.jpg"),
    ("a carriage return and a header", "{}/a%0D%0AX-Split:%20yes.jpg"),
    ("control characters", "{}/%01%1F%7F.jpg"),
    ("no extension", "{}/no-extension"),
    ("a dash in front", "{}/-rf.jpg"),
];

fn bytes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, (what, target)) in BYTES.into_iter().enumerate() {
        let name = |verb: &str| -> &'static str { format!("a name with {what} is {verb}").leak() };
        let body = noise(number as u64, 2000);
        let unsplit = |expected: super::case::Expected| expected.with("X-Split", Want::Absent);
        cases.push(
            case(name("stored"), "PUT", target)
                .body(body.clone())
                .expect(unsplit(created()))
                .then(target, body.clone()),
        );
        cases.push(
            case(name("read"), "GET", target)
                .stored(target, body.clone())
                .expect(unsplit(whole(body.clone()))),
        );
        if number % 3 == 0 {
            cases.push(
                case(name("asked for"), "HEAD", target)
                    .stored(target, body.clone())
                    .expect(head_of(body.clone())),
            );
            cases.push(
                case(name("deleted"), "DELETE", target)
                    .stored(target, body)
                    .expect(answer(204))
                    .then_missing(target),
            );
        }
    }
    // Large enough to be left to the web server (X-Accel-Redirect, X-Sendfile): each server's own escaping.
    for (what, target) in BYTES {
        let name: &'static str = format!("a large file with {what} in its name is read").leak();
        let body = noise(11, 300_000);
        cases.push(case(name, "GET", target).stored(target, body.clone()).expect(whole(body)));
    }
    cases
}

/// Not encoded: RFC 3986 has no such characters in a URL, so that a server may refuse them, or take them as they are.
fn raw() -> Vec<Case> {
    const REFUSED: &str = "RFC 9112 section 3.2: what is no URL may be refused";
    let raw: [(&str, &[u8], &str); 4] = [
        ("UTF-8 that is not encoded", b"{}/\xc3\xa9.jpg", "{}/%C3%A9.jpg"),
        ("Latin-1 that is not encoded", b"{}/\xe9.jpg", "{}/%E9.jpg"),
        ("quotes that are not encoded", b"{}/\"a\".jpg", "{}/%22a%22.jpg"),
        ("a bar that is not encoded", b"{}/a|b.jpg", "{}/a%7Cb.jpg"),
    ];
    let read = |(what, target, stored): (&'static str, &[u8], &str)| {
        let read = case(what, "GET", target).stored(stored, noise(12, 2000));
        let read = read.expect(whole(noise(12, 2000))).or(answer(400), REFUSED);
        if target.contains(&0xe9) && !target.contains(&0xc3) {
            read.except_closed(&LIGHTTPD_UTF8)
        } else {
            read
        }
    };
    raw.into_iter().map(read).collect()
}

/// File systems have names of 255 bytes; webdfs has longer ones, and paths of 1,024.
fn lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [255, 256, 900] {
        let target = format!("{{}}/{}.jpg", "n".repeat(length - 4));
        let name = |verb: &str| -> &'static str { format!("a segment of {length} bytes is {verb}").leak() };
        let body = noise(length as u64, 3000);
        cases.push(
            case(name("stored"), "PUT", &target)
                .body(body.clone())
                .expect(created())
                .then(&target, body.clone()),
        );
        cases.push(
            case(name("read"), "GET", &target).stored(&target, body.clone()).expect(whole(body.clone())),
        );
        cases.push(
            case(name("asked for"), "HEAD", &target)
                .stored(&target, body.clone())
                .expect(head_of(body.clone())),
        );
        cases.push(
            case(name("deleted"), "DELETE", &target)
                .stored(&target, body)
                .expect(answer(204))
                .then_missing(&target),
        );
    }
    // With the folder it has 1,024 and 1,025 bytes: `{key}` is filled up.
    for (length, right) in [(1024, true), (1025, false)] {
        let target = format!("{{}}/{}", long_tail(length));
        let name = |method: &str| -> &'static str { format!("{method} of a name of {length} bytes").leak() };
        if right {
            cases.push(case(name("PUT"), "PUT", &target).body("x").expect(created()).then(&target, "x"));
            cases.push(case(name("GET"), "GET", &target).stored(&target, "x").expect(whole(b"x".to_vec())));
        } else {
            cases.push(case(name("PUT"), "PUT", &target).body("x").expect(answer(400)));
            cases.push(case(name("GET"), "GET", &target).expect(answer(400)));
        }
    }
    cases
}

/// So many bytes less the folder and its slashes, in segments of a hundred bytes. Folders have [`FOLDER_BYTES`].
fn long_tail(length: usize) -> String {
    let bytes = length - FOLDER_BYTES - 1;
    let segments: String = (0..bytes).map(|at| if at % 100 == 99 { '/' } else { 'k' }).collect();
    segments.strip_suffix('/').map(|rest| format!("{rest}k")).unwrap_or(segments)
}

/// The length of every folder that `run` makes, without its first slash.
pub const FOLDER_BYTES: usize = "answers/00000".len();

fn file_and_folder() -> Vec<Case> {
    const FILE: &str = "{}/x";
    const BELOW: &str = "{}/x/a.jpg";
    let file_first =
        |name, method, target| case(name, method, target).stored(FILE, "file").stored(BELOW, "below");
    let folder_first =
        |name, method, target| case(name, method, target).stored(BELOW, "below").stored(FILE, "file");
    let file = || whole(b"file".to_vec());
    let below = || whole(b"below".to_vec());
    vec![
        file_first("a file whose name is then a folder is read", "GET", FILE).expect(file()),
        file_first("a file below the name of a file is read", "GET", BELOW).expect(below()),
        folder_first("a file whose name was a folder is read", "GET", FILE).expect(file()),
        folder_first("HEAD of a file whose name was a folder", "HEAD", FILE)
            .expect(head_of(b"file".to_vec())),
        folder_first("a file in a folder that is then a file is read", "GET", BELOW).expect(below()),
        case("a file is stored under the name of a folder", "PUT", FILE)
            .stored(BELOW, "below")
            .body("file")
            .expect(created())
            .then(FILE, "file"),
        case("a file is stored below the name of a file", "PUT", BELOW)
            .stored(FILE, "file")
            .body("below")
            .expect(created())
            .then(BELOW, "below"),
        file_first("a file is deleted, and what is below its name stays", "DELETE", FILE)
            .expect(answer(204))
            .then_missing(FILE)
            .then(BELOW, "below"),
    ]
}

fn types() -> Vec<Case> {
    let types = [
        ("{}/a.jpeg", "image/jpeg"),
        ("{}/a.JPG", "image/jpeg"),
        ("{}/a.png", "image/png"),
        ("{}/a.gif", "image/gif"),
        ("{}/a.webp", "image/webp"),
        ("{}/a.svg", "image/svg+xml"),
        ("{}/a.css", "text/css"),
        ("{}/a.html", "text/html"),
        ("{}/a.txt", "text/plain"),
        ("{}/a.pdf", "application/pdf"),
        ("{}/a.mp4", "video/mp4"),
        ("{}/a.json", "application/json"),
        ("{}/a", "application/octet-stream"),
        ("{}/a.nosuchtype", "application/octet-stream"),
        ("{}/a.png.jpg", "image/jpeg"),
    ];
    let of_type = |(target, content_type): (&'static str, &'static str)| {
        let name: &'static str = format!("{} is {content_type}", &target[3..]).leak();
        let expected = whole(noise(2, 100)).with("Content-Type", Want::Is(content_type));
        let case = case(name, "GET", target).stored(target, noise(2, 100)).expect(expected);
        match content_type {
            "application/octet-stream" => {
                case.except(&APACHE_NO_TYPE, whole(noise(2, 100)).with("Content-Type", Want::Absent))
            }
            _ => case,
        }
    };
    types.into_iter().map(of_type).collect()
}
