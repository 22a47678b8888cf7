//! webdfs: images and other static files on many machines, beside the web server you already run.
//!
//! A file's place is *computed* from its path and the cluster map, so there is no directory, no database and no master:
//! every node can answer every request. A replica is a plain file under its own name; its mtime is its version.
//!
//! # The life of a GET
//!
//! The web server looks for the file itself; only when it is not there does it ask webdfs. A front ([`front`]) turns
//! the bytes of its protocol into a [`request::Request`]. The service ([`service`]) turns the target into an object
//! name ([`name`]), looks on its own disk ([`store`]) and, if the file is not there, asks for the route
//! ([`resolve`]), which comes from the map ([`cluster`]) and the placement algorithm ([`placement`]). An own replica
//! becomes a response in [`deliver`], which decides conditionals and ranges ([`semantics`]) and may leave the sending
//! to the web server. For another node's object the web server is sent there, or the owner's bytes are passed on
//! ([`peer`]), and the next owner's should it break off in the middle; an owner that lacked the object keeps it.
//!
//! # The life of a PUT
//!
//! Two phases over the owners. *Prepare* streams the body to all of them at once; each writes it under a temporary name
//! and answers with its checksum and the version it now holds. *Commit* sends the version chosen from these answers;
//! each owner syncs the file and renames it into place. W of R commits are a success ([`quorum`]). Whoever missed
//! it is marked dirty on the others, and their agent ([`agent`]) brings it up to date as soon as it answers.
//!
//! # Which module knows which
//!
//! Data flows one way: bytes -> Request -> where is it -> deliver -> Response -> bytes. A module imports only from those
//! before it; `tests/tidy.rs` says the order and holds the code to it. [`node`] builds everything and knows
//! everyone. The only `unsafe` is in [`sys`].
//!
//! Who may do what is decided in [`access`], which also signs URLs for a site's own code. Below the map stands [`php`], the random numbers and placements of the original webDFS; both it and `cluster/crush`,
//! CRUSH maps and their text, are checked and prepared when a map is read, so that a lookup cannot fail.
//! [`placement::narrate`] tells a lookup in words. Beside all this, [`sim`] places made-up objects, to tell what a map
//! will do; [`gossip`] shows each node what the others tell of themselves, [`change`] says what speaks against putting
//! one map in the place of another, [`import`] brings in what other systems hold, as any other client would, and
//! `fuzzing` holds what fuzzers and `make test` feed with bytes that nobody chose.
//! `failpoint` lists where tests may stop the program between two steps, or make it do wrong; a release has none of that.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod access;
pub mod agent;
pub mod chain;
pub mod change;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod control;
pub mod deliver;
pub mod disk;
#[doc(hidden)]
pub mod failpoint;
pub mod front;
#[doc(hidden)]
pub mod fuzzing;
pub mod gossip;
pub mod held;
pub mod import;
pub mod incoming;
pub mod maps;
pub mod name;
pub mod node;
pub mod peer;
pub mod php;
pub mod placement;
pub mod quorum;
pub mod reconcile;
pub mod request;
pub mod resolve;
pub mod response;
pub mod semantics;
pub mod service;
pub mod sim;
pub mod store;
pub mod sys;
pub mod version;
