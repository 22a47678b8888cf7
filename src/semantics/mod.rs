//! HTTP semantics after RFC 9110 (<https://www.rfc-editor.org/rfc/rfc9110>): from a request's headers and a copy's
//! version and size to which bytes are sent, or why none are.  Pure.
//!
//! Everything here is a total function of header bytes that a stranger sent. Nothing here knows where a copy lies,
//! who asks, or which front the request came through; methods, statuses and headers are those of the `http` crate.

mod conditional;
mod content_type;
mod digest;
mod multipart;
mod range;
mod validators;

pub use conditional::{Precondition, evaluate};
pub use content_type::{DEFAULT_CONTENT_TYPE, content_type};
pub use digest::{Algorithm, DigestError, Expected};
pub use multipart::Multipart;
pub use range::{ByteRange, RANGES_MAX, Selection, is_plain_range, select, unsatisfied_content_range};
pub use validators::{FrontKind, Validators};

use http::HeaderValue;

/// A header value of digits, letters and punctuation that this module put together itself.
fn ascii_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("printable ASCII is a valid header value")
}

/// A date in any of the three forms of RFC 9110 section 5.6.7, as whole seconds since 1970; `None` if it is none.
fn http_date_seconds(value: &HeaderValue) -> Option<u64> {
    let time = httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}
