//! What is said over the control socket of a storage root, `ROOT/.webdfs/agent.sock`: by the commands of an operator, and by
//! other processes of the root, to the one that does its background work.
//!
//! A caller sends one line, a [`Request`], and gets lines back: any number of [`Answer::Progress`], then one of the other
//! answers, and the connection ends. Each line is JSON. Only the user that webdfs runs as can connect.
//!
//! Here are the messages and the caller's side; the other side belongs to the agent.

mod client;
pub mod lines;

pub use client::{AgentClient, CallError, SIGN_OF_LIFE};

use serde::{Deserialize, Serialize};

use crate::cluster::{Fingerprint, NodeName};

use crate::store::Counted;

/// Work over the whole root, which is done now and then, and when somebody asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// A full pass: every key is compared with every other owner's.
    Reconcile,
    /// Every replica is read and compared with its checksum.
    Scrub,
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Reconcile, Self::Scrub];
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Work::Reconcile => "reconcile",
            Work::Scrub => "scrub",
        })
    }
}

/// What is asked of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Request {
    /// Say how the node is. Answered with [`Answer::Status`].
    Status,
    /// The same, without asking other nodes whether they answer.
    Standing,
    /// Hold a full pass that begins from now on. Answered with [`Answer::Finished`] or [`Answer::Failed`].
    Reconcile,
    /// Scrub the whole root, from now on. Answered with [`Answer::Finished`] or [`Answer::Failed`].
    Scrub,
    /// Walk over the root, for another node that holds a pass. Answered with [`Answer::Ready`] after a few seconds at most.
    Inventory {
        /// How long ago the walk may have begun, in milliseconds.
        max_age_ms: u64,
    },
    /// Hold a pass restricted to the keys of a node that lacks some. Answered with [`Answer::Ready`], at once.
    Offer {
        /// The node.
        to: NodeName,
        /// Which of its requests this is.
        token: u64,
    },
}

impl From<Work> for Request {
    fn from(work: Work) -> Self {
        match work {
            Work::Reconcile => Request::Reconcile,
            Work::Scrub => Request::Scrub,
        }
    }
}

/// A line of the agent's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// How far the work is. Comes when that changes, and now and then all the same, so that the caller knows that the
    /// agent lives.
    Progress(Progress),
    /// The work was done from its beginning to its end. The last line.
    Finished(Progress),
    /// The work did not reach its end, for this reason. The last line.
    Failed(String),
    /// Whether what was asked for is done; if not, it goes on. The last line.
    Ready(bool),
    /// How the node is. The last line.
    Status(Box<Status>),
    /// The agent does not do what was asked, for this reason. The last line.
    Refused(String),
}

/// How far some work is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Whether it runs, waits, or how it ended.
    pub state: State,
    /// What is being done, for a person to read. May be empty.
    pub doing: String,
    /// How many keys are done with.
    pub done: u64,
    /// Of how many; none: not known yet.
    pub of: Option<u64>,
    /// Bytes of files read, sent and fetched for it.
    pub bytes: u64,
}

/// Whether work is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has not begun since this process does the background work, or it was asked for and is about to begin.
    #[default]
    Waiting,
    /// It is being done.
    Running,
    /// It has reached its end.
    Finished,
    /// It has ended before its end.
    Failed,
}

/// How a node is. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub node: String,
    /// The process that does its background work, and answers.
    pub process: u32,
    /// Its storage root.
    pub root: String,
    /// The epoch of its map.
    pub epoch: u64,
    /// The fingerprint of that map.
    pub map: Fingerprint,
    /// The epoch under which it has last finished a full pass; 0: under none.
    pub passed: u64,
    /// The epochs of older maps that are not settled, oldest first.
    pub unsettled: Vec<u64>,
    /// Whether its root lacks nothing it should have.
    pub complete: bool,
    /// What the last walk over the root has counted; none: there was none yet.
    pub counted: Option<Counted>,
    /// Tombstones, now.
    pub tombstones: u64,
    /// Keys that some node may lack, now: marks, one for each node.
    pub dirty: u64,
    /// Files in quarantine, now.
    pub quarantine: u64,
    /// The full pass.
    pub reconcile: WorkStatus,
    /// The scrub.
    pub scrub: WorkStatus,
    /// The other nodes of the map.
    pub peers: Vec<PeerStatus>,
}

/// How some work over the whole root stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkStatus {
    /// When it last reached its end; none: never.
    pub finished: Option<u64>,
    /// What is being done now, or how the last time ended.
    pub now: Progress,
}

/// Whether another node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub node: String,
    /// Whether it does.
    pub up: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lines_that_a_person_can_read_and_write() {
        let text = |request: Request| serde_json::to_string(&request).unwrap();
        assert_eq!(text(Request::Status), r#"{"do":"status"}"#);
        assert_eq!(text(Work::Reconcile.into()), r#"{"do":"reconcile"}"#);
        assert_eq!(text(Work::Scrub.into()), r#"{"do":"scrub"}"#);
        let progress = Progress { state: State::Running, done: 3, of: Some(7), ..Progress::default() };
        let line = r#"{"progress":{"state":"running","doing":"","done":3,"of":7,"bytes":0}}"#;
        assert_eq!(serde_json::to_string(&Answer::Progress(progress.clone())).unwrap(), line);
        assert_eq!(serde_json::from_str::<Answer>(line).unwrap(), Answer::Progress(progress));
        assert!(serde_json::from_str::<Request>(r#"{"do":"format"}"#).is_err());
    }
}
