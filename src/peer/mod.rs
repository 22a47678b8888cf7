//! What nodes say to each other: signed requests below `/_webdfs/v1/` (design section 11).

pub mod client;
pub mod message;
pub mod sign;
