//! PUT: stores one object.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::Service;
use super::refusal::{refuse, text};
use super::upload::{Stored, Upload, store};
use crate::name::ObjectName;
use crate::request::Request;
use crate::response::{ByteStream, Response};
use crate::semantics::Validators;

/// How many owners had the object when the client was answered, of how many.
const REPLICAS: HeaderName = HeaderName::from_static("webdfs-replicas");

pub(super) async fn answer(
    service: &Arc<Service>,
    request: &Request,
    name: &ObjectName,
    body: ByteStream,
    size_max: u64,
) -> Response {
    // RFC 9110 section 14.4: a PUT with Content-Range that is taken for a whole one would destroy the object.
    if request.headers.contains_key(header::CONTENT_RANGE) {
        return text(
            StatusCode::BAD_REQUEST,
            "an object is stored as a whole: PUT with Content-Range is not supported",
        );
    }
    let (length, headers) = (request.content_length, &request.headers);
    let upload = Upload { name, length, size_max, body, headers, crc32: None };
    match store(service, upload).await {
        Ok(stored) => stored_answer(service, &stored),
        Err(error) => refuse(error.status(), &error),
    }
}

/// 201 for a new object, 204 for one that replaced another.
pub(super) fn stored_answer(service: &Service, stored: &Stored) -> Response {
    let mut response = if stored.replaced {
        Response::new(StatusCode::NO_CONTENT)
    } else {
        let mut response = Response::new(StatusCode::CREATED);
        response.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        response
    };
    describe(service, stored, &mut response.headers);
    response
}

fn describe(service: &Service, stored: &Stored, headers: &mut HeaderMap) {
    let validators =
        Validators { version: stored.version, size: stored.size, front: service.settings.deliver.front };
    validators.insert_into(headers);
    let replicas = format!("{}/{}", stored.committed, stored.owners);
    headers.insert(REPLICAS, HeaderValue::from_str(&replicas).expect("digits and a slash"));
}
