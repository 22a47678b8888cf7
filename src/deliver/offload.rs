//! Leaving the delivery to the web server: nginx's X-Accel-Redirect, and redirects of the client.
//!
//! What nginx then does with a file is exactly what it does with a static one: its own ETag (the same as ours), ranges,
//! conditionals and HEAD. The ways of other web servers come here as they are added.

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::DeliverSettings;
use crate::cluster::Node;
use crate::name::{ObjectName, Prefix};
use crate::request::{Request, Via};
use crate::response::Response;
use crate::semantics::{FrontKind, content_type};
use crate::store::Replica;

/// nginx goes to this internal location instead of sending our body.
const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
/// The owner that the internal location `@webdfs_peer` asks, as host:port.
const PEER: HeaderName = HeaderName::from_static("webdfs-peer");
/// The hop mark, which nginx passes on to the owner.
pub const HOP: HeaderName = HeaderName::from_static("webdfs-hop");
/// The internal location that serves files of the root by their URL path (`nginx/webdfs.conf`).
const FILE_LOCATION: &str = "/_webdfs/file";
/// The internal location that asks an owner (`nginx/webdfs.conf`).
const PEER_LOCATION: &str = "@webdfs_peer";

/// Has the web server send a replica, if it is large enough and the server can.
pub fn hand_over(
    settings: DeliverSettings,
    front: FrontKind,
    prefix: &Prefix,
    request: &Request,
    name: &ObjectName,
    replica: &Replica,
) -> Option<Response> {
    let can_send = request.via == Via::WebServer && front == FrontKind::Nginx;
    let possible = can_send && replica.at_url_path && !request.failed_file;
    if !possible || replica.size <= settings.map_max {
        return None;
    }
    let mut response = Response::new(StatusCode::OK);
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    response.headers.insert(X_ACCEL_REDIRECT, ascii(&format!("{FILE_LOCATION}{}", prefix.url_path(name))));
    Some(response)
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
    if !target.starts_with(b"/") {
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
