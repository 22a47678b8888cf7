//! Requests from other nodes, below `/_webdfs/v1/`. They are answered from this node's own disk or refused, and never
//! make it ask a third node.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::batch::BatchError;
use super::orders::OrderError;
use super::reconcile::CompareError;
use super::refusal::text;
use super::{IntakeError, Service};
use crate::clock;
use crate::cluster::{Fingerprint, NodeIndex, View};
use crate::control::{AgentClient, Request as AgentRequest};
use crate::deliver;
use crate::disk::on_thread;
use crate::maps::MapsError;
use crate::name::ObjectName;
use crate::peer::batch::ListError;
use crate::peer::envelope::{
    COMPLETE, CRC32, Envelope, EnvelopeError, SIGNATURE, SIZE, VERSION, seal_answer,
};
use crate::peer::message::{
    ADOPT, AdoptAnswer, BASE, CONTROL_BYTES_MAX, DeleteOrder, DoneAnswer, Hello, HelloAnswer, MAPS_BYTES_MAX,
    MapsBody, Missed, Operation, Refusal, passed_on,
};
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

/// Why another node's request is refused.
#[derive(Debug, thiserror::Error)]
enum InternalError {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("there is no such operation in this release")]
    Operation,
    #[error("the control body makes no sense: {0}")]
    Control(String),
    #[error("a file between nodes needs a Content-Length")]
    Length,
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Maps(#[from] MapsError),
}

impl InternalError {
    /// The map that this node works by, where that is what is wrong.
    fn other_map(&self) -> Option<(u64, Fingerprint)> {
        match self {
            InternalError::Envelope(EnvelopeError::OtherMap { own_epoch, own_map, .. }) => {
                Some((*own_epoch, *own_map))
            }
            InternalError::Maps(MapsError::SameEpoch { epoch, own, .. }) => Some((epoch.get(), *own)),
            _ => None,
        }
    }

    fn status(&self) -> StatusCode {
        let of_store = |error: &StoreError| match error {
            StoreError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::NotPrepared => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        match self {
            InternalError::Envelope(error) => error.status(),
            InternalError::Operation => StatusCode::NOT_FOUND,
            InternalError::Control(_) => StatusCode::BAD_REQUEST,
            InternalError::Length => StatusCode::LENGTH_REQUIRED,
            InternalError::Intake(IntakeError::Store(error)) | InternalError::Store(error) => of_store(error),
            InternalError::Intake(IntakeError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            InternalError::Batch(BatchError::Store(error))
            | InternalError::Compare(CompareError::Store(error)) => of_store(error),
            InternalError::Batch(BatchError::List(ListError::TooLarge)) => StatusCode::PAYLOAD_TOO_LARGE,
            InternalError::Batch(BatchError::MapChanged) => StatusCode::SERVICE_UNAVAILABLE,
            InternalError::Batch(_) => StatusCode::BAD_REQUEST,
            InternalError::Compare(CompareError::NoInventory) => StatusCode::CONFLICT,
            InternalError::Compare(CompareError::Agent(_)) => StatusCode::SERVICE_UNAVAILABLE,
            InternalError::Intake(IntakeError::MapChanged) | InternalError::Order(OrderError::MapChanged) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            InternalError::Intake(_) | InternalError::Compare(CompareError::Range { .. }) => {
                StatusCode::BAD_REQUEST
            }
            InternalError::Maps(MapsError::Store(error)) | InternalError::Order(OrderError::Store(error)) => {
                of_store(error)
            }
            InternalError::Maps(_) => StatusCode::CONFLICT,
            InternalError::Order(OrderError::Clock { .. }) => StatusCode::CONFLICT,
            InternalError::Order(OrderError::Peer(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

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
            ADOPT => (LARGE_BODIES.acquire().await.ok(), MAPS_BYTES_MAX),
            _ => (None, CONTROL_BYTES_MAX),
        };
        let collected = tokio::time::timeout(BODY_TIME, collect(body, max)).await;
        (Some(collected.ok().and_then(Result::ok).ok_or(EnvelopeError::Unsigned)?), None)
    };
    let envelope =
        Envelope::open(&service.signer, &request.headers, &request.method, path, control_body.as_deref())?;
    let map = service.map();
    envelope.check(&service.name, clock::seconds())?;
    let control_body = control_body.unwrap_or_default();
    let operation = Operation::parse(&request.method, path).ok_or(InternalError::Operation)?;
    if !operation.is_for_any_map() {
        check_map(service, &envelope, &map, &operation).await?;
    }
    match operation {
        Operation::Hello => {
            let Hello { stamp } = parsed(&control_body)?;
            let remembered = match stamp {
                Some(stamp) => {
                    let (store, from) = (Arc::clone(&service.store), envelope.from);
                    on_thread(move || store.remember_stamp(&from, stamp)).await?
                }
                None => None,
            };
            let complete = service.is_complete().await;
            let (epoch, map) = (map.epoch_in_force(), map.fingerprint());
            let store = Arc::clone(&service.store);
            let passed = on_thread(move || store.passed()).await?;
            let answer = HelloAnswer { complete, seen: request.address, remembered, epoch, map, passed };
            Ok(Reply::Control(control(&answer)))
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
        Operation::Adopt => {
            let MapsBody { maps: offered } = parsed(&control_body)?;
            let (maps, from) = (Arc::clone(&service.maps), format!("node {}", envelope.from));
            on_thread(move || maps.adopt(offered, &from)).await?;
            let now = service.map();
            let answer = AdoptAnswer { epoch: now.epoch_in_force(), map: now.fingerprint() };
            Ok(Reply::Control(control(&answer)))
        }
        Operation::Ask(name) => Ok(Reply::Control(control(&service.own_answer(&name).await?))),
        Operation::Object(name) => object(service, &name, &passed_on(&request.headers)).await,
        Operation::Prepare(id, name) => {
            let length = request.content_length.ok_or(InternalError::Length)?;
            let body = file_body.unwrap_or_else(|| Box::pin(futures_util::stream::empty()));
            let answer = service.take_in(&map, (id, &name), length, body).await?;
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
        Operation::Batch(digest) => {
            let body = file_body.unwrap_or_else(|| Box::pin(futures_util::stream::empty()));
            Ok(Reply::Control(control(
                &service.take_batch(map.epoch_in_force(), &envelope.from, digest, body).await?,
            )))
        }
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
