//! Requests from other nodes, below `/_webdfs/v1/`. They are answered from this node's own disk or refused, and never
//! make it ask a third node.

mod error;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use error::InternalError;

use super::reconcile::CompareError;
use super::refusal::text;
use super::{IntakeError, Service};
use crate::clock;
use crate::cluster::{NodeIndex, View};
use crate::control::{AgentClient, Request as AgentRequest};
use crate::deliver;
use crate::disk::on_thread;
use crate::name::ObjectName;
use crate::peer::envelope::{
    COMPLETE, CRC32, Envelope, EnvelopeError, SIGNATURE, SIZE, VERSION, seal_answer,
};
use crate::peer::message::{
    ADOPT, AdoptAnswer, BASE, CONTROL_BYTES_MAX, DeleteOrder, DoneAnswer, MAPS_BYTES_MAX, MapsBody, Missed,
    Operation, PLAN, Refusal,
};
use crate::peer::passed_on::passed_on;
use crate::peer::reconcile::{InventoryAnswer, InventoryOrder, OfferAnswer, OfferOrder};
use crate::request::Request;
use crate::response::{ByteStream, Response};
use crate::semantics::Validators;
use crate::store::StoreError;
use crate::version::Version;

/// Bodies with maps that are taken in at the same time.
static LARGE_BODIES: Semaphore = Semaphore::const_new(4);
/// How long the whole control body of a message may take to come.
const BODY_TIME: Duration = Duration::from_secs(15);

/// What goes back: a control body, or a copy with its head.
enum Reply {
    Control(Vec<u8>),
    Copy(Response),
    Lacking(NoCopy),
}

/// That there is no copy here.
struct NoCopy {
    tombstone: Option<Version>,
    /// Whether it counts if the root is complete.
    counts: bool,
}

pub(super) async fn answer(service: &Arc<Service>, request: &Request, body: ByteStream) -> Response {
    let path = std::str::from_utf8(&request.target).ok().and_then(|target| target.strip_prefix(BASE));
    let Some(path) = path else { return text(StatusCode::NOT_FOUND, "not found") };
    let result = perform(service, request, path, body).await;
    if let Err(InternalError::Envelope(EnvelopeError::Unsigned)) = &result {
        log::warn!("a request without a valid signature is refused: {} {BASE}{path}", request.method);
        return text(StatusCode::FORBIDDEN, "not a node of this cluster");
    }
    let question = request.headers.get(SIGNATURE).map_or(&b""[..], HeaderValue::as_bytes);
    let reply = match result {
        Ok(Reply::Copy(response)) => return sealed_copy(service, question, response).await,
        Ok(Reply::Control(body)) => (StatusCode::OK, body),
        Ok(Reply::Lacking(no_copy)) => {
            let body = control(&Refusal { error: "no copy here".into(), other_map: None });
            return sealed_control(service, question, (StatusCode::NOT_FOUND, body), Some(no_copy)).await;
        }
        Err(error) => {
            log::warn!("a request of another node is refused: {error}");
            (error.status(), control(&Refusal { error: error.to_string(), other_map: error.other_map() }))
        }
    };
    sealed_control(service, question, reply, None).await
}

async fn sealed_control(
    service: &Service,
    question: &[u8],
    (status, body): (StatusCode, Vec<u8>),
    no_copy: Option<NoCopy>,
) -> Response {
    let mut response = Response::new(status);
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let counts = no_copy.as_ref().is_none_or(|no_copy| no_copy.counts);
    response.headers.insert(COMPLETE, yes_or_no(counts && service.is_complete().await));
    if let Some(version) = no_copy.and_then(|no_copy| no_copy.tombstone) {
        response.headers.insert(VERSION, version.nanos().into());
    }
    seal_answer(&service.signer, question, status, &mut response.headers, Some(&body));
    response.body = Bytes::from(body).into();
    response
}

async fn sealed_copy(service: &Service, question: &[u8], mut response: Response) -> Response {
    response.headers.insert(COMPLETE, yes_or_no(service.is_complete().await));
    let file = matches!(response.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    let control = if file { None } else { Some(&b""[..]) };
    seal_answer(&service.signer, question, response.status, &mut response.headers, control);
    response
}

async fn perform(
    service: &Arc<Service>,
    request: &Request,
    path: &str,
    body: ByteStream,
) -> Result<Reply, InternalError> {
    // A stranger learns nothing, not even which operations there are; so a file is told from a control body by the
    // method alone until the signature is checked.
    let (control_body, file_body) = if request.method == Method::PUT {
        (None, Some(body))
    } else {
        // What a stranger may have this process hold is bounded: only a few maps come at a time.
        let (_turn, max) = match path {
            ADOPT | PLAN => (LARGE_BODIES.acquire().await.ok(), MAPS_BYTES_MAX),
            _ => (None, CONTROL_BYTES_MAX),
        };
        let collected = tokio::time::timeout(BODY_TIME, collect(body, max)).await;
        (Some(collected.ok().and_then(Result::ok).ok_or(EnvelopeError::Unsigned)?), None)
    };
    let envelope =
        Envelope::open(&service.signer, &request.headers, &request.method, path, control_body.as_deref())?;
    let map = service.map();
    envelope.check(&service.name, clock::seconds())?;
    let operation = Operation::parse(&request.method, path).ok_or(InternalError::Operation)?;
    if !operation.is_for_any_map() {
        check_map(service, &envelope, &map, &operation).await?;
    }
    let message = Message {
        envelope,
        control_body: control_body.unwrap_or_default(),
        file_body: file_body.unwrap_or_else(|| Box::pin(futures_util::stream::empty())),
        length: request.content_length,
        address: request.address,
        client: passed_on(&request.headers),
    };
    if operation.is_background_work() {
        let working = obey(Arc::clone(service), map, operation, message);
        let done = service.background.spawn(working).await;
        return done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    }
    obey(Arc::clone(service), map, operation, message).await
}

/// A node's message whose envelope is good.
struct Message {
    envelope: Envelope,
    control_body: Bytes,
    /// Empty unless there is a file in it.
    file_body: ByteStream,
    /// Of the file.
    length: Option<u64>,
    /// Whence it came.
    address: Option<IpAddr>,
    /// What a client asked for whose request this is about.
    client: HeaderMap,
}

/// Does what a node wants that works by the maps in force here, unless that does not matter.
async fn obey(
    service: Arc<Service>,
    map: Arc<View>,
    operation: Operation,
    message: Message,
) -> Result<Reply, InternalError> {
    let Message { envelope, control_body, file_body, length, address, client } = message;
    let service = &service;
    match operation {
        Operation::Hello => {
            let answer = service.answer_hello(&map, envelope.from, parsed(&control_body)?, address);
            Ok(Reply::Control(control(&answer.await?)))
        }
        Operation::Maps => {
            let maps = Arc::clone(&service.maps);
            let texts = on_thread(move || maps.texts()).await?;
            Ok(Reply::Control(control(&MapsBody { maps: texts })))
        }
        Operation::Status => {
            let agent = AgentClient { root: service.store.root().to_owned() };
            let status = agent.standing().await.map_err(CompareError::from)?;
            Ok(Reply::Control(control(&status)))
        }
        Operation::Plan => {
            let agent = AgentClient { root: service.store.root().to_owned() };
            let planned = agent.plan(parsed(&control_body)?).await.map_err(CompareError::from)?;
            Ok(Reply::Control(control(&planned)))
        }
        Operation::Adopt => {
            let MapsBody { maps: offered } = parsed(&control_body)?;
            let (maps, from) = (Arc::clone(&service.maps), format!("node {}", envelope.from));
            on_thread(move || maps.adopt(offered, &from)).await?;
            let now = service.map();
            let answer = AdoptAnswer { epoch: now.epoch_in_force(), map: now.fingerprint() };
            Ok(Reply::Control(control(&answer)))
        }
        Operation::Ask(name) => Ok(Reply::Control(control(&service.own_answer(&name).await?))),
        Operation::Object(name) => object(service, &name, &client).await,
        Operation::Prepare(id, name) => {
            let length = length.ok_or(InternalError::Length)?;
            let answer = service.take_in(&map, (id, &name), length, file_body).await?;
            Ok(Reply::Control(control(&answer)))
        }
        Operation::Commit(id, name) => {
            let order = parsed(&control_body)?;
            let outcome = service.obey_commit(&envelope.from, (id, &name), &order).await?;
            Ok(Reply::Control(control(&DoneAnswer { outcome })))
        }
        Operation::Drop(id) => {
            let store = Arc::clone(&service.store);
            on_thread(move || store.discard(id)).await;
            Ok(Reply::Control(control(&())))
        }
        Operation::Delete(name) => {
            let order = parsed(&control_body)?;
            let outcome = service.obey_delete(&map, &envelope.from, &name, &order).await?;
            Ok(Reply::Control(control(&DoneAnswer { outcome })))
        }
        Operation::Superseded(name) => {
            let DeleteOrder { version, .. } = parsed(&control_body)?;
            service.drop_superseded(name, version);
            Ok(Reply::Control(control(&())))
        }
        Operation::Missed(name) => {
            let Missed { nodes } = parsed(&control_body)?;
            service.remember_missed(&name, nodes).await;
            Ok(Reply::Control(control(&())))
        }
        Operation::Digests => {
            let answer =
                service.compare_digests(&map, sender(&map, &envelope)?, parsed(&control_body)?).await?;
            Ok(Reply::Control(control(&answer)))
        }
        Operation::Have => {
            let answer = service.compare_keys(&map, sender(&map, &envelope)?, parsed(&control_body)?).await?;
            Ok(Reply::Control(control(&answer)))
        }
        Operation::Agreed => {
            let answer =
                service.agreed_tombstones(&map, sender(&map, &envelope)?, parsed(&control_body)?).await?;
            Ok(Reply::Control(control(&answer)))
        }
        Operation::Forget => {
            let answer =
                service.forget_tombstones(&map, sender(&map, &envelope)?, parsed(&control_body)?).await?;
            Ok(Reply::Control(control(&answer)))
        }
        Operation::Batch(digest) => Ok(Reply::Control(control(
            &service.take_batch(map.epoch_in_force(), &envelope.from, digest, file_body).await?,
        ))),
        Operation::Inventory => {
            let InventoryOrder { max_age_ms } = parsed(&control_body)?;
            let ready = service.ask_agent(AgentRequest::Inventory { max_age_ms }).await?;
            Ok(Reply::Control(control(&InventoryAnswer { ready })))
        }
        Operation::Offer => {
            let OfferOrder { token } = parsed(&control_body)?;
            let to = envelope.from.clone();
            let finished = service.ask_agent(AgentRequest::Offer { to, token }).await?;
            Ok(Reply::Control(control(&OfferAnswer { finished })))
        }
    }
}

/// Whether the sender works by the maps in force here. An upload that was taken in under older ones may be committed under
/// them (design section 9).
async fn check_map(
    service: &Service,
    envelope: &Envelope,
    map: &View,
    operation: &Operation,
) -> Result<(), InternalError> {
    let Err(error) = envelope.check_map(map.epoch_in_force(), map.fingerprint()) else { return Ok(()) };
    if let Operation::Commit(id, _) = operation
        && envelope.epoch < map.epoch_in_force()
    {
        let (store, id) = (Arc::clone(&service.store), *id);
        if on_thread(move || store.spooled_under(id)).await? == Some(envelope.epoch) {
            return Ok(());
        }
    }
    Err(error.into())
}

/// The node that speaks. Of the same map, it is in that map.
fn sender(map: &View, envelope: &Envelope) -> Result<NodeIndex, EnvelopeError> {
    map.index_of(&envelope.from).ok_or(EnvelopeError::Unsigned)
}

/// The own copy, with what a client asked of it. Never through the web server: it would drop the signature.
async fn object(service: &Service, name: &ObjectName, headers: &HeaderMap) -> Result<Reply, InternalError> {
    // It may be an older copy of the root that was put back, and whoever asks can ask another owner.
    service.wait_until_known().await;
    let (store, asked) = (Arc::clone(&service.store), name.clone());
    let opened = on_thread(move || {
        if let Some(opened) = store.open_copy(&asked)? {
            return Ok(Ok(opened));
        }
        let held = store.held(&asked)?;
        let counts = store.answer_counts(&asked, &held)?;
        let tombstone = held.version().filter(|_| held.copy().is_none());
        Ok::<_, StoreError>(Err(NoCopy { tombstone, counts }))
    });
    let (replica, crc32) = match opened.await? {
        Ok(opened) => opened,
        Err(no_copy) => return Ok(Reply::Lacking(no_copy)),
    };
    let validators =
        Validators { version: replica.version, size: replica.size, front: service.settings.deliver.front };
    let mut response = deliver::represent(&Method::GET, headers, name, &validators).unframed(&replica.file);
    response.headers.insert(VERSION, replica.version.nanos().into());
    response.headers.insert(SIZE, replica.size.into());
    if let Some(crc32) = crc32 {
        let text = format!("{crc32:08x}");
        response.headers.insert(CRC32, HeaderValue::from_str(&text).expect("hexadecimal digits"));
    }
    Ok(Reply::Copy(response))
}

async fn collect(mut body: ByteStream, max: usize) -> Result<Bytes, InternalError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(IntakeError::from)?;
        if whole.len() + piece.len() > max {
            return Err(InternalError::Control(format!("more than {max} bytes")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, InternalError> {
    serde_json::from_slice(body).map_err(|error| InternalError::Control(error.to_string()))
}

fn control(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own messages are always JSON")
}

fn yes_or_no(yes: bool) -> HeaderValue {
    HeaderValue::from_static(if yes { "yes" } else { "no" })
}
