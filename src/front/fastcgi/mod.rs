//! FastCGI 1.0 responder: a protocol core that does no I/O, and a tokio shell around it.
//!
//! Nothing in this folder knows what a request means: it hands parameters and a body to a [`Handler`] and sends the
//! [`Response`](crate::response::Response) that comes back.
//!
//! | file | what is there |
//! |---|---|
//! | `record` | headers, types and small bodies of records; pure |
//! | `pairs` | name-value pairs, and [`Params`]; pure |
//! | `event` | what requests do, and what breaks the protocol: the words of `conn` |
//! | `conn` | records of one connection -> events; pure |
//! | `batch` | an answer -> records for one vectored write |
//! | `exchange` | what the connection and one of its requests share: the body on its way to the handler |
//! | `slice` | pieces of a file: read or mapped |
//! | `answer` | sends one response, batch by batch |
//! | `work` | several jobs at the same time, in one task |
//! | `connection` | one connection: reading, running the handler |
//! | `server` | accepting |
//!
//! The specification: <https://fastcgi-archives.github.io/FastCGI_Specification.html>

mod answer;
mod batch;
pub mod conn;
mod connection;
mod event;
mod exchange;
pub mod pairs;
pub mod record;
mod server;
mod slice;
mod work;

pub use self::conn::ProtocolError;
pub use self::connection::{ServeError, serve_connection};
pub use self::pairs::Params;
pub use self::server::{Handler, Limits, Relay, serve, serve_relayed};
