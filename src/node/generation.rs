//! What is made from the settings, and made anew when they are read again.

use std::sync::{Arc, RwLock};

use http::Method;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::NodeError;
use crate::access::Access;
use crate::agent::count::Counting;
use crate::agent::offers::Offers;
use crate::agent::tasks::Tasks;
use crate::agent::throttle::Throttle;
use crate::agent::traffic::Traffic;
use crate::agent::{Agent, GossipSettings, Hearsay, Mandate, Works};
use crate::config::{ConfigError, Settings};
use crate::deliver::DeliverSettings;
use crate::front::fastcgi::{self, Params};
use crate::front::http as embedded;
use crate::maps::Maps;
use crate::peer::client::PeerClient;
use crate::peer::sign::Signer;
use crate::reconcile::Walks;
use crate::request::Request;
use crate::response::{ByteStream, Response};
use crate::service::{Gate, Service, ServiceParts, ServiceSettings};
use crate::store::{Store, StoreSettings};

/// Everything that is made anew when the configuration is read again.
pub(super) struct Generation {
    pub settings: Settings,
    pub service: Arc<Service>,
    pub agent: Agent,
}

/// What is the same for all generations of a process.
pub(super) struct Process {
    /// What goes on without the client who caused it.
    pub unattended: TaskTracker,
    /// The threads that make room for those that answer clients.
    pub background: Handle,
    pub elected: watch::Sender<bool>,
    pub walks: Walks,
    pub tasks: Tasks,
    pub offers: Offers,
    pub hearsay: Hearsay,
    pub traffic: Traffic,
    pub counting: Counting,
    pub maps: Arc<Maps>,
}

impl Generation {
    pub fn build(settings: Settings, process: &Process) -> Result<Self, NodeError> {
        let store = Arc::new(Store::open(store_settings(&settings))?);
        store.identify(&settings.name)?;
        let maps = Arc::clone(&process.maps);
        let known = store.known_root()?;
        let signer = Signer::new(&settings.secrets);
        let peers = PeerClient::new(settings.name.clone(), signer.clone(), Some(Arc::clone(&maps)))
            .minding(Arc::clone(&store));
        let mut agent = Agent {
            map: maps.view(),
            maps: Arc::clone(&maps),
            store: Arc::clone(&store),
            peers: peers.with_connections_of_its_own(),
            exclude: settings.exclude.clone(),
            walks: process.walks.clone(),
            elected: process.elected.clone(),
            tasks: process.tasks.clone(),
            works: Works::default(),
            throttle: Throttle::new(
                settings.agent.bytes_per_second.bytes(),
                settings.agent.concurrency,
                process.tasks.orders(),
            ),
            settings: settings.agent.clone(),
            standing: Arc::default(),
            movers: Arc::default(),
            offers: process.offers.clone(),
            gossip: GossipSettings { listen: settings.listen.gossip.clone(), signer: signer.clone() },
            hearsay: process.hearsay.clone(),
            traffic: process.traffic.clone(),
            counting: process.counting.clone(),
        };
        agent.works = Works::of(&agent);
        let parts = ServiceParts {
            name: settings.name.clone(),
            maps,
            store,
            peers,
            signer,
            unattended: process.unattended.clone(),
            background: process.background.clone(),
            known,
            gate: gate(&settings)?,
            settings: service_settings(&settings),
        };
        let service = Arc::new(Service::new(parts));
        tokio::spawn(Service::become_known(Arc::downgrade(&service)));
        Ok(Self { settings, service, agent })
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

/// Who may do what, as the settings and the file with the tokens say.
fn gate(settings: &Settings) -> Result<Gate, ConfigError> {
    let access = Access {
        allow: settings.write.allow.clone(),
        users: settings.access.users.clone(),
        private: settings.access.private.clone(),
        sign_keys: settings.access.sign_keys.clone(),
    };
    Gate::new(access, settings.access.tokens.as_deref(), settings.limits)
}

fn service_settings(settings: &Settings) -> ServiceSettings {
    ServiceSettings {
        index: settings.index.clone(),
        exclude: settings.exclude.clone(),
        object_max: settings.write.object_max,
        remote: settings.deliver.remote,
        read: settings.read,
        deliver: DeliverSettings {
            map_max: settings.deliver.map_max,
            front: settings.front,
            prefix: settings.prefix.clone(),
            root: settings.root.clone(),
        },
        gossip: settings.listen.gossip.clone(),
    }
}

/// Hands requests of every front to the service of the newest generation.
#[derive(Clone)]
pub(super) struct Current(Arc<RwLock<Arc<Service>>>);

impl Current {
    pub fn new(service: Arc<Service>) -> Self {
        Self(Arc::new(RwLock::new(service)))
    }

    /// Requests that begin from now on are answered by this one.
    pub fn replace(&self, service: Arc<Service>) {
        *self.0.write().expect("no holder panics") = service;
    }

    fn service(&self) -> Arc<Service> {
        Arc::clone(&self.0.read().expect("no holder panics"))
    }
}

impl fastcgi::Handler for Current {
    /// Whoever only reads leaves nothing half done: what it does to the disk (an index, a mark) is done by a thread
    /// that runs to its end, and a copy that is kept while it is served belongs to a task of its own.
    fn may_be_dropped(&self, params: &Params) -> bool {
        params.get(b"REQUEST_METHOD").is_some_and(|method| matches!(method, b"GET" | b"HEAD"))
    }

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
    /// As over FastCGI.
    fn may_be_dropped(&self, request: &Request) -> bool {
        matches!(request.method, Method::GET | Method::HEAD)
    }

    async fn handle(&self, request: Request, body: ByteStream) -> Response {
        self.service().answer(request, body).await
    }
}

/// The agent of one generation, and the way to stop it.
pub(super) struct RunningAgent {
    stop: watch::Sender<bool>,
    task: JoinHandle<Option<Mandate>>,
}

impl RunningAgent {
    pub fn start(agent: Agent, mandate: Option<Mandate>, background: &Handle) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: background.spawn(agent.run(mandate, stopped)) }
    }

    /// Has another take its place.
    pub async fn make_way_for(&mut self, agent: Agent, background: &Handle) {
        let mandate = self.end().await;
        *self = Self::start(agent, mandate, background);
    }

    /// What it hands over to another process's. The port of its gossip is free then.
    pub async fn stop(mut self) -> Option<Mandate> {
        let mut mandate = self.end().await?;
        if let Some(gossip) = mandate.gossip.take() {
            gossip.stop().await;
        }
        Some(mandate)
    }

    async fn end(&mut self) -> Option<Mandate> {
        self.stop.send_replace(true);
        (&mut self.task).await.unwrap_or_else(|error| {
            log::error!("the background work failed: {error}");
            None
        })
    }
}
