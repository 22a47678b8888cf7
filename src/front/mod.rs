//! The ways in: each front turns bytes of its protocol into a request and a response into bytes.

pub mod fastcgi;
pub mod http;
mod linger;
pub mod listen;
