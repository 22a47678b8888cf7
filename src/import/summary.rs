//! What an import has come to.

use serde::Serialize;

/// How many failures are kept one by one; the rest are counted.
const FAILURES_KEPT: usize = 1_000;

/// The end of an import, or how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files that were stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already with the same bytes.
    pub same: u64,
    /// Files that the journal names as finished.
    pub resumed: u64,
    /// Files that were not stored, and names that cannot be one.
    pub failed: u64,
    /// The first of these.
    pub failures: Vec<Failed>,
}

/// Something that was not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The name or the origin, as far as it is known.
    pub what: String,
    /// Why not, and what would help.
    pub why: String,
}

impl Failed {
    pub(super) fn new(what: impl ToString, why: impl ToString) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

impl Summary {
    pub(super) fn fail(&mut self, failed: Failed) {
        self.failed += 1;
        if self.failures.len() < FAILURES_KEPT {
            self.failures.push(failed);
        }
    }

    /// Everything that is done with.
    pub fn done(&self) -> u64 {
        self.files + self.same + self.resumed + self.failed
    }
}
