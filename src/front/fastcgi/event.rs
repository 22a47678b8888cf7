//! What the requests of one connection may do, what they did, and what broke the protocol: the words of `conn`.

use bytes::Bytes;

use super::conn::GET_VALUES_MAX;
use super::pairs::{PairsError, Params};
use super::record::{RecordType, VersionError};

/// What one connection may ask for.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Parameter bytes of one request. One with more is answered with status 431 and never seen by the handler.
    pub params_bytes_max: usize,
    /// Requests open at once on this connection, 1 or more. One more is refused as `FCGI_OVERLOADED`, or as
    /// `FCGI_CANT_MPX_CONN` where only one is allowed.
    pub requests_max: usize,
    /// Only told to the web server, as `FCGI_MAX_CONNS`.
    pub connections_max: usize,
}

/// Something that a request did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A request has begun and its parameters are complete.
    Request {
        /// Names it in later events, and in [`Connection::end`](super::conn::Connection::end).
        id: u16,
        /// Its parameters.
        params: Params,
    },
    /// A piece of its body, never empty; a slice of the input buffer.
    Body {
        /// The request.
        id: u16,
        /// The piece.
        bytes: Bytes,
    },
    /// The sender said that the body is complete.
    BodyEnd {
        /// The request.
        id: u16,
    },
    /// The web server no longer wants the answer. It still waits for the record that ends the request.
    Abort {
        /// The request.
        id: u16,
    },
}

/// The other side broke the protocol. The connection is of no further use; requests open on it are lost.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Not FastCGI, or out of step.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A request cannot begin under the id of an open one.
    #[error("request id {0} begins again before its end")]
    AlreadyOpen(u16),
    /// Id 0 belongs to management records, and the others need an id.
    #[error("a record of type {0:?} needs a request id other than 0")]
    NullRequestId(RecordType),
    /// `FCGI_BEGIN_REQUEST` has a body of fixed length.
    #[error("a request begins with a record of {0} bytes instead of 8")]
    BeginLength(usize),
    /// No web server has that much to ask.
    #[error("FCGI_GET_VALUES of {0} bytes, at most {GET_VALUES_MAX} are read")]
    GetValuesLength(usize),
    /// A record that does not fit what the request has already said.
    #[error("request {id} got a record of type {record_type:?} {state}")]
    OutOfPlace {
        /// The request.
        id: u16,
        /// The record.
        record_type: RecordType,
        /// Where the request was.
        state: &'static str,
    },
    /// The parameters of a request, or the names asked for, are cut.
    #[error(transparent)]
    Pairs(#[from] PairsError),
}
