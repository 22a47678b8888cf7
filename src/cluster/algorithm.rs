//! The algorithm of a map together with the tables that its lookups need: a specification is checked here, once, so
//! that no lookup can fail.

use super::error::MapError;
use super::slots::SlotGroup;
use super::spec::{PlacementKind, PlacementSpec};

/// A placement algorithm, prepared for one map.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Algorithm {
    /// RUSH_R, which needs no more than [`ClusterMap::slots`](super::ClusterMap::slots).
    RushR,
}

impl Algorithm {
    /// Prepares what `spec` asks for, over these sub-clusters, oldest first, for lookups of `replicas`.
    ///
    /// # Errors
    /// When the algorithm cannot place that many replicas on such sub-clusters.
    pub(super) fn new(
        spec: &PlacementSpec,
        _groups: &[SlotGroup],
        _replicas: usize,
    ) -> Result<Self, MapError> {
        match spec {
            PlacementSpec::RushR => Ok(Self::RushR),
        }
    }

    /// Its name.
    pub fn kind(&self) -> PlacementKind {
        match self {
            Self::RushR => PlacementKind::RushR,
        }
    }
}
