//! Why another node's request is refused, and with which status.

use http::StatusCode;

use crate::cluster::Fingerprint;
use crate::maps::MapsError;
use crate::peer::batch::ListError;
use crate::peer::envelope::EnvelopeError;
use crate::service::IntakeError;
use crate::service::batch::BatchError;
use crate::service::orders::OrderError;
use crate::service::reconcile::CompareError;
use crate::store::StoreError;

/// Why another node's request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum InternalError {
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
    pub(super) fn other_map(&self) -> Option<(u64, Fingerprint)> {
        match self {
            InternalError::Envelope(EnvelopeError::OtherMap { own_epoch, own_map, .. }) => {
                Some((*own_epoch, *own_map))
            }
            InternalError::Maps(MapsError::SameEpoch { epoch, own, .. }) => Some((epoch.get(), *own)),
            _ => None,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
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
