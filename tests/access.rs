//! Who may read and write: tokens, signed URLs, users, private prefixes and limits, against real nodes.

/// The commands, and the files that they write.
#[path = "access/commands.rs"]
mod commands;
/// How much one client may write.
#[path = "access/limits.rs"]
mod limits;
/// What is not for everybody, behind each web server.
#[path = "access/private.rs"]
mod private;
/// What the tests have in common.
#[path = "access/scene.rs"]
mod scene;
/// URLs that let in whoever has them.
#[path = "access/signed.rs"]
mod signed;
/// What programs show.
#[path = "access/tokens.rs"]
mod tokens;
/// Whom the web server lets in.
#[path = "access/users.rs"]
mod users;
/// Signed URLs that other code made.
#[path = "access/vectors.rs"]
mod vectors;

mod common;
