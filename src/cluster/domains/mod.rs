//! CRUSH for the nodes of a cluster map: which device of a CRUSH map is which node, and which nodes fail together.
//!
//! The CRUSH map is either made from the nodes' locations (`tree.rs`) or given; `reach.rs` reads from it what its rule
//! can choose. A [`CrushTable`] holds what lookups need of that; it is only made when there are as many failure domains
//! as replicas, so that no lookup can fail. Nothing here places.

mod reach;
#[cfg(test)]
mod tests;
mod tree;

pub use reach::{UseError, UseFault};

use reach::{Reach, Reached, device_place, name_of};

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::crush::{CrushMap, CrushSpec, Rule, WEIGHT_ONE};
use super::error::MapError;
use super::location::FailureDomain;
use super::name::NodeIndex;
use super::{Node, SubCluster};

/// Where the CRUSH map of a cluster map comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum CrushSource {
    /// It is made from the nodes' locations; no two replicas are in one failure domain of that kind. The weights are
    /// those of the sub-clusters.
    Locations(FailureDomain),
    /// It is given. Its devices are the nodes, by name, and the weights are its own.
    Map {
        /// The map.
        map: Box<CrushSpec>,
        /// The rule to follow. None: its only one.
        rule: Option<String>,
    },
}

/// A CRUSH map prepared for the lookup of replicas on the nodes of a cluster map.
#[derive(Clone, Debug)]
pub struct CrushTable {
    /// None: made from the nodes' locations, with this failure domain.
    made_from: Option<FailureDomain>,
    map: CrushMap,
    rule: Rule,
    replicas: usize,
    /// What the rule takes, with its weight.
    roots: Vec<(i32, u32)>,
    /// That every device is in, by its id: nodes that are out are replaced after the search.
    reweight: Vec<u32>,
    /// The nodes that can hold a replica, by rising number.
    seats: Vec<Seat>,
    /// The failure domain of each node, [`NONE`] for those that cannot hold a replica.
    domains: Vec<u32>,
    /// The node that each device is, by its id; [`NONE`] for those that cannot hold a replica.
    nodes: Vec<u32>,
    /// How many failure domains there are, and what they are called.
    domain_count: usize,
    domain_type: String,
}

/// A node that can hold a replica, as CRUSH knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The node.
    pub node: NodeIndex,
    /// Its id as a device.
    pub device: i32,
    /// Its weight as a device, in CRUSH's fixed point; above 0.
    pub weight: u32,
}

/// Stands for no node and no domain.
const NONE: u32 = u32::MAX;

/// Sub-clusters and nodes of a map that is being made.
pub(super) struct Members<'a> {
    /// The sub-clusters, at least one.
    pub subclusters: &'a [SubCluster],
    /// All nodes, at least one, numbered through the sub-clusters in order.
    pub nodes: &'a [Node],
}

impl Members<'_> {
    /// The sub-cluster of the node of that number, and its slot there.
    fn place_of(&self, number: usize) -> (usize, usize) {
        let subcluster = self.nodes[number].subcluster();
        (subcluster, number - self.subclusters[subcluster].first_node().get())
    }
}

impl CrushTable {
    /// Prepares `source` for lookups of `replicas` on `members`.
    ///
    /// # Errors
    /// If the source is wrong, does not fit the members, or cannot keep so many replicas apart.
    pub(super) fn new(
        source: &CrushSource,
        members: &Members<'_>,
        replicas: usize,
    ) -> Result<Self, MapError> {
        let (made_from, spec, rule) = match source {
            CrushSource::Locations(domain) => {
                (Some(*domain), Cow::Owned(tree::grow(members, *domain)?), None)
            }
            CrushSource::Map { map, rule } => {
                check_unused(members)?;
                (None, Cow::Borrowed(map.as_ref()), rule.as_deref())
            }
        };
        let refused = |error| MapError::CrushMap(UseError::from(error));
        let map = CrushMap::new(spec.clone().into_owned()).map_err(refused)?;
        let rule = choose_rule(&map, rule)?;
        let reach = Reach::of(&spec, &map, &rule, replicas).map_err(MapError::CrushMap)?;
        let nodes = match made_from {
            Some(_) => (0..).zip((0..members.nodes.len() as u32).map(NodeIndex::new)).collect(),
            None => nodes_by_name(&map, members)?,
        };
        let device_ids = map.devices().last().map_or(0, |last| last.id() as usize + 1);
        let mut table = Self {
            made_from,
            replicas,
            roots: reach.roots.iter().map(|root| (*root, weight_of(&map, *root))).collect(),
            reweight: vec![WEIGHT_ONE; device_ids],
            seats: Vec::with_capacity(reach.devices.len()),
            domains: vec![NONE; members.nodes.len()],
            nodes: vec![NONE; device_ids],
            domain_count: 0,
            domain_type: reach.domain_type,
            map,
            rule,
        };
        table.seat(&nodes, &reach.devices).map_err(|device| {
            let fault =
                UseFault::NoNode { device: name_of(&table.map, device), rule: table.rule.name().to_owned() };
            MapError::CrushMap(UseError { place: device_place(&spec, device), fault })
        })?;
        table.check_domains(members)?;
        Ok(table)
    }

    /// Gives each device that can be chosen its node, and each node its domain.
    ///
    /// # Errors
    /// A device that is no node.
    fn seat(&mut self, nodes: &HashMap<i32, NodeIndex>, reached: &[Reached]) -> Result<(), i32> {
        let mut numbers: HashMap<i32, u32> = HashMap::new();
        for reached in reached {
            let node = nodes.get(&reached.device).ok_or(reached.device)?;
            let next = numbers.len() as u32;
            self.domains[node.get()] = *numbers.entry(reached.domain).or_insert(next);
            self.nodes[reached.device as usize] = node.get() as u32;
            self.seats.push(Seat { node: *node, device: reached.device, weight: reached.weight });
        }
        self.domain_count = numbers.len();
        self.seats.sort_unstable_by_key(|seat| seat.node);
        Ok(())
    }

    /// There are as many domains with a node in service as replicas.
    fn check_domains(&self, members: &Members<'_>) -> Result<(), MapError> {
        let in_service = |seat: &&Seat| members.nodes[seat.node.get()].state().is_in_service();
        let domain = |seat: &Seat| self.domains[seat.node.get()];
        let usable: BTreeSet<u32> = self.seats.iter().filter(in_service).map(domain).collect();
        if usable.len() < self.replicas {
            return Err(MapError::TooFewDomains {
                domain: self.domain_type.clone(),
                usable: usable.len(),
                count: self.domain_count,
                replicas: self.replicas,
            });
        }
        Ok(())
    }

    /// The failure domain, if the map was made from the nodes' locations.
    pub fn made_from(&self) -> Option<FailureDomain> {
        self.made_from
    }

    /// The CRUSH map.
    pub fn map(&self) -> &CrushMap {
        &self.map
    }

    /// The rule that lookups follow.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// How many replicas a lookup finds.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// What the rule takes, each once, with its weight: where candidates for a substitute are looked for.
    pub fn roots(&self) -> &[(i32, u32)] {
        &self.roots
    }

    /// The reweights of all devices, by their ids, for a lookup: none is out.
    pub fn reweight(&self) -> &[u32] {
        &self.reweight
    }

    /// The nodes that can hold a replica, in order. At least as many as replicas.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The device that a node is; none for a node that can hold no replica.
    pub fn seat_of(&self, node: NodeIndex) -> Option<&Seat> {
        self.seats.binary_search_by_key(&node, |seat| seat.node).ok().map(|at| &self.seats[at])
    }

    /// The node that a device is; none for a device that must hold no replica.
    #[inline]
    pub fn node_of(&self, device: i32) -> Option<NodeIndex> {
        let number = *self.nodes.get(usize::try_from(device).ok()?)?;
        (number != NONE).then(|| NodeIndex::new(number))
    }

    /// The failure domain of a node: a number below [`CrushTable::domain_count`]. None for a node that cannot hold a
    /// replica.
    #[inline]
    pub fn domain_of(&self, node: NodeIndex) -> Option<u32> {
        self.domains.get(node.get()).copied().filter(|domain| *domain != NONE)
    }

    /// How many failure domains have a node that can hold a replica, in service or not.
    pub fn domain_count(&self) -> usize {
        self.domain_count
    }

    /// What the failure domains are, such as `rack`.
    pub fn domain_type(&self) -> &str {
        &self.domain_type
    }
}

/// The weight of a bucket: that of its items together, which the map has checked.
fn weight_of(map: &CrushMap, bucket: i32) -> u32 {
    map.bucket(bucket)
        .map_or(0, |bucket| bucket.weights().iter().fold(0, |sum, weight| sum.saturating_add(*weight)))
}

/// With a map of its own, CRUSH does not look at what would make one.
fn check_unused(members: &Members<'_>) -> Result<(), MapError> {
    /// What a sub-cluster weighs of which nothing else is said.
    const WEIGHT: f64 = 1.0;
    for (subcluster, one) in members.subclusters.iter().enumerate() {
        if one.weight() != WEIGHT {
            let (name, given) = (one.name().clone(), one.weight());
            return Err(MapError::WeightBesideCrushMap { subcluster, name, given });
        }
    }
    check_no_locations(members, "the crush_map says where nodes are")
}

/// No node has a location, where nothing looks at it for that reason.
pub(super) fn check_no_locations(members: &Members<'_>, why: &'static str) -> Result<(), MapError> {
    match members.nodes.iter().position(|node| !node.location().is_empty()) {
        Some(number) => {
            let (subcluster, node) = members.place_of(number);
            let name = members.nodes[number].name().clone();
            Err(MapError::UnusedLocation { subcluster, node, name, why })
        }
        None => Ok(()),
    }
}

/// The rule of that name, or the only one.
fn choose_rule(map: &CrushMap, name: Option<&str>) -> Result<Rule, MapError> {
    let known = || map.rules().iter().map(Rule::name).collect::<Vec<_>>().join(", ");
    let rule = match (name, map.rules()) {
        (Some(name), _) => map
            .rule_named(name)
            .ok_or_else(|| MapError::UnknownCrushRule { given: name.to_owned(), known: known() })?,
        (None, [only]) => only,
        (None, []) => return Err(MapError::NoCrushRule),
        (None, several) => {
            return Err(MapError::SeveralCrushRules { count: several.len(), known: known() });
        }
    };
    Ok(rule.clone())
}

/// The node that each device is, by its id. All nodes must be a device; devices may be left.
fn nodes_by_name(map: &CrushMap, members: &Members<'_>) -> Result<HashMap<i32, NodeIndex>, MapError> {
    let mut devices = HashMap::with_capacity(members.nodes.len());
    for (number, node) in members.nodes.iter().enumerate() {
        match map.item_named(node.name().as_str()).filter(|item| *item >= 0) {
            Some(device) => drop(devices.insert(device, NodeIndex::new(number as u32))),
            None => {
                let (subcluster, slot) = members.place_of(number);
                return Err(MapError::NoCrushDevice { subcluster, node: slot, name: node.name().clone() });
            }
        }
    }
    Ok(devices)
}
