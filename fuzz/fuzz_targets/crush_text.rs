//! A CRUSH map as text, and lookups in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webdfs::fuzzing::fuzz_crush_text(data));
