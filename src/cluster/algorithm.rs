//! The algorithm of a map together with the tables that its lookups need: a specification is checked here, once, so
//! that no lookup can fail.

use super::error::MapError;
use super::slots::SlotGroup;
use super::spec::{PlacementKind, PlacementSpec};
use super::webdfs_php::WebdfsTable;
use crate::php::Kind;

/// A placement algorithm, prepared for one map.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Algorithm {
    /// RUSH_R, which needs no more than [`ClusterMap::slots`](super::ClusterMap::slots).
    RushR,
    /// The original webDFS's RUSHr or RUSHp.
    Webdfs(WebdfsTable),
}

impl Algorithm {
    /// Prepares what `spec` asks for, over these sub-clusters, oldest first, for lookups of `replicas`.
    ///
    /// # Errors
    /// When the algorithm cannot place that many replicas on such sub-clusters.
    pub(super) fn new(spec: &PlacementSpec, groups: &[SlotGroup], replicas: usize) -> Result<Self, MapError> {
        let webdfs = |kind, php| WebdfsTable::new(kind, php, groups, replicas).map(Self::Webdfs);
        match spec {
            PlacementSpec::RushR => Ok(Self::RushR),
            PlacementSpec::WebdfsRushR(php) => webdfs(Kind::RushR, *php),
            PlacementSpec::WebdfsRushP(php) => webdfs(Kind::RushP, *php),
        }
    }

    /// Its name.
    pub fn kind(&self) -> PlacementKind {
        match self {
            Self::RushR => PlacementKind::RushR,
            Self::Webdfs(table) => table.kind(),
        }
    }
}
