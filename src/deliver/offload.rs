//! Leaving the delivery to the web server: nginx's X-Accel-Redirect, the X-Sendfile of Apache and lighttpd, and
//! redirects of the client.
//!
//! What a web server then does with a file is what it does with a static one, so it gets only requests about which it
//! and [`represent`](super::represent) cannot differ; [`is_for_server`] says which these are.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::cluster::Node;
use crate::name::{ObjectName, Prefix};
use crate::request::{Request, Via};
use crate::response::Response;
use crate::semantics::{
    FrontKind, Precondition, Selection, Validators, content_type, evaluate, is_plain_range, select,
};
use crate::store::Replica;

/// nginx goes to this internal location instead of sending our body.
const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
/// Apache (mod_xsendfile) and lighttpd send the file at this path instead of our body.
const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");
/// The owner that the internal location `@webdfs_peer` asks, as host:port.
const PEER: HeaderName = HeaderName::from_static("webdfs-peer");
/// The hop mark, which nginx passes on to the owner.
pub const HOP: HeaderName = HeaderName::from_static("webdfs-hop");
/// The internal location that serves files of the root by their URL path (`nginx/webdfs.conf`).
const FILE_LOCATION: &str = "/_webdfs/file";
/// The internal location that asks an owner (`nginx/webdfs.conf`).
const PEER_LOCATION: &str = "@webdfs_peer";
/// What lighttpd is told of a path percent-encoded: it decodes the value, and a space at the end would be lost.
const LIGHTTPD_ENCODED: &AsciiSet = &CONTROLS.add(b'%').add(b' ');

/// How own replicas are delivered.
#[derive(Debug, Clone)]
pub struct DeliverSettings {
    /// Up to this many bytes replicas are mapped and sent; above, the web server sends them if it can.
    pub map_max: u64,
    /// The web server in front, which decides whose ETags to send as well.
    pub front: FrontKind,
    /// The URL prefix in front of every key.
    pub prefix: Prefix,
    /// The storage root, as the web server knows it.
    pub root: PathBuf,
}

/// Has the web server send a replica, if it is large enough and the server can and will send it as we would.
pub fn hand_over(
    settings: &DeliverSettings,
    request: &Request,
    name: &ObjectName,
    replica: &Replica,
) -> Option<Response> {
    let front = settings.front;
    if request.via != Via::WebServer || replica.is_escaped() || replica.size <= settings.map_max {
        return None;
    }
    let validators = Validators { version: replica.version, size: replica.size, front };
    if !is_for_server(&request.method, &request.headers, &validators) {
        return None;
    }
    let mut response = Response::new(StatusCode::OK);
    let headers = &mut response.headers;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name, front)));
    match front {
        FrontKind::Nginx if !request.failed_file => {
            let path = ObjectName::from_bytes(replica.path.as_os_str().as_bytes()).ok()?;
            let location = format!("{FILE_LOCATION}{}", settings.prefix.url_path(&path));
            headers.insert(X_ACCEL_REDIRECT, ascii(&location));
        }
        // Without them lighttpd adds its own, which are the same as ours, but of the very file that it has opened: should
        // another version have taken this one's place meanwhile, they are right as well.
        FrontKind::Lighttpd if request.sends_files => {
            headers.insert(X_SENDFILE, lighttpd_path(&settings.root.join(&replica.path))?);
        }
        // What mod_xsendfile would add is the same for every file.
        FrontKind::Apache if request.sends_files => {
            headers.insert(X_SENDFILE, apache_path(&settings.root.join(&replica.path))?);
            validators.insert_into(headers);
            // mod_xsendfile leaves it out; whoever asks for a range next is answered by us.
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        _ => return None,
    }
    Some(response)
}

/// Whether a web server that is left with a request answers it as we would.
///
/// Whatever is decided without the file's bytes is decided here: 304, 412 and 416. Where servers differ from RFC 9110
/// or from each other, no server is asked: If-Match and If-Unmodified-Since (nginx looks at both, where the first
/// excludes the second), several ranges, HEAD with a range (nginx and Apache answer 206), dates in If-Range.
///
/// Apache gets no ranges at all. It would put the ETag that we name on whatever file lies there by then, and a client
/// would join the parts of two versions. A whole file under the ETag of its predecessor harms nobody: the next
/// request that names that ETag gets a whole file again.
fn is_for_server(method: &Method, headers: &HeaderMap, validators: &Validators) -> bool {
    let has = |name| headers.contains_key(name);
    if evaluate(method, headers, Some(validators)) != Precondition::Proceed
        || has(header::IF_MATCH)
        || has(header::IF_UNMODIFIED_SINCE)
    {
        return false;
    }
    if !has(header::RANGE) {
        return true;
    }
    let is_one = || match select(method, headers, validators) {
        Selection::Ranges(ranges) => ranges.len() == 1 && is_plain_range(headers),
        Selection::Whole | Selection::Unsatisfiable => false,
    };
    let if_range = headers.get(header::IF_RANGE);
    validators.front != FrontKind::Apache && if_range.is_none_or(|tag| tag == validators.etag()) && is_one()
}

/// A path as lighttpd 1.4.69 wants it. `None` if it would refuse the path (502 unless it is UTF-8) or look for another
/// (it decodes control characters to `_`).
fn lighttpd_path(path: &Path) -> Option<HeaderValue> {
    let text = path.to_str().filter(|text| !text.chars().any(|c| c.is_ascii_control()))?;
    Some(ascii(&percent_encode(text.as_bytes(), LIGHTTPD_ENCODED).to_string()))
}

/// A path as mod_xsendfile 0.12 wants it: as it is. `None` if a header cannot say it, or not its last byte, since Apache
/// takes away a space at the end.
fn apache_path(path: &Path) -> Option<HeaderValue> {
    let bytes = path.as_os_str().as_bytes();
    let whole = !bytes.iter().any(u8::is_ascii_control) && !bytes.ends_with(b" ");
    HeaderValue::from_bytes(bytes).ok().filter(|_| whole)
}

/// Where nginx finds a node, as it is written in an `upstream` block: without the port that is meant anyway.
pub fn peer_address(node: &Node) -> String {
    const HTTP_PORT: u16 = 80;
    let url = node.url();
    if url.port() == HTTP_PORT { url.host().to_owned() } else { url.authority().to_owned() }
}

/// Has nginx ask an owner.
pub fn internal_redirect(owner: &Node, hop: &str) -> Response {
    let mut response = Response::new(StatusCode::OK);
    response.headers.insert(X_ACCEL_REDIRECT, HeaderValue::from_static(PEER_LOCATION));
    response.headers.insert(PEER, ascii(&peer_address(owner)));
    response.headers.insert(HOP, ascii(hop));
    response
}

/// Sends the client to an owner's public URL; `None` if the owner has none.
pub fn redirect(owner: &Node, target: &[u8]) -> Option<Response> {
    // A target in absolute form would lengthen the host's name.
    if !target.starts_with(b"/") || target.iter().any(u8::is_ascii_control) {
        return None;
    }
    let mut location = owner.public_url()?.to_string().into_bytes();
    location.extend_from_slice(target);
    let mut response = Response::new(StatusCode::TEMPORARY_REDIRECT);
    response.headers.insert(header::LOCATION, HeaderValue::from_bytes(&location).ok()?);
    response.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    Some(response)
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("percent-encoded paths, hosts and digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    const FRONTS: [FrontKind; 3] = [FrontKind::Nginx, FrontKind::Apache, FrontKind::Lighttpd];

    fn of(front: FrontKind) -> Validators {
        Validators { version: Version::from_mtime(1_700_000_000, 0), size: 1000, front }
    }

    fn asked(method: Method, front: FrontKind, headers: &[(HeaderName, &str)]) -> bool {
        let etag = of(front).etag();
        let value = |text: &str| if text == "ETAG" { etag.clone() } else { text.parse().unwrap() };
        let headers = headers.iter().map(|(name, text)| (name.clone(), value(text))).collect();
        is_for_server(&method, &headers, &of(front))
    }

    #[test]
    fn a_server_is_left_with_whole_files_and_all_but_apache_with_single_ranges() {
        for front in FRONTS {
            assert!(asked(Method::GET, front, &[]) && asked(Method::HEAD, front, &[]), "{front:?}");
            assert!(asked(Method::GET, front, &[(header::IF_NONE_MATCH, "\"other\"")]), "{front:?}");
            let range = |headers: &[(HeaderName, &str)]| asked(Method::GET, front, headers);
            let others = front != FrontKind::Apache;
            for plain in ["bytes=0-99", "bytes=0-", "bytes=-5", "bytes=999-5000"] {
                assert_eq!(range(&[(header::RANGE, plain)]), others, "{front:?} {plain}");
            }
            assert_eq!(range(&[(header::RANGE, "bytes=0-9"), (header::IF_RANGE, "ETAG")]), others);
        }
    }

    #[test]
    fn what_servers_answer_in_different_ways_is_answered_here() {
        const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
        for front in FRONTS {
            let cases: [&[(HeaderName, &str)]; 12] = [
                &[(header::IF_NONE_MATCH, "ETAG")],
                &[(header::IF_MODIFIED_SINCE, DATE)],
                &[(header::IF_MATCH, "\"other\"")],
                &[(header::IF_MATCH, "ETAG")],
                &[(header::IF_UNMODIFIED_SINCE, DATE)],
                &[(header::RANGE, "bytes=1000-")],
                &[(header::RANGE, "bytes=0-1,5-6")],
                &[(header::RANGE, "bytes=nonsense")],
                &[(header::RANGE, "bytes= 0 - 3")],
                &[(header::RANGE, "items=0-3")],
                &[(header::RANGE, "bytes=0-3"), (header::IF_RANGE, "\"other\"")],
                &[(header::RANGE, "bytes=0-3"), (header::IF_RANGE, DATE)],
            ];
            for headers in cases {
                assert!(!asked(Method::GET, front, headers), "{front:?} {headers:?}");
            }
            assert!(!asked(Method::HEAD, front, &[(header::RANGE, "bytes=0-3")]), "{front:?}");
        }
    }

    #[test]
    fn lighttpd_gets_a_path_encoded_and_none_that_it_would_misread() {
        let value = |path: &[u8]| lighttpd_path(Path::new(std::ffi::OsStr::from_bytes(path)));
        assert_eq!(value(b"/srv/a%20b c?#\".jpg").unwrap(), "/srv/a%2520b%20c?#\".jpg");
        assert_eq!(value("/srv/ä ".as_bytes()).unwrap(), "/srv/%C3%A4%20");
        for wrong in [&b"/srv/a\nb"[..], b"/srv/a\r\nX-A: b", b"/srv/\t", b"/srv/\x7f", b"/srv/\xe4"] {
            assert_eq!(value(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn apache_gets_a_path_as_it_is_and_none_that_a_header_cannot_say() {
        let value = |path: &[u8]| apache_path(Path::new(std::ffi::OsStr::from_bytes(path)));
        for path in [&b"/srv/a%20b c?#\".jpg"[..], "/srv/ä.jpg".as_bytes(), b"/srv/\xe4.jpg"] {
            assert_eq!(value(path).unwrap().as_bytes(), path);
        }
        for wrong in [&b"/srv/a\nb"[..], b"/srv/a\r\nX-A: b", b"/srv/a\tb", b"/srv/\x7f", b"/srv/a "] {
            assert_eq!(value(wrong), None, "{}", wrong.escape_ascii());
        }
    }
}
