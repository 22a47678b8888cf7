//! What a process listens on: opens it, or takes what was handed to it, and ends it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::generation::Current;
use super::{NodeError, Role};
use crate::config::{FcgiListen, Listen, Settings};
use crate::front::fastcgi::{self, Relay};
use crate::front::http as embedded;
use crate::front::listen::{self, Handed, Listener, Spare, Stream};

/// How often a process that is not the agent's looks whether it may open the embedded front.
const BIND_RETRY: Duration = Duration::from_secs(1);

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fcgi,
    Http,
}

impl Kind {
    /// Its name between two processes.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Fcgi => "fcgi",
            Kind::Http => "http",
        }
    }

    /// The kind of this name.
    pub fn of_word(word: &str) -> Option<Self> {
        [Kind::Fcgi, Kind::Http].into_iter().find(|kind| kind.word() == word)
    }
}

/// The sockets of a process that listen, for the one that may take its place.
#[derive(Debug, Clone, Default)]
struct Sockets(Arc<Mutex<Vec<(Kind, Spare)>>>);

impl Sockets {
    fn add(&self, kind: Kind, spare: std::io::Result<Spare>) {
        match spare {
            Ok(spare) => self.0.lock().expect("no holder panics").push((kind, spare)),
            Err(error) => log::warn!("the {} socket cannot be handed on: {error}", kind.word()),
        }
    }
}

/// Where the sockets that this process did not open itself come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From the process that spawned this one, or from systemd.
    Environment,
    /// From the process whose place this one takes.
    Predecessor,
}

/// What is needed to open the fronts.
pub(super) struct Opening<'a> {
    pub role: Role,
    pub settings: &'a Settings,
    pub elected: &'a watch::Sender<bool>,
    pub current: &'a Current,
    pub handed: Handed,
    pub origin: Origin,
    /// Connections of the process whose place this one takes.
    pub connections: Option<mpsc::UnboundedReceiver<Stream>>,
}

/// The fronts of a process.
pub(super) struct Fronts {
    tasks: JoinSet<()>,
    sockets: Sockets,
    stop: watch::Sender<bool>,
    successor: Arc<OnceLock<mpsc::UnboundedSender<Stream>>>,
    /// The sockets that came from the process whose place this one takes.
    pub taken: Vec<Kind>,
    /// Whether a web server has spawned this process, and expects to be its only master.
    pub is_spawned: bool,
}

impl Fronts {
    /// Opens what a process of this role listens on.
    pub async fn open(opening: Opening<'_>) -> Result<Self, NodeError> {
        let mut fronts = Self {
            tasks: JoinSet::new(),
            sockets: Sockets::default(),
            stop: watch::Sender::new(false),
            successor: Arc::default(),
            taken: Vec::new(),
            is_spawned: false,
        };
        let Opening { role, settings, elected, current, handed, origin, connections } = opening;
        let listen = &settings.listen;
        let Handed { fcgi, http } = handed;
        let http = fronts.handed_http(http, listen, origin).await?;
        if role == Role::Serve {
            if let Some(listener) = fronts.fastcgi_listener(listen, fcgi, origin).await? {
                log::info!("node {} answers FastCGI on {}", settings.name, place_of(&listener));
                fronts.sockets.add(Kind::Fcgi, listener.spare());
                let relay = Relay { taken: connections, successor: Arc::clone(&fronts.successor) };
                let (current, stop) = (current.clone(), fronts.stop.subscribe());
                let limits = fastcgi::Limits::default();
                fronts.tasks.spawn(fastcgi::serve_relayed(listener, current, limits, stop, relay));
            } else if listen.http.is_none() && http.is_none() {
                return Err(NodeError::NoSocket);
            }
        }
        fronts.open_embedded(role, listen, http, elected, current).await?;
        Ok(fronts)
    }

    /// Opens the embedded front, if there is to be one: at once on a socket that is open already, otherwise as soon as
    /// this process is the agent's.
    async fn open_embedded(
        &mut self,
        role: Role,
        listen: &Listen,
        handed: Option<TcpListener>,
        elected: &watch::Sender<bool>,
        current: &Current,
    ) -> Result<(), NodeError> {
        let (current, stop, sockets) = (current.clone(), self.stop.subscribe(), self.sockets.clone());
        if let Some(listener) = handed {
            self.tasks.spawn(embedded_front(listener, sockets, current, stop));
            return Ok(());
        }
        let Some(address) = listen.http.clone() else { return Ok(()) };
        let alone = !self.is_spawned && listen.fcgi == FcgiListen::Inherited;
        if role == Role::Serve && alone {
            // Alone on its root, usually: an address that is taken should be said at once.
            let probe = TcpListener::bind(&address).await;
            probe.map_err(|source| NodeError::Bind { address: address.clone(), source })?;
        }
        let (elected, mut stopped) = (elected.subscribe(), stop.clone());
        self.tasks.spawn(async move {
            let listener = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                listener = bind_when_elected(&address, elected) => listener,
            };
            embedded_front(listener, sockets, current, stop).await;
        });
        Ok(())
    }

    /// The FastCGI socket, if there is to be one: without `fcgi` and without a socket that was handed over, only the
    /// embedded front runs.
    async fn fastcgi_listener(
        &mut self,
        listen: &Listen,
        handed: Option<Listener>,
        origin: Origin,
    ) -> Result<Option<Listener>, NodeError> {
        if let Some(mut listener) = handed {
            if is_at(&listener, &listen.fcgi).await {
                if origin == Origin::Predecessor {
                    self.taken.push(Kind::Fcgi);
                    if let FcgiListen::Unix { path, mode } = &listen.fcgi {
                        listener
                            .own_file(path, *mode)
                            .map_err(|source| NodeError::SocketFile { path: path.clone(), source })?;
                    }
                }
                return Ok(Some(listener));
            }
            if origin == Origin::Environment {
                return Err(NodeError::Elsewhere { setting: "fcgi", handed: place_of(&listener) });
            }
        }
        Ok(match &listen.fcgi {
            FcgiListen::Unix { path, mode } => Some(Listener::unix(path, *mode)?),
            FcgiListen::Tcp(address) => Some(Listener::tcp(address).await?),
            FcgiListen::Inherited if origin == Origin::Environment && listen::is_spawned() => {
                self.is_spawned = true;
                Some(Listener::spawned(std::env::var("FCGI_WEB_SERVER_ADDRS").ok().as_deref())?)
            }
            FcgiListen::Inherited => None,
        })
    }

    /// The embedded front's socket, if it was handed over.
    async fn handed_http(
        &mut self,
        handed: Option<Listener>,
        listen: &Listen,
        origin: Origin,
    ) -> Result<Option<TcpListener>, NodeError> {
        let Some(listener) = handed else { return Ok(None) };
        let fits = match &listen.http {
            Some(address) => is_at(&listener, &FcgiListen::Tcp(address.clone())).await,
            None => origin == Origin::Environment && listener.tcp_address().is_some(),
        };
        match origin {
            Origin::Environment if !fits => {
                Err(NodeError::Elsewhere { setting: "http", handed: place_of(&listener) })
            }
            Origin::Predecessor if !fits => Ok(None),
            Origin::Environment => Ok(listener.into_tcp()),
            Origin::Predecessor => {
                self.taken.push(Kind::Http);
                Ok(listener.into_tcp())
            }
        }
    }

    /// Does something with the sockets that listen.
    pub fn with_sockets<T>(&self, act: impl FnOnce(&[(Kind, Spare)]) -> T) -> T {
        act(&self.sockets.0.lock().expect("no holder panics"))
    }

    /// From now on these sockets are another process's, and connections between two requests go to it.
    pub fn leave_to(&self, taken: impl Fn(Kind) -> bool, connections: Option<mpsc::UnboundedSender<Stream>>) {
        for (kind, spare) in std::mem::take(&mut *self.sockets.0.lock().expect("no holder panics")) {
            if taken(kind) {
                spare.leave_file();
            }
        }
        if let Some(connections) = connections {
            // Nobody else sets it, and it is done once.
            let _ = self.successor.set(connections);
        }
    }

    /// Accepts nothing any more, and returns when what was running is finished.
    pub async fn stop(mut self) {
        self.sockets.0.lock().expect("no holder panics").clear();
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Whether a socket listens where it should.
async fn is_at(listener: &Listener, place: &FcgiListen) -> bool {
    match place {
        FcgiListen::Inherited => true,
        FcgiListen::Unix { path, .. } => listener.unix_path().as_ref() == Some(path),
        FcgiListen::Tcp(address) => {
            let Some(own) = listener.tcp_address() else { return false };
            let Ok(mut wanted) = tokio::net::lookup_host(address).await else { return false };
            wanted.any(|wanted| wanted.ip() == own.ip() && [0, own.port()].contains(&wanted.port()))
        }
    }
}

/// Where a socket listens, as in `[listen]`.
fn place_of(listener: &Listener) -> String {
    let path = |path: PathBuf| format!("unix:{}", path.display());
    let address = || listener.tcp_address().map(|address| address.to_string());
    listener.unix_path().map(path).or_else(address).unwrap_or_else(|| listener.to_string())
}

/// Opens the embedded front's socket once this process is the agent's: of several on one root only one can.
async fn bind_when_elected(address: &str, mut elected: watch::Receiver<bool>) -> TcpListener {
    let _ = elected.wait_for(|elected| *elected).await;
    let mut said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !said => {
                said = true;
                log::error!("[listen] http = \"{address}\" cannot be bound, and is tried again: {error}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(BIND_RETRY).await;
    }
}

async fn embedded_front(
    listener: TcpListener,
    sockets: Sockets,
    current: Current,
    stop: watch::Receiver<bool>,
) {
    match listener.local_addr() {
        Ok(address) => log::info!("the embedded front answers on {address}"),
        Err(error) => log::error!("the embedded front's socket is of no use: {error}"),
    }
    sockets.add(Kind::Http, Spare::of_tcp(&listener));
    embedded::serve(listener, current, embedded::Limits::default(), stop).await;
}
