//! What of a client's request goes on to the node that answers it.  Pure.

use http::{HeaderMap, HeaderName, header};

/// What of a client's request another node needs to know, and how it is called between nodes. Not by its own name: the
/// web servers on the way would act on it. lighttpd takes a part out of any whole answer to a request with Range, and
/// the owner has said in its signature what it sent.
const PASSED_ON: [(HeaderName, HeaderName); 6] = [
    (header::RANGE, HeaderName::from_static("webdfs-range")),
    (header::IF_RANGE, HeaderName::from_static("webdfs-if-range")),
    (header::IF_MATCH, HeaderName::from_static("webdfs-if-match")),
    (header::IF_NONE_MATCH, HeaderName::from_static("webdfs-if-none-match")),
    (header::IF_MODIFIED_SINCE, HeaderName::from_static("webdfs-if-modified-since")),
    (header::IF_UNMODIFIED_SINCE, HeaderName::from_static("webdfs-if-unmodified-since")),
];

/// Adds to a message what a client asked for: the range and the conditions in its headers.
pub fn pass_on(client: &HeaderMap, message: &mut HeaderMap) {
    for (name, between) in &PASSED_ON {
        for value in client.get_all(name) {
            message.append(between, value.clone());
        }
    }
}

/// The client's range and conditions in a message.
pub fn passed_on(message: &HeaderMap) -> HeaderMap {
    let mut client = HeaderMap::new();
    for (name, between) in &PASSED_ON {
        for value in message.get_all(between) {
            client.append(name, value.clone());
        }
    }
    client
}
