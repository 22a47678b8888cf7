//! What is said over the control socket of a storage root, `ROOT/.webdfs/agent.sock`: by the commands of an operator, and by
//! other processes of the root, to the one that does its background work.
//!
//! A caller sends one line, a [`Request`], and gets lines back: any number of [`Answer::Progress`], then one of the other
//! answers, and the connection ends. Each line is JSON. Only the user that webdfs runs as can connect.
//!
//! Here are the messages and the caller's side; the other side belongs to the agent.

mod client;
mod cluster;
pub mod lines;
mod plan;

pub use client::{AgentClient, CallError, SIGN_OF_LIFE};
pub use cluster::{ClusterStatus, MovingStatus, NodeStatus, Said};
pub use plan::{Amount, Counts, PlanOrder, Planned};

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::cluster::{Fingerprint, NodeName};
use crate::config::Rate;
use crate::store::{Counted, Space};

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
    /// Say how all nodes are. Answered with [`Answer::Cluster`].
    Cluster,
    /// Hold a full pass that begins from now on. Answered with [`Answer::Finished`] or [`Answer::Failed`].
    Reconcile,
    /// Scrub the whole root, from now on. Answered with [`Answer::Finished`] or [`Answer::Failed`].
    Scrub,
    /// Let passes, offers and scrubs rest, until [`Request::Resume`]. Answered with [`Answer::Background`].
    Pause,
    /// Let them go on. Answered with [`Answer::Background`].
    Resume,
    /// Let the background work go at this rate from now on. Answered with [`Answer::Background`].
    Rate {
        /// The rate; none: as configured.
        bytes_per_second: Option<Rate>,
    },
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
    /// Count what a map would move from here. Answered with [`Answer::Planned`], at once.
    Plan(Box<PlanOrder>),
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
    /// How the background work goes by now. The last line.
    Background(Background),
    /// How the node is. The last line.
    Status(Box<Status>),
    /// How all nodes are. The last line.
    Cluster(Box<ClusterStatus>),
    /// How far it is with counting what a map would move. The last line.
    Planned(Box<Planned>),
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
    /// The space of its disk; none: not known.
    #[serde(default)]
    pub space: Option<Space>,
    /// Tombstones, now.
    pub tombstones: u64,
    /// Keys that some node may lack, now: marks, one for each node.
    pub dirty: u64,
    /// Files in quarantine, now.
    pub quarantine: u64,
    /// What its background work has carried to and from other nodes since its process started.
    #[serde(default)]
    pub carried: Carried,
    /// The full pass.
    pub reconcile: WorkStatus,
    /// The scrub.
    pub scrub: WorkStatus,
    /// How the background work goes.
    #[serde(default)]
    pub background: Background,
    /// The other nodes of the map.
    pub peers: Vec<PeerStatus>,
}

/// How the background work goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Background {
    /// Whether passes, offers and scrubs rest until an operator lets them go on.
    pub paused: bool,
    /// Bytes of files that are read and transferred in a second; none: no limit.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Whether that was ordered by an operator, and is not what is configured.
    pub by_command: bool,
    /// Files that are being read or transferred. Those are finished though the work is paused.
    pub files: usize,
}

/// Copies that travelled between a node and others in its background work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Carried {
    /// Those that it sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Those that it fetched.
    pub fetched: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// Those of both kinds that were held already where they came to, or something newer was.
    pub in_vain: u64,
}

/// How some work over the whole root stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkStatus {
    /// When it last reached its end; none: never.
    pub finished: Option<u64>,
    /// What is being done now, or how the last time ended.
    pub now: Progress,
    /// Where it goes on the next time that it is due, as long as it has not got there; none: at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<CutOff>,
}

/// Where work was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOff {
    /// How much of it is done, of 100, rounded down.
    pub percent: u8,
    /// Keys that are done with.
    pub done: u64,
    /// Bytes that were read for it.
    pub bytes: u64,
    /// When it was so far.
    pub at: u64,
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
        assert_eq!(text(Request::Pause), r#"{"do":"pause"}"#);
        let rate = Request::Rate { bytes_per_second: Some("20MiB".parse().unwrap()) };
        assert_eq!(text(rate), r#"{"do":"rate","bytes_per_second":"20MiB"}"#);
        let progress = Progress { state: State::Running, done: 3, of: Some(7), ..Progress::default() };
        let line = r#"{"progress":{"state":"running","doing":"","done":3,"of":7,"bytes":0}}"#;
        assert_eq!(serde_json::to_string(&Answer::Progress(progress.clone())).unwrap(), line);
        assert_eq!(serde_json::from_str::<Answer>(line).unwrap(), Answer::Progress(progress));
        for strange in [r#"{"do":"format"}"#, r#"{"do":"rate","bytes_per_second":"1B"}"#] {
            assert!(serde_json::from_str::<Request>(strange).is_err(), "{strange}");
        }
    }
}
