//! One running node: builds everything from the settings, puts the fronts before the service, and owns the stop.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::task::TaskTracker;

use crate::agent::{Agent, Mandate};
use crate::chain::chain;
use crate::cluster::NodeName;
use crate::config::{self, ConfigError, FcgiListen, Listen, OverrideError, Overrides, Settings};
use crate::deliver::DeliverSettings;
use crate::front::fastcgi::{self, Params};
use crate::front::http as embedded;
use crate::front::listen::{self, ListenError, Listener};
use crate::peer::client::{ANSWER_TIMEOUT, PeerClient};
use crate::peer::sign::Signer;
use crate::request::Request;
use crate::response::{ByteStream, Response};
use crate::service::{Service, ServiceParts, ServiceSettings};
use crate::store::{Store, StoreError, StoreSettings};

/// How long work that no client waits for may take after the fronts have stopped: a node that hangs is waited for,
/// and then another is told what that one missed.
const BACKGROUND_DRAIN: Duration = ANSWER_TIMEOUT.saturating_mul(2).saturating_add(Duration::from_secs(2));
/// How often a process that is not the agent's looks whether it may open the embedded front.
const BIND_RETRY: Duration = Duration::from_secs(1);

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
    /// The node is not in the map.
    #[error("node \"{name}\" is not in {map}: add it there, or correct name in node.toml")]
    NotInMap {
        /// The node's name.
        name: NodeName,
        /// The map's file.
        map: PathBuf,
    },
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

/// Everything that is made anew when the configuration is read again.
struct Generation {
    settings: Settings,
    fingerprint: crate::cluster::Fingerprint,
    service: Arc<Service>,
    agent: Agent,
}

/// What is the same for all generations of a process.
struct Process {
    background: TaskTracker,
    elected: watch::Sender<bool>,
}

impl Generation {
    fn build(settings: Settings, process: &Process) -> Result<Self, NodeError> {
        let map = Arc::new(config::load_map(&settings.map)?);
        let own = map
            .index_of(&settings.name)
            .ok_or_else(|| NodeError::NotInMap { name: settings.name.clone(), map: settings.map.clone() })?;
        let store = Arc::new(Store::open(store_settings(&settings))?);
        let complete = Arc::new(AtomicBool::new(store.identify(&settings.name)?.complete));
        let signer = Signer::new(&settings.secrets);
        let peers = PeerClient::new(settings.name.clone(), signer.clone());
        let agent = Agent {
            own,
            map: Arc::clone(&map),
            store: Arc::clone(&store),
            peers: peers.clone(),
            complete: Arc::clone(&complete),
            elected: process.elected.clone(),
        };
        let fingerprint = map.fingerprint();
        let parts = ServiceParts {
            own,
            map,
            store,
            peers,
            signer,
            complete,
            background: process.background.clone(),
            settings: service_settings(&settings),
        };
        let service = Arc::new(Service::new(parts));
        Ok(Self { settings, fingerprint, service, agent })
    }
}

/// The settings of the storage root among those of the node.
pub fn store_settings(settings: &Settings) -> StoreSettings {
    StoreSettings {
        root: settings.root.clone(),
        layout: settings.layout,
        durability: settings.durability,
        reserve: settings.write.reserve,
        file_mode: settings.file_mode,
        folder_mode: settings.folder_mode,
        follow_symlinks: settings.follow_symlinks,
        root_is_mount: settings.root_is_mount,
    }
}

fn service_settings(settings: &Settings) -> ServiceSettings {
    ServiceSettings {
        prefix: settings.prefix.clone(),
        index: settings.index.clone(),
        exclude: settings.exclude.clone(),
        access: settings.write.allow.clone(),
        object_max: settings.write.object_max,
        front: settings.front,
        remote: settings.deliver.remote,
        deliver: DeliverSettings {
            map_max: settings.deliver.map_max,
            front: settings.front,
            prefix: settings.prefix.clone(),
            root: settings.root.clone(),
        },
    }
}

/// Hands requests of every front to the service of the newest generation.
#[derive(Clone)]
struct Current(Arc<RwLock<Arc<Service>>>);

impl Current {
    fn service(&self) -> Arc<Service> {
        Arc::clone(&self.0.read().expect("no holder panics"))
    }
}

impl fastcgi::Handler for Current {
    async fn handle(&self, params: Params, body: ByteStream) -> Response {
        match Request::from_params(params.iter()) {
            Ok(request) => self.service().answer(request, body).await,
            Err(error) => {
                log::warn!("a request cannot be understood: {error}");
                crate::service::refusal_of(error.status(), &error.to_string())
            }
        }
    }
}

impl embedded::Handler for Current {
    async fn handle(&self, request: Request, body: ByteStream) -> Response {
        self.service().answer(request, body).await
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

/// Runs a node until it is told to stop: SIGTERM, SIGINT or SIGUSR1. SIGHUP makes it read its configuration again.
///
/// # Errors
/// When it cannot start. Once it runs, it goes on.
pub async fn serve(source: Source) -> Result<(), NodeError> {
    run(source, Role::Serve).await
}

/// Runs the background work of a root, and its embedded front if it has one, in the same way.
///
/// # Errors
/// When it cannot start.
pub async fn run_agent(source: Source) -> Result<(), NodeError> {
    run(source, Role::Agent).await
}

async fn run(source: Source, role: Role) -> Result<(), NodeError> {
    let process = Process { background: TaskTracker::new(), elected: watch::Sender::new(false) };
    let mut generation = Generation::build(source.settings()?, &process)?;
    let mut signals = Signals::new().map_err(NodeError::Signals)?;
    let (stop_sender, stop) = watch::channel(false);
    let current = Current(Arc::new(RwLock::new(Arc::clone(&generation.service))));
    let mut fronts = open_fronts(role, &generation.settings, &process, &current, &stop).await?;
    let mut agent = RunningAgent::start(generation.agent.clone(), None);
    loop {
        match signals.next().await {
            Order::Stop => break,
            Order::Reload => match reload(&source, &generation, &process) {
                Ok(next) => {
                    *current.0.write().expect("no holder panics") = Arc::clone(&next.service);
                    let mandate = agent.stop().await;
                    agent = RunningAgent::start(next.agent.clone(), mandate);
                    generation = next;
                    log::info!("the configuration was read again");
                }
                Err(error) => log::error!("the old configuration stays: {}", chain(&error)),
            },
        }
    }
    log::info!("stopping: running requests are finished first");
    stop_sender.send_replace(true);
    while fronts.join_next().await.is_some() {}
    drop(agent.stop().await);
    let background = process.background;
    background.close();
    if tokio::time::timeout(BACKGROUND_DRAIN, background.wait()).await.is_err() {
        log::warn!("{} writes in the background were cut short; they are replayed", background.len());
    }
    Ok(())
}

/// Opens what a process of this role listens on.
async fn open_fronts(
    role: Role,
    settings: &Settings,
    process: &Process,
    current: &Current,
    stop: &watch::Receiver<bool>,
) -> Result<JoinSet<()>, NodeError> {
    let mut fronts = JoinSet::new();
    let listen = &settings.listen;
    if role == Role::Serve {
        if let Some(listener) = fastcgi_listener(listen).await? {
            log::info!("node {} answers FastCGI on {listener}", settings.name);
            let limits = fastcgi::Limits::default();
            fronts.spawn(ended(fastcgi::serve(listener, current.clone(), limits, stop.clone())));
        } else if listen.http.is_none() {
            return Err(NodeError::NoSocket);
        }
    }
    if let Some(address) = listen.http.clone() {
        let alone = !listen::is_spawned() && listen.fcgi == FcgiListen::Inherited;
        if role == Role::Serve && alone {
            // Alone on its root, usually: an address that is taken should be said at once.
            let probe = TcpListener::bind(&address).await;
            probe.map_err(|source| NodeError::Bind { address: address.clone(), source })?;
        }
        let elected = process.elected.subscribe();
        fronts.spawn(ended(embedded_front(address, current.clone(), elected, stop.clone())));
    }
    Ok(fronts)
}

/// Reads the configuration again. What has open files or sockets, or decides where files lie, stays as it is.
fn reload(source: &Source, now: &Generation, process: &Process) -> Result<Generation, NodeError> {
    let settings = source.settings()?;
    let same = |setting, same: bool| if same { Ok(()) } else { Err(NodeError::NeedsRestart { setting }) };
    same("name", settings.name == now.settings.name)?;
    same("root", settings.root == now.settings.root)?;
    same("[listen]", settings.listen == now.settings.listen)?;
    let next = Generation::build(settings, process)?;
    same("the cluster map", next.fingerprint == now.fingerprint)?;
    Ok(next)
}

/// The agent of one generation, and the way to stop it.
struct RunningAgent {
    stop: watch::Sender<bool>,
    task: JoinHandle<Option<Mandate>>,
}

impl RunningAgent {
    fn start(agent: Agent, mandate: Option<Mandate>) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(agent.run(mandate, stopped)) }
    }

    /// What it hands over to the next generation's.
    async fn stop(self) -> Option<Mandate> {
        self.stop.send_replace(true);
        self.task.await.unwrap_or_else(|error| {
            log::error!("the background work failed: {error}");
            None
        })
    }
}

/// The FastCGI socket, if there is to be one: without `fcgi` and without a socket on fd 0, only the embedded front runs.
async fn fastcgi_listener(listen: &Listen) -> Result<Option<Listener>, NodeError> {
    Ok(match &listen.fcgi {
        FcgiListen::Unix { path, mode } => Some(Listener::unix(path, *mode)?),
        FcgiListen::Tcp(address) => Some(Listener::tcp(address).await?),
        FcgiListen::Inherited => {
            let variable = |name| std::env::var(name).ok();
            match Listener::systemd(variable("LISTEN_PID").as_deref(), variable("LISTEN_FDS").as_deref())? {
                Some(listener) => Some(listener),
                None if listen::is_spawned() => {
                    Some(Listener::spawned(variable("FCGI_WEB_SERVER_ADDRS").as_deref())?)
                }
                None => None,
            }
        }
    })
}

/// Opens the embedded front once this process is the agent's: of several processes on one root only one can.
async fn embedded_front(
    address: String,
    current: Current,
    mut elected: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let listener = async {
        let _ = elected.wait_for(|elected| *elected).await;
        let mut said = false;
        loop {
            match TcpListener::bind(&address).await {
                Ok(listener) => break listener,
                Err(error) if !said => {
                    said = true;
                    log::error!("[listen] http = \"{address}\" cannot be bound, and is tried again: {error}");
                }
                Err(_) => {}
            }
            tokio::time::sleep(BIND_RETRY).await;
        }
    };
    let listener = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        listener = listener => listener,
    };
    log::info!("the embedded front answers on {address}");
    embedded::serve(listener, current, embedded::Limits::default(), stop).await;
}

async fn ended(front: impl Future<Output = ()>) {
    front.await;
}

/// What an operator's signal asks for.
enum Order {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    user: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.user.recv() => Order::Stop,
            _ = self.hangup.recv() => Order::Reload,
        }
    }
}
