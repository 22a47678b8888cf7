//! Taking over what other systems hold: their configuration as a map of webdfs ([`original`]), and their files through
//! the front door of a running cluster ([`run`]).
//!
//! A source ([`Source`]) names files, one after the other; workers read each ([`content`]), and PUT it to one of the
//! targets ([`upload`]). What is finished is written down ([`journal`]), so that an import that was killed goes on where
//! it was. Nothing here knows of roots, maps or peers: whatever can upload by HTTP could do the same.

pub mod original;

mod content;
mod folder;
mod http;
mod journal;
mod list;
mod mogilefs;
mod run;
mod source;
mod summary;
mod targets;
mod upload;

pub use journal::JournalError;
pub use mogilefs::{Keys, Tracker};
pub use run::{Import, run};
pub use source::Source;
pub use summary::{Failed, Summary};
