//! What a walk over a root could not read and has gone on without.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use super::StoreError;

/// Files and folders of one cause that are named; the others are counted.
const NAMED_MAX: usize = 3;

/// Files and folders that a walk could not read. All below such a folder is unknown, and counts as one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    /// What could not be read for each cause. There are few: a kind of call that failed, and the system's answer.
    causes: BTreeMap<String, Cause>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cause {
    count: u64,
    /// The first ones met.
    named: Vec<PathBuf>,
}

impl Unread {
    /// How many.
    pub fn count(&self) -> u64 {
        self.causes.values().map(|cause| cause.count).sum()
    }

    /// Whether everything could be read.
    pub fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }

    /// A line for each cause, for a person to read.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.causes.iter().map(|(why, Cause { count, named })| {
            let paths: Vec<_> = named.iter().map(|path| path.display().to_string()).collect();
            let such_as = if *count > paths.len() as u64 { "such as " } else { "" };
            format!("{count} could not be read here: {such_as}{}: {why}", paths.join(", "))
        })
    }

    /// Notes what could not be read.
    pub(super) fn add(&mut self, error: &StoreError) {
        let (why, path) = match error {
            StoreError::Io { action, path, source } => (format!("cannot {action}: {source}"), path.clone()),
            StoreError::Damaged { path, problem } => (format!("damaged: {problem}"), path.clone()),
            other => (other.to_string(), PathBuf::new()),
        };
        let cause = self.causes.entry(why).or_default();
        cause.count += 1;
        if cause.named.len() < NAMED_MAX {
            cause.named.push(path);
        }
    }
}

impl Display for Unread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_could_not_be_read_is_told_in_a_line_for_each_cause_with_the_first_names() {
        let mut unread = Unread::default();
        assert!(unread.is_empty() && unread.to_string().is_empty());
        let denied = |path: &str| StoreError::io("open", Path::new(path), ErrorKind::PermissionDenied.into());
        unread.add(&denied("a/b.jpg"));
        unread.add(&StoreError::io("list", Path::new("c"), ErrorKind::PermissionDenied.into()));
        let why = ErrorKind::PermissionDenied.to_string();
        assert_eq!(
            unread.to_string(),
            format!(
                "1 could not be read here: c: cannot list: {why}; 1 could not be read here: a/b.jpg: cannot open: {why}"
            )
        );
        (0..9).for_each(|number| unread.add(&denied(&format!("{number}.jpg"))));
        assert_eq!(unread.count(), 11);
        let line = unread.lines().last().unwrap();
        assert_eq!(
            line,
            format!("10 could not be read here: such as a/b.jpg, 0.jpg, 1.jpg: cannot open: {why}")
        );
    }
}
