//! The algorithm of a map together with the tables that its lookups need: a specification is checked here, once, so
//! that no lookup can fail.

use super::SubCluster;
use super::domains::{self, CrushTable, Members};
use super::error::MapError;
use super::shares::ShareTable;
use super::slots::{SlotGroup, SlotTable};
use super::spec::{PlacementKind, PlacementSpec};
use super::tree::SubClusterTree;
use super::webdfs_php::WebdfsTable;
use crate::php::Kind;

/// A placement algorithm, prepared for one map.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Algorithm {
    /// RUSH_R, which needs no more than [`ClusterMap::slots`](super::ClusterMap::slots).
    RushR,
    /// RUSH_P, with the share of each sub-cluster. Each of weight above 0 has at least as many nodes as replicas.
    RushP(ShareTable),
    /// RUSH_T, with the tree over the sub-clusters. Each of weight above 0 has at least as many nodes as replicas.
    RushT(SubClusterTree),
    /// CRUSH, with its map and the node that each device is.
    Crush(Box<CrushTable>),
    /// The original webDFS's RUSHr or RUSHp.
    Webdfs(WebdfsTable),
}

impl Algorithm {
    /// Prepares what `spec` asks for, over these sub-clusters, oldest first, and the nodes in them; `slots` is
    /// their table.
    ///
    /// # Errors
    /// When the algorithm cannot place as many replicas as the table is for on such sub-clusters and nodes.
    pub(super) fn new(
        spec: &PlacementSpec,
        members: &Members<'_>,
        slots: &SlotTable,
    ) -> Result<Self, MapError> {
        if !matches!(spec, PlacementSpec::Crush(_)) {
            domains::check_no_locations(members, "only placement = \"crush\" looks at it")?;
        }
        let webdfs = |kind, php| {
            let groups: Vec<SlotGroup> = members.subclusters.iter().map(SubCluster::slots).collect();
            WebdfsTable::new(kind, php, &groups, slots.replicas()).map(Self::Webdfs)
        };
        match spec {
            PlacementSpec::RushR => Ok(Self::RushR),
            PlacementSpec::RushP => {
                check_sizes(PlacementKind::RushP, members.subclusters, slots.replicas())?;
                Ok(Self::RushP(ShareTable::new(slots)))
            }
            PlacementSpec::RushT => {
                check_sizes(PlacementKind::RushT, members.subclusters, slots.replicas())?;
                Ok(Self::RushT(SubClusterTree::new(slots)))
            }
            PlacementSpec::Crush(source) => {
                Ok(Self::Crush(Box::new(CrushTable::new(source, members, slots.replicas())?)))
            }
            PlacementSpec::WebdfsRushR(php) => webdfs(Kind::RushR, *php),
            PlacementSpec::WebdfsRushP(php) => webdfs(Kind::RushP, *php),
        }
    }

    /// Its name.
    pub fn kind(&self) -> PlacementKind {
        match self {
            Self::RushR => PlacementKind::RushR,
            Self::RushP(_) => PlacementKind::RushP,
            Self::RushT(_) => PlacementKind::RushT,
            Self::Crush(_) => PlacementKind::Crush,
            Self::Webdfs(table) => table.kind(),
        }
    }
}

/// All replicas of an object may meet in one sub-cluster, so each that can receive any must have as many nodes.
fn check_sizes(
    placement: PlacementKind,
    subclusters: &[SubCluster],
    replicas: usize,
) -> Result<(), MapError> {
    let too_small = |subcluster: &SubCluster| subcluster.weight() > 0.0 && subcluster.node_count() < replicas;
    match subclusters.iter().position(too_small) {
        None => Ok(()),
        Some(at) => Err(MapError::SubClusterTooSmall {
            subcluster: at,
            name: subclusters[at].name().clone(),
            nodes: subclusters[at].node_count(),
            replicas,
            placement,
        }),
    }
}
