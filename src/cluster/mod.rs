//! The cluster map: which nodes there are, in which sub-clusters and with which weights, how many replicas an
//! object has, and how they are placed (design, sections 2 and 9).
//!
//! A [`ClusterMap`] is made by a checking constructor from a plain [`MapSpec`], so that an accepted map cannot make
//! a lookup fail. Pure: nothing here reads a file, a clock or a socket, and nothing here knows TOML.

mod algorithm;
pub mod crush;
mod domains;
mod edit;
mod error;
mod fingerprint;
mod location;
mod name;
mod shares;
mod slots;
mod spec;
mod tree;
mod url;
mod view;
mod webdfs_php;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use domains::Members;

pub use algorithm::Algorithm;
pub use domains::{CrushSource, CrushTable, Seat, UseError, UseFault};
pub use edit::{Edit, EditError};
pub use error::{MapError, Place};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use location::{FailureDomain, Level, Location, LocationError, UnknownDomain, UnknownLevel};
pub use name::{
    Epoch, EpochError, NAME_BYTES_MAX, NameError, NodeIndex, NodeName, PlaceName, SubClusterName,
};
pub use shares::{Share, ShareTable};
pub use slots::{SlotGroup, SlotRow, SlotTable};
pub use spec::{
    MapSpec, NODES_MAX, NodeSpec, NodeState, PlacementKind, PlacementSpec, REPLICAS_MAX, SubClusterSpec,
    UnknownPlacement, WEIGHT_MAX, WEIGHT_MIN,
};
pub use tree::{Branch, Extent, FANOUT, LEVELS, SubClusterTree, TreeNode};
pub use url::{NodeUrl, Scheme, UrlError};
pub use view::{NotAMember, OlderMap, View};
pub use webdfs_php::{WEBDFS_SUBCLUSTERS_MAX, WebdfsFault, WebdfsTable};

/// An accepted cluster map: unique names, at least as many usable nodes as replicas, weights within bounds.
#[derive(Clone, Debug)]
pub struct ClusterMap {
    epoch: Epoch,
    replicas: usize,
    write_quorum: usize,
    /// As it was asked for; `algorithm` is made from it.
    placement: PlacementSpec,
    algorithm: Algorithm,
    subclusters: Vec<SubCluster>,
    /// All nodes, numbered through the sub-clusters in order.
    nodes: Vec<Node>,
    index: HashMap<NodeName, NodeIndex>,
    slots: SlotTable,
    /// Whether any node is marked out or lost; saves most lookups the question.
    any_out: bool,
    fingerprint: Fingerprint,
}

/// Nodes added together, with one weight per node: the unit of growth.
#[derive(Clone, Debug, PartialEq)]
pub struct SubCluster {
    name: SubClusterName,
    weight: f64,
    first: u32,
    node_count: u32,
}

/// One node of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    name: NodeName,
    url: NodeUrl,
    public_url: Option<NodeUrl>,
    state: NodeState,
    location: Location,
    subcluster: usize,
}

impl ClusterMap {
    /// Checks `spec` and builds the map.
    ///
    /// # Errors
    /// The first thing found wrong; [`MapError::place`] says where in `spec` it is.
    pub fn new(spec: MapSpec) -> Result<Self, MapError> {
        let epoch = Epoch::new(spec.epoch).ok_or(MapError::Epoch { given: spec.epoch })?;
        check_counts(&spec)?;
        let subclusters = build_subclusters(&spec.subclusters)?;
        let (nodes, index) = build_nodes(spec.subclusters)?;
        check_usable(&subclusters, &nodes, spec.replicas)?;

        let groups: Vec<SlotGroup> = subclusters.iter().map(SubCluster::slots).collect();
        let slots = SlotTable::new(&groups, spec.replicas)
            .expect("checked above: weights in bounds, and at least as many weighted nodes as replicas");
        let members = Members { subclusters: &subclusters, nodes: &nodes };
        let algorithm = Algorithm::new(&spec.placement, &members, &slots)?;
        let mut map = Self {
            epoch,
            replicas: spec.replicas,
            write_quorum: spec.write_quorum,
            placement: spec.placement,
            algorithm,
            any_out: nodes.iter().any(|node| !node.state.is_in_service()),
            subclusters,
            nodes,
            index,
            slots,
            fingerprint: Fingerprint::default(),
        };
        map.fingerprint = Fingerprint::of(&map);
        Ok(map)
    }

    /// The number of this version of the map; a change of the map has a higher one.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How many nodes hold each object: from 1 to [`REPLICAS_MAX`].
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// How many nodes must have stored a write before it is acknowledged: from 1 to [`ClusterMap::replicas`].
    pub fn write_quorum(&self) -> usize {
        self.write_quorum
    }

    /// The name of the algorithm that places objects.
    pub fn placement(&self) -> PlacementKind {
        self.algorithm.kind()
    }

    /// What the map says, written down again, to derive another map from: [`ClusterMap::new`] makes an equal one of it.
    pub fn to_spec(&self) -> MapSpec {
        MapSpec {
            epoch: self.epoch.get(),
            replicas: self.replicas,
            write_quorum: self.write_quorum,
            placement: self.placement.clone(),
            subclusters: self.subclusters.iter().map(|subcluster| self.subcluster_spec(subcluster)).collect(),
        }
    }

    fn subcluster_spec(&self, subcluster: &SubCluster) -> SubClusterSpec {
        SubClusterSpec {
            name: subcluster.name.to_string(),
            weight: subcluster.weight,
            nodes: self.nodes_of(subcluster).iter().map(Node::to_spec).collect(),
        }
    }

    /// The algorithm that places objects, prepared for lookups.
    pub fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// A hash over the values of this map: equal for two maps that mean the same, however they were written down.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The sub-clusters in order of addition, oldest first.
    pub fn subclusters(&self) -> &[SubCluster] {
        &self.subclusters
    }

    /// All nodes; the position in this slice is the node's [`NodeIndex`].
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes with their indexes, in order.
    pub fn indexed(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        (0..).map(NodeIndex::new).zip(&self.nodes)
    }

    /// The nodes of one sub-cluster of this map, in order.
    pub fn nodes_of(&self, subcluster: &SubCluster) -> &[Node] {
        &self.nodes[subcluster.first as usize..][..subcluster.node_count as usize]
    }

    /// One node.
    ///
    /// # Panics
    /// If `index` is from another, larger map.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.get()]
    }

    /// The index of the node of that name.
    pub fn index_of(&self, name: &NodeName) -> Option<NodeIndex> {
        self.index.get(name).copied()
    }

    /// The weight that one node is placed by, in service or not: that of its sub-cluster, or with a CRUSH map of its
    /// own that of its device; 0 if no replica can fall on it.
    ///
    /// # Panics
    /// If `index` is from another, larger map.
    pub fn weight_of(&self, index: NodeIndex) -> f64 {
        match &self.algorithm {
            Algorithm::Crush(table) => {
                table.seat_of(index).map_or(0.0, |seat| f64::from(seat.weight) / f64::from(crush::WEIGHT_ONE))
            }
            _ => self.subclusters[self.node(index).subcluster].weight,
        }
    }

    /// What the lookup needs of the sub-clusters, computed once.
    pub fn slots(&self) -> &SlotTable {
        &self.slots
    }

    /// Whether any node is marked out or lost.
    pub fn any_out(&self) -> bool {
        self.any_out
    }
}

impl SubCluster {
    /// Its name, unique among the sub-clusters.
    pub fn name(&self) -> &SubClusterName {
        &self.name
    }

    /// The weight of each of its nodes: 0 (drained), or from [`WEIGHT_MIN`] to [`WEIGHT_MAX`].
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The index of its first node; the others follow.
    pub fn first_node(&self) -> NodeIndex {
        NodeIndex::new(self.first)
    }

    /// How many nodes it has: at least 1.
    pub fn node_count(&self) -> usize {
        self.node_count as usize
    }

    /// What placement knows of it.
    pub fn slots(&self) -> SlotGroup {
        SlotGroup { servers: self.node_count, weight: self.weight }
    }
}

impl Node {
    /// Its name, which never changes, unique in the map.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Where other nodes reach it.
    pub fn url(&self) -> &NodeUrl {
        &self.url
    }

    /// Where clients reach it, if they may be sent there.
    pub fn public_url(&self) -> Option<&NodeUrl> {
        self.public_url.as_ref()
    }

    /// In service, or marked out or lost.
    pub fn state(&self) -> NodeState {
        self.state
    }

    /// The places it is in, where the placement looks at them.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Its sub-cluster: a position in [`ClusterMap::subclusters`].
    pub fn subcluster(&self) -> usize {
        self.subcluster
    }

    fn to_spec(&self) -> NodeSpec {
        NodeSpec {
            name: self.name.to_string(),
            url: self.url.to_string(),
            public_url: self.public_url.as_ref().map(ToString::to_string),
            state: self.state,
            location: self.location.to_spec(),
        }
    }
}

fn check_counts(spec: &MapSpec) -> Result<(), MapError> {
    if !(1..=REPLICAS_MAX).contains(&spec.replicas) {
        return Err(MapError::Replicas { given: spec.replicas });
    }
    if !(1..=spec.replicas).contains(&spec.write_quorum) {
        return Err(MapError::WriteQuorum { given: spec.write_quorum, replicas: spec.replicas });
    }
    if spec.subclusters.is_empty() {
        return Err(MapError::NoSubClusters);
    }
    let count: usize = spec.subclusters.iter().map(|subcluster| subcluster.nodes.len()).sum();
    if count > NODES_MAX {
        return Err(MapError::TooManyNodes { count });
    }
    Ok(())
}

fn build_subclusters(specs: &[SubClusterSpec]) -> Result<Vec<SubCluster>, MapError> {
    let mut seen: HashMap<SubClusterName, usize> = HashMap::new();
    let mut subclusters = Vec::with_capacity(specs.len());
    let mut first = 0;
    for (subcluster, spec) in specs.iter().enumerate() {
        let name: SubClusterName =
            spec.name.parse().map_err(|source| MapError::SubClusterName { subcluster, source })?;
        if let Some(earlier) = seen.insert(name.clone(), subcluster) {
            return Err(MapError::DuplicateSubCluster { subcluster, name, earlier });
        }
        if spec.nodes.is_empty() {
            return Err(MapError::EmptySubCluster { subcluster, name });
        }
        // Written so that NaN is refused as well.
        if !(spec.weight == 0.0 || (WEIGHT_MIN..=WEIGHT_MAX).contains(&spec.weight)) {
            return Err(MapError::Weight { subcluster, name, given: spec.weight });
        }
        let node_count = u32::try_from(spec.nodes.len()).expect("the number of nodes was checked");
        // Adding 0.0 turns -0.0 into 0.0.
        subclusters.push(SubCluster { name, weight: spec.weight + 0.0, first, node_count });
        first += node_count;
    }
    Ok(subclusters)
}

fn build_nodes(specs: Vec<SubClusterSpec>) -> Result<(Vec<Node>, HashMap<NodeName, NodeIndex>), MapError> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut index: HashMap<NodeName, NodeIndex> = HashMap::new();
    let mut urls: HashMap<NodeUrl, NodeName> = HashMap::new();
    for (subcluster, spec) in specs.into_iter().enumerate() {
        for (node, spec) in spec.nodes.into_iter().enumerate() {
            let built = build_node(subcluster, node, &spec)?;
            let name = built.name.clone();
            let number = u32::try_from(nodes.len()).expect("the number of nodes was checked");
            if let Some(earlier) = index.insert(name.clone(), NodeIndex::new(number)) {
                let earlier = nodes[earlier.get()].subcluster;
                return Err(MapError::DuplicateNode { subcluster, node, name, earlier });
            }
            if let Some(other) = urls.insert(built.url.clone(), name.clone()) {
                return Err(MapError::DuplicateUrl { subcluster, node, name, other, url: built.url });
            }
            nodes.push(built);
        }
    }
    Ok((nodes, index))
}

fn build_node(subcluster: usize, node: usize, spec: &NodeSpec) -> Result<Node, MapError> {
    let name: NodeName =
        spec.name.parse().map_err(|source| MapError::NodeName { subcluster, node, source })?;
    let url = match NodeUrl::between_nodes(&spec.url) {
        Ok(url) => url,
        Err(source) => return Err(MapError::Url { subcluster, node, name, field: "url", source }),
    };
    let public_url = match spec.public_url.as_deref().map(NodeUrl::public).transpose() {
        Ok(url) => url,
        Err(source) => return Err(MapError::Url { subcluster, node, name, field: "public_url", source }),
    };
    let location = match Location::new(&spec.location) {
        Ok(location) => location,
        Err(source) => return Err(MapError::Location { subcluster, node, name, source }),
    };
    Ok(Node { name, url, public_url, state: spec.state, location, subcluster })
}

fn check_usable(subclusters: &[SubCluster], nodes: &[Node], replicas: usize) -> Result<(), MapError> {
    let weighted = |node: &&Node| subclusters[node.subcluster].weight > 0.0;
    let with_weight = nodes.iter().filter(weighted).count();
    let usable = nodes.iter().filter(weighted).filter(|node| node.state.is_in_service()).count();
    if usable < replicas {
        let (out, weightless) = (with_weight - usable, nodes.len() - with_weight);
        return Err(MapError::TooFewUsable { usable, replicas, out, weightless });
    }
    Ok(())
}
