//! Phase one of storing an object: the body goes to every owner at once, with bounded buffers; each spools it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Service;
use super::intake::{IntakeError, Limits, receive};
use super::source::Source;
use super::upload::{Upload, UploadError};
use crate::cluster::{NodeIndex, View};
use crate::disk::on_thread;
use crate::incoming::received;
use crate::name::ObjectName;
use crate::peer::client::PeerError;
use crate::peer::message::{HeldAnswer, PrepareAnswer};
use crate::response::{ByteStream, FileSlice};
use crate::semantics::Expected;
use crate::store::{SpoolId, StoreError};

/// Pieces that may wait for one owner.
const QUEUE_PIECES: usize = 4;
/// An owner that takes no bytes for this long is dropped while enough others go on.
const STALL: Duration = Duration::from_secs(5);
/// How long owners have to say that they are prepared, after the end of the body.
pub(super) const PREPARE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the rest have once enough are prepared.
const PREPARE_GRACE: Duration = Duration::from_secs(1);
/// Why one owner did not take an upload in.
#[derive(Debug, thiserror::Error)]
enum BranchError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl BranchError {
    fn is_about_the_map(&self) -> bool {
        match self {
            BranchError::Peer(error) => matches!(error, PeerError::OtherMap { .. }),
            BranchError::Intake(error) => matches!(error, IntakeError::MapChanged),
        }
    }

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
    /// Whether the others wait for it: not if it is known to be down, as long as enough others go on.
    is_awaited: bool,
    sender: mpsc::Sender<Bytes>,
}

/// Who is prepared, and what the body turned out to be.
pub(super) struct PreparedUpload {
    /// The owners that took it in, with what they held before.
    pub answers: Vec<(NodeIndex, PrepareAnswer)>,
    /// Checksum of the body.
    pub crc32: u32,
    /// Its length in bytes.
    pub length: u64,
}

impl PreparedUpload {
    /// What the owners that took it in held before.
    pub fn before(&self) -> Vec<(NodeIndex, HeldAnswer)> {
        self.answers.iter().map(|(node, answer)| (*node, answer.before)).collect()
    }
}

/// An object on its way in whose length is known.
pub(super) struct Arrival<'a> {
    /// Its name.
    pub name: &'a ObjectName,
    /// The client's headers.
    pub headers: &'a HeaderMap,
    /// The checksum its bytes should have, if that is known.
    crc32: Option<u32>,
    length: u64,
    size_max: u64,
    source: Source,
}

impl<'a> Arrival<'a> {
    /// Checks what can be checked before the body comes. One of unknown length is spooled here first, since between nodes every
    /// body has a length.
    pub async fn of(service: &Arc<Service>, upload: Upload<'a>) -> Result<Self, UploadError> {
        let Upload { name, length, size_max, body, headers, crc32 } = upload;
        Expected::from_headers(headers)?;
        let limits = Limits { length, max: size_max };
        limits.check_so_far(length.unwrap_or(0)).map_err(UploadError::Body)?;
        let (length, source) = match length {
            Some(length) => (length, Source::once(body)),
            None => {
                let slice = spooled_first(service, name, limits, body).await?;
                (slice.length, Source::file(slice))
            }
        };
        Ok(Self { name, headers, crc32, length, size_max, source })
    }

    /// Goes back to the beginning of the body, if that is still to be had.
    pub fn begin_again(&mut self) -> bool {
        self.source.begin_again()
    }
}

/// Phase one: the body to every owner.
pub(super) async fn prepare(
    service: &Arc<Service>,
    map: &Arc<View>,
    owners: &[NodeIndex],
    id: SpoolId,
    upload: &mut Arrival<'_>,
) -> Result<PreparedUpload, UploadError> {
    let needed = map.write_quorum();
    let mut expected = Expected::from_headers(upload.headers)?;
    let length = upload.length;
    let limits = Limits { length: Some(length), max: upload.size_max };

    let mut answers: JoinSet<BranchAnswer> = JoinSet::new();
    let mut branches: Vec<Branch> = owners
        .iter()
        .map(|node| branch(service, map, *node, (id, upload.name), length, &mut answers))
        .collect();
    let mut crc32 = crc32fast::Hasher::new();
    let mut got = 0;
    while let Some(piece) = upload.source.next().await {
        let piece = piece.map_err(|error| UploadError::Body(error.into()))?;
        got += piece.len() as u64;
        limits.check_so_far(got).map_err(UploadError::Body)?;
        crc32.update(&piece);
        if let Some(expected) = &mut expected {
            expected.update(&piece);
        }
        pass_on(map, &mut branches, needed, &piece).await;
        if branches.len() < needed {
            break;
        }
    }
    let enough_left = branches.len() >= needed;
    if enough_left {
        limits.check_end(got).map_err(UploadError::Body)?;
    }
    let awaited = branches.iter().filter(|branch| branch.is_awaited).map(|branch| branch.node).collect();
    drop(branches);
    let crc32 = crc32.finalize();
    let (answers, problems) = prepared_answers(map, answers, (needed, awaited), (crc32, length)).await;
    if answers.len() < needed || !enough_left {
        let (prepared, Problems { full, other_map }) = (answers.len(), problems);
        drop_uploads(service, map, id, answers.into_iter().map(|(node, _)| node).collect());
        return Err(UploadError::NotPrepared { prepared, needed, full, other_map });
    }
    let genuine = match expected.map(Expected::verify) {
        Some(Err(error)) => Err(error.into()),
        _ if upload.crc32.is_some_and(|known| known != crc32) => Err(UploadError::Source),
        _ => Ok(()),
    };
    if let Err(error) = genuine {
        drop_uploads(service, map, id, answers.into_iter().map(|(node, _)| node).collect());
        return Err(error);
    }
    Ok(PreparedUpload { answers, crc32, length })
}

/// Spools a body here. The spool lives as long as the returned file is open.
async fn spooled_first(
    service: &Arc<Service>,
    name: &ObjectName,
    limits: Limits,
    body: ByteStream,
) -> Result<FileSlice, UploadError> {
    let id = SpoolId::random();
    let store = &service.store;
    let under = (service.map().epoch_in_force(), || true);
    let (prepared, ..) = receive(store, (id, name), under, limits, body).await.map_err(UploadError::Body)?;
    let opening = Arc::clone(store);
    let file = on_thread(move || {
        let file = opening.read_spool(id);
        // The open file keeps the bytes; the name is not needed any more.
        opening.discard(id);
        file
    });
    let file = file.await.map_err(|error| UploadError::Body(error.into()))?;
    Ok(FileSlice { file: Arc::new(file), offset: 0, length: prepared.length })
}

/// Starts taking the body in at one owner.
fn branch(
    service: &Arc<Service>,
    map: &Arc<View>,
    node: NodeIndex,
    (id, name): (SpoolId, &ObjectName),
    length: u64,
    answers: &mut JoinSet<BranchAnswer>,
) -> Branch {
    let (sender, receiver) = mpsc::channel::<Bytes>(QUEUE_PIECES);
    let body: ByteStream = Box::pin(received(receiver).map(Ok));
    let is_awaited = !service.peers.is_down(map, node);
    let (service, map, name) = (Arc::clone(service), Arc::clone(map), name.clone());
    answers.spawn(async move {
        let answer = if node == map.own() {
            service.take_in(&map, (id, &name), length, body).await.map_err(BranchError::from)
        } else {
            service.peers.prepare(&map, node, (id, &name), length, body).await.map_err(BranchError::from)
        };
        (node, answer)
    });
    Branch { node, is_awaited, sender }
}

/// Passes a piece on to every branch; those that take nothing for too long, or have failed, are dropped. One that is not
/// awaited is dropped as soon as it does not keep up.
async fn pass_on(map: &View, branches: &mut Vec<Branch>, needed: usize, piece: &Bytes) {
    if branches.iter().filter(|branch| branch.is_awaited).count() >= needed {
        branches.retain(|branch| branch.is_awaited || branch.sender.capacity() > 0);
    }
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

/// What kept owners from preparing.
#[derive(Debug, Clone, Copy, Default)]
struct Problems {
    full: bool,
    other_map: bool,
}

/// Waits for the owners' answers, for all of those that are awaited and enough in any case; those whose bytes differ from ours
/// do not count.
async fn prepared_answers(
    map: &View,
    mut waiting: JoinSet<BranchAnswer>,
    (needed, mut awaited): (usize, Vec<NodeIndex>),
    (crc32, length): (u32, u64),
) -> (Vec<(NodeIndex, PrepareAnswer)>, Problems) {
    let mut answers = Vec::new();
    let mut problems = Problems::default();
    let mut deadline = Instant::now() + PREPARE_TIMEOUT;
    while answers.len() < needed || !awaited.is_empty() {
        let Ok(Some(joined)) = timeout_at(deadline, waiting.join_next()).await else { break };
        if let Ok((node, _)) = &joined {
            awaited.retain(|awaited| awaited != node);
        }
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
                problems.full |= error.is_full();
                problems.other_map |= error.is_about_the_map();
                log::warn!("an owner does not take an upload: {error}");
            }
            Err(error) => log::error!("taking an upload in failed: {error}"),
        }
    }
    (answers, problems)
}

/// Tells owners to drop an upload. Nobody waits for it: one that is not told lets it expire.
pub(super) fn drop_uploads(service: &Arc<Service>, map: &Arc<View>, id: SpoolId, nodes: Vec<NodeIndex>) {
    for node in nodes {
        let (service, map) = (Arc::clone(service), Arc::clone(map));
        let unattended = service.unattended.clone();
        unattended.spawn(async move {
            if node == map.own() {
                let store = Arc::clone(&service.store);
                on_thread(move || store.discard(id)).await;
            } else {
                service.peers.drop_upload(&map, node, id).await;
            }
        });
    }
}
