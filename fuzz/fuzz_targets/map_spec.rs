//! A recipe for a map, and lookups in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webdfs::fuzzing::fuzz_map_spec(data));
