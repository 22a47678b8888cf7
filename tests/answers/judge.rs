//! Whether an answer is the one that a case expects.

use super::case::{ANY_ERROR, Content, Except, Expected, Want};
use super::run::{Job, Known};
use crate::common::Answer;

/// Said between web servers and webdfs; never to clients.
const INTERNAL: [&str; 7] = [
    "X-Accel-Redirect",
    "X-Sendfile",
    "Webdfs-Peer",
    "Webdfs-Hop",
    "Webdfs-Version",
    "Webdfs-Crc32",
    "Status",
];
/// An answer has them once or not at all (RFC 9110 section 5.3, RFC 9112 section 6).
const SINGLE: [&str; 9] = [
    "ETag",
    "Last-Modified",
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "Location",
    "Date",
    "Transfer-Encoding",
];

impl Job<'_> {
    pub fn judge(
        &self,
        answer: &std::io::Result<Answer>,
        known: Option<&Known>,
        except: Option<&Except>,
    ) -> Result<(), String> {
        let usual = self.is_expected(answer, &self.case.expected, known);
        let Some(except) = except else { return usual };
        if usual.is_ok() {
            return Err(format!("needs no exception for: {}", except.fact.text));
        }
        self.is_expected(answer, except.instead.as_slice(), known)
            .map_err(|problem| format!("where {}: {problem}", except.fact.text))
    }

    /// Whether an answer is one of those expected.
    fn is_expected(
        &self,
        answer: &std::io::Result<Answer>,
        expected: &[Expected],
        known: Option<&Known>,
    ) -> Result<(), String> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) if expected.is_empty() || !self.case.answered => return Ok(()),
            Err(error) => return Err(format!("no answer: {error}")),
        };
        let mut problems = Vec::new();
        for expected in expected {
            match self.matches(answer, expected, known) {
                Ok(()) => return Ok(()),
                Err(problem) => problems.push(problem),
            }
        }
        Err(format!("{}\n{answer}", problems.join("; or ")))
    }

    fn matches(&self, answer: &Answer, expected: &Expected, known: Option<&Known>) -> Result<(), String> {
        let any_error = expected.status == ANY_ERROR && (400..600).contains(&answer.status);
        if answer.status != expected.status && !any_error {
            return Err(format!("{} where {} is right", answer.status, expected.status));
        }
        for name in INTERNAL {
            if answer.header(name).is_some() {
                return Err(format!("{name} reaches the client"));
            }
        }
        for name in SINGLE {
            let lines = answer.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count();
            if lines > 1 {
                return Err(format!("{name} is there {lines} times"));
            }
        }
        for (name, want) in &expected.headers {
            let found = answer.header(name);
            let before = known.filter(|_| *name == "ETag").map(|known| known.etag.as_str());
            let right = match want {
                Want::Is(value) => found == Some(&self.value(value, known)),
                Want::There => found.is_some(),
                Want::Absent => found.is_none(),
                Want::Changed => found.is_some() && found != before,
            };
            if !right {
                return Err(format!("{name} is {found:?} where {want:?} is right"));
            }
        }
        if expected.validators {
            let known = known.ok_or("the case stores nothing whose validators could be expected")?;
            let right = [("ETag", &known.etag), ("Last-Modified", &known.modified)];
            for (name, value) in right {
                let may_lack =
                    answer.status == 304 && name == "Last-Modified" && answer.header(name).is_none();
                if answer.header(name) != Some(value) && !may_lack {
                    return Err(format!("{name} is {:?} where {value:?} is right", answer.header(name)));
                }
            }
        }
        self.has_content(answer, &expected.body, known)
    }

    fn has_content(&self, answer: &Answer, content: &Content, known: Option<&Known>) -> Result<(), String> {
        let right = match content {
            Content::Any => true,
            Content::Is(bytes) => answer.body == *bytes,
            Content::Text(text) => answer.body == self.fill(text).into_bytes(),
            Content::Parts(parts) => {
                return has_parts(answer, parts, &known.ok_or("nothing is stored")?.body);
            }
        };
        if right { Ok(()) } else { Err("other bytes in the body".to_owned()) }
    }
}

/// `multipart/byteranges` (RFC 9110 section 14.6), whatever the server puts around its parts.
fn has_parts(answer: &Answer, parts: &[(usize, usize)], of: &[u8]) -> Result<(), String> {
    let content_type = answer.header("Content-Type").unwrap_or_default();
    let boundary =
        content_type.strip_prefix("multipart/byteranges; boundary=").ok_or("no multipart/byteranges")?;
    let boundary = format!("--{}", boundary.trim_matches('"'));
    let mut rest = &answer.body[..];
    for (first, last) in parts {
        let start = find(rest, boundary.as_bytes()).ok_or("a part is missing")?;
        let end = start + find(&rest[start..], b"\r\n\r\n").ok_or("a part has no head")?;
        let head = String::from_utf8_lossy(&rest[start..end]).to_ascii_lowercase();
        let range = format!("content-range: bytes {first}-{last}/{}", of.len());
        if !head.contains(&range) || !head.contains("content-type: image/jpeg") {
            return Err(format!("the head of a part is {head:?} where {range:?} is right"));
        }
        let bytes = &of[*first..=*last];
        rest = rest[end + 4..].strip_prefix(bytes).ok_or("other bytes in a part")?;
    }
    if rest.trim_ascii() == format!("{boundary}--").as_bytes() {
        Ok(())
    } else {
        Err("more behind the parts".to_owned())
    }
}

/// Where a part begins in a text.
pub fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
