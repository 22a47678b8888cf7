//! Cluster maps placed by CRUSH: by the nodes' locations, or by a CRUSH map of the test's own.

use std::collections::BTreeMap;

use webdfs::cluster::crush::{CrushSpec, parse_text};
use webdfs::cluster::{
    Algorithm, ClusterMap, CrushSource, CrushTable, FailureDomain, Level, MapError, MapSpec, NodeIndex,
    NodeSpec, NodeState, PlacementSpec, SubClusterSpec,
};

/// A node: its sub-cluster, and the numbers of its places by their levels.
#[derive(Clone, Debug, PartialEq)]
pub struct Stand {
    pub subcluster: usize,
    pub places: Vec<(Level, u32)>,
}

/// Nodes with their locations, the weights of the sub-clusters, and the nodes marked out.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    pub domain: FailureDomain,
    pub replicas: usize,
    pub weights: Vec<f64>,
    /// In order of their sub-clusters.
    pub nodes: Vec<Stand>,
    pub out: Vec<usize>,
}

impl Places {
    /// `racks` racks of `hosts` hosts of `nodes` nodes, each rack a sub-cluster of its own, of these weights in turn.
    pub fn racks(racks: u32, hosts: u32, nodes: u32, weights: &[f64]) -> Self {
        let mut places = Self {
            domain: FailureDomain::Level(Level::Rack),
            replicas: 3,
            weights: Vec::new(),
            nodes: Vec::new(),
            out: Vec::new(),
        };
        for rack in 0..racks {
            places.add_rack(hosts, nodes, weights[rack as usize % weights.len()]);
        }
        places
    }

    /// Adds a rack, as a sub-cluster.
    pub fn add_rack(&mut self, hosts: u32, nodes: u32, weight: f64) {
        let (subcluster, rack) = (self.weights.len(), self.weights.len() as u32);
        self.weights.push(weight);
        for host in 0..hosts {
            let places = vec![(Level::Rack, rack), (Level::Host, rack * 1_000 + host)];
            self.nodes.extend((0..nodes).map(|_| Stand { subcluster, places: places.clone() }));
        }
    }

    /// Adds a number to those of all places.
    pub fn rename(&mut self, by: u32) {
        let places = self.nodes.iter_mut().flat_map(|node| &mut node.places);
        places.for_each(|(_, number)| *number += by);
    }

    /// The weight of each node.
    pub fn node_weights(&self) -> Vec<f64> {
        self.nodes.iter().map(|node| self.weights[node.subcluster]).collect()
    }

    /// How many failure domains have a node in service of weight above 0.
    pub fn usable_domains(&self) -> usize {
        let weights = self.node_weights();
        let usable = (0..self.nodes.len()).filter(|node| weights[*node] > 0.0 && !self.out.contains(node));
        let domain = |node: usize| match self.domain {
            FailureDomain::Node => node as u32,
            FailureDomain::Level(level) => {
                let place = self.nodes[node].places.iter().find(|(named, _)| *named == level);
                place.expect("the locations name the level of the domain").1
            }
        };
        usable.map(domain).collect::<std::collections::BTreeSet<_>>().len()
    }

    pub fn map(&self) -> ClusterMap {
        let node = |(number, stand): (usize, &Stand)| {
            let place = |(level, number): &(Level, u32)| (level.to_string(), format!("p{number}"));
            node(number, self.out.contains(&number), stand.places.iter().map(place).collect())
        };
        let mut subclusters: Vec<_> =
            self.weights.iter().enumerate().map(|(number, weight)| subcluster(number, *weight)).collect();
        for (number, stand) in self.nodes.iter().enumerate() {
            subclusters[stand.subcluster].nodes.push(node((number, stand)));
        }
        let source = CrushSource::Locations(self.domain);
        cluster(source, self.replicas, subclusters).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// Nodes that are the devices of a CRUSH map, in the order in which it lists them; `out` are positions in that.
pub fn on_devices(map: &CrushSpec, replicas: usize, out: &[usize]) -> Result<ClusterMap, MapError> {
    let mut all = subcluster(0, 1.0);
    for (number, device) in map.devices.iter().enumerate() {
        let name = device.name.clone();
        all.nodes.push(NodeSpec { name, ..node(number, out.contains(&number), BTreeMap::new()) });
    }
    cluster(CrushSource::Map { map: Box::new(map.clone()), rule: None }, replicas, vec![all])
}

/// As [`on_devices`], with the map as text.
pub fn on_text_map(text: &str, replicas: usize, out: &[usize]) -> Result<ClusterMap, MapError> {
    let map = parse_text(text).unwrap_or_else(|error| panic!("{error}"));
    on_devices(&map.spec, replicas, out)
}

fn node(number: usize, out: bool, location: BTreeMap<String, String>) -> NodeSpec {
    NodeSpec {
        name: format!("n{number}"),
        url: format!("http://n{number}"),
        public_url: None,
        state: if out { NodeState::Out } else { NodeState::In },
        location,
    }
}

fn subcluster(number: usize, weight: f64) -> SubClusterSpec {
    SubClusterSpec { name: format!("s{number}"), weight, nodes: Vec::new() }
}

fn cluster(
    source: CrushSource,
    replicas: usize,
    subclusters: Vec<SubClusterSpec>,
) -> Result<ClusterMap, MapError> {
    let placement = PlacementSpec::Crush(source);
    ClusterMap::new(MapSpec { epoch: 1, replicas, write_quorum: 1, placement, subclusters })
}

/// What the map prepared for CRUSH.
pub fn table(map: &ClusterMap) -> &CrushTable {
    match map.algorithm() {
        Algorithm::Crush(table) => table,
        other => panic!("{other:?} is not CRUSH"),
    }
}

/// The failure domain of a node that can hold a replica.
pub fn domain(map: &ClusterMap, node: usize) -> Option<u32> {
    table(map).domain_of(NodeIndex::new(node as u32))
}
