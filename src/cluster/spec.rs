//! What a cluster map says, before it is checked: plain values, as a file or a message gave them, and the bounds
//! the check holds them to. Nothing here parses or decides.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::domains::CrushSource;
use crate::php::PhpVersion;

/// The most replicas an object can have.
pub const REPLICAS_MAX: usize = 16;

/// The most nodes of one map.
pub const NODES_MAX: usize = 65_536;

/// The smallest weight that is not 0. With [`WEIGHT_MAX`] and [`NODES_MAX`] it keeps the sums of weights far from
/// where a double would lose a node.
pub const WEIGHT_MIN: f64 = 0.001;

/// The largest weight.
pub const WEIGHT_MAX: f64 = 1_000_000.0;

/// A cluster map as written down, to be checked by [`ClusterMap::new`](super::ClusterMap::new).
#[derive(Clone, Debug, PartialEq)]
pub struct MapSpec {
    /// The number of this version of the map, from 1.
    pub epoch: u64,
    /// Nodes that hold each object: from 1 to [`REPLICAS_MAX`].
    pub replicas: usize,
    /// Nodes that must have stored a write: from 1 to `replicas`.
    pub write_quorum: usize,
    /// The placement algorithm, with what it needs to know besides the sub-clusters.
    pub placement: PlacementSpec,
    /// At least one, oldest first. The order is part of the placement and never changes.
    pub subclusters: Vec<SubClusterSpec>,
}

/// A sub-cluster as written down.
#[derive(Clone, Debug, PartialEq)]
pub struct SubClusterSpec {
    /// Unique among the sub-clusters; the rule of [`SubClusterName`](super::SubClusterName).
    pub name: String,
    /// The weight of each node: 0, or from [`WEIGHT_MIN`] to [`WEIGHT_MAX`].
    pub weight: f64,
    /// At least one. The order is part of the placement: a node keeps its slot for ever.
    pub nodes: Vec<NodeSpec>,
}

/// A node as written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Unique in the map; the rule of [`NodeName`](super::NodeName).
    pub name: String,
    /// Where other nodes reach it: `http://host[:port][/path]`.
    pub url: String,
    /// Where clients reach it: `http://` or `https://`.
    pub public_url: Option<String>,
    /// In service, out or lost.
    pub state: NodeState,
    /// The places it is in, by their levels; see [`Location`](super::Location). Only for [`CrushSource::Locations`].
    pub location: BTreeMap<String, String>,
}

impl MapSpec {
    /// The node of that name, to change it; the first if there are several.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut NodeSpec> {
        self.subclusters
            .iter_mut()
            .flat_map(|subcluster| &mut subcluster.nodes)
            .find(|node| node.name == name)
    }
}

/// Whether a node is in service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// In service.
    #[default]
    In,
    /// Out of service: each of its objects is placed on another node, and its slot stays.
    Out,
    /// Dead for good: out, and nobody waits for it. Should it come back, it is treated as one that has returned with
    /// an old root.
    Lost,
}

impl NodeState {
    /// Whether objects are placed on the node.
    pub const fn is_in_service(self) -> bool {
        match self {
            Self::In => true,
            Self::Out | Self::Lost => false,
        }
    }
}

/// A placement algorithm with its own settings.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum PlacementSpec {
    /// RUSH_R (Honicky & Miller 2004): sub-clusters of any size.
    #[default]
    RushR,
    /// RUSH_P (Honicky & Miller 2003): each sub-cluster of weight above 0 has at least as many nodes as replicas.
    RushP,
    /// RUSH_T (Honicky & Miller 2004), for very many sub-clusters: each of weight above 0 has at least as many
    /// nodes as replicas.
    RushT,
    /// CRUSH (Weil et al. 2006, as in Ceph): replicas are kept apart by racks or other failure domains.
    Crush(CrushSource),
    /// RUSHr as the original webDFS has it, on that PHP.
    WebdfsRushR(PhpVersion),
    /// RUSHp as the original webDFS has it, on that PHP.
    WebdfsRushP(PhpVersion),
}

/// The name of a placement algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlacementKind {
    /// [`PlacementSpec::RushR`].
    #[default]
    RushR,
    /// [`PlacementSpec::RushP`].
    RushP,
    /// [`PlacementSpec::RushT`].
    RushT,
    /// [`PlacementSpec::Crush`].
    Crush,
    /// [`PlacementSpec::WebdfsRushR`].
    WebdfsRushR,
    /// [`PlacementSpec::WebdfsRushP`].
    WebdfsRushP,
}

/// An algorithm this program does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown placement {given:?}; known: {}", known_placements())]
pub struct UnknownPlacement {
    /// What was asked for.
    pub given: String,
}

impl PlacementKind {
    /// Every algorithm there is.
    pub const ALL: &[Self] =
        &[Self::RushR, Self::RushP, Self::RushT, Self::Crush, Self::WebdfsRushR, Self::WebdfsRushP];

    /// Its name in a map.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RushR => "rush_r",
            Self::RushP => "rush_p",
            Self::RushT => "rush_t",
            Self::Crush => "crush",
            Self::WebdfsRushR => "webdfs_rush_r",
            Self::WebdfsRushP => "webdfs_rush_p",
        }
    }
}

impl fmt::Display for PlacementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PlacementKind {
    type Err = UnknownPlacement;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().copied().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| UnknownPlacement { given: text.to_owned() })
    }
}

fn known_placements() -> String {
    PlacementKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}
