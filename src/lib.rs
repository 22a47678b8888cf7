//! webdfs: images and other static files on many machines, beside the web server you already run.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod agent;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod deliver;
pub mod front;
#[doc(hidden)]
pub mod fuzzing;
pub mod held;
pub mod name;
pub mod node;
pub mod peer;
pub mod placement;
pub mod quorum;
pub mod request;
pub mod resolve;
pub mod response;
pub mod semantics;
pub mod service;
pub mod store;
pub mod sys;
pub mod version;
