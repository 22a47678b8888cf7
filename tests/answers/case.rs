//! A case: what is stored first, one request, and what must come of it. Data and how to write it down, nothing else.
//!
//! In every text of a case `{}` is the folder of this run of it, and in the values of headers `{etag}`, `{date}`,
//! `{date+1}` and `{date-1}` are the validators of what was stored first, the dates a day later and earlier.

use super::facts::Fact;
use crate::common::http::{FORM_TYPE, form_body};
use crate::common::noise;

/// What is expected of a header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Want {
    /// It is there once, with this value.
    Is(&'static str),
    /// It is there once.
    There,
    /// It is not there.
    Absent,
    /// It is there and is another than the one of what was stored first.
    Changed,
}

/// What is expected of the body.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Exactly this.
    Is(Vec<u8>),
    /// These parts of what was stored first, as `multipart/byteranges`: first and last byte of each.
    Parts(Vec<(usize, usize)>),
    /// This text, in which `{}` is the folder.
    Text(String),
    /// Whatever explains the status to a person.
    Any,
}

/// Any 4xx or 5xx, where nobody is left to read it.
pub const ANY_ERROR: u16 = 0;

/// What is expected of an answer.
#[derive(Debug, Clone)]
pub struct Expected {
    /// [`ANY_ERROR`] or a status.
    pub status: u16,
    pub headers: Vec<(&'static str, Want)>,
    pub body: Content,
    /// Whether it must have the validators of what was stored first.
    pub validators: bool,
}

/// How the body is sent.
#[derive(Debug, Clone)]
pub enum Sending {
    /// There is none, and no header speaks of one.
    None,
    /// With its Content-Length.
    Length(Vec<u8>),
    /// In chunks of this size.
    Chunked(Vec<u8>, usize),
    /// With its Content-Length, once the server has said 100 (or something final).
    Continue(Vec<u8>),
    /// So many bytes are promised, and the server is asked whether it wants them: 100, or something final.
    Asking(u64),
    /// So much is promised, less is sent, then the connection is closed.
    Cut { promised: usize, sent: Vec<u8> },
    /// As it stands behind the head; what it is, the case's own headers say.
    Raw(Vec<u8>),
    /// Some chunks, then the connection is closed.
    CutChunked(Vec<u8>),
}

/// What must be there afterwards under a target.
#[derive(Debug, Clone)]
pub enum After {
    Stored(Vec<u8>),
    Missing,
}

/// A place where a server answers otherwise.
#[derive(Debug, Clone)]
pub struct Except {
    pub fact: &'static Fact,
    /// What it answers instead; none: it closes the connection without an answer.
    pub instead: Option<Expected>,
    /// What is there afterwards instead; none: the same.
    pub after: Option<Vec<(String, After)>>,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub name: &'static str,
    pub before: Vec<(String, Vec<u8>)>,
    pub method: &'static str,
    pub target: Vec<u8>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Sending,
    /// The first is what is expected; RFC 9110 allows the others as well, for the reason beside them.
    pub expected: Vec<Expected>,
    pub after: Vec<(String, After)>,
    pub except: Vec<Except>,
    /// Whether the request names its host, as every one must.
    pub host: bool,
    /// Whether an answer must come: not to a client that has gone.
    pub answered: bool,
}

/// The name most cases use.
pub const A: &str = "{}/a.jpg";
/// Bytes of what most cases store.
pub const LENGTH: usize = 1000;

/// What most cases store first.
pub fn stored() -> Vec<u8> {
    noise(5, LENGTH)
}

/// A request of this method and target.
pub fn case(name: &'static str, method: &'static str, target: impl AsRef<[u8]>) -> Case {
    Case {
        name,
        before: Vec::new(),
        method,
        target: target.as_ref().to_vec(),
        headers: Vec::new(),
        body: Sending::None,
        expected: Vec::new(),
        after: Vec::new(),
        except: Vec::new(),
        host: true,
        answered: true,
    }
}

/// The same for what is stored under [`A`].
pub fn of_a(name: &'static str, method: &'static str) -> Case {
    case(name, method, A).stored(A, stored())
}

/// An answer of this status, with any body and any headers.
pub fn answer(status: u16) -> Expected {
    Expected { status, headers: Vec::new(), body: Content::Any, validators: false }
}

/// An answer of this status without a byte.
pub fn bare(status: u16) -> Expected {
    Expected { body: Content::Is(Vec::new()), ..answer(status) }
}

/// The whole of an image: 200.
pub fn whole(body: Vec<u8>) -> Expected {
    let length: &'static str = body.len().to_string().leak();
    let expected = Expected { body: Content::Is(body), validators: true, ..answer(200) };
    let expected = expected.with("Content-Length", Want::Is(length)).with("Vary", Want::Absent);
    expected.with("Accept-Ranges", Want::Is("bytes"))
}

/// The head of [`whole`], as HEAD asks for it.
pub fn head_of(body: Vec<u8>) -> Expected {
    Expected { body: Content::Is(Vec::new()), ..whole(body) }
}

/// 304: no body, and the ETag; Last-Modified is the file's, if it is there (RFC 9110 section 15.4.5).
pub fn not_modified() -> Expected {
    Expected { validators: true, ..bare(304) }
}

/// A new object: 201, with its validators.
pub fn created() -> Expected {
    bare(201)
        .with("ETag", Want::There)
        .with("Last-Modified", Want::There)
        .with("Webdfs-Replicas", Want::Is("2/2"))
}

/// Another object in the place of the one that was stored: 204, with its validators.
pub fn replaced() -> Expected {
    let expected = bare(204).with("ETag", Want::Changed).with("Last-Modified", Want::There);
    expected.with("Webdfs-Replicas", Want::Is("2/2"))
}

/// What is not there: 404, which has no validators.
pub fn missing() -> Expected {
    answer(404).with("ETag", Want::Absent).with("Last-Modified", Want::Absent)
}

impl Expected {
    pub fn with(mut self, name: &'static str, want: Want) -> Self {
        self.headers.push((name, want));
        self
    }

    pub fn text(mut self, text: &str) -> Self {
        self.body = Content::Text(text.to_owned());
        self
    }
}

impl Case {
    /// What is stored before, by PUT through an owner.
    pub fn stored(mut self, target: &str, body: impl Into<Vec<u8>>) -> Self {
        self.before.push((target.to_owned(), body.into()));
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Sending::Length(body.into());
        self
    }

    pub fn sending(mut self, body: Sending) -> Self {
        self.body = body;
        self
    }

    /// A form as a browser posts it: the parts' dispositions and bytes.
    pub fn form(self, parts: &[(&str, &[u8])]) -> Self {
        self.header("Content-Type", FORM_TYPE).body(form_body(parts))
    }

    pub fn expect(mut self, expected: Expected) -> Self {
        self.expected.push(expected);
        self
    }

    /// Another answer that is as right, by the section of the RFC that leaves the choice.
    pub fn or(self, expected: Expected, section: &str) -> Self {
        assert!(section.starts_with("RFC "), "{}: which RFC allows it?", self.name);
        self.expect(expected)
    }

    /// What must be there afterwards. What was stored before and is not named here must still be there, unchanged.
    pub fn then(mut self, target: &str, body: impl Into<Vec<u8>>) -> Self {
        self.after.push((target.to_owned(), After::Stored(body.into())));
        self
    }

    /// What must not be there afterwards.
    pub fn then_missing(mut self, target: &str) -> Self {
        self.after.push((target.to_owned(), After::Missing));
        self
    }

    /// Another target than the constructor's.
    pub fn at(mut self, target: &str) -> Self {
        self.target = target.as_bytes().to_vec();
        self
    }

    /// Without the header that names the host.
    pub fn without_host(mut self) -> Self {
        self.host = false;
        self
    }

    /// The client does not wait for an answer; should one come all the same, it is as expected.
    pub fn unanswered(mut self) -> Self {
        self.answered = false;
        self
    }

    /// Where this fact holds, the server closes the connection instead.
    pub fn except_closed(mut self, fact: &'static Fact) -> Self {
        self.except.push(Except { fact, instead: None, after: None });
        self
    }

    /// Where this fact holds, this is the answer instead.
    pub fn except(mut self, fact: &'static Fact, instead: Expected) -> Self {
        self.except.push(Except { fact, instead: Some(instead), after: None });
        self
    }

    /// Where this fact holds, this is the answer instead, and the named targets are so afterwards.
    pub fn except_after(
        mut self,
        fact: &'static Fact,
        instead: Expected,
        after: Vec<(String, After)>,
    ) -> Self {
        self.except.push(Except { fact, instead: Some(instead), after: Some(after) });
        self
    }
}
