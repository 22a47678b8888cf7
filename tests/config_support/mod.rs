//! What the tests of configuration files share.

use webdfs::config::ConfigError;

/// Checks that `error` is one line that names the file and `line`, 0 for none, and says `fragment`.
#[track_caller]
pub fn assert_says(error: &ConfigError, file: &str, line: usize, fragment: &str) {
    let said = error.to_string();
    let place = if line == 0 { format!("{file}: ") } else { format!("{file}:{line}: ") };
    assert!(said.contains(&place), "should be refused at {place}but: {said}");
    assert!(said.contains(fragment), "should say {fragment}\nbut: {said}");
    assert!(!said.contains('\n'), "more than one line: {said}");
}
