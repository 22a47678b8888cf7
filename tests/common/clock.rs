//! Processes with a clock of their own.

use std::fs;

/// What a process is to have in its environment for its clock to be off by so many seconds.
///
/// # Panics
/// When libfaketime is not installed.
pub fn clock_off_by(seconds: i64) -> Vec<(String, String)> {
    if seconds == 0 {
        return Vec::new();
    }
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let library = libraries.find(|library| library.exists()).expect("libfaketime is installed (make deps)");
    let values = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", format!("{seconds:+}")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        // Times of files are what they are; and what is killed must leave nothing behind.
        ("NO_FAKE_STAT", "1".to_owned()),
        ("FAKETIME_DISABLE_SHM", "1".to_owned()),
    ];
    values.map(|(name, value)| (name.to_owned(), value)).to_vec()
}
