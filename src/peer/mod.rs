//! What nodes say to each other: signed requests below `/_webdfs/v1/` (design section 11).

mod absent;
pub mod batch;
mod body;
pub mod client;
pub mod envelope;
mod flow;
mod health;
pub mod message;
pub mod passed_on;
pub mod reconcile;
pub mod sign;
