//! From a replica, or an owner's answer, to a response.
//!
//! Conditionals and ranges are decided here once, for every front; how the bytes then travel is the front's business.
//! Large replicas can be left to the web server itself (`offload`).

pub mod file;
mod offload;
mod weave;

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

pub use offload::{DeliverSettings, HOP, hand_over, internal_redirect, peer_address, redirect};

use crate::name::ObjectName;
use crate::response::{Body, ByteStream, FileSlice, Part, Response};
use crate::semantics::{
    ByteRange, Multipart, Precondition, Selection, Validators, content_type, evaluate, select,
    unsatisfied_content_range,
};

/// The answer to a GET or HEAD before its bytes are there: the head, and which bytes of the copy belong where.
///
/// It says all that a client sees, whether the bytes then come from a file here or from other nodes.
#[derive(Debug)]
pub struct Representation {
    head: Response,
    pieces: Vec<Piece>,
}

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// What stands around the parts of an answer with several ranges.
    Frame(Bytes),
    /// Bytes of the copy.
    Copy(ByteRange),
}

/// What GET or HEAD with these headers gets of a copy of `name` of which `validators` are known.
pub fn represent(
    method: &Method,
    headers: &HeaderMap,
    name: &ObjectName,
    validators: &Validators,
) -> Representation {
    match evaluate(method, headers, Some(validators)) {
        Precondition::Proceed => {}
        // Only what tells the client which copy it has.
        Precondition::NotModified => return Representation::bare(StatusCode::NOT_MODIFIED, validators),
        Precondition::Failed => return Representation::empty(StatusCode::PRECONDITION_FAILED),
    }
    let (size, content_type) = (validators.size, content_type(name, validators.front));
    let mut answer = match select(method, headers, validators) {
        Selection::Whole => Representation::whole(content_type, size),
        Selection::Ranges(ranges) => match ranges.as_slice() {
            [range] => Representation::single(content_type, size, *range),
            ranges => Representation::several(content_type, size, ranges),
        },
        Selection::Unsatisfiable => {
            let mut answer = Representation::empty(StatusCode::RANGE_NOT_SATISFIABLE);
            answer.head.headers.insert(header::CONTENT_RANGE, unsatisfied_content_range(size));
            return answer;
        }
    };
    validators.insert_into(&mut answer.head.headers);
    answer
}

impl Representation {
    fn whole(content_type: &'static str, size: u64) -> Self {
        let mut answer = Self::new(StatusCode::OK, HeaderValue::from_static(content_type), size);
        answer.head.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        answer.pieces = ByteRange::whole(size).map(Piece::Copy).into_iter().collect();
        answer
    }

    fn single(content_type: &'static str, size: u64, range: ByteRange) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        let mut answer = Self::new(StatusCode::PARTIAL_CONTENT, content_type, range.length());
        answer.head.headers.insert(header::CONTENT_RANGE, range.content_range(size));
        answer.pieces = vec![Piece::Copy(range)];
        answer
    }

    fn several(content_type: &'static str, size: u64, ranges: &[ByteRange]) -> Self {
        let frame = Multipart::new(ranges, size, content_type, fastrand::u64(..));
        let mut answer = Self::new(StatusCode::PARTIAL_CONTENT, frame.content_type(), frame.content_length());
        let parts = frame.parts().iter();
        let parts = parts.flat_map(|(head, range)| [Piece::Frame(head.clone()), Piece::Copy(*range)]);
        answer.pieces = parts.chain([Piece::Frame(frame.tail().clone())]).collect();
        answer
    }

    fn new(status: StatusCode, content_type: HeaderValue, length: u64) -> Self {
        let mut head = Response::new(status);
        head.headers.insert(header::CONTENT_TYPE, content_type);
        head.headers.insert(header::CONTENT_LENGTH, length.into());
        Self { head, pieces: Vec::new() }
    }

    fn bare(status: StatusCode, validators: &Validators) -> Self {
        let mut head = Response::new(status);
        validators.insert_into(&mut head.headers);
        Self { head, pieces: Vec::new() }
    }

    fn empty(status: StatusCode) -> Self {
        let mut head = Response::new(status);
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        Self { head, pieces: Vec::new() }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The bytes of the copy that its body is made of, in their order.
    pub fn ranges(&self) -> Vec<ByteRange> {
        let range = |piece: &Piece| match piece {
            Piece::Copy(range) => Some(*range),
            Piece::Frame(_) => None,
        };
        self.pieces.iter().filter_map(range).collect()
    }

    /// The answer to HEAD.
    pub fn head(self) -> Response {
        self.head
    }

    /// The answer with the bytes of a file here.
    pub fn of_file(self, file: &Arc<File>) -> Response {
        let part = |piece| match piece {
            Piece::Frame(bytes) => Part::Bytes(bytes),
            Piece::Copy(range) => slice(file, range),
        };
        Response { body: Body { parts: self.pieces.into_iter().map(part).collect() }, ..self.head }
    }

    /// The answer with bytes from elsewhere: `copy` has those of [`Representation::ranges`], one after the other.
    pub fn of_stream(self, copy: ByteStream) -> Response {
        let body = match self.pieces.as_slice() {
            [] => return self.head,
            [Piece::Copy(_)] => copy,
            _ => weave::woven(self.pieces, copy),
        };
        Response { body: body.into(), ..self.head }
    }

    /// The answer to another node, which makes the frame of several ranges itself: it needs the bytes alone.
    pub fn unframed(mut self, file: &Arc<File>) -> Response {
        let ranges = self.ranges();
        if !ranges.is_empty() {
            let length: u64 = ranges.iter().map(ByteRange::length).sum();
            self.head.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let parts = ranges.into_iter().map(|range| slice(file, range));
        Response { body: Body { parts: parts.collect() }, ..self.head }
    }
}

fn slice(file: &Arc<File>, range: ByteRange) -> Part {
    Part::File(FileSlice { file: Arc::clone(file), offset: range.offset(), length: range.length() })
}
