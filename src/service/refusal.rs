//! Answers that say no, in a line of plain text.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::response::Response;

/// When a client that got a 503 should come back, in seconds.
const RETRY_AFTER: &str = "2";

/// A line of plain text with a status.
pub fn text(status: StatusCode, line: &str) -> Response {
    let body = Bytes::from(format!("{line}\n"));
    let mut response = Response::new(status);
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers.insert(header::CONTENT_LENGTH, body.len().into());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    }
    response.body = body.into();
    response
}

/// An error as an answer. Faults of ours are logged; what the client did wrong is not.
pub(super) fn refuse(status: StatusCode, error: &dyn std::error::Error) -> Response {
    if status.is_server_error() {
        log::warn!("{}: {error}", status.as_u16());
    }
    text(status, &error.to_string())
}
