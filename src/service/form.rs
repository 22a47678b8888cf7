//! POST of a multipart form (RFC 7578): stores its file parts under a folder, for a plain HTML upload form.

mod parts;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::refusal::text;
use super::upload::{Upload, store};
use super::{NOT_STORED, Service};
use crate::name::{Folder, ObjectName};
use crate::request::Request;
use crate::response::{ByteStream, Response};
use parts::{PARTS_MAX, Part, Parts, PartsError};

/// How much of a file's name is told back when it cannot be a name here.
const REFUSED_NAME_CHARS: usize = 255;

/// What became of one file of the form.
#[derive(Debug, Serialize)]
struct FileAnswer {
    path: String,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The answer to a form.
#[derive(Debug, Serialize)]
struct FormAnswer {
    files: Vec<FileAnswer>,
}

pub(super) async fn answer(
    service: &Arc<Service>,
    request: &Request,
    folder: &Folder,
    body: ByteStream,
) -> Response {
    let content_type = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(boundary) = content_type.and_then(|value| multer::parse_boundary(value).ok()) else {
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "post a form of type multipart/form-data");
    };
    let bytes_max = service.settings.object_max.saturating_mul(PARTS_MAX as u64);
    let mut form = Parts::new(body, boundary, bytes_max);
    let mut files = Vec::new();
    loop {
        match form.next().await {
            Ok(Some(part)) => {
                files.extend(file_of(service, folder, &part).await);
                part.skip().await;
            }
            Ok(None) => break,
            Err(error) => {
                let status = match error {
                    PartsError::Broken(_) | PartsError::Unparsed => StatusCode::BAD_REQUEST,
                    PartsError::TooMany | PartsError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                };
                let error = Some(error.to_string());
                files.push(FileAnswer { path: String::new(), status: status.as_u16(), error });
                break;
            }
        }
    }
    if files.is_empty() {
        return text(StatusCode::BAD_REQUEST, "the form has no file");
    }
    whole_answer(files)
}

/// Stores one part, if it is a file.
async fn file_of(service: &Arc<Service>, folder: &Folder, part: &Part) -> Option<FileAnswer> {
    let file_name = part.file_name().filter(|name| !name.is_empty())?;
    let (path, stored) = match named(service, folder, &file_name) {
        Ok(name) => {
            let upload = Upload {
                name: &name,
                length: None,
                size_max: service.settings.object_max,
                body: part.body(),
                headers: &HeaderMap::new(),
                crc32: None,
            };
            let stored = store(service, upload).await;
            let stored = stored
                .map(|stored| if stored.replaced { StatusCode::NO_CONTENT } else { StatusCode::CREATED })
                .map_err(|error| (error.status(), error.to_string()));
            (service.settings.deliver.prefix.url_path(&name), stored)
        }
        // It may be as long as it likes.
        Err(problem) => {
            (file_name.chars().take(REFUSED_NAME_CHARS).collect(), Err((StatusCode::BAD_REQUEST, problem)))
        }
    };
    let (status, error) = match stored {
        Ok(status) => (status, None),
        Err((status, error)) => (status, Some(error)),
    };
    Some(FileAnswer { path, status: status.as_u16(), error })
}

/// The name of a file of the form: its last segment below the folder. Some browsers send whole paths, with the
/// separators of their own system.
fn named(service: &Service, folder: &Folder, file_name: &str) -> Result<ObjectName, String> {
    let last = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = folder.join(last.as_bytes()).map_err(|error| error.to_string())?;
    if !service.may_hold(&name) {
        return Err(NOT_STORED.into());
    }
    Ok(name)
}

/// 201 if every file was stored, else the status of the first that was not. The body lists them all.
fn whole_answer(files: Vec<FileAnswer>) -> Response {
    let failed = files.iter().find(|file| file.error.is_some()).map(|file| file.status);
    let status = failed.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::CREATED);
    let mut body = serde_json::to_vec(&FormAnswer { files }).expect("strings and numbers are always JSON");
    body.push(b'\n');
    let mut response = Response::new(status);
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers.insert(header::CONTENT_LENGTH, body.len().into());
    response.body = Bytes::from(body).into();
    response
}
