//! What a web server sends on a FastCGI connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webdfs::fuzzing::fuzz_records(data));
