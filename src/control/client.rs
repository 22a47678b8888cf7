//! The caller's side of the control socket.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::lines;
use super::{Answer, Background, ClusterStatus, PlanOrder, Planned, Progress, Request, Status, Work};
use crate::disk::on_thread;
use crate::store::connect_to_agent;

/// How long to wait for an agent while there is none: one that dies is followed by another within a second.
const UNTIL_ELECTED: Duration = Duration::from_secs(3);
/// How often to look for one meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often an agent says how far it is at the least, though nothing has changed.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// How long to wait for a line. A status asks every node, which takes a while if one hangs.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Why the agent has not done what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody does the background work of the root.
    #[error(
        "no webdfs does the background work of {}: start `webdfs serve` or `webdfs agent` there",
        .root.display()
    )]
    NoAgent {
        /// The storage root.
        root: PathBuf,
    },
    /// The agent's socket cannot be reached; most likely by another user than webdfs runs as.
    #[error("the webdfs that does the background work of {} cannot be reached; are you the user it runs as?", .root.display())]
    Connect {
        /// The storage root.
        root: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The agent has ended, or its process was replaced by a new one, before it was done. Asking again reaches the one that
    /// follows.
    #[error("the webdfs that was asked has ended before it was done; ask again")]
    Ended,
    /// The agent says nothing any more.
    #[error("the webdfs that was asked has said nothing for {} seconds", SILENCE_MAX.as_secs())]
    Silent,
    /// What it says makes no sense.
    #[error("the webdfs that was asked is not understood; is it another release?")]
    Strange(#[source] Option<io::Error>),
    /// It does not do that.
    #[error("{0}")]
    Refused(String),
    /// The work did not reach its end.
    #[error("{work} is not finished: {problem}")]
    Unfinished {
        /// What was asked for.
        work: Work,
        /// Why.
        problem: String,
    },
}

/// The way to the process that does the background work of a storage root.
#[derive(Debug, Clone)]
pub struct AgentClient {
    /// The storage root.
    pub root: PathBuf,
}

impl AgentClient {
    /// How the node is.
    ///
    /// # Errors
    /// As [`AgentClient::call`].
    pub async fn status(&self) -> Result<Status, CallError> {
        match self.call(Request::Status, |_| {}).await? {
            Answer::Status(status) => Ok(*status),
            _ => Err(CallError::Strange(None)),
        }
    }

    /// How all nodes of the cluster are, as far as this one knows or can ask.
    ///
    /// # Errors
    /// As [`AgentClient::call`].
    pub async fn cluster(&self) -> Result<ClusterStatus, CallError> {
        match self.call(Request::Cluster, |_| {}).await? {
            Answer::Cluster(status) => Ok(*status),
            _ => Err(CallError::Strange(None)),
        }
    }

    /// The same as [`AgentClient::status`], without asking other nodes whether they answer.
    ///
    /// # Errors
    /// As [`AgentClient::call`].
    pub async fn standing(&self) -> Result<Status, CallError> {
        match self.call(Request::Standing, |_| {}).await? {
            Answer::Status(status) => Ok(*status),
            _ => Err(CallError::Strange(None)),
        }
    }

    /// Gives an order about the background work; how that goes by now.
    ///
    /// # Errors
    /// As [`AgentClient::call`]; then it goes as before, or the order is carried out all the same.
    pub async fn order(&self, order: Request) -> Result<Background, CallError> {
        match self.call(order, |_| {}).await? {
            Answer::Background(background) => Ok(background),
            _ => Err(CallError::Strange(None)),
        }
    }

    /// What a map would move from here, or how far the agent is with counting that.
    ///
    /// # Errors
    /// As [`AgentClient::call`].
    pub async fn plan(&self, order: PlanOrder) -> Result<Planned, CallError> {
        match self.call(Request::Plan(Box::new(order)), |_| {}).await? {
            Answer::Planned(planned) => Ok(*planned),
            _ => Err(CallError::Strange(None)),
        }
    }

    /// Asks for a run of some work that begins from now on, and waits for its end; `show` is told how far it is.
    ///
    /// # Errors
    /// As [`AgentClient::call`], and [`CallError::Unfinished`].
    pub async fn have_done(&self, work: Work, show: impl FnMut(&Progress)) -> Result<Progress, CallError> {
        match self.call(work.into(), show).await? {
            Answer::Finished(progress) => Ok(progress),
            Answer::Failed(problem) => Err(CallError::Unfinished { work, problem }),
            _ => Err(CallError::Strange(None)),
        }
    }

    /// Asks the agent, and waits for the last line of its answer. Should there be no agent, another process of the root may
    /// be about to become it: that is waited for.
    ///
    /// # Errors
    /// When there is none, it refuses, ends, hangs, or is not understood. It may have done what was asked, or go on with it.
    pub async fn call(&self, request: Request, mut show: impl FnMut(&Progress)) -> Result<Answer, CallError> {
        let (from, mut to) = self.connect().await?.into_split();
        lines::send(&mut to, &request).await.map_err(Self::broken)?;
        let mut from = BufReader::new(from);
        loop {
            let line =
                timeout(SILENCE_MAX, lines::receive(&mut from)).await.map_err(|_| CallError::Silent)?;
            match line.map_err(Self::broken)? {
                None => return Err(CallError::Ended),
                Some(Answer::Progress(progress)) => show(&progress),
                Some(Answer::Refused(problem)) => return Err(CallError::Refused(problem)),
                Some(answer) => return Ok(answer),
            }
        }
    }

    async fn connect(&self) -> Result<UnixStream, CallError> {
        let deadline = Instant::now() + UNTIL_ELECTED;
        let fail = |source| CallError::Connect { root: self.root.clone(), source };
        loop {
            let root = self.root.clone();
            match on_thread(move || connect_to_agent(&root)).await {
                Ok(stream) => {
                    stream.set_nonblocking(true).map_err(fail)?;
                    return UnixStream::from_std(stream).map_err(fail);
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
                {
                    if Instant::now() > deadline {
                        return Err(CallError::NoAgent { root: self.root.clone() });
                    }
                }
                Err(error) => return Err(fail(error)),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn broken(error: io::Error) -> CallError {
        match error.kind() {
            io::ErrorKind::InvalidData => CallError::Strange(Some(error)),
            _ => CallError::Ended,
        }
    }
}
