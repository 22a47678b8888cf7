//! GET and HEAD (design section 6): the own disk first, then the owners.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use tokio::sync::mpsc;

use super::lookups::{Turn, Verdict};
use super::refusal::text;
use super::{Service, mark_dirty};
use crate::clock;
use crate::cluster::ClusterMap;
use crate::config::Remote;
use crate::deliver;
use crate::disk::on_thread;
use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::peer::client::{ObjectAnswer, ObjectReply};
use crate::peer::envelope::{CRC32, VERSION};
use crate::peer::sign;
use crate::quorum::read_quorum;
use crate::request::{Request, Via};
use crate::resolve::Route;
use crate::response::{BodyError, ByteStream, FileSlice, Response};
use crate::semantics::Validators;
use crate::store::{Commit, Replica, SpoolId};
use crate::version::Version;

/// Pieces of a body on its way through this node that may wait for the client.
const QUEUE_PIECES: usize = 4;
/// What of a client's request another node needs to know.
const PASSED_ON: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];
/// What of another node's answer a client needs to know.
const PASSED_BACK: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
];

pub(super) async fn answer(service: &Arc<Service>, request: &Request, name: &ObjectName) -> Response {
    if let Some(replica) = own_replica(service, name).await {
        return own_answer(service, request, name, &replica);
    }
    let map = service.map();
    let route = Route::of(&map, service.own, name);
    note_failed_peers(service, &map, request);
    if !route.own
        && let Some(response) = hand_on(service, &map, request, &route)
    {
        return response;
    }
    if request.method == Method::HEAD {
        return head(service, &map, request, name, &route).await;
    }
    let headers = passed(&request.headers, &PASSED_ON);
    match look_up(service, &map, name, &route, &headers).await {
        Found::At(answer) => remote_answer(service, &map, name, &route, answer).await,
        Found::Missing => not_found(),
        Found::Unknown => unknown(),
    }
}

/// The replica on this node's disk. A disk that fails is as good as none: the others are asked.
async fn own_replica(service: &Service, name: &ObjectName) -> Option<Replica> {
    if let Some(known) = service.store.open_cached(name) {
        return known;
    }
    let (store, asked) = (Arc::clone(&service.store), name.clone());
    on_thread(move || store.open_replica(&asked)).await.unwrap_or_else(|error| {
        log::error!("{name} cannot be read here: {error}");
        None
    })
}

fn own_answer(service: &Service, request: &Request, name: &ObjectName, replica: &Replica) -> Response {
    let settings = &service.settings;
    if let Some(response) =
        deliver::hand_over(settings.deliver, settings.front, &settings.prefix, request, name, replica)
    {
        return response;
    }
    let validators = Validators { version: replica.version, size: replica.size, front: settings.front };
    deliver::represent(&request.method, &request.headers, name, &validators, Some(&replica.file))
}

/// An owner to which the web server went in vain is asked last for a while.
fn note_failed_peers(service: &Service, map: &ClusterMap, request: &Request) {
    for failed in &request.failed_peers {
        for (index, node) in map.indexed().filter(|(_, node)| deliver::peer_address(node) == *failed) {
            log::warn!("{}: node {} could not answer", failed, node.name());
            service.peers.put_aside(index);
        }
    }
}

/// Hands a request for another node's object on, as configured. Never one that was handed on to us.
fn hand_on(service: &Service, map: &ClusterMap, request: &Request, route: &Route) -> Option<Response> {
    let now = clock::seconds();
    let mark = request.headers.get(deliver::HOP);
    if mark.is_some_and(|mark| sign::is_hop(&service.signer, &request.target, mark.as_bytes(), now)) {
        return None;
    }
    let owner = map.node(*service.peers.in_order(&route.others).first()?);
    match service.settings.remote {
        Remote::Proxy => None,
        Remote::Redirect => deliver::redirect(owner, &request.target),
        Remote::Internal if request.via == Via::WebServer && request.failed_peers.is_empty() => {
            let mark = sign::hop(&service.signer, &request.target, now);
            Some(deliver::internal_redirect(owner, &mark))
        }
        Remote::Internal => None,
    }
}

/// What the owners said.
enum Found {
    At(ObjectAnswer),
    Missing,
    Unknown,
}

/// Asks the other owners for a copy, one after the other. Requests for one name share what they find.
async fn look_up(
    service: &Service,
    map: &ClusterMap,
    name: &ObjectName,
    route: &Route,
    headers: &HeaderMap,
) -> Found {
    let lead = match service.lookups.turn(name).await {
        Turn::Known(Verdict::Missing) => return Found::Missing,
        Turn::Known(Verdict::Unknown) => return Found::Unknown,
        Turn::Known(Verdict::At(node)) => {
            return match service.peers.object(map, node, name, headers).await {
                Ok(ObjectReply::Found(answer)) => Found::At(answer),
                _ => ask_in_turn(service, map, name, route, headers).await.1,
            };
        }
        Turn::Lead(lead) => lead,
    };
    let (verdict, found) = ask_in_turn(service, map, name, route, headers).await;
    lead.settle(verdict);
    found
}

async fn ask_in_turn(
    service: &Service,
    map: &ClusterMap,
    name: &ObjectName,
    route: &Route,
    headers: &HeaderMap,
) -> (Verdict, Found) {
    let mut lacking = usize::from(route.own && service.is_complete());
    for node in service.peers.in_order(&route.others) {
        match service.peers.object(map, node, name, headers).await {
            Ok(ObjectReply::Found(answer)) => return (Verdict::At(node), Found::At(answer)),
            Ok(ObjectReply::Lacks { complete }) => lacking += usize::from(complete),
            Err(error) => log::debug!("{name}: {error}"),
        }
    }
    if lacking >= enough_lack(map) {
        (Verdict::Missing, Found::Missing)
    } else {
        (Verdict::Unknown, Found::Unknown)
    }
}

/// How many complete owners must lack a name before it is said not to exist.
fn enough_lack(map: &ClusterMap) -> usize {
    read_quorum(map.replicas(), map.write_quorum())
}

/// HEAD of an object elsewhere: the head can be made from version and size.
async fn head(
    service: &Arc<Service>,
    map: &ClusterMap,
    request: &Request,
    name: &ObjectName,
    route: &Route,
) -> Response {
    let mut lacking = usize::from(route.own && service.is_complete());
    for node in service.peers.in_order(&route.others) {
        match service.peers.ask(map, node, name).await {
            Ok(answer) => match answer.held {
                Held::Copy(CopyInfo { version, size, .. }) => {
                    if route.own {
                        remember_lacking(service, name).await;
                    }
                    let validators = Validators { version, size, front: service.settings.front };
                    return deliver::represent(&request.method, &request.headers, name, &validators, None);
                }
                Held::Nothing | Held::Tombstone { .. } => lacking += usize::from(answer.counts()),
            },
            Err(error) => log::debug!("{name}: {error}"),
        }
    }
    if lacking >= enough_lack(map) { not_found() } else { unknown() }
}

/// Passes an owner's answer on. A whole copy that this node should have is kept while it is served.
async fn remote_answer(
    service: &Arc<Service>,
    map: &Arc<ClusterMap>,
    name: &ObjectName,
    route: &Route,
    answer: ObjectAnswer,
) -> Response {
    let mut response = Response::new(answer.status);
    response.headers = passed(&answer.headers, &PASSED_BACK);
    let mut body = answer.body;
    if route.own && answer.status == StatusCode::OK {
        match described(&answer.headers) {
            Some(copy) => body = kept_while_served(service, map, name, copy, body),
            None => log::debug!("{name} is not kept: its owner has no checksum for it yet"),
        }
    } else if route.own {
        remember_lacking(service, name).await;
    }
    response.body = body.into();
    response
}

/// What the copy in an answer's body must be.
#[derive(Clone, Copy)]
struct Described {
    version: Version,
    crc32: u32,
    length: u64,
}

fn described(headers: &HeaderMap) -> Option<Described> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    Some(Described {
        version: text(VERSION)?.parse().ok()?,
        crc32: u32::from_str_radix(text(CRC32)?, 16).ok()?,
        length: text(header::CONTENT_LENGTH)?.parse().ok()?,
    })
}

/// The same body; on its way it is also written to this node's disk, and goes on being written should the client go away.
fn kept_while_served(
    service: &Arc<Service>,
    map: &Arc<ClusterMap>,
    name: &ObjectName,
    copy: Described,
    mut body: ByteStream,
) -> ByteStream {
    let (to_client, for_client) = mpsc::channel::<Result<Bytes, BodyError>>(QUEUE_PIECES);
    let (to_disk, for_disk) = mpsc::channel::<Bytes>(QUEUE_PIECES);
    let background = service.background.clone();
    let (service, map, name) = (Arc::clone(service), Arc::clone(map), name.clone());
    background.spawn(async move {
        let pump = async move {
            let (mut to_disk, mut to_client) = (Some(to_disk), Some(to_client));
            while let Some(piece) = body.next().await {
                if let (Some(disk), Ok(piece)) = (&to_disk, &piece)
                    && disk.send(piece.clone()).await.is_err()
                {
                    to_disk = None;
                }
                let failed = piece.is_err();
                if let Some(client) = &to_client
                    && client.send(piece).await.is_err()
                {
                    to_client = None;
                }
                if failed || (to_disk.is_none() && to_client.is_none()) {
                    break;
                }
            }
        };
        let ((), kept) = tokio::join!(pump, keep(&service, &map, &name, copy, receiver_stream(for_disk)));
        if let Err(problem) = kept {
            log::warn!("{name} is not kept here yet: {problem}");
        }
    });
    Box::pin(futures_util::stream::unfold(for_client, |mut receiver| async {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

fn receiver_stream(receiver: mpsc::Receiver<Bytes>) -> ByteStream {
    Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (Ok(piece), receiver))
    }))
}

/// Writes another owner's copy to this node's disk, as any replica is written.
async fn keep(
    service: &Arc<Service>,
    map: &ClusterMap,
    name: &ObjectName,
    copy: Described,
    body: ByteStream,
) -> Result<(), String> {
    let id = SpoolId::random();
    let taken =
        service.take_in(map, (id, name), Some(copy.length), body).await.map_err(|error| error.to_string())?;
    let (store, name) = (Arc::clone(&service.store), name.clone());
    if taken.crc32 != copy.crc32 {
        on_thread(move || store.discard(id)).await;
        return Err("the bytes received do not match the checksum".into());
    }
    let Described { version, crc32, length } = copy;
    let committed = on_thread(move || {
        store.commit(&Commit { id, name: &name, version, crc32, length, for_client: false })
    });
    committed.await.map(|_| ()).map_err(|error| error.to_string())
}

/// The agent fetches what this node lacks.
async fn remember_lacking(service: &Service, name: &ObjectName) {
    let (store, node, name) = (Arc::clone(&service.store), service.name.clone(), name.clone());
    on_thread(move || mark_dirty(&store, &node, &name)).await;
}

/// An object's bytes, wherever they are: what COPY reads.
pub(super) struct Source {
    pub length: u64,
    pub body: ByteStream,
}

/// Opens an object for reading, here or on an owner.
pub(super) async fn open(service: &Arc<Service>, name: &ObjectName) -> Result<Source, StatusCode> {
    if let Some(replica) = own_replica(service, name).await {
        let slice = FileSlice { file: replica.file, offset: 0, length: replica.size };
        return Ok(Source { length: replica.size, body: deliver::file::stream(slice) });
    }
    let map = service.map();
    let route = Route::of(&map, service.own, name);
    match look_up(service, &map, name, &route, &HeaderMap::new()).await {
        Found::At(answer) => {
            let length = answer
                .headers
                .get(header::CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok()?.parse().ok());
            let length = length.ok_or(StatusCode::BAD_GATEWAY)?;
            Ok(Source { length, body: answer.body })
        }
        Found::Missing => Err(StatusCode::NOT_FOUND),
        Found::Unknown => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn passed(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in names {
        for value in headers.get_all(name) {
            passed.append(name, value.clone());
        }
    }
    passed
}

fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "not found")
}

fn unknown() -> Response {
    text(StatusCode::SERVICE_UNAVAILABLE, "too few owners answer to know whether this exists")
}
