//! What webdfs does with a request: one file per kind of request, the same whichever front it came through.

mod admission;
mod attempts;
mod batch;
mod copy;
mod delete;
mod form;
mod former;
mod gather;
mod get;
mod intake;
mod internal;
mod keep;
mod known;
mod look_up;
mod lookups;
mod newest;
mod orders;
mod prepare;
mod put;
mod reconcile;
mod refusal;
mod relay;
mod shared;
mod source;
mod upload;

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

pub use admission::Gate;
pub use former::REMOVED_AFTER;
pub use intake::IntakeError;
pub use refusal::text as refusal_of;

use crate::access::right::Operation;
use crate::cluster::{NodeName, View};
use crate::config::{Read, Remote};
use crate::deliver::DeliverSettings;
use crate::disk::on_thread;
use crate::maps::Maps;
use crate::name::{Exclude, ObjectName, Target};
use crate::peer::client::PeerClient;
use crate::peer::sign::Signer;
use crate::request::Request;
use crate::response::{ByteStream, Response};
use crate::store::{KnownRoot, Store};
use admission::too_many;
use keep::Keeping;
use lookups::Lookups;
use newest::Comparisons;
use refusal::{refuse, text};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// The methods that are answered, as `Allow` names them.
const ALLOW: &str = "GET, HEAD, PUT, DELETE, POST, COPY, MOVE, OPTIONS";
/// What webdfs keeps for itself below the root of every site.
const RESERVED: &[u8] = b"/_webdfs/";
/// Why a name is refused.
const NOT_STORED: &str = "names like this are not stored here (exclude, or reserved for webdfs)";

/// Why a node that is not in force answers no client.
#[derive(Debug, thiserror::Error)]
#[error("this node waits until the map it was started with is applied: webdfs map apply")]
struct Joining;

/// The settings the service needs.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// What a path that ends in `/` means.
    pub index: Option<String>,
    /// Names that are never accepted or served.
    pub exclude: Exclude,
    /// The largest object, in bytes.
    pub object_max: u64,
    /// How a request for an object elsewhere is handed on.
    pub remote: Remote,
    /// Which copy a client gets. With [`Read::Quorum`] nothing is handed on: `remote` is [`Remote::Proxy`].
    pub read: Read,
    /// How an own replica is delivered.
    pub deliver: DeliverSettings,
    /// Where this node's gossip listens, `HOST:PORT`; none: nowhere.
    pub gossip: Option<String>,
}

/// Answers requests for one node.
pub struct Service {
    name: NodeName,
    maps: Arc<Maps>,
    store: Arc<Store>,
    peers: PeerClient,
    signer: Signer,
    lookups: Lookups,
    comparisons: Comparisons,
    keeping: Keeping,
    /// Once another node has said that it knows this root.
    known: OnceLock<KnownRoot>,
    unattended: TaskTracker,
    background: Handle,
    gate: Gate,
    settings: ServiceSettings,
}

/// What a service is made of.
pub struct ServiceParts {
    /// The node's name.
    pub name: NodeName,
    /// The maps.
    pub maps: Arc<Maps>,
    /// Its storage root.
    pub store: Arc<Store>,
    /// The way to the other nodes.
    pub peers: PeerClient,
    /// The cluster's secrets.
    pub signer: Signer,
    /// What goes on without the client who caused it.
    pub unattended: TaskTracker,
    /// The threads for what only the background work of a node waits for.
    pub background: Handle,
    /// What another process of the root knows, or an earlier service of this one.
    pub known: Option<KnownRoot>,
    /// Who may do what.
    pub gate: Gate,
    /// The settings.
    pub settings: ServiceSettings,
}

impl Service {
    /// A service of these parts.
    pub fn new(parts: ServiceParts) -> Self {
        let ServiceParts { name, maps, store, peers, signer, unattended, background, known, gate, settings } =
            parts;
        Self {
            name,
            maps,
            store,
            peers,
            signer,
            lookups: Lookups::default(),
            comparisons: Comparisons::default(),
            keeping: Keeping::default(),
            known: known.into_iter().fold(OnceLock::new(), |_, known| OnceLock::from(known)),
            unattended,
            background,
            gate,
            settings,
        }
    }

    /// The maps in force now. Whoever works on something keeps to those it began with.
    fn map(&self) -> Arc<View> {
        self.maps.view()
    }

    /// Whether the maps in force now are of the same epoch as these still.
    fn is_in_force(&self, map: &View) -> bool {
        self.map().epoch_in_force() == map.epoch_in_force()
    }

    /// Answers one request.
    ///
    /// Whatever is more than a look at the own disk is a future of its own on the heap: else each request for a file here
    /// would have to bring the room for the largest of the others.
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
            return Box::pin(internal::answer(self, request, body)).await;
        }
        if self.maps.is_joining() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, &Joining);
        }
        let target = match Target::parse(&request.target, &self.settings.deliver.prefix) {
            Ok(target) => target,
            Err(error) => return text(error.status(), &error.to_string()),
        };
        match request.method.as_str() {
            "GET" | "HEAD" if self.is_private(&target) => Box::pin(self.read_private(request, target)).await,
            "GET" | "HEAD" => self.read(request, target).await,
            "OPTIONS" => allowing(Response::new(StatusCode::NO_CONTENT)),
            "PUT" | "DELETE" | "POST" | "COPY" | "MOVE" => Box::pin(self.write(request, target, body)).await,
            _ => allowing(text(StatusCode::METHOD_NOT_ALLOWED, "this method is not supported")),
        }
    }

    async fn read(self: &Arc<Self>, request: &Request, target: Target) -> Response {
        match self.object_of(target) {
            Some(name) => get::answer(self, request, &name).await,
            None => text(StatusCode::NOT_FOUND, "not found"),
        }
    }

    /// What has been admitted by another node that handed it on is not asked about again.
    async fn read_private(self: &Arc<Self>, request: &Request, target: Target) -> Response {
        if !self.is_hop(request)
            && let Err(refused) = self.admit(request, Operation::Get, &self.path_of(&target)).await
        {
            return refused;
        }
        let mut response = self.read(request, target).await;
        // Between here and the client nobody else is to keep it.
        response.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        response
    }

    async fn write(self: &Arc<Self>, request: &Request, target: Target, body: ByteStream) -> Response {
        let (_permit, body) = match self.within_limits(request, body) {
            Ok(permitted) => permitted,
            Err(over) => return too_many(over),
        };
        let size_max = match self.admit_writer(request, &target).await {
            Ok(size_max) => size_max,
            Err(refused) => return refused,
        };
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
            "PUT" => put::answer(self, request, &name, body, size_max).await,
            "DELETE" => delete::answer(self, request, &name).await,
            _ => copy::answer(self, request, &name).await,
        }
    }

    /// Asks whether a request may write at its target, and how much; what COPY and MOVE do at their destination is asked
    /// once that is known.
    async fn admit_writer(&self, request: &Request, target: &Target) -> Result<u64, Response> {
        let path = self.path_of(target);
        let object_max = self.settings.object_max;
        match request.method.as_str() {
            "DELETE" => drop(self.admit_write(request, Operation::Delete, &path).await?),
            "COPY" => drop(self.admit(request, Operation::Get, &path).await?),
            "MOVE" => {
                self.admit(request, Operation::Get, &path).await?;
                self.admit_write(request, Operation::Delete, &path).await?;
            }
            _ => {
                let admitted = self.admit_write(request, Operation::Put, &path).await?;
                return Ok(admitted.max_size.unwrap_or(u64::MAX).min(object_max));
            }
        }
        Ok(object_max)
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
        let own = self.settings.deliver.prefix.url_path(name).as_bytes().starts_with(RESERVED);
        !own && !self.settings.exclude.matches(name)
    }

    /// Whether the root is complete. The root itself is asked, for another process of it may find out that it is, or that
    /// it is not any more. It says nothing before another node has said that it knows this root.
    async fn is_complete(&self) -> bool {
        if !self.is_known_by_now().await {
            return false;
        }
        if let Some(complete) = self.store.is_complete_cached() {
            return complete;
        }
        let store = Arc::clone(&self.store);
        on_thread(move || store.is_complete()).await.unwrap_or_else(|error| {
            log::error!("whether this root is complete cannot be read: {error}");
            false
        })
    }
}

/// Whether a browser says that a page of another site made it send this: its user may be allowed to write, the page is
/// not (Fetch Metadata, <https://www.w3.org/TR/fetch-metadata/>; RFC 6454 for browsers without it).
fn is_cross_site(headers: &HeaderMap) -> bool {
    const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    if let Some(site) = headers.get(FETCH_SITE) {
        return site == "cross-site";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let origin = origin.as_bytes();
    let authority = [&b"https://"[..], b"http://"].iter().find_map(|scheme| origin.strip_prefix(*scheme));
    !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn allowing(mut response: Response) -> Response {
    response.headers.insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_site_is_told_from_our_own_and_from_a_tool() {
        let cross = |headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            is_cross_site(&headers.collect())
        };
        assert!(!cross(&[("host", "img1.example.com")]), "curl sends neither");
        assert!(!cross(&[("sec-fetch-site", "same-origin"), ("origin", "https://a"), ("host", "a")]));
        assert!(!cross(&[("sec-fetch-site", "same-site"), ("origin", "https://www.a"), ("host", "img.a")]));
        assert!(cross(&[("sec-fetch-site", "cross-site"), ("host", "a")]));
        assert!(!cross(&[("origin", "http://A:8080"), ("host", "a:8080")]));
        for origin in ["https://evil.example", "null", "https://a.evil.example", "file://"] {
            assert!(cross(&[("origin", origin), ("host", "a")]), "{origin}");
        }
    }
}
