//! Storing an object: two phases over its owners (design section 7).
//!
//! Prepare streams the body to all owners at once with bounded buffers; each spools it. Commit makes the spools
//! replicas. Whatever fails before the first commit leaves nothing visible anywhere: spools are dropped, or expire.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::Service;
use super::gather::{Order, gather};
use super::intake::{IntakeError, Limits, gathered, receive};
use crate::cluster::{ClusterMap, NodeIndex};
use crate::deliver;
use crate::disk::on_thread;
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::client::PeerError;
use crate::peer::message::{CommitOrder, PrepareAnswer};
use crate::quorum::read_quorum;
use crate::resolve::Route;
use crate::response::{ByteStream, FileSlice};
use crate::semantics::{DigestError, Expected, Precondition, Validators, evaluate};
use crate::store::{SpoolId, StoreError};
use crate::version::{self, Version};

/// Pieces that may wait for one owner.
const QUEUE_PIECES: usize = 4;
/// An owner that takes no bytes for this long is dropped while enough others go on.
const STALL: Duration = Duration::from_secs(5);
/// How long owners have to say that they are prepared, after the end of the body.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the rest have once enough are prepared.
const PREPARE_GRACE: Duration = Duration::from_secs(1);
/// How far ahead of the clock a version may be put to be in a later second; beyond that the write waits.
const AHEAD: Duration = Duration::from_secs(2);
/// A version further ahead than this follows one written under a wrong clock: waiting would not help, and must be
/// shorter than the time after which prepared uploads expire.
const WAIT_BELOW: Duration = Duration::from_secs(6);

/// An object on its way in.
pub(super) struct Upload<'a> {
    /// Its name.
    pub name: &'a ObjectName,
    /// Its length, if that is known.
    pub length: Option<u64>,
    /// Its bytes.
    pub body: ByteStream,
    /// The client's headers: digests to check and conditions on what is there now.
    pub headers: &'a HeaderMap,
}

/// An object is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Its version.
    pub version: Version,
    /// Bytes.
    pub size: u64,
    /// Whether it replaced another.
    pub replaced: bool,
    /// Owners that had committed when the client was answered.
    pub committed: usize,
    /// Owners.
    pub owners: usize,
}

/// Why an object was not stored. Unless it is [`UploadError::Unknown`], nothing is visible.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// The body was cut off, or not what was promised, or too large.
    #[error(transparent)]
    Body(IntakeError),
    /// A digest header makes no sense, or the body is not what it says.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The client's If-Match or If-None-Match does not hold.
    #[error("the object is not in the state that If-Match, If-None-Match or If-Unmodified-Since asks for")]
    Condition,
    /// Too few owners took it in.
    #[error("{prepared} of the {needed} owners needed took the upload")]
    NotPrepared {
        /// How many did.
        prepared: usize,
        /// How many must.
        needed: usize,
        /// Whether full disks are the reason.
        full: bool,
    },
    /// Too few complete owners said what they hold.
    #[error("{heard} of the {needed} owners needed could say what they hold")]
    NotHeard {
        /// How many did.
        heard: usize,
        /// How many must.
        needed: usize,
    },
    /// Too few owners committed in time: it may or may not become visible.
    #[error("{committed} of the {needed} owners needed have it: it may appear later; repeat the request")]
    Unknown {
        /// How many did.
        committed: usize,
        /// How many must.
        needed: usize,
    },
}

impl UploadError {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            UploadError::Body(IntakeError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            UploadError::Body(IntakeError::Store(StoreError::Full { .. }))
            | UploadError::NotPrepared { full: true, .. } => StatusCode::INSUFFICIENT_STORAGE,
            UploadError::Body(IntakeError::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
            UploadError::Body(_) => StatusCode::BAD_REQUEST,
            UploadError::Digest(error) => error.status(),
            UploadError::Condition => StatusCode::PRECONDITION_FAILED,
            UploadError::NotPrepared { .. } | UploadError::NotHeard { .. } => StatusCode::SERVICE_UNAVAILABLE,
            UploadError::Unknown { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Why one owner did not take an upload in.
#[derive(Debug, thiserror::Error)]
enum BranchError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl BranchError {
    fn is_full(&self) -> bool {
        match self {
            BranchError::Peer(error) => error.refusal() == Some(StatusCode::INSUFFICIENT_STORAGE),
            BranchError::Intake(error) => matches!(error, IntakeError::Store(StoreError::Full { .. })),
        }
    }
}

type BranchAnswer = (NodeIndex, Result<PrepareAnswer, BranchError>);

/// One owner that is taking the body in.
struct Branch {
    node: NodeIndex,
    sender: mpsc::Sender<Bytes>,
}

/// Who is prepared, and what the body turned out to be.
struct PreparedUpload {
    answers: Vec<(NodeIndex, PrepareAnswer)>,
    crc32: u32,
    length: u64,
}

/// Stores an object on its owners.
pub(super) async fn store(service: &Arc<Service>, upload: Upload<'_>) -> Result<Stored, UploadError> {
    let map = service.map();
    let owners = Route::of(&map, service.own, upload.name).owners(service.own);
    let id = SpoolId::random();
    let (name, headers) = (upload.name, upload.headers);
    let prepared = prepare(service, &map, &owners, id, upload).await?;
    match decide(service, &map, &owners, &prepared, headers).await {
        Ok((version, replaced)) => {
            commit(service, map, &owners, (id, name), prepared, version, replaced).await
        }
        Err(error) => {
            drop_uploads(service, &map, id, prepared.answers.iter().map(|(node, _)| *node).collect());
            Err(error)
        }
    }
}

/// Phase one: the body to every owner.
async fn prepare(
    service: &Arc<Service>,
    map: &Arc<ClusterMap>,
    owners: &[NodeIndex],
    id: SpoolId,
    upload: Upload<'_>,
) -> Result<PreparedUpload, UploadError> {
    let needed = map.write_quorum();
    let mut expected = Expected::from_headers(upload.headers)?;
    let limits = Limits { length: upload.length, max: service.settings.object_max };
    limits.check_so_far(upload.length.unwrap_or(0)).map_err(UploadError::Body)?;
    let (length, body) = match upload.length {
        Some(length) => (length, upload.body),
        None => spooled_first(service, map, upload.name, limits, upload.body).await?,
    };
    let limits = Limits { length: Some(length), ..limits };

    let mut answers: JoinSet<BranchAnswer> = JoinSet::new();
    let mut branches: Vec<Branch> = owners
        .iter()
        .map(|node| branch(service, map, *node, (id, upload.name), length, &mut answers))
        .collect();
    let mut crc32 = crc32fast::Hasher::new();
    let mut got = 0;
    let mut body = gathered(body);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| UploadError::Body(error.into()))?;
        got += piece.len() as u64;
        limits.check_so_far(got).map_err(UploadError::Body)?;
        crc32.update(&piece);
        if let Some(expected) = &mut expected {
            expected.update(&piece);
        }
        pass_on(map, &mut branches, &piece).await;
        if branches.len() < needed {
            break;
        }
    }
    let enough_left = branches.len() >= needed;
    if enough_left {
        limits.check_end(got).map_err(UploadError::Body)?;
    }
    drop(branches);
    let crc32 = crc32.finalize();
    let (answers, full) = prepared_answers(map, answers, needed, (crc32, length)).await;
    if answers.len() < needed || !enough_left {
        let prepared = answers.len();
        drop_uploads(service, map, id, answers.into_iter().map(|(node, _)| node).collect());
        return Err(UploadError::NotPrepared { prepared, needed, full });
    }
    if let Some(Err(error)) = expected.map(Expected::verify) {
        drop_uploads(service, map, id, answers.into_iter().map(|(node, _)| node).collect());
        return Err(error.into());
    }
    Ok(PreparedUpload { answers, crc32, length })
}

/// A body of unknown length is spooled here before it goes to the owners, since between nodes every body has a
/// length. The spool lives as long as the returned stream.
async fn spooled_first(
    service: &Arc<Service>,
    map: &ClusterMap,
    name: &ObjectName,
    limits: Limits,
    body: ByteStream,
) -> Result<(u64, ByteStream), UploadError> {
    let id = SpoolId::random();
    let store = &service.store;
    let (prepared, _) =
        receive(store, (id, name), map.epoch().get(), limits, body).await.map_err(UploadError::Body)?;
    let opening = Arc::clone(store);
    let file = on_thread(move || {
        let file = opening.read_spool(id);
        // The open file keeps the bytes; the name is not needed any more.
        opening.discard(id);
        file
    });
    let file = file.await.map_err(|error| UploadError::Body(error.into()))?;
    Ok((prepared.length, deliver::file::stream(whole(file, prepared.length))))
}

fn whole(file: std::fs::File, length: u64) -> FileSlice {
    FileSlice { file: Arc::new(file), offset: 0, length }
}

/// Starts taking the body in at one owner.
fn branch(
    service: &Arc<Service>,
    map: &Arc<ClusterMap>,
    node: NodeIndex,
    (id, name): (SpoolId, &ObjectName),
    length: u64,
    answers: &mut JoinSet<BranchAnswer>,
) -> Branch {
    let (sender, receiver) = mpsc::channel::<Bytes>(QUEUE_PIECES);
    let body: ByteStream = Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (Ok(piece), receiver))
    }));
    let (service, map, name) = (Arc::clone(service), Arc::clone(map), name.clone());
    answers.spawn(async move {
        let answer = if node == service.own {
            service.take_in(&map, (id, &name), Some(length), body).await.map_err(BranchError::from)
        } else {
            service.peers.prepare(&map, node, (id, &name), length, body).await.map_err(BranchError::from)
        };
        (node, answer)
    });
    Branch { node, sender }
}

/// Passes a piece on to every branch; those that take nothing for too long, or have failed, are dropped.
async fn pass_on(map: &ClusterMap, branches: &mut Vec<Branch>, piece: &Bytes) {
    let all_at_once = branches.iter().all(|branch| branch.sender.capacity() > 0);
    if all_at_once {
        branches.retain(|branch| branch.sender.try_send(piece.clone()).is_ok());
        return;
    }
    let sent = join_all(branches.iter().map(|branch| branch.sender.send_timeout(piece.clone(), STALL))).await;
    let mut sent = sent.into_iter();
    branches.retain(|branch| {
        let taken = sent.next().is_some_and(|sent| sent.is_ok());
        if !taken {
            log::warn!("node {} takes no bytes: the upload goes on without it", map.node(branch.node).name());
        }
        taken
    });
}

/// Waits for the owners' answers; those whose bytes differ from ours do not count. Also says whether a full disk kept
/// someone from preparing.
async fn prepared_answers(
    map: &ClusterMap,
    mut waiting: JoinSet<BranchAnswer>,
    needed: usize,
    (crc32, length): (u32, u64),
) -> (Vec<(NodeIndex, PrepareAnswer)>, bool) {
    let mut answers = Vec::new();
    let mut full = false;
    let mut deadline = Instant::now() + PREPARE_TIMEOUT;
    while let Ok(Some(joined)) = timeout_at(deadline, waiting.join_next()).await {
        match joined {
            Ok((node, Ok(answer))) if answer.crc32 == crc32 && answer.length == length => {
                answers.push((node, answer));
                if answers.len() == needed {
                    deadline = deadline.min(Instant::now() + PREPARE_GRACE);
                }
            }
            Ok((node, Ok(_))) => {
                log::error!("node {} received other bytes than were sent", map.node(node).name())
            }
            Ok((_, Err(error))) => {
                full |= error.is_full();
                log::warn!("an owner does not take an upload: {error}");
            }
            Err(error) => log::error!("taking an upload in failed: {error}"),
        }
    }
    (answers, full)
}

/// Between the phases: the client's conditions and the version.
async fn decide(
    service: &Service,
    map: &ClusterMap,
    owners: &[NodeIndex],
    prepared: &PreparedUpload,
    headers: &HeaderMap,
) -> Result<(Version, bool), UploadError> {
    let before = prepared.answers.iter().map(|(_, answer)| answer.before);
    let heard = before.clone().filter(|answer| answer.counts()).count();
    let needed = read_quorum(owners.len(), map.write_quorum());
    if heard < needed {
        return Err(UploadError::NotHeard { heard, needed });
    }
    let newest = newest(before.map(|answer| answer.held));
    let current = newest.copy().map(|copy| Validators {
        version: copy.version,
        size: copy.size,
        front: service.settings.front,
    });
    if evaluate(&Method::PUT, headers, current.as_ref()) != Precondition::Proceed {
        return Err(UploadError::Condition);
    }
    let version = version::choose(Version::from_time(SystemTime::now()), &newest, Some(prepared.length));
    let ahead = version.since(Version::from_time(SystemTime::now()));
    if ahead > AHEAD && ahead < WAIT_BELOW {
        sleep(ahead - AHEAD).await;
    }
    Ok((version, newest.copy().is_some()))
}

/// The newest of what several owners hold.
pub(super) fn newest(held: impl Iterator<Item = Held>) -> Held {
    held.max_by(Held::supersedes).unwrap_or_default()
}

/// Phase two.
async fn commit(
    service: &Arc<Service>,
    map: Arc<ClusterMap>,
    owners: &[NodeIndex],
    (id, name): (SpoolId, &ObjectName),
    prepared: PreparedUpload,
    version: Version,
    replaced: bool,
) -> Result<Stored, UploadError> {
    let nodes: Vec<_> = prepared.answers.iter().map(|(node, _)| *node).collect();
    let missed =
        owners.iter().filter(|node| !nodes.contains(node)).map(|node| map.node(*node).name().clone());
    let order = CommitOrder {
        version,
        crc32: prepared.crc32,
        length: prepared.length,
        missed: missed.collect(),
        for_client: true,
    };
    let orders = nodes.into_iter().map(|node| -> Order {
        let (service, map, name, order) =
            (Arc::clone(service), Arc::clone(&map), name.clone(), order.clone());
        Box::pin(async move {
            let result = service.order_commit(&map, node, (id, &name), &order).await;
            if let Err(error) = &result {
                log::warn!("an owner does not commit: {error}");
            }
            (node, result.is_ok())
        })
    });
    let (needed, orders) = (map.write_quorum(), orders.collect());
    let obeyed = gather(service, map, name, orders, needed).await;
    service.lookups.forget(name);
    if !obeyed.enough {
        return Err(UploadError::Unknown { committed: obeyed.count, needed });
    }
    Ok(Stored { version, size: prepared.length, replaced, committed: obeyed.count, owners: owners.len() })
}

/// Tells owners to drop an upload. Nobody waits for it: one that is not told lets it expire.
fn drop_uploads(service: &Arc<Service>, map: &Arc<ClusterMap>, id: SpoolId, nodes: Vec<NodeIndex>) {
    for node in nodes {
        let (service, map) = (Arc::clone(service), Arc::clone(map));
        let background = service.background.clone();
        background.spawn(async move {
            if node == service.own {
                let store = Arc::clone(&service.store);
                on_thread(move || store.discard(id)).await;
            } else {
                service.peers.drop_upload(&map, node, id).await;
            }
        });
    }
}
