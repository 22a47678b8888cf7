//! The text of a cluster.toml, and lookups in the map it gives.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webdfs::fuzzing::fuzz_map(data));
