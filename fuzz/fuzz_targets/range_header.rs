//! The Range and If-Range headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webdfs::fuzzing::fuzz_range_header(data));
