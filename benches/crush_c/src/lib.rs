//! A cluster in the C code of Ceph's CRUSH (the crate crush-sys), for benchmarks. Without the feature `c` there is
//! nothing here.

#[cfg(feature = "c")]
mod hierarchy;

#[cfg(feature = "c")]
pub use hierarchy::Hierarchy;
