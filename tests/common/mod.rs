//! What several test programs share.

pub mod fcgi;
pub mod odd;
