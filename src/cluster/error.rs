//! Why a map is refused, and where in it the reason lies. Whoever read the map from a file turns a [`Place`] into a
//! line of that file.

use super::crush::CrushPlace;
use super::domains::UseError;
use super::location::{Level, LocationError};
use super::name::{Epoch, NameError, NodeName, SubClusterName};
use super::spec::{NODES_MAX, PlacementKind, REPLICAS_MAX, WEIGHT_MAX, WEIGHT_MIN};
use super::url::{NodeUrl, UrlError};
use super::webdfs_php::{WEBDFS_SUBCLUSTERS_MAX, WebdfsFault};
use crate::php::PhpVersion;

/// Where in a [`MapSpec`](super::MapSpec) something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The map as a whole.
    Map,
    /// The field of the map of that name.
    Field(&'static str),
    /// The sub-cluster at that position.
    SubCluster(usize),
    /// A node: the position of its sub-cluster, and its own within that.
    Node(usize, usize),
    /// Something in the CRUSH map of [`CrushSource::Map`](super::CrushSource::Map).
    CrushMap(CrushPlace),
}

/// Why a map was refused. The specification is at fault, not the program; correct it and build the map again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MapError {
    /// The epoch is none.
    #[error("epoch is {given}; it must be from 1 to {}", Epoch::MAX)]
    Epoch {
        /// What was given.
        given: u64,
    },
    /// Too many or no replicas.
    #[error("replicas is {given}; it must be from 1 to {REPLICAS_MAX}")]
    Replicas {
        /// What was given.
        given: usize,
    },
    /// A write quorum that no write, or every write, would reach.
    #[error("write_quorum is {given}; it must be from 1 to replicas, which is {replicas}")]
    WriteQuorum {
        /// What was given.
        given: usize,
        /// The replicas.
        replicas: usize,
    },
    /// There is no sub-cluster.
    #[error("the map has no sub-clusters; it needs at least one, with at least one node")]
    NoSubClusters,
    /// More than [`NODES_MAX`] nodes.
    #[error("the map has {count} nodes; at most {NODES_MAX} are allowed")]
    TooManyNodes {
        /// How many there are.
        count: usize,
    },
    /// The name of a sub-cluster is no name.
    #[error("sub-cluster {}: {source}", .subcluster + 1)]
    SubClusterName {
        /// Its position, from 0.
        subcluster: usize,
        /// What is wrong with it.
        source: NameError,
    },
    /// Two sub-clusters of one name.
    #[error("sub-cluster {}: the name {name} is taken by sub-cluster {}", .subcluster + 1, .earlier + 1)]
    DuplicateSubCluster {
        /// The position of the second, from 0.
        subcluster: usize,
        /// The name.
        name: SubClusterName,
        /// The position of the first, from 0.
        earlier: usize,
    },
    /// A sub-cluster has no nodes.
    #[error("sub-cluster {name} has no nodes; it needs at least one")]
    EmptySubCluster {
        /// Its position, from 0.
        subcluster: usize,
        /// Its name.
        name: SubClusterName,
    },
    /// A weight that is negative, not a number, or out of bounds.
    #[error("sub-cluster {name}: weight is {given}; it must be 0 or from {WEIGHT_MIN} to {WEIGHT_MAX}")]
    Weight {
        /// Its position, from 0.
        subcluster: usize,
        /// Its name.
        name: SubClusterName,
        /// What was given.
        given: f64,
    },
    /// The name of a node is no name.
    #[error("node {} of sub-cluster {}: {source}", .node + 1, .subcluster + 1)]
    NodeName {
        /// The position of its sub-cluster, from 0.
        subcluster: usize,
        /// Its position in it, from 0.
        node: usize,
        /// What is wrong with it.
        source: NameError,
    },
    /// Two nodes of one name.
    #[error("node {name} is listed twice, first in sub-cluster {}; a name belongs to one node", .earlier + 1)]
    DuplicateNode {
        /// The position of the second's sub-cluster, from 0.
        subcluster: usize,
        /// The position of the second in it, from 0.
        node: usize,
        /// The name.
        name: NodeName,
        /// The position of the first's sub-cluster, from 0.
        earlier: usize,
    },
    /// Two nodes of one URL: two names that reach one machine would count as two replicas.
    #[error("node {name}: the url {url} is that of node {other}; each node has its own")]
    DuplicateUrl {
        /// The position of the second's sub-cluster, from 0.
        subcluster: usize,
        /// The position of the second in it, from 0.
        node: usize,
        /// The second.
        name: NodeName,
        /// The first.
        other: NodeName,
        /// The URL of both.
        url: NodeUrl,
    },
    /// A URL that cannot be used.
    #[error("node {name}: {field} {source}")]
    Url {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
        /// The position of the node in it, from 0.
        node: usize,
        /// The node.
        name: NodeName,
        /// Which of its URLs.
        field: &'static str,
        /// What is wrong with it.
        source: UrlError,
    },
    /// Too few nodes can hold a replica.
    #[error(
        "replicas is {replicas}, but only {usable} of the nodes can hold one ({out} out or lost, {weightless} of weight 0)"
    )]
    TooFewUsable {
        /// Nodes in service of weight above 0.
        usable: usize,
        /// The replicas.
        replicas: usize,
        /// Nodes of weight above 0 that are marked out or lost.
        out: usize,
        /// Nodes of weight 0.
        weightless: usize,
    },
    /// A sub-cluster that could not hold all replicas of an object, under an algorithm that may place them there.
    #[error(
        "sub-cluster {name} has {nodes} of the {replicas} nodes that {placement} needs in each of weight above 0: \
         as many as replicas; placement \"rush_r\" takes sub-clusters of any size"
    )]
    SubClusterTooSmall {
        /// Its position, from 0.
        subcluster: usize,
        /// Its name.
        name: SubClusterName,
        /// How many nodes it has.
        nodes: usize,
        /// The replicas.
        replicas: usize,
        /// The algorithm.
        placement: PlacementKind,
    },
    /// A locator of the original webDFS cannot place every name on distinct nodes of weight above 0.
    #[error(
        "{placement} of PHP {php} {fault} (for \"{example}\", for example), as the original does: {hint}"
    )]
    WebdfsPlacement {
        /// The locator.
        placement: PlacementKind,
        /// The PHP whose random numbers it has.
        php: PhpVersion,
        /// A name that this happens to.
        example: String,
        /// What happens.
        fault: WebdfsFault,
        /// What would help.
        hint: String,
    },
    /// Too many sub-clusters for a locator of the original webDFS.
    #[error(
        "the map has {count} sub-clusters; at most {WEBDFS_SUBCLUSTERS_MAX} are allowed with {placement}"
    )]
    WebdfsSubClusters {
        /// The locator.
        placement: PlacementKind,
        /// How many there are.
        count: usize,
    },
    /// A location that is none.
    #[error("node {name}: {source}")]
    Location {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
        /// The position of the node in it, from 0.
        node: usize,
        /// The node.
        name: NodeName,
        /// What is wrong with it.
        source: LocationError,
    },
    /// A location that nothing looks at.
    #[error("node {name}: location is of no use here: {why}; leave it out")]
    UnusedLocation {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
        /// The position of the node in it, from 0.
        node: usize,
        /// The node.
        name: NodeName,
        /// Why nothing looks at it.
        why: &'static str,
    },
    /// The locations of two nodes differ in their levels.
    #[error(
        "node {name}: the levels of its location are {levels}, but those of node {other} are {other_levels}; all nodes name the same"
    )]
    LevelsDiffer {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
        /// The position of the node in it, from 0.
        node: usize,
        /// The node.
        name: NodeName,
        /// Its levels.
        levels: String,
        /// The first node.
        other: NodeName,
        /// The levels of that.
        other_levels: String,
    },
    /// A place is in two others.
    #[error(
        "node {name}: {place} is in {parent} here, but in {other_parent} at node {other}; different places have different names"
    )]
    PlaceInTwo {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
        /// The position of the node in it, from 0.
        node: usize,
        /// The node.
        name: NodeName,
        /// The place, with its level.
        place: String,
        /// What it is in here.
        parent: String,
        /// The other node.
        other: NodeName,
        /// What it is in there.
        other_parent: String,
    },
    /// Two places have one id as buckets, by chance.
    #[error(
        "node {name}: {place} and {other} get the same id in CRUSH, which comes from their names; call one of them \
         something else, best the one that holds no files yet"
    )]
    PlacesAlike {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
        /// The position of the node in it, from 0.
        node: usize,
        /// The node.
        name: NodeName,
        /// Its place, with its level.
        place: String,
        /// The other place, with its level.
        other: String,
    },
    /// No location has a place that could be the failure domain.
    #[error("failure_domain is {level}, but the locations of the nodes do not name a {level}")]
    DomainNotNamed {
        /// The failure domain.
        level: Level,
    },
    /// CRUSH cannot count such weights.
    #[error(
        "the weights of all nodes add up to {total}; under placement = \"crush\" they must stay below 65536: divide them all by one number"
    )]
    WeightsTooLarge {
        /// Their sum.
        total: f64,
    },
    /// Too few failure domains can hold a replica.
    #[error(
        "replicas is {replicas}, but only {usable} failure domains of type {domain} have a node in service of weight above 0 ({} with those out)",
        .count
    )]
    TooFewDomains {
        /// What failure domains are: a type of the CRUSH map.
        domain: String,
        /// Those with a node in service of weight above 0.
        usable: usize,
        /// Those with a node of weight above 0, in service or out.
        count: usize,
        /// The replicas.
        replicas: usize,
    },
    /// The CRUSH map is wrong, or its rule cannot place these replicas on these nodes.
    #[error(transparent)]
    CrushMap(UseError),
    /// A weight besides those of the CRUSH map.
    #[error(
        "sub-cluster {name}: weight is {given}, but with crush_map the weights are those of that map; leave it out"
    )]
    WeightBesideCrushMap {
        /// Its position, from 0.
        subcluster: usize,
        /// Its name.
        name: SubClusterName,
        /// What was given.
        given: f64,
    },
    /// A node is no device of the CRUSH map.
    #[error("node {name}: the crush_map has no device of this name; each node is a device there")]
    NoCrushDevice {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
        /// The position of the node in it, from 0.
        node: usize,
        /// The node.
        name: NodeName,
    },
    /// The CRUSH map has no rule.
    #[error("the crush_map has no rule; it needs one to place replicas by")]
    NoCrushRule,
    /// The CRUSH map has several rules.
    #[error("the crush_map has {count} rules: {known}; name the one to follow in crush_rule")]
    SeveralCrushRules {
        /// How many.
        count: usize,
        /// Their names.
        known: String,
    },
    /// The CRUSH map has no rule of that name.
    #[error("the crush_map has no rule {given:?}; known: {known}")]
    UnknownCrushRule {
        /// What was asked for.
        given: String,
        /// The names of its rules.
        known: String,
    },
}

impl MapError {
    /// Where the fault is.
    pub fn place(&self) -> Place {
        match *self {
            Self::NoSubClusters | Self::TooManyNodes { .. } | Self::WeightsTooLarge { .. } => Place::Map,
            Self::Epoch { .. } => Place::Field("epoch"),
            Self::Replicas { .. } | Self::TooFewUsable { .. } | Self::TooFewDomains { .. } => {
                Place::Field("replicas")
            }
            Self::DomainNotNamed { .. } => Place::Field("failure_domain"),
            Self::NoCrushRule | Self::SeveralCrushRules { .. } => Place::Field("crush_map"),
            Self::UnknownCrushRule { .. } => Place::Field("crush_rule"),
            Self::CrushMap(ref error) => Place::CrushMap(error.place),
            Self::WriteQuorum { .. } => Place::Field("write_quorum"),
            Self::WebdfsSubClusters { .. } => Place::Field("placement"),
            Self::WebdfsPlacement { fault, .. } => match fault {
                WebdfsFault::Lookup(_) => Place::Field("placement"),
                WebdfsFault::Repeat { subcluster, node } => Place::Node(subcluster, node),
                WebdfsFault::Weightless { subcluster } => Place::SubCluster(subcluster),
            },
            Self::SubClusterName { subcluster, .. }
            | Self::DuplicateSubCluster { subcluster, .. }
            | Self::EmptySubCluster { subcluster, .. }
            | Self::Weight { subcluster, .. }
            | Self::WeightBesideCrushMap { subcluster, .. }
            | Self::SubClusterTooSmall { subcluster, .. } => Place::SubCluster(subcluster),
            Self::NodeName { subcluster, node, .. }
            | Self::DuplicateNode { subcluster, node, .. }
            | Self::DuplicateUrl { subcluster, node, .. }
            | Self::Url { subcluster, node, .. }
            | Self::Location { subcluster, node, .. }
            | Self::UnusedLocation { subcluster, node, .. }
            | Self::LevelsDiffer { subcluster, node, .. }
            | Self::PlaceInTwo { subcluster, node, .. }
            | Self::PlacesAlike { subcluster, node, .. }
            | Self::NoCrushDevice { subcluster, node, .. } => Place::Node(subcluster, node),
        }
    }
}
