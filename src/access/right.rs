//! What somebody may do, and below which path.  Pure.

use std::fmt;
use std::str::FromStr;

use crate::name::Prefix;

/// Something that a right is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Reading what is private: GET and HEAD, and the source of COPY and MOVE.
    Get,
    /// Storing: PUT and POST, and the destination of COPY and MOVE.
    Put,
    /// Deleting: DELETE, and the source of MOVE.
    Delete,
    /// Listing names.
    List,
    /// The pages of a node.
    Ui,
    /// The figures of a node.
    Metrics,
}

impl Operation {
    /// All of them, with their words.
    const ALL: [(Operation, &'static str); 6] = [
        (Operation::Get, "GET"),
        (Operation::Put, "PUT"),
        (Operation::Delete, "DELETE"),
        (Operation::List, "LIST"),
        (Operation::Ui, "UI"),
        (Operation::Metrics, "METRICS"),
    ];

    /// The word for it in `methods`.
    pub fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A text that is no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use any of GET, PUT, DELETE, LIST, UI and METRICS")]
pub struct UnknownOperation;

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(text: &str) -> Result<Self, UnknownOperation> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text);
        found.map(|(operation, _)| *operation).ok_or(UnknownOperation)
    }
}

/// A right: these operations, below this path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The URL path below which it holds, decoded; a node's own `prefix` is part of it.
    pub prefix: Prefix,
    /// What may be done there.
    pub operations: Vec<Operation>,
}

impl Right {
    /// Whether this may be done at a decoded URL path.
    ///
    /// # Errors
    /// What the right lacks.
    pub fn allows(&self, operation: Operation, path: &[u8]) -> Result<(), Lacking> {
        if !self.operations.contains(&operation) {
            return Err(Lacking::Operation);
        }
        if !self.prefix.covers(path) {
            return Err(Lacking::Prefix);
        }
        Ok(())
    }

    /// The words of the operations, in the order in which they were given.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.operations.iter().map(|operation| operation.word())
    }
}

/// What a right does not hold for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// The operation is none of its own.
    #[error("its methods do not include this")]
    Operation,
    /// The path lies elsewhere.
    #[error("its prefix does not cover this path")]
    Prefix,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_read_from_its_word() {
        for (operation, word) in Operation::ALL {
            assert_eq!((word.parse(), operation.word()), (Ok(operation), word));
        }
        for text in ["", "get", "POST", "GET ", "*"] {
            assert_eq!(text.parse::<Operation>(), Err(UnknownOperation), "{text}");
        }
    }

    #[test]
    fn a_right_holds_below_its_path_and_for_its_operations_alone() {
        let right =
            Right { prefix: "/a/b".parse().unwrap(), operations: vec![Operation::Put, Operation::Get] };
        for path in ["/a/b/", "/a/b/c.jpg", "/a/b/c/d.jpg"] {
            assert_eq!(right.allows(Operation::Put, path.as_bytes()), Ok(()), "{path}");
            assert_eq!(right.allows(Operation::Delete, path.as_bytes()), Err(Lacking::Operation), "{path}");
        }
        for path in ["/", "/a/", "/a/b", "/a/bc.jpg", "/x/a/b/c.jpg"] {
            assert_eq!(right.allows(Operation::Get, path.as_bytes()), Err(Lacking::Prefix), "{path}");
        }
    }
}
