//! Storing an object: two phases over its owners (design section 7).
//!
//! Prepare streams the body to all owners at once with bounded buffers; each spools it. Commit makes the spools
//! replicas. Whatever fails before the first commit leaves nothing visible anywhere: spools are dropped, or expire.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::sleep;

use super::Service;
use super::attempts::{Attempts, others_become_ready};
use super::former::FormerAnswers;
use super::gather::{Order, gather};
use super::intake::IntakeError;
use super::prepare::{Arrival, PREPARE_TIMEOUT, PreparedUpload, drop_uploads, prepare};
use crate::clock;
use crate::cluster::{NodeIndex, View};
use crate::failpoint::{Step, Wrong, does_wrong, step};
use crate::held::Held;
use crate::name::ObjectName;
use crate::peer::message::{CommitOrder, HeldAnswer};
use crate::quorum::read_quorum;
use crate::resolve::Route;
use crate::response::ByteStream;
use crate::semantics::{DigestError, Precondition, Validators, evaluate};
use crate::store::{SPOOL_PATIENCE, SpoolId, StoreError};
use crate::version::{self, Version};

/// How far ahead of the clock a version may be put to be in a later second; beyond that the write waits.
const AHEAD: Duration = Duration::from_secs(2);
/// A version further ahead than this follows one written under a wrong clock: waiting would not help, and must be
/// shorter than the time after which prepared uploads expire.
const WAIT_BELOW: Duration = Duration::from_secs(6);

// An upload that one owner has taken in must not expire while the others are waited for.
const _: () =
    assert!(PREPARE_TIMEOUT.as_secs() + (WAIT_BELOW.as_secs() - AHEAD.as_secs()) < SPOOL_PATIENCE.as_secs());

/// An object on its way in.
pub(super) struct Upload<'a> {
    /// Its name.
    pub name: &'a ObjectName,
    /// Its length, if that is known.
    pub length: Option<u64>,
    /// Bytes at most.
    pub size_max: u64,
    /// Its bytes.
    pub body: ByteStream,
    /// The client's headers: digests to check and conditions on what is there now.
    pub headers: &'a HeaderMap,
    /// The checksum its bytes should have, if that is known: those of a copied object.
    pub crc32: Option<u32>,
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
    /// The object that is copied does not have its checksum, or cannot be read to its end.
    #[error("the object to copy is damaged, or its owner broke off: repeat the request")]
    Source,
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
        /// Whether an owner worked by another map.
        other_map: bool,
    },
    /// Too few complete owners said what they hold.
    #[error("{heard} of the {needed} owners needed could say what they hold")]
    NotHeard {
        /// How many did.
        heard: usize,
        /// How many must.
        needed: usize,
    },
    /// Too few of those that owned it before the map was changed said what they hold.
    #[error("the map has changed, and too few former owners could say what they hold: repeat the request")]
    Moving,
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
            UploadError::Body(IntakeError::Store(_) | IntakeError::MapChanged) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            UploadError::Body(_) => StatusCode::BAD_REQUEST,
            UploadError::Digest(error) => error.status(),
            UploadError::Condition => StatusCode::PRECONDITION_FAILED,
            UploadError::Source
            | UploadError::NotPrepared { .. }
            | UploadError::NotHeard { .. }
            | UploadError::Moving => StatusCode::SERVICE_UNAVAILABLE,
            UploadError::Unknown { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Stores an object on its owners. Where the map changes before any of them commits, it begins again, unless too much of the
/// body is gone.
pub(super) async fn store(service: &Arc<Service>, upload: Upload<'_>) -> Result<Stored, UploadError> {
    let mut arrival = Arrival::of(service, upload).await?;
    let mut attempts = Attempts::default();
    loop {
        let map = service.map();
        let result = store_under(service, &map, &mut arrival).await;
        let may_be_the_map = match result {
            // It has been brought to that owner, or from there.
            Err(UploadError::NotPrepared { other_map: true, .. }) => attempts.under_another_map(),
            Err(UploadError::NotPrepared { .. } | UploadError::NotHeard { .. } | UploadError::Moving) => {
                attempts.another(service, &map).await
            }
            _ => false,
        };
        if !may_be_the_map || !arrival.begin_again() {
            return result;
        }
    }
}

async fn store_under(
    service: &Arc<Service>,
    map: &Arc<View>,
    arrival: &mut Arrival<'_>,
) -> Result<Stored, UploadError> {
    let (name, headers) = (arrival.name, arrival.headers);
    let route = Route::of(map, name);
    let owners = route.owners(map.own());
    let id = SpoolId::random();
    let (prepared, former) =
        tokio::join!(prepare(service, map, &owners, id, arrival), service.ask_former(map, name, &route));
    let mut prepared = prepared?;
    step(Step::Prepared);
    // New owners take a moment to be counted, and the body need not be sent again for that.
    while !has_heard_enough(map, &owners, &prepared) && others_become_ready(service, map).await {
        ask_again(service, map, name, &mut prepared).await;
    }
    let former = service.enough_former(map, name, former, &prepared.before()).await;
    match decide(service, map, &owners, &prepared, former, headers).await {
        Ok((version, replaced)) => {
            step(Step::Decided);
            let stored =
                commit(service, Arc::clone(map), &owners, (id, name), prepared, version, replaced).await?;
            // After, not before: the new copies must exist first.
            service.supersede(map, name, &route, version);
            Ok(stored)
        }
        Err(error) => {
            drop_uploads(service, map, id, prepared.answers.iter().map(|(node, _)| *node).collect());
            Err(error)
        }
    }
}

fn has_heard_enough(map: &View, owners: &[NodeIndex], prepared: &PreparedUpload) -> bool {
    count_heard(&prepared.before()) >= read_quorum(owners.len(), map.write_quorum())
}

/// Asks those whose word does not count yet what they hold.
async fn ask_again(service: &Service, map: &View, name: &ObjectName, prepared: &mut PreparedUpload) {
    let silent = prepared.answers.iter_mut().filter(|(_, answer)| !answer.before.counts());
    join_all(silent.map(|(node, answer)| async move {
        if let Ok(now) = service.ask(map, *node, name).await {
            answer.before = now;
        }
    }))
    .await;
}

/// Between the phases: the client's conditions and the version.
async fn decide(
    service: &Service,
    map: &View,
    owners: &[NodeIndex],
    prepared: &PreparedUpload,
    former: Option<FormerAnswers>,
    headers: &HeaderMap,
) -> Result<(Version, bool), UploadError> {
    let before = prepared.before();
    let heard = count_heard(&before);
    let needed = read_quorum(owners.len(), map.write_quorum());
    if heard < needed {
        return Err(UploadError::NotHeard { heard, needed });
    }
    let former = former.ok_or(UploadError::Moving)?;
    let newest = newest(before.iter().map(|(_, answer)| answer.held).chain(former.held()));
    let current = newest.copy().map(|copy| Validators {
        version: copy.version,
        size: copy.size,
        front: service.settings.deliver.front,
    });
    if evaluate(&Method::PUT, headers, current.as_ref()) != Precondition::Proceed {
        return Err(UploadError::Condition);
    }
    let version = choose(&newest, Some(prepared.length));
    let ahead = version.since(clock::now());
    if ahead > AHEAD && ahead < WAIT_BELOW {
        sleep(ahead - AHEAD).await;
    }
    Ok((version, newest.copy().is_some()))
}

/// The version of a write that comes after what is held.
pub(super) fn choose(newest: &Held, size: Option<u64>) -> Version {
    let before = if does_wrong(Wrong::WallClock) { &Held::Nothing } else { newest };
    version::choose(clock::now(), before, size)
}

/// How many of these owners' answers count.
pub(super) fn count_heard(answers: &[(NodeIndex, HeldAnswer)]) -> usize {
    answers.iter().filter(|(_, answer)| answer.counts()).count()
}

/// The newest of what several owners hold.
pub(super) fn newest(held: impl Iterator<Item = Held>) -> Held {
    held.max_by(Held::supersedes).unwrap_or_default()
}

/// Phase two.
async fn commit(
    service: &Arc<Service>,
    map: Arc<View>,
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
        let obeyed = Box::pin(async move {
            let result = service.order_commit(&map, node, (id, &name), &order).await;
            if let Err(error) = &result {
                log::warn!("an owner does not commit: {error}");
            }
            result.is_ok()
        });
        (node, obeyed)
    });
    let (needed, orders) = (map.write_quorum(), orders.collect());
    let obeyed = gather(service, map, name, orders, needed).await;
    service.lookups.forget(name);
    step(Step::Gathered);
    if !obeyed.enough {
        return Err(UploadError::Unknown { committed: obeyed.count, needed });
    }
    Ok(Stored { version, size: prepared.length, replaced, committed: obeyed.count, owners: owners.len() })
}
