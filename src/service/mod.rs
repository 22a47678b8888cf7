//! What webdfs does with a request: one file per kind of request, the same whichever front it came through.

mod copy;
mod delete;
mod form;
mod gather;
mod get;
mod intake;
mod internal;
mod lookups;
mod prepare;
mod put;
mod refusal;
mod upload;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderValue, Method, StatusCode, header};

pub use intake::IntakeError;
pub use refusal::text as refusal_of;

use crate::clock;
use crate::cluster::{ClusterMap, NodeIndex, NodeName};
use crate::config::{Access, Remote};
use crate::deliver::DeliverSettings;
use crate::disk::{client_write, on_thread};
use crate::held::Held;
use crate::name::{Exclude, ObjectName, Prefix, Target};
use crate::peer::client::{PeerClient, PeerError};
use crate::peer::message::{CommitOrder, DeleteOrder, HeldAnswer, PrepareAnswer};
use crate::peer::sign::Signer;
use crate::request::Request;
use crate::response::{ByteStream, Response};
use crate::semantics::FrontKind;
use crate::store::{Commit, Outcome, SpoolId, Store, StoreError};
use crate::version::{Version, is_acceptable};
use intake::Limits;
use lookups::Lookups;
use refusal::text;
use tokio_util::task::TaskTracker;

/// The methods that are answered, as `Allow` names them.
const ALLOW: &str = "GET, HEAD, PUT, DELETE, POST, COPY, MOVE, OPTIONS";
/// What webdfs keeps for itself below the root of every site.
const RESERVED: &[u8] = b"/_webdfs/";
/// Why a name is refused.
const NOT_STORED: &str = "names like this are not stored here (exclude, or reserved for webdfs)";

/// The settings the service needs.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// The URL prefix in front of every key.
    pub prefix: Prefix,
    /// What a path that ends in `/` means.
    pub index: Option<String>,
    /// Names that are never accepted or served.
    pub exclude: Exclude,
    /// Who may write.
    pub access: Access,
    /// The largest object, in bytes.
    pub object_max: u64,
    /// Whose ETags to send.
    pub front: FrontKind,
    /// How a request for an object elsewhere is handed on.
    pub remote: Remote,
    /// How an own replica is delivered.
    pub deliver: DeliverSettings,
}

/// Answers requests for one node.
pub struct Service {
    own: NodeIndex,
    name: NodeName,
    map: Arc<ClusterMap>,
    store: Arc<Store>,
    peers: PeerClient,
    signer: Signer,
    complete: Arc<AtomicBool>,
    lookups: Lookups,
    background: TaskTracker,
    settings: ServiceSettings,
}

/// What a service is made of.
pub struct ServiceParts {
    /// The node's index in the map.
    pub own: NodeIndex,
    /// The map.
    pub map: Arc<ClusterMap>,
    /// Its storage root.
    pub store: Arc<Store>,
    /// The way to the other nodes.
    pub peers: PeerClient,
    /// The cluster's secrets.
    pub signer: Signer,
    /// Whether the root is complete; the agent may set it at any time.
    pub complete: Arc<AtomicBool>,
    /// Where work goes on that no client waits for.
    pub background: TaskTracker,
    /// The settings.
    pub settings: ServiceSettings,
}

/// What refuses an order another node gave.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(
        "version {version} lies more than a day ahead of this node's clock: set the clock of node {from}"
    )]
    Clock { version: Version, from: NodeName },
}

impl Service {
    /// A service of these parts.
    pub fn new(parts: ServiceParts) -> Self {
        let ServiceParts { own, map, store, peers, signer, complete, background, settings } = parts;
        let name = map.node(own).name().clone();
        Self {
            own,
            name,
            map,
            store,
            peers,
            signer,
            complete,
            lookups: Lookups::default(),
            background,
            settings,
        }
    }

    /// The map that is in force.
    fn map(&self) -> Arc<ClusterMap> {
        Arc::clone(&self.map)
    }

    /// Answers one request.
    pub async fn answer(self: &Arc<Self>, request: Request, body: ByteStream) -> Response {
        let head = request.method == Method::HEAD;
        let mut response = self.dispatch(&request, body).await;
        if head {
            response.body = Default::default();
        }
        response
    }

    async fn dispatch(self: &Arc<Self>, request: &Request, body: ByteStream) -> Response {
        if request.method == Method::OPTIONS && &request.target[..] == b"*" {
            return allowing(Response::new(StatusCode::NO_CONTENT));
        }
        if request.target.starts_with(RESERVED) {
            return internal::answer(self, request, body).await;
        }
        let target = match Target::parse(&request.target, &self.settings.prefix) {
            Ok(target) => target,
            Err(error) => return text(error.status(), &error.to_string()),
        };
        match request.method.as_str() {
            "GET" | "HEAD" => match self.object_of(target) {
                Some(name) => get::answer(self, request, &name).await,
                None => text(StatusCode::NOT_FOUND, "not found"),
            },
            "OPTIONS" => allowing(Response::new(StatusCode::NO_CONTENT)),
            "PUT" | "DELETE" | "POST" | "COPY" | "MOVE" => self.write(request, target, body).await,
            _ => allowing(text(StatusCode::METHOD_NOT_ALLOWED, "this method is not supported")),
        }
    }

    async fn write(self: &Arc<Self>, request: &Request, target: Target, body: ByteStream) -> Response {
        if !self.settings.access.admits(request.address, request.user.as_deref()) {
            return text(StatusCode::FORBIDDEN, "writing is not allowed from here ([write] allow)");
        }
        if request.method == Method::POST {
            return match target {
                Target::Folder(folder) => form::answer(self, request, &folder, body).await,
                Target::Object(_) => allowing(text(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "a form is posted to a folder: a path that ends in /",
                )),
            };
        }
        let name = match target {
            Target::Object(name) => name,
            Target::Folder(_) => {
                return allowing(text(StatusCode::METHOD_NOT_ALLOWED, "folders exist by their files alone"));
            }
        };
        if !self.may_hold(&name) {
            return text(StatusCode::FORBIDDEN, NOT_STORED);
        }
        match request.method.as_str() {
            "PUT" => put::answer(self, request, &name, body).await,
            "DELETE" => delete::answer(self, request, &name).await,
            _ => copy::answer(self, request, &name).await,
        }
    }

    /// The object a target of GET means; `None` if it can be none that is served.
    fn object_of(&self, target: Target) -> Option<ObjectName> {
        let name = match target {
            Target::Object(name) => name,
            Target::Folder(folder) => folder.join(self.settings.index.as_ref()?.as_bytes()).ok()?,
        };
        self.may_hold(&name).then_some(name)
    }

    /// Whether an object of this name may exist: it is not excluded, and its URL is not one of webdfs's own.
    fn may_hold(&self, name: &ObjectName) -> bool {
        let own = self.settings.prefix.url_path(name).as_bytes().starts_with(RESERVED);
        !own && !self.settings.exclude.matches(name)
    }

    fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// What this node holds of a name, as it counts in a quorum.
    async fn own_answer(&self, name: &ObjectName) -> Result<HeldAnswer, StoreError> {
        let (store, name) = (Arc::clone(&self.store), name.clone());
        let held = client_write(&self.store, move || store.held(&name)).await?;
        Ok(HeldAnswer { held, complete: self.is_complete() })
    }

    /// What a node, this or another, holds of a name.
    async fn ask(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        name: &ObjectName,
    ) -> Result<HeldAnswer, OrderError> {
        if node == self.own {
            return Ok(self.own_answer(name).await?);
        }
        Ok(self.peers.ask(map, node, name).await?)
    }

    /// Takes an upload in on this node.
    async fn take_in(
        &self,
        map: &ClusterMap,
        (id, name): (SpoolId, &ObjectName),
        length: Option<u64>,
        body: ByteStream,
    ) -> Result<PrepareAnswer, IntakeError> {
        let limits = Limits { length, max: self.settings.object_max };
        let (prepared, held) =
            intake::receive(&self.store, (id, name), map.epoch().get(), limits, body).await?;
        let before = HeldAnswer { held, complete: self.is_complete() };
        Ok(PrepareAnswer { crc32: prepared.crc32, length: prepared.length, before })
    }

    /// Has a node, this or another, commit an upload.
    async fn order_commit(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        (id, name): (SpoolId, &ObjectName),
        order: &CommitOrder,
    ) -> Result<Outcome, OrderError> {
        if node != self.own {
            return Ok(self.peers.commit(map, node, (id, name), order).await?);
        }
        self.obey_commit(&self.name, (id, name), order).await
    }

    /// Has a node, this or another, write a tombstone.
    async fn order_delete(
        &self,
        map: &ClusterMap,
        node: NodeIndex,
        name: &ObjectName,
        order: &DeleteOrder,
    ) -> Result<Outcome, OrderError> {
        if node != self.own {
            return Ok(self.peers.delete(map, node, name, order).await?);
        }
        self.obey_delete(&self.name, name, order).await
    }

    /// Commits an upload on this node, as `from` orders, and remembers who missed it.
    async fn obey_commit(
        &self,
        from: &NodeName,
        (id, name): (SpoolId, &ObjectName),
        order: &CommitOrder,
    ) -> Result<Outcome, OrderError> {
        let (store, name, order, from) = (Arc::clone(&self.store), name.clone(), order.clone(), from.clone());
        let outcome = client_write(&self.store, move || {
            check_clock(&store, &name, order.version, &from)?;
            let CommitOrder { version, crc32, length, for_client, .. } = order;
            let outcome = store.commit(&Commit { id, name: &name, version, crc32, length, for_client })?;
            for node in &order.missed {
                mark_dirty(&store, node, &name);
            }
            Ok::<_, OrderError>((outcome, name))
        });
        let (outcome, name) = outcome.await?;
        self.lookups.forget(&name);
        Ok(outcome)
    }

    /// Writes a tombstone on this node, as `from` orders.
    async fn obey_delete(
        &self,
        from: &NodeName,
        name: &ObjectName,
        order: &DeleteOrder,
    ) -> Result<Outcome, OrderError> {
        let (store, name, order, from) = (Arc::clone(&self.store), name.clone(), order.clone(), from.clone());
        client_write(&self.store, move || {
            check_clock(&store, &name, order.version, &from)?;
            Ok(store.delete(&name, order.version, order.for_client)?)
        })
        .await
    }

    /// Tells a node, this or another, that others missed a write.
    async fn tell_missed(&self, map: &ClusterMap, node: NodeIndex, name: &ObjectName, missed: Vec<NodeName>) {
        if node == self.own {
            self.remember_missed(name, missed).await;
        } else if let Err(error) = self.peers.missed(map, node, name, missed).await {
            log::debug!("a missed write is not remembered there: {error}");
        }
    }

    /// Remembers that other nodes missed a write.
    async fn remember_missed(&self, name: &ObjectName, missed: Vec<NodeName>) {
        let (store, name) = (Arc::clone(&self.store), name.clone());
        on_thread(move || missed.iter().for_each(|node| mark_dirty(&store, node, &name))).await;
    }
}

/// Refuses a version more than a day ahead of this node's clock, unless it follows one held here.
fn check_clock(
    store: &Store,
    name: &ObjectName,
    version: Version,
    from: &NodeName,
) -> Result<(), OrderError> {
    let now = clock::now();
    if is_acceptable(version, &Held::Nothing, now) || is_acceptable(version, &store.held(name)?, now) {
        return Ok(());
    }
    Err(OrderError::Clock { version, from: from.clone() })
}

/// A mark is a hint: without it the key heals later.
fn mark_dirty(store: &Store, node: &NodeName, name: &ObjectName) {
    if let Err(error) = store.mark_dirty(node, name) {
        log::warn!("{name} is not marked as missed by {node}: {error}");
    }
}

fn allowing(mut response: Response) -> Response {
    response.headers.insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    response
}
