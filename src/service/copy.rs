//! COPY and MOVE, after RFC 4918 sections 9.8 and 9.9. MOVE is a copy, then a deletion: a failure between the two
//! leaves both names.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::delete::{DeleteError, OnlyIf, delete};
use super::get::open;
use super::intake::IntakeError;
use super::put::stored_answer;
use super::refusal::{refuse, text};
use super::upload::{Upload, UploadError, store};
use super::{NOT_STORED, Service};
use crate::access::right::Operation;
use crate::name::{ObjectName, Target};
use crate::request::Request;
use crate::response::Response;
use crate::semantics::{Precondition, Validators, evaluate};

const DESTINATION: HeaderName = HeaderName::from_static("destination");
const OVERWRITE: HeaderName = HeaderName::from_static("overwrite");

pub(super) async fn answer(service: &Arc<Service>, request: &Request, from: &ObjectName) -> Response {
    let to = match destination(service, request) {
        Ok(to) => to,
        Err((status, problem)) => return text(status, &problem),
    };
    let path = service.path_of_object(&to);
    if let Err(refused) = service.admit_write(request, Operation::Put, &path).await {
        return refused;
    }
    if to == *from {
        return text(StatusCode::FORBIDDEN, "Destination is the object itself");
    }
    let source = match open(service, from).await {
        Ok(source) => source,
        Err(status) => return text(status, "the object to copy cannot be read"),
    };
    let front = service.settings.deliver.front;
    let validators = Validators { version: source.version, size: source.length, front };
    if evaluate(&request.method, &request.headers, Some(&validators)) != Precondition::Proceed {
        return refuse(StatusCode::PRECONDITION_FAILED, &UploadError::Condition);
    }
    // A file without an attribute is that of all names of its path, until it is one of theirs: then it is not another's.
    let shared = source.crc32.is_none() && service.store.share_path(from, &to);
    if shared && request.method.as_str() == "COPY" {
        return text(
            StatusCode::FORBIDDEN,
            "Destination is the same file, which the original webDFS left: put or move it",
        );
    }
    let mut headers = HeaderMap::new();
    if request.headers.get(OVERWRITE).is_some_and(|value| value == "F") {
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
    }
    let (length, crc32) = (Some(source.length), source.crc32);
    let size_max = service.settings.object_max;
    let upload = Upload { name: &to, length, size_max, body: source.body, headers: &headers, crc32 };
    let stored = match store(service, upload).await {
        Ok(stored) => stored,
        // The client sent no body: it is not at fault.
        Err(UploadError::Body(IntakeError::Body(_) | IntakeError::Length { .. })) => {
            return refuse(UploadError::Source.status(), &UploadError::Source);
        }
        Err(error) => return refuse(error.status(), &error),
    };
    if request.method.as_str() == "MOVE" {
        match delete(service, from, OnlyIf::Version(source.version)).await {
            // Somebody else deleted it meanwhile.
            Ok(()) | Err(DeleteError::Missing) => {}
            Err(DeleteError::Condition) => {
                return text(
                    StatusCode::PRECONDITION_FAILED,
                    "copied, but the original has changed meanwhile and stays",
                );
            }
            Err(error) => {
                log::warn!("{from} was copied to {to} and is still there: {error}");
                return text(error.status(), &format!("copied, but the original is still there: {error}"));
            }
        }
    }
    stored_answer(service, &stored)
}

/// The name that Destination means: a path, or a URL of which only the path counts.
fn destination(service: &Service, request: &Request) -> Result<ObjectName, (StatusCode, String)> {
    let refuse = |line: &str| Err((StatusCode::BAD_REQUEST, line.to_owned()));
    let Some(value) = request.headers.get(DESTINATION) else {
        return refuse("COPY and MOVE need a Destination header");
    };
    let target = match Target::parse(value.as_bytes(), &service.settings.deliver.prefix) {
        Ok(target) => target,
        Err(error) => return refuse(&format!("Destination: {error}")),
    };
    match target {
        Target::Folder(_) => refuse("Destination ends in /: name the new object"),
        Target::Object(name) if !service.may_hold(&name) => {
            Err((StatusCode::FORBIDDEN, NOT_STORED.to_owned()))
        }
        Target::Object(name) => Ok(name),
    }
}
