//! A front's raw parameters -> [`Request`]. After this nobody sees a raw parameter.  Pure.
//!
//! The name of an object comes from REQUEST_URI alone: the other path parameters are decoded in different ways by
//! different web servers. Headers that only webdfs's own parts may set are believed only with a signature; what a
//! web server says about its client (REMOTE_ADDR, REMOTE_USER) comes in parameters that no client can set.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// One request, whichever front it came through. Its body travels beside it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The request target as the client sent it: path and query, not decoded.
    pub target: Bytes,
    /// The client's headers.
    pub headers: HeaderMap,
    /// The body's length, if the client said it: a chunked upload has none.
    pub content_length: Option<u64>,
    /// The client's address as the front sees it.
    pub address: Option<IpAddr>,
    /// Whom the web server has authenticated.
    pub user: Option<String>,
    /// How it came.
    pub via: Via,
    /// The owners (host:port) to which the web server handed this request in vain.
    pub failed_peers: Vec<String>,
    /// Whether the web server was told to send a file and did not find it.
    pub failed_file: bool,
    /// Whether the web server sends a file below the root that `X-Sendfile` names: its configuration says so.
    pub sends_files: bool,
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Through the web server: it can be told to deliver a file, or to go to an owner.
    WebServer,
    /// Through the embedded front.
    Embedded,
}

/// Why parameters are no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The web server does not pass a parameter that is needed.
    #[error("the web server sent no {0}: pass it on (fastcgi_param)")]
    Missing(&'static str),
    /// A parameter makes no sense.
    #[error("{0} is not valid")]
    Invalid(&'static str),
}

impl RequestError {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            RequestError::Missing(_) => StatusCode::INTERNAL_SERVER_ERROR,
            RequestError::Invalid(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl Request {
    /// The request of a set of CGI parameters (RFC 3875 section 4.1).
    ///
    /// # Errors
    /// When the method or the target is missing, or something cannot be parsed.
    pub fn from_params<'a>(params: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<Self, RequestError> {
        let (mut method, mut target, mut address, mut user) = (None, None, None, None);
        let (mut content_length, mut failed_peers) = (None, Vec::new());
        let (mut failed_file, mut sends_files) = (false, false);
        let mut headers = HeaderMap::with_capacity(16);
        for (name, value) in params {
            match name {
                b"REQUEST_METHOD" => method = Some(value),
                b"REQUEST_URI" => target = Some(value),
                b"CONTENT_LENGTH" => content_length = length(value)?,
                b"CONTENT_TYPE" => insert(&mut headers, header::CONTENT_TYPE, value),
                b"REMOTE_ADDR" => {
                    address = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok())
                }
                b"REMOTE_USER" => user = std::str::from_utf8(value).ok().filter(|user| !user.is_empty()),
                b"WEBDFS_FAILED_PEER" => {
                    let peers = std::str::from_utf8(value).unwrap_or_default();
                    failed_peers = peers.split_ascii_whitespace().map(str::to_owned).collect();
                }
                b"WEBDFS_FAILED_FILE" => failed_file = !value.is_empty(),
                b"WEBDFS_SENDFILE" => sends_files = value == b"1",
                _ => {
                    if let Some(name) = header_name(name) {
                        insert(&mut headers, name, value);
                    }
                }
            }
        }
        let method = method.ok_or(RequestError::Missing("REQUEST_METHOD"))?;
        let target =
            target.filter(|target| !target.is_empty()).ok_or(RequestError::Missing("REQUEST_URI"))?;
        Ok(Self {
            method: Method::from_bytes(method).map_err(|_| RequestError::Invalid("REQUEST_METHOD"))?,
            target: Bytes::copy_from_slice(target),
            headers,
            content_length,
            address,
            user: user.map(str::to_owned),
            via: Via::WebServer,
            failed_peers,
            failed_file,
            sends_files,
        })
    }
}

/// CONTENT_LENGTH: empty and -1 mean that it is not known (nginx and Caddy with a chunked body).
fn length(value: &[u8]) -> Result<Option<u64>, RequestError> {
    if value.is_empty() || value == b"-1" {
        return Ok(None);
    }
    let digits = value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok().filter(|_| digits);
    // More digits than a number holds is still a length, larger than any limit.
    number.map(|text| Some(text.parse().unwrap_or(u64::MAX))).ok_or(RequestError::Invalid("Content-Length"))
}

/// `HTTP_IF_NONE_MATCH` -> `if-none-match`.
fn header_name(param: &[u8]) -> Option<HeaderName> {
    let rest = param.strip_prefix(b"HTTP_")?;
    let mut name = [0; 64];
    let name = name.get_mut(..rest.len())?;
    for (to, from) in name.iter_mut().zip(rest) {
        *to = if *from == b'_' { b'-' } else { from.to_ascii_lowercase() };
    }
    HeaderName::from_bytes(name).ok()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(params: &[(&str, &str)]) -> Result<Request, RequestError> {
        Request::from_params(params.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    const GET: [(&str, &str); 2] = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/a%20b?x=1")];

    #[test]
    fn parameters_become_a_request() {
        let request = request(&[
            GET[0],
            GET[1],
            ("CONTENT_LENGTH", ""),
            ("CONTENT_TYPE", "image/png"),
            ("REMOTE_ADDR", "10.0.0.7"),
            ("REMOTE_USER", "ada"),
            ("HTTP_IF_NONE_MATCH", "\"x\""),
            ("HTTP_HOST", "example.com"),
            ("SCRIPT_NAME", "/ignored"),
        ])
        .unwrap();
        assert_eq!((request.method, &request.target[..]), (Method::GET, &b"/a%20b?x=1"[..]));
        assert_eq!((request.content_length, request.via), (None, Via::WebServer));
        assert_eq!((request.address, request.user.as_deref()), (Some([10, 0, 0, 7].into()), Some("ada")));
        assert_eq!(request.headers[header::IF_NONE_MATCH], "\"x\"");
        assert_eq!(request.headers[header::CONTENT_TYPE], "image/png");
        assert_eq!(request.headers[header::HOST], "example.com");
    }

    #[test]
    fn what_the_web_server_tried_in_vain_is_noted() {
        let request = request(&[
            GET[0],
            GET[1],
            ("WEBDFS_FAILED_PEER", " 10.0.0.2:80 10.0.0.3:80"),
            ("WEBDFS_FAILED_FILE", "1"),
        ]);
        let request = request.unwrap();
        assert_eq!(request.failed_peers, ["10.0.0.2:80", "10.0.0.3:80"]);
        assert!(request.failed_file);
    }

    #[test]
    fn that_the_server_sends_files_is_said_by_its_configuration_and_by_no_header() {
        let sends = |name, value| request(&[GET[0], GET[1], (name, value)]).unwrap().sends_files;
        assert!(sends("WEBDFS_SENDFILE", "1"));
        assert!(!sends("WEBDFS_SENDFILE", "") && !sends("WEBDFS_SENDFILE", "0"));
        assert!(!sends("HTTP_WEBDFS_SENDFILE", "1") && !sends("HTTP_X_WEBDFS_SENDFILE", "1"));
    }

    #[test]
    fn an_unknown_length_is_no_error_and_a_negative_one_is() {
        let length =
            |text| request(&[GET[0], GET[1], ("CONTENT_LENGTH", text)]).map(|request| request.content_length);
        assert_eq!(length(""), Ok(None));
        assert_eq!(length("-1"), Ok(None));
        assert_eq!(length("0"), Ok(Some(0)));
        assert_eq!(length("18446744073709551615"), Ok(Some(u64::MAX)));
        assert_eq!(length("99999999999999999999999"), Ok(Some(u64::MAX)));
        for wrong in ["-5", "+5", "5x", " 5", "0x10"] {
            assert_eq!(length(wrong), Err(RequestError::Invalid("Content-Length")), "{wrong}");
        }
    }

    #[test]
    fn without_method_or_target_it_is_the_web_server_that_errs() {
        assert_eq!(request(&[GET[0]]).unwrap_err(), RequestError::Missing("REQUEST_URI"));
        assert_eq!(request(&[GET[1]]).unwrap_err().status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            request(&[("REQUEST_METHOD", "G T"), GET[1]]).unwrap_err(),
            RequestError::Invalid("REQUEST_METHOD")
        );
    }

    #[test]
    fn headers_that_are_none_are_left_out() {
        let long = format!("HTTP_{}", "X".repeat(200));
        let request =
            request(&[GET[0], GET[1], (&long, "1"), ("HTTP_", "1"), ("HTTP_A B", "1"), ("HTTP_X", "a\nb")]);
        assert!(request.unwrap().headers.is_empty());
    }
}
