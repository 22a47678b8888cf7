//! One running node: builds everything from the settings, puts the fronts before the service, and owns the stop.

mod channel;
mod fronts;
mod generation;
mod signals;
mod supervisor;
mod takeover;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

pub use generation::store_settings;
pub use takeover::TakeoverError;

use crate::agent::Hearsay;
use crate::agent::count::Counting;
use crate::agent::offers::Offers;
use crate::agent::tasks::Tasks;
use crate::agent::traffic::Traffic;
use crate::chain::chain;
use crate::cluster::View;
use crate::config::{self, ConfigError, OverrideError, Overrides, Settings};
use crate::front::listen::{ListenError, Listener};
use crate::maps::{Maps, MapsError};
use crate::peer::client::ANSWER_TIMEOUT;
use crate::reconcile::Walks;
use crate::store::{Store, StoreError};
use channel::Message;
use fronts::{Fronts, Opening, Origin};
use generation::{Current, Generation, Process, RunningAgent};
use signals::{Order, Signals};
use takeover::{Predecessor, Program, Successor};

/// How long work that no client waits for may take after the fronts have stopped: a node that hangs is waited for,
/// and then another is told what that one missed.
const BACKGROUND_DRAIN: Duration = ANSWER_TIMEOUT.saturating_mul(2).saturating_add(Duration::from_secs(2));
/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address given on the command line is refused.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// The storage root cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The maps are refused.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// Nothing would listen.
    #[error(
        "nothing to listen on: set [listen] fcgi or http, or start webdfs with a socket on file descriptor 0"
    )]
    NoSocket,
    /// The embedded front's address cannot be bound.
    #[error("[listen] http = \"{address}\" cannot be bound")]
    Bind {
        /// The address.
        address: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Somebody hands over a socket that listens elsewhere.
    #[error(
        "the socket handed over by systemd is {handed}, and [listen] {setting} is another: make them the same, or leave {setting} out"
    )]
    Elsewhere {
        /// The setting.
        setting: &'static str,
        /// Where the socket listens.
        handed: String,
    },
    /// The file of a socket that was taken over cannot be cared for.
    #[error("{}: the file of the socket that is taken over", .path.display())]
    SocketFile {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The process whose place is to be taken does not give it.
    #[error("the place of the running process cannot be taken")]
    Takeover(#[from] TakeoverError),
    /// The program's own path is unknown.
    #[error("the path of this program cannot be found")]
    Program(#[source] io::Error),
    /// Signals cannot be waited for.
    #[error("signals cannot be waited for")]
    Signals(#[source] io::Error),
    /// A reload changes what only a restart can.
    #[error("{setting} has changed: restart webdfs for that")]
    NeedsRestart {
        /// What has changed.
        setting: &'static str,
    },
}

/// Where a node's settings come from, so that they can be read again.
#[derive(Debug, Clone)]
pub struct Source {
    /// `node.toml`.
    pub config: PathBuf,
    /// What goes before it.
    pub overrides: Overrides,
    /// What paths in the overrides are relative to.
    pub working_directory: PathBuf,
}

impl Source {
    /// Reads the settings.
    ///
    /// # Errors
    /// When they are refused.
    pub fn settings(&self) -> Result<Settings, NodeError> {
        let mut settings = config::load(&self.config)?;
        settings.apply(&self.overrides, &self.working_directory)?;
        Ok(settings)
    }
}

/// What a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Answers FastCGI, and does the background work if no other process of the root does.
    Serve,
    /// Does the background work, and what goes with it: the embedded front, so that the other nodes reach this one.
    Agent,
}

/// Runs a node until it is told to stop: SIGTERM, SIGINT or SIGUSR1. SIGHUP makes it read its configuration again,
/// SIGUSR2 start the program anew and leave its place to the new process, unless it `is_bound` to end with the process
/// that started it. What no client waits for runs on the threads of `background`.
///
/// # Errors
/// When it cannot start. Once it runs, it goes on.
pub async fn serve(source: Source, is_bound: bool, background: Handle) -> Result<(), NodeError> {
    Node::start(source, Role::Serve, is_bound, background).await?.run().await;
    Ok(())
}

/// Runs the background work of a root, and its embedded front if it has one, in the same way.
///
/// # Errors
/// When it cannot start.
pub async fn run_agent(source: Source, background: Handle) -> Result<(), NodeError> {
    Node::start(source, Role::Agent, false, background).await?.run().await;
    Ok(())
}

/// A node that runs.
struct Node {
    source: Source,
    program: Program,
    is_bound: bool,
    signals: Signals,
    process: Process,
    generation: Generation,
    current: Current,
    fronts: Fronts,
    agent: RunningAgent,
    /// Maps that have come into force.
    changes: watch::Receiver<Arc<View>>,
    /// A process that will take this one's place as soon as it serves.
    successor: Option<Successor>,
}

impl Node {
    async fn start(
        source: Source,
        role: Role,
        is_bound: bool,
        background: Handle,
    ) -> Result<Self, NodeError> {
        let program = Program::of_this_process().map_err(NodeError::Program)?;
        let signals = Signals::new().map_err(NodeError::Signals)?;
        let settings = source.settings()?;
        let store = Arc::new(Store::open(store_settings(&settings))?);
        store.identify(&settings.name)?;
        let maps = Arc::new(Maps::open(&settings.name, store, &settings.map)?);
        maps.compare_with(&settings.map);
        let changes = maps.changes();
        let process = Process {
            unattended: TaskTracker::new(),
            background,
            elected: watch::Sender::new(false),
            walks: Walks::default(),
            tasks: Tasks::default(),
            offers: Offers::default(),
            hearsay: Hearsay::default(),
            traffic: Traffic::default(),
            counting: Counting::default(),
            maps,
        };
        let generation = Generation::build(settings, &process)?;
        let current = Current::new(Arc::clone(&generation.service));
        let predecessor = Predecessor::find()?;
        let (handed, origin) = match &predecessor {
            Some(predecessor) => (predecessor.sockets()?, Origin::Predecessor),
            None => {
                let variable = |name| std::env::var(name).ok();
                let [pid, count, names] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(variable);
                let handed = Listener::systemd(pid.as_deref(), count.as_deref(), names.as_deref())?;
                (handed, Origin::Environment)
            }
        };
        let (pass_on, connections) = mpsc::unbounded_channel();
        let fronts = Fronts::open(Opening {
            role,
            settings: &generation.settings,
            elected: &process.elected,
            current: &current,
            handed,
            origin,
            connections: predecessor.is_some().then_some(connections),
        });
        let fronts = fronts.await?;
        let mandate = match predecessor {
            Some(predecessor) => {
                let mandate = predecessor.replace(&fronts.taken, pass_on)?.mandate().await;
                log::info!("this process has taken the place of the one that started it");
                mandate
            }
            None => None,
        };
        let agent = RunningAgent::start(generation.agent.clone(), mandate, &process.background);
        supervisor::ready();
        let successor = None;
        Ok(Self {
            source,
            program,
            is_bound,
            signals,
            process,
            generation,
            current,
            fronts,
            agent,
            changes,
            successor,
        })
    }

    async fn run(mut self) {
        loop {
            let ready = async {
                match &mut self.successor {
                    Some(successor) => successor.ready().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = self.signals.next() => match order {
                    Order::Stop => break,
                    Order::Reload => self = self.reloaded().await,
                    Order::Upgrade => self.begin_upgrade(),
                },
                // The sender is one of this node's own parts.
                _ = self.changes.changed() => self.work_by_new_maps().await,
                ready = ready => {
                    let successor = self.successor.take();
                    match (ready, successor) {
                        (Ok(ready), Some(successor)) => {
                            return self.leave_to(successor, &ready).await;
                        }
                        (Err(error), _) => log::error!("this process goes on: {}", chain(&error)),
                        (Ok(_), None) => unreachable!("only a successor is ready"),
                    }
                }
            }
        }
        log::info!("stopping: running requests are finished first");
        supervisor::stopping();
        self.process.walks.stop();
        if let Some(successor) = self.successor {
            successor.give_up();
        }
        self.fronts.stop().await;
        drop(self.agent.stop().await);
        finish(self.process).await;
    }

    /// The node after it was told to read its configuration again.
    async fn reloaded(mut self) -> Self {
        supervisor::reloading();
        match reload(&self.source, &self.generation, &self.process) {
            Ok(next) => {
                self.current.replace(Arc::clone(&next.service));
                self.agent.make_way_for(next.agent.clone(), &self.process.background).await;
                self.generation = next;
                log::info!("the configuration was read again");
            }
            Err(error) => log::error!("the old configuration stays: {}", chain(&error)),
        }
        supervisor::ready();
        self
    }

    /// Has the background work done under the maps that are in force now.
    async fn work_by_new_maps(&mut self) {
        self.generation.agent = self.generation.agent.with(self.process.maps.view());
        self.agent.make_way_for(self.generation.agent.clone(), &self.process.background).await;
    }

    /// Starts the program anew, unless that is not for this process to do.
    fn begin_upgrade(&mut self) {
        if self.fronts.is_spawned || self.is_bound {
            log::warn!(
                "SIGUSR2 is ignored: the web server that started this process starts the next one, too"
            );
        } else if self.successor.is_some() {
            log::warn!("SIGUSR2 is ignored: a new process is starting already");
        } else {
            match self.fronts.with_sockets(|sockets| Successor::start(&self.program, sockets)) {
                Ok(successor) => {
                    log::info!("process {} starts, and takes over once it serves", successor.id());
                    self.successor = Some(successor);
                }
                Err(error) => log::error!("this process goes on: {}", chain(&error)),
            }
        }
    }

    /// Passes on what the new process needs, finishes what runs, and ends.
    async fn leave_to(self, successor: Successor, ready: &Message) {
        log::info!("process {} has taken over; running requests are finished", successor.id());
        supervisor::replaced_by(successor.id());
        self.process.walks.stop();
        let (pass_on, connections) = mpsc::unbounded_channel();
        let pass_on = ready.says(takeover::CONNECTIONS).then_some(pass_on);
        self.fronts.leave_to(|kind| ready.says(kind.word()), pass_on);
        successor.pass_mandate(self.agent.stop().await);
        let passing = successor.pass_connections(connections);
        self.fronts.stop().await;
        // Not before the last is on its way: without the runtime a connection cannot be taken out of it.
        if let Err(panic) = passing.await {
            log::error!("connections were not passed on: {panic}");
        }
        finish(self.process).await;
    }
}

/// Waits for what goes on without a client.
async fn finish(process: Process) {
    let unattended = process.unattended;
    unattended.close();
    if tokio::time::timeout(BACKGROUND_DRAIN, unattended.wait()).await.is_err() {
        log::warn!("{} writes in the background were cut short; they are replayed", unattended.len());
    }
}

/// Reads the configuration again. What has open files or sockets, or decides where files lie, stays as it is.
fn reload(source: &Source, now: &Generation, process: &Process) -> Result<Generation, NodeError> {
    let settings = source.settings()?;
    let same = |setting, same: bool| if same { Ok(()) } else { Err(NodeError::NeedsRestart { setting }) };
    same("name", settings.name == now.settings.name)?;
    same("root", settings.root == now.settings.root)?;
    same("[listen]", settings.listen == now.settings.listen)?;
    // Another map there changes nothing, but whoever deploys one that is bad is to know.
    config::load_map(&settings.map)?;
    process.maps.compare_with(&settings.map);
    Generation::build(settings, process)
}
