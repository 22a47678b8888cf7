//! webdfs: images and other static files on many machines, beside the web server you already run.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod cli;
pub mod cluster;
pub mod config;
pub mod front;
#[doc(hidden)]
pub mod fuzzing;
pub mod name;
pub mod placement;
pub mod response;
pub mod semantics;
pub mod sys;
pub mod version;
