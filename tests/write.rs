//! Writing: what clients may send, what they are told, and what is then on the disks.

/// Bodies of every kind, on connections that stay in step.
#[path = "write/bodies.rs"]
mod bodies;
/// What is stored, replaced and deleted, and what the disks then hold.
#[path = "write/objects.rs"]
mod objects;
/// Conditions, methods, names and clients that a write is refused for.
#[path = "write/refusals.rs"]
mod refusals;

mod common;
