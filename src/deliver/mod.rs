//! From a replica, or an owner's answer, to a response.
//!
//! Conditionals and ranges are decided here once, for every front; how the bytes then travel is the front's business.
//! Large replicas can be left to the web server itself.

pub mod file;
mod offload;

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

pub use offload::{DeliverSettings, HOP, hand_over, internal_redirect, peer_address, redirect};

use crate::name::ObjectName;
use crate::response::{Body, FileSlice, Part, Response};
use crate::semantics::{
    ByteRange, Multipart, Precondition, Selection, Validators, content_type, evaluate, select,
    unsatisfied_content_range,
};

/// Answers GET or HEAD with a copy of `name` of which `validators` are known. Without `file` only the head is
/// made, as for HEAD.
pub fn represent(
    method: &Method,
    headers: &HeaderMap,
    name: &ObjectName,
    validators: &Validators,
    file: Option<&Arc<File>>,
) -> Response {
    match evaluate(method, headers, Some(validators)) {
        Precondition::Proceed => {}
        Precondition::NotModified => return bare(StatusCode::NOT_MODIFIED, validators),
        Precondition::Failed => return empty(StatusCode::PRECONDITION_FAILED),
    }
    let size = validators.size;
    let mut response = match select(method, headers, validators) {
        Selection::Whole => whole(name, size, file),
        Selection::Ranges(ranges) => match ranges.as_slice() {
            [range] => single(name, size, *range, file),
            ranges => several(name, size, ranges, file),
        },
        Selection::Unsatisfiable => {
            let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            response.headers.insert(header::CONTENT_RANGE, unsatisfied_content_range(size));
            return response;
        }
    };
    validators.insert_into(&mut response.headers);
    response
}

fn whole(name: &ObjectName, size: u64, file: Option<&Arc<File>>) -> Response {
    let mut response = Response::new(StatusCode::OK);
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    response.headers.insert(header::CONTENT_LENGTH, size.into());
    response.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response.body = slice(file, 0, size).into_iter().collect();
    response
}

fn single(name: &ObjectName, size: u64, range: ByteRange, file: Option<&Arc<File>>) -> Response {
    let mut response = Response::new(StatusCode::PARTIAL_CONTENT);
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    response.headers.insert(header::CONTENT_LENGTH, range.length().into());
    response.headers.insert(header::CONTENT_RANGE, range.content_range(size));
    response.body = slice(file, range.offset(), range.length()).into_iter().collect();
    response
}

fn several(name: &ObjectName, size: u64, ranges: &[ByteRange], file: Option<&Arc<File>>) -> Response {
    let frame = Multipart::new(ranges, size, content_type(name), fastrand::u64(..));
    let mut response = Response::new(StatusCode::PARTIAL_CONTENT);
    response.headers.insert(header::CONTENT_TYPE, frame.content_type());
    response.headers.insert(header::CONTENT_LENGTH, frame.content_length().into());
    if file.is_some() {
        let parts = frame.parts().iter().flat_map(|(head, range)| {
            [Some(Part::Bytes(head.clone())), slice(file, range.offset(), range.length())]
        });
        response.body = parts.flatten().chain([Part::Bytes(frame.tail().clone())]).collect();
    }
    response
}

fn slice(file: Option<&Arc<File>>, offset: u64, length: u64) -> Option<Part> {
    let file = Arc::clone(file?);
    (length > 0).then_some(Part::File(FileSlice { file, offset, length }))
}

impl FromIterator<Part> for Body {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Body { parts: VecDeque::from_iter(parts) }
    }
}

/// A 304: only what tells the client which copy it has.
fn bare(status: StatusCode, validators: &Validators) -> Response {
    let mut response = Response::new(status);
    validators.insert_into(&mut response.headers);
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(status);
    response.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}
