//! The algorithm of a map together with the tables that its lookups need: a specification is checked here, once, so
//! that no lookup can fail.

use super::domains::{self, CrushTable, Members};
use super::error::MapError;
use super::slots::SlotGroup;
use super::spec::{PlacementKind, PlacementSpec};

/// A placement algorithm, prepared for one map.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Algorithm {
    /// RUSH_R, which needs no more than [`ClusterMap::slots`](super::ClusterMap::slots).
    RushR,
    /// CRUSH.
    Crush(Box<CrushTable>),
}

impl Algorithm {
    /// Prepares what `spec` asks for, over these sub-clusters, oldest first, and the nodes in them, for lookups
    /// of `replicas`.
    ///
    /// # Errors
    /// When the algorithm cannot place that many replicas on such sub-clusters and nodes.
    pub(super) fn new(
        spec: &PlacementSpec,
        _groups: &[SlotGroup],
        members: &Members<'_>,
        replicas: usize,
    ) -> Result<Self, MapError> {
        if !matches!(spec, PlacementSpec::Crush(_)) {
            domains::check_no_locations(members)?;
        }
        match spec {
            PlacementSpec::RushR => Ok(Self::RushR),
            PlacementSpec::Crush(source) => {
                Ok(Self::Crush(Box::new(CrushTable::new(source, members, replicas)?)))
            }
        }
    }

    /// Its name.
    pub fn kind(&self) -> PlacementKind {
        match self {
            Self::RushR => PlacementKind::RushR,
            Self::Crush(_) => PlacementKind::Crush,
        }
    }
}
