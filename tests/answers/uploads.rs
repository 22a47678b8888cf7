//! Bodies of every size, however they are sent, whole or not (RFC 9112 sections 6 and 7, RFC 9110 section 10.1.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

use super::case::{A, ANY_ERROR, After, Case, Sending, answer, case, created, of_a, replaced};
use super::facts::{CADDY_BAD_GATEWAY, CONTINUES_FIRST, FCGID_CHUNKS, HAPROXY_CHUNKS, HAPROXY_NO_CHUNK};
use crate::common::noise;

/// Around what a server or webdfs keeps in one piece, and far beyond it.
const SIZES: [(usize, &str); 6] = [
    (0, "no bytes"),
    (1, "one byte"),
    (65_535, "64 KiB less one byte"),
    (65_536, "64 KiB"),
    (65_537, "64 KiB and one byte"),
    (8 << 20, "8 MiB"),
];

pub fn cases() -> Vec<Case> {
    [sizes(), framing(), cut(), digests()].concat().into_iter().map(with_chunks_refused).collect()
}

fn put(name: &'static str) -> Case {
    case(name, "PUT", A)
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, words) in SIZES {
        let body = noise(size as u64, size);
        let ways = [
            ("with its length", Sending::Length(body.clone())),
            ("in chunks", Sending::Chunked(body.clone(), 50_000)),
            ("after 100 (Continue)", Sending::Continue(body.clone())),
        ];
        for (way, sending) in ways {
            let name: &'static str = format!("an upload of {words} {way}").leak();
            let is_chunked = matches!(sending, Sending::Chunked(..));
            let case = put(name).sending(sending).expect(created()).then(A, body.clone());
            let nothing = || vec![(A.to_owned(), After::Missing)];
            cases.push(match size {
                0 if is_chunked => case.except_after(&HAPROXY_NO_CHUNK, answer(504), nothing()),
                65_000.. if is_chunked => case.except_after(&HAPROXY_CHUNKS, answer(411), nothing()),
                _ => case,
            });
        }
    }
    let body = noise(9, 5000);
    cases.push(
        put("an upload in chunks of seven bytes")
            .sending(Sending::Chunked(body.clone(), 7))
            .expect(created())
            .then(A, body.clone()),
    );
    cases.push(
        of_a("an upload in chunks in the place of another", "PUT")
            .sending(Sending::Chunked(body.clone(), 1000))
            .expect(replaced())
            .then(A, body.clone()),
    );
    cases.push(
        put("chunks after 100 (Continue)")
            .header("Transfer-Encoding", "chunked")
            .header("Expect", "100-continue")
            .sending(Sending::Raw(b"5\r\nhello\r\n0\r\n\r\n".to_vec()))
            .expect(created())
            .then(A, "hello"),
    );
    cases
}

/// Where no upload in chunks is taken, all of them are answered alike.
fn with_chunks_refused(case: Case) -> Case {
    let coded = case.headers.iter().any(|(_, value)| value == "chunked");
    if !coded && !matches!(case.body, Sending::Chunked(..)) {
        return case;
    }
    // What was there stays.
    let after = if case.before.is_empty() { vec![(A.to_owned(), After::Missing)] } else { Vec::new() };
    case.except_after(&FCGID_CHUNKS, answer(411), after)
}

/// How a body is marked off, well and badly.
fn framing() -> Vec<Case> {
    let raw = |name, headers: &[(&'static str, &str)], body: &[u8]| {
        let case = headers.iter().fold(put(name), |case, (field, value)| case.header(field, value));
        case.sending(Sending::Raw(body.to_vec()))
    };
    const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");
    let refused = |case: Case| case.expect(answer(400)).then_missing(A);
    vec![
        put("an upload without a body is one without bytes").expect(created()).then(A, ""),
        raw("chunks may have extensions", &[CHUNKED], b"5;a=b\r\nhello\r\n0\r\n\r\n")
            .expect(created())
            .then(A, "hello"),
        raw(
            "behind the chunks there may be trailers",
            &[CHUNKED],
            b"5\r\nhello\r\n0\r\nX-Trailer: x\r\n\r\n",
        )
        .expect(created())
        .then(A, "hello"),
        raw("the size of a chunk may have zeros in front", &[CHUNKED], b"0005\r\nhello\r\n0\r\n\r\n")
            .expect(created())
            .then(A, "hello"),
        refused(raw("a chunk without a size is 400", &[CHUNKED], b"5\r\nhello\r\nzz\r\n\r\n"))
            .except(&CADDY_BAD_GATEWAY, answer(502)),
        refused(raw("a chunk longer than its size is 400", &[CHUNKED], b"5\r\nhello, world\r\n0\r\n\r\n"))
            .except(&CADDY_BAD_GATEWAY, answer(502)),
        // Heads that are refused as such: a body would meet a connection that is being closed.
        refused(raw("a negative length is 400", &[("Content-Length", "-1")], b"")),
        refused(raw("a length with letters is 400", &[("Content-Length", "5x")], b"")),
        refused(raw("a length in hexadecimal is 400", &[("Content-Length", "0x5")], b"")),
        refused(raw("two lengths are 400", &[("Content-Length", "5"), ("Content-Length", "6")], b"")),
        refused(raw("a transfer coding that nobody knows is refused", &[("Transfer-Encoding", "gzip")], b""))
            .or(answer(501), "RFC 9112 section 6.1: 501 for a transfer coding that is not understood"),
        put("more than may be uploaded is 413, before any of it is sent")
            .sending(Sending::Asking((1 << 30) + 1))
            .expect(answer(413))
            .then_missing(A)
            .except(&CONTINUES_FIRST, answer(100)),
        put("far more than may be uploaded is 413, before any of it is sent")
            .sending(Sending::Asking(9_000_000_000_000_000_000))
            .expect(answer(413))
            .then_missing(A)
            .except(&CONTINUES_FIRST, answer(100)),
    ]
}

/// Uploads that end before their end: the client may hear why, and nothing is stored.
fn cut() -> Vec<Case> {
    let refused = |case: Case| case.expect(answer(ANY_ERROR)).unanswered();
    let half = || noise(3, 300_000);
    vec![
        refused(put("an upload cut off half-way stores nothing"))
            .sending(Sending::Cut { promised: 600_000, sent: half() })
            .then_missing(A),
        refused(put("an upload cut off before its last byte stores nothing"))
            .sending(Sending::Cut { promised: 300_001, sent: half() })
            .then_missing(A),
        refused(put("an upload cut off before its first byte stores nothing"))
            .sending(Sending::Cut { promised: 1, sent: Vec::new() })
            .then_missing(A),
        refused(put("an upload in chunks cut off half-way stores nothing"))
            .sending(Sending::CutChunked(half()))
            .then_missing(A),
        refused(of_a("an upload cut off half-way leaves what was there", "PUT"))
            .sending(Sending::Cut { promised: 600_000, sent: half() }),
        refused(of_a("an upload in chunks cut off half-way leaves what was there", "PUT"))
            .sending(Sending::CutChunked(half())),
    ]
}

fn digests() -> Vec<Case> {
    let body = noise(4, 20_000);
    let md5 = STANDARD.encode(Md5::digest(&body));
    let sha256 = STANDARD.encode(Sha256::digest(&body));
    let sha512 = STANDARD.encode(Sha512::digest(&body));
    let wrong = STANDARD.encode(Sha256::digest(b"other bytes"));
    let with = |name, field, value: &str| put(name).header(field, value).body(noise(4, 20_000));
    let right = |case: Case| case.expect(created()).then(A, noise(4, 20_000));
    let refused = |case: Case| case.expect(answer(400)).then_missing(A);
    vec![
        right(with("Content-MD5 that is right", "Content-MD5", &md5)),
        refused(with(
            "Content-MD5 that is wrong",
            "Content-MD5",
            &STANDARD.encode(Md5::digest(b"other bytes")),
        )),
        refused(with("Content-MD5 that is none", "Content-MD5", "nonsense")),
        right(with("Content-Digest that is right", "Content-Digest", &format!("sha-256=:{sha256}:"))),
        refused(with("Content-Digest that is wrong", "Content-Digest", &format!("sha-256=:{wrong}:"))),
        refused(with("Content-Digest that is none", "Content-Digest", "sha-256=nonsense")),
        right(with("Content-Digest of an algorithm nobody knows", "Content-Digest", "crc99=:AAAA:")),
        right(with("Repr-Digest that is right", "Repr-Digest", &format!("sha-512=:{sha512}:"))),
        refused(with("Repr-Digest that is wrong", "Repr-Digest", &format!("sha-256=:{wrong}:"))),
        refused(with(
            "two digests of which one is wrong",
            "Content-Digest",
            &format!("sha-512=:{sha512}:, sha-256=:{wrong}:"),
        )),
        refused(with(
            "a wrong digest of an upload in chunks",
            "Content-Digest",
            &format!("sha-256=:{wrong}:"),
        ))
        .sending(Sending::Chunked(noise(4, 5000), 1000)),
        of_a("a wrong digest leaves what was there", "PUT")
            .header("Content-Digest", &format!("sha-256=:{wrong}:"))
            .body(noise(4, 20_000))
            .expect(answer(400)),
    ]
}
