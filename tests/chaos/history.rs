//! What was asked of the cluster, when, and what it answered.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::common::noise;

/// Names an operation; also the value that a PUT stores.
pub type OpId = u64;
/// Names a key.
pub type Key = usize;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Put,
    Delete,
    Get,
}

/// What bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Exactly those of this PUT.
    Of(OpId),
    /// Those of no PUT: why.
    Foreign(String),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No whole answer came, or one that leaves it open.
    Unknown,
    /// An answer without an object.
    Status(u16),
    /// 200 with these bytes.
    Found(Content),
}

/// One operation. Times are nanoseconds since the history began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    pub id: OpId,
    pub key: Key,
    pub action: Action,
    /// Through which node.
    pub node: usize,
    /// Whether that node's clock was off.
    pub clock_off: bool,
    pub invoked: u64,
    /// When the answer was there, whatever it was; `u64::MAX` without one.
    pub answered: u64,
    pub outcome: Outcome,
}

impl Op {
    pub fn is_write(&self) -> bool {
        self.action != Action::Get
    }

    /// A write that was promised to last.
    pub fn is_acknowledged(&self) -> bool {
        self.is_write() && matches!(self.outcome, Outcome::Status(200 | 201 | 204))
    }

    /// A write of which nothing may ever be seen.
    pub fn is_refused(&self) -> bool {
        self.is_write() && matches!(self.outcome, Outcome::Status(400..=499 | 503 | 507))
    }

    /// Whether this was over before the other began. A write of unknown outcome may take its time.
    pub fn precedes(&self, other: &Op) -> bool {
        self.outcome != Outcome::Unknown && self.answered < other.invoked
    }
}

/// All operations so far.
#[derive(Debug)]
pub struct History {
    began: Instant,
    next: AtomicU64,
    ops: Mutex<Vec<Op>>,
}

impl History {
    pub fn new() -> Self {
        Self { began: Instant::now(), next: AtomicU64::new(1), ops: Mutex::default() }
    }

    pub fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    pub fn next_id(&self) -> OpId {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    pub fn record(&self, op: Op) {
        self.ops.lock().expect("no holder panics").push(op);
    }

    /// Takes what was recorded since the last time.
    pub fn take(&self) -> Vec<Op> {
        std::mem::take(&mut self.ops.lock().expect("no holder panics"))
    }
}

/// The bytes that a PUT stores: they name it.
pub fn body(id: OpId, length: usize) -> Vec<u8> {
    let mut body = format!("{id} {length}\n").into_bytes();
    body.extend(noise(id, length));
    body
}

/// Whose bytes these are.
pub fn content(bytes: &[u8]) -> Content {
    let named = || {
        let line = bytes.split(|byte| *byte == b'\n').next()?;
        let (id, length) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        Some((id.parse().ok()?, length.parse::<usize>().ok()?))
    };
    match named() {
        Some((id, length)) if length <= bytes.len() && body(id, length) == bytes => Content::Of(id),
        Some((id, length)) => Content::Foreign(format!("{} bytes like {length} of write {id}", bytes.len())),
        None => Content::Foreign(format!(
            "{} bytes: {}",
            bytes.len(),
            bytes[..bytes.len().min(40)].escape_ascii()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_write_name_it_and_no_others_do() {
        for length in [0, 1, 1000] {
            let bytes = body(17, length);
            assert_eq!(content(&bytes), Content::Of(17));
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 1;
                assert_ne!(content(&other), Content::Of(17), "{at}");
                assert_ne!(content(&bytes[..at]), Content::Of(17), "{at}");
            }
        }
    }
}
