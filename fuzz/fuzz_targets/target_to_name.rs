//! The target of a request line.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webdfs::fuzzing::fuzz_target_to_name(data));
