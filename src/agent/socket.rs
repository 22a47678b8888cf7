//! The agent's side of the control socket: who connects asks one thing, and is answered by the newest generation of this
//! process's agent.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::Agent;
use super::tasks::{Asked, Seen};
use crate::control::{Answer, Request, SIGN_OF_LIFE, Work, lines};
use crate::disk::on_thread;
use crate::store::{AgentLock, AgentSocket, Orders, StoreError};

/// How long whoever connects may take to ask.
const UNTIL_ASKED: Duration = Duration::from_secs(10);
/// Callers at the same time at most; others are sent away, which a command of an operator never meets.
const CALLERS_MAX: usize = 1024;
/// The shortest time between two lines of progress.
const LINE_EVERY: Duration = Duration::from_millis(100);
/// How long to wait when no connection can be accepted, for want of descriptors for example.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// The open socket. Dropping it ends every connection and removes the socket's file.
#[derive(Debug)]
pub struct ControlSocket {
    current: watch::Sender<Agent>,
    accepting: AbortHandle,
    _file: AgentSocket,
}

impl ControlSocket {
    /// Opens it, for the holder of `lock`.
    pub(super) fn open(agent: Agent, lock: &AgentLock) -> Result<Self, StoreError> {
        let (listener, file) = agent.store.listen_as_agent(lock)?;
        let listener = UnixListener::from_std(listener).map_err(|source| {
            StoreError::io("listen on the agent's socket below", agent.store.root(), source)
        })?;
        let (current, newest) = watch::channel(agent);
        let accepting = tokio::spawn(accept(listener, newest)).abort_handle();
        Ok(Self { current, accepting, _file: file })
    }

    /// From now on this agent answers.
    pub(super) fn hand_to(&self, agent: Agent) {
        self.current.send_replace(agent);
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, newest: watch::Receiver<Agent>) {
    let mut callers = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while callers.try_join_next().is_some() {}
                if callers.len() < CALLERS_MAX {
                    callers.spawn(answer(stream, newest.clone()));
                }
            }
            Err(error) => {
                log::warn!("the agent's socket: {error}");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, newest: watch::Receiver<Agent>) {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let Ok(received) = timeout(UNTIL_ASKED, lines::receive(&mut from)).await else { return };
    let agent = newest.borrow().clone();
    let sent = match received {
        Ok(None) => return,
        Err(error) => {
            let problem = format!("the webdfs that runs does not understand what is asked: {error}");
            lines::send(&mut to, &Answer::Refused(problem)).await
        }
        Ok(Some(request @ (Request::Status | Request::Standing))) => {
            let answer = match agent.status(request == Request::Status).await {
                Ok(status) => Answer::Status(Box::new(status)),
                Err(error) => Answer::Refused(error.to_string()),
            };
            lines::send(&mut to, &answer).await
        }
        Ok(Some(Request::Cluster)) => {
            let answer = match agent.cluster_status().await {
                Ok(status) => Answer::Cluster(Box::new(status)),
                Err(error) => Answer::Refused(error.to_string()),
            };
            lines::send(&mut to, &answer).await
        }
        Ok(Some(Request::Reconcile)) => have_done(&agent, Work::Reconcile, from, &mut to).await,
        Ok(Some(Request::Scrub)) => have_done(&agent, Work::Scrub, from, &mut to).await,
        Ok(Some(Request::Pause)) => give(&agent, |orders| orders.paused = true, &mut to).await,
        Ok(Some(Request::Resume)) => give(&agent, |orders| orders.paused = false, &mut to).await,
        Ok(Some(Request::Rate { bytes_per_second })) => {
            give(&agent, move |orders| orders.rate = bytes_per_second, &mut to).await
        }
        Ok(Some(Request::Inventory { max_age_ms })) => {
            let answer = agent.walk_for(Duration::from_millis(max_age_ms)).await;
            lines::send(&mut to, &answer).await
        }
        Ok(Some(Request::Plan(order))) => {
            let planned = on_thread(move || agent.plan(*order)).await;
            lines::send(&mut to, &Answer::Planned(Box::new(planned))).await
        }
        Ok(Some(Request::Offer { to: node, token })) => {
            let answer = match agent.map.index_of(&node) {
                Some(_) => Answer::Ready(agent.offers.ask(&node, token)),
                None => Answer::Refused(format!("there is no node {node} in the map")),
            };
            lines::send(&mut to, &answer).await
        }
    };
    if let Err(error) = sent {
        log::debug!("who asked the agent has gone: {error}");
    }
}

/// Gives an order to the agent.
async fn give(
    agent: &Agent,
    change: impl FnOnce(&mut Orders) + Send + 'static,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let answer = match agent.order(change).await {
        Ok(background) => Answer::Background(background),
        Err(error) => Answer::Refused(error.to_string()),
    };
    lines::send(to, &answer).await
}

async fn have_done(
    agent: &Agent,
    work: Work,
    mut from: BufReader<OwnedReadHalf>,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    if agent.works.get(work).is_none() {
        let problem = format!("the webdfs that runs cannot do that: there is no {work} in this release");
        return lines::send(to, &Answer::Refused(problem)).await;
    }
    tokio::select! {
        sent = tell(agent.tasks.ask(work), to) => sent,
        // Nothing more is to be said: it is the end, or somebody who talks out of turn.
        _ = from.read_u8() => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Tells whoever has asked how far the work is, until it is done.
async fn tell(mut asked: Asked, to: &mut OwnedWriteHalf) -> io::Result<()> {
    loop {
        match asked.seen() {
            Seen::Running(progress) => lines::send(to, &Answer::Progress(progress)).await?,
            Seen::Finished(progress) => return lines::send(to, &Answer::Finished(progress)).await,
            Seen::Failed(problem) => return lines::send(to, &Answer::Failed(problem.to_string())).await,
        }
        sleep(LINE_EVERY).await;
        // Late or not at all, something is said again.
        let _ = timeout(SIGN_OF_LIFE, asked.changed()).await;
    }
}
