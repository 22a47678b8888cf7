//! GET and HEAD (design section 6): the own disk first, then the owners; or, with `read = "quorum"`, whoever of the
//! owners has the newest.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};

use super::Service;
use super::attempts::Attempts;
use super::keep::kept_while_served;
use super::look_up::{Found, Lacking, Wanted, look_up};
use super::newest::{self, Place};
use super::orders::mark_dirty;
use super::refusal::text;
use super::relay::Relay;
use crate::clock;
use crate::cluster::View;
use crate::config::{Read, Remote};
use crate::deliver;
use crate::disk::on_thread;
use crate::held::CopyInfo;
use crate::name::ObjectName;
use crate::peer::client::ObjectAnswer;
use crate::peer::sign;
use crate::request::{Request, Via};
use crate::resolve::Route;
use crate::response::{ByteStream, FileSlice, Response};
use crate::semantics::{ByteRange, Validators};
use crate::store::{Replica, StoreError};
use crate::version::Version;

pub(super) async fn answer(service: &Arc<Service>, request: &Request, name: &ObjectName) -> Response {
    if service.settings.read == Read::Quorum {
        return Box::pin(newest_answer(service, request, name)).await;
    }
    let own = match own(service, name).await {
        Own::Replica(replica) => return own_answer(service, request, name, &replica),
        own => own,
    };
    Box::pin(elsewhere(service, request, name, own)).await
}

/// The answer that no owner has a newer one for. The request is never handed on: who answered it then might not compare.
async fn newest_answer(service: &Arc<Service>, request: &Request, name: &ObjectName) -> Response {
    let (map, route, place) = newest_place(service, name, wanted(request)).await;
    match place {
        Place::Here(replica) => own_answer(service, request, name, &replica),
        Place::Elsewhere(found) => found_answer(service, request, name, (&map, &route), found).await,
    }
}

/// Where the newest is, under the maps that are in force by then.
async fn newest_place(
    service: &Arc<Service>,
    name: &ObjectName,
    wanted: Wanted<'_>,
) -> (Arc<View>, Route, Place) {
    let mut attempts = Attempts::default();
    loop {
        let map = service.map();
        let route = Route::of(&map, name);
        let place = newest::find(service, &map, name, &route, wanted).await;
        let is_over = match &place {
            Place::Here(_) => true,
            Place::Elsewhere(found) => is_final(service, &map, found),
        };
        if is_over || !attempts.another(service, &map).await {
            return (map, route, place);
        }
    }
}

/// The answer where the own disk has none.
async fn elsewhere(service: &Arc<Service>, request: &Request, name: &ObjectName, own: Own) -> Response {
    let map = service.map();
    let route = Route::of(&map, name);
    note_failed_peers(service, &map, request);
    if !route.own
        && let Some(response) = hand_on(service, &map, request, name, &route)
    {
        return response;
    }
    let (map, route, found) = looked_up(service, name, own, wanted(request)).await;
    found_answer(service, request, name, (&map, &route), found).await
}

/// What the owners have, under the maps that are in force by then: whoever answers may have shown that there is a newer one.
async fn looked_up(
    service: &Arc<Service>,
    name: &ObjectName,
    mut own_disk: Own,
    wanted: Wanted<'_>,
) -> (Arc<View>, Route, Found) {
    let mut attempts = Attempts::default();
    loop {
        let map = service.map();
        let route = Route::of(&map, name);
        let lacking = own_disk.as_lacking(service, &map).await;
        let found = look_up(service, &map, name, &route, lacking, wanted).await;
        if is_final(service, &map, &found) || !attempts.another(service, &map).await {
            return (map, route, found);
        }
        own_disk = match own(service, name).await {
            Own::Replica(replica) => return (map, route, Found::Here(replica)),
            own => own,
        };
    }
}

/// Whether another attempt could find nothing else. Owners that lack it may have passed it on to those under the next map
/// meanwhile.
fn is_final(service: &Service, map: &View, found: &Found) -> bool {
    match found {
        Found::Missing => service.is_in_force(map),
        Found::Unknown => false,
        Found::Copy { .. } | Found::Head { .. } | Found::Here(_) => true,
    }
}

fn wanted(request: &Request) -> Wanted<'_> {
    if request.method == Method::HEAD { Wanted::Head } else { Wanted::Copy(&request.headers) }
}

/// The answer with what other nodes have.
async fn found_answer(
    service: &Arc<Service>,
    request: &Request,
    name: &ObjectName,
    (map, route): (&Arc<View>, &Route),
    found: Found,
) -> Response {
    match found {
        Found::Copy { node, answer } => {
            let Some(relay) = Relay::of(service, map, name, route, node, &answer.headers) else {
                return text(StatusCode::SERVICE_UNAVAILABLE, "an owner does not say what its copy is");
            };
            remote_answer(service, request, route, relay, answer).await
        }
        Found::Head { version, size } => {
            if route.own {
                remember_lacking(service, name).await;
            }
            let validators = Validators { version, size, front: service.settings.deliver.front };
            deliver::represent(&request.method, &request.headers, name, &validators).head()
        }
        Found::Here(replica) => own_answer(service, request, name, &replica),
        Found::Missing => text(StatusCode::NOT_FOUND, "not found"),
        Found::Unknown => {
            text(StatusCode::SERVICE_UNAVAILABLE, "too few owners answer to know whether this exists")
        }
    }
}

/// What this node's own disk has of a name.
enum Own {
    Replica(Replica),
    Lacks {
        tombstone: Option<Version>,
        /// Whether that says anything about what this node once acknowledged.
        counts: bool,
    },
    /// It cannot be read: that is not the same as having none.
    Unreadable,
}

impl Own {
    /// What it contributes to a look-up.
    async fn as_lacking(&self, service: &Service, map: &View) -> Lacking {
        match self {
            Own::Lacks { tombstone, counts } => {
                let says_something = *counts && service.is_complete().await;
                let nodes = says_something.then_some(map.own()).into_iter().collect();
                Lacking { nodes, tombstone: *tombstone }
            }
            Own::Replica(_) | Own::Unreadable => Lacking::default(),
        }
    }
}

/// This node's own copy, if it has one that can be read.
pub(super) async fn own_replica(service: &Service, name: &ObjectName) -> Option<Replica> {
    match own(service, name).await {
        Own::Replica(replica) => Some(replica),
        Own::Lacks { .. } | Own::Unreadable => None,
    }
}

async fn own(service: &Service, name: &ObjectName) -> Own {
    if let Some(Some(replica)) = service.store.open_cached(name) {
        return Own::Replica(replica);
    }
    Box::pin(waited_for(service, name)).await
}

/// The same on a thread that may wait for the disk.
async fn waited_for(service: &Service, name: &ObjectName) -> Own {
    let (store, asked) = (Arc::clone(&service.store), name.clone());
    let looked = on_thread(move || {
        Ok::<_, StoreError>(match store.open_replica(&asked)? {
            Some(replica) => Own::Replica(replica),
            None => {
                let held = store.held(&asked)?;
                let counts = store.answer_counts(&asked, &held)?;
                Own::Lacks { tombstone: held.version().filter(|_| held.copy().is_none()), counts }
            }
        })
    });
    looked.await.unwrap_or_else(|error| {
        log::error!("{name} cannot be read here: {error}");
        Own::Unreadable
    })
}

fn own_answer(service: &Service, request: &Request, name: &ObjectName, replica: &Replica) -> Response {
    let settings = &service.settings;
    // The web server opens it only later, and a file of which this node is no owner may be gone by then: its owners have it.
    let stays = || Route::of(&service.map(), name).own;
    if let Some(response) = deliver::hand_over(&settings.deliver, request, name, replica).filter(|_| stays())
    {
        log::debug!("{name} is left to the web server");
        return response;
    }
    let validators =
        Validators { version: replica.version, size: replica.size, front: settings.deliver.front };
    deliver::represent(&request.method, &request.headers, name, &validators).of_file(&replica.file)
}

/// An owner to which the web server went in vain is asked last for a while.
fn note_failed_peers(service: &Service, map: &View, request: &Request) {
    for failed in &request.failed_peers {
        for (index, node) in map.indexed().filter(|(_, node)| deliver::peer_address(node) == *failed) {
            log::warn!("{}: node {} could not answer", failed, node.name());
            service.peers.did_not_answer(index);
        }
    }
}

/// Hands a request for another node's object on, as configured. Never one that was handed on to us. While files move, a
/// new owner may neither have it nor know of the map yet: only those are gone to that owned it before.
fn hand_on(
    service: &Service,
    map: &View,
    request: &Request,
    name: &ObjectName,
    route: &Route,
) -> Option<Response> {
    let remote = service.settings.remote;
    let can_hand_on = match remote {
        Remote::Proxy => false,
        Remote::Redirect => service.is_admitted_anywhere(request, name),
        Remote::Internal => request.via == Via::WebServer && request.failed_peers.is_empty(),
    };
    if !can_hand_on || service.is_hop(request) {
        return None;
    }
    // Not before it is known that somebody goes there: the first of them may be one whose turn it is to be tried again.
    let owner = map.node(*service.peers.in_order(map, &route.lasting()).first()?);
    if remote == Remote::Redirect {
        return deliver::redirect(owner, &request.target);
    }
    Some(deliver::internal_redirect(owner, &sign::hop(&service.signer, &request.target, clock::seconds())))
}

/// Answers with another owner's copy. A whole copy that this node should have is kept while it is served.
async fn remote_answer(
    service: &Arc<Service>,
    request: &Request,
    route: &Route,
    relay: Relay,
    answer: ObjectAnswer,
) -> Response {
    let (copy, name, map) = (relay.copy, relay.name.clone(), Arc::clone(&relay.map));
    let validators =
        Validators { version: copy.version, size: copy.size, front: service.settings.deliver.front };
    let head = deliver::represent(&request.method, &request.headers, &name, &validators);
    let (status, ranges) = (head.status(), head.ranges());
    // Else the owner has decided otherwise, which is so where its web server is another: its ETags are others.
    let is_ours = answer.status == status;
    let mut body = relay.stream(ranges, is_ours.then_some(answer));
    if route.own && status == StatusCode::OK {
        body = kept_while_served(service, &map, &name, copy, body).await;
    } else if route.own {
        remember_lacking(service, &name).await;
    }
    head.of_stream(body)
}

/// The agent fetches what this node lacks.
async fn remember_lacking(service: &Service, name: &ObjectName) {
    let (store, node, name) = (Arc::clone(&service.store), service.name.clone(), name.clone());
    on_thread(move || mark_dirty(&store, &node, &name)).await;
}

/// An object's bytes, wherever they are: what COPY reads.
pub(super) struct Source {
    pub version: Version,
    pub length: u64,
    /// The checksum its bytes should have, if it is known.
    pub crc32: Option<u32>,
    pub body: ByteStream,
}

/// Opens an object for reading, here or on an owner.
pub(super) async fn open(service: &Arc<Service>, name: &ObjectName) -> Result<Source, StatusCode> {
    let mut map = service.map();
    let mut route = Route::of(&map, name);
    let headers = HeaderMap::new();
    let wanted = Wanted::Copy(&headers);
    let place = match service.settings.read {
        Read::Quorum => {
            let place;
            (map, route, place) = newest_place(service, name, wanted).await;
            place
        }
        Read::Any => match own(service, name).await {
            Own::Replica(replica) => Place::Here(replica),
            own => {
                let found;
                (map, route, found) = looked_up(service, name, own, wanted).await;
                match found {
                    Found::Here(replica) => Place::Here(replica),
                    found => Place::Elsewhere(found),
                }
            }
        },
    };
    let found = match place {
        Place::Here(replica) => {
            let crc32 = service.store.checksum_of(&replica).map_err(|error| {
                log::error!("{name} cannot be read here: {error}");
                StatusCode::SERVICE_UNAVAILABLE
            })?;
            let (version, length) = (replica.version, replica.size);
            let body = deliver::file::stream(FileSlice { file: replica.file, offset: 0, length });
            return Ok(Source { version, length, crc32, body });
        }
        Place::Elsewhere(found) => found,
    };
    match found {
        Found::Copy { node, answer } => {
            let relay = Relay::of(service, &map, name, &route, node, &answer.headers);
            let relay = relay.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
            let CopyInfo { version, size: length, crc32 } = relay.copy;
            let body = relay.stream(ByteRange::whole(length).into_iter().collect(), Some(answer));
            Ok(Source { version, length, crc32, body })
        }
        Found::Missing => Err(StatusCode::NOT_FOUND),
        Found::Head { .. } | Found::Here(_) | Found::Unknown => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}
