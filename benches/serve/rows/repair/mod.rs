//! (r, rp, i) The repair of a cluster: what a node lost, and what it costs to find that nothing is lost.

mod agreement;
mod batches;
mod passes;
mod source;

pub use agreement::row as agreement;
pub use batches::row as batches;
pub use passes::row as passes;
