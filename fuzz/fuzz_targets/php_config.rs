//! A `cluster_config.php` of the original webDFS, and the map that it becomes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webdfs::fuzzing::fuzz_php_config(data));
