//! From the nodes' locations to a CRUSH map: a root, below it the places by level, and in the smallest places the
//! nodes, all of them straw2 buckets with the newest tunables.
//!
//! FROZEN: files lie on disk by the ids made here. A straw2 bucket draws for each item by its id, so an id must not
//! change when other items come and go. That of a node, a sub-cluster or a block is its number; that of a place is a
//! hash of its level and name and of nothing else. Where two places had one id, the later could take another, but then
//! its id would hang on whether the first is there; so such a map is refused. A renamed place is a remedy, and one is
//! seldom needed: among 1,000 places in one map of 4,000.

use std::collections::hash_map::{Entry, HashMap};

use sha2::{Digest, Sha256};

use super::Members;
use crate::cluster::Node;
use crate::cluster::crush::{
    BucketKind, BucketSpec, Choice, CrushSpec, DEVICE_TYPE, DeviceSpec, ItemSpec, Order, RuleSpec, Step,
    Tunables, TypeSpec, WEIGHT_ONE,
};
use crate::cluster::error::MapError;
use crate::cluster::location::{FailureDomain, Level};
use crate::cluster::name::PlaceName;
use crate::cluster::spec::NODES_MAX;

/// The type of the root, and of what stands in for places where there are none.
const ROOT: (u32, &str) = (11, "root");
const SUBCLUSTER: (u32, &str) = (12, "subcluster");
const BLOCK: (u32, &str) = (13, "block");

/// The id of the root, and above those of all others.
const ROOT_ID: i32 = -1;

/// How many nodes of a sub-cluster are in one bucket; a larger sub-cluster is divided into blocks of so many, in order.
const BLOCK_NODES: usize = 256;

/// The map over `members` whose replicas are kept apart by `domain`.
///
/// Where no node has a location, the sub-clusters stand between the root and the nodes, and in large ones blocks: the
/// draws of straw2 have 16 bits, too few to choose fairly among many thousand items in one bucket, and each item takes
/// time. (With a level of blocks among the sub-clusters too, one that is added would move twice as much.)
///
/// # Errors
/// If the locations do not fit together, or the weights are too large for CRUSH.
pub(super) fn grow(members: &Members<'_>, domain: FailureDomain) -> Result<CrushSpec, MapError> {
    check_levels(members, domain)?;
    let weights = weights(members)?;
    let mut tree = Tree::new();
    for (number, node) in members.nodes.iter().enumerate() {
        let chain = match node.location().places() {
            [] => stand_ins(members, number),
            places => places.iter().map(|(level, name)| Spot::place(*level, name)).collect(),
        };
        let way = tree.way(chain, number).map_err(|clash| refuse(members, number, clash))?;
        tree.hang(&way, number, weights[node.subcluster()]);
    }
    Ok(tree.into_spec(members, domain))
}

/// All nodes name the same levels, and `domain` is among them.
fn check_levels(members: &Members<'_>, domain: FailureDomain) -> Result<(), MapError> {
    let first = &members.nodes[0];
    let words = |node: &Node| {
        let levels: Vec<_> = node.location().levels().map(Level::as_str).collect();
        if levels.is_empty() { "none".to_owned() } else { levels.join(", ") }
    };
    for (number, node) in members.nodes.iter().enumerate() {
        if !node.location().levels().eq(first.location().levels()) {
            let (subcluster, slot) = members.place_of(number);
            return Err(MapError::LevelsDiffer {
                subcluster,
                node: slot,
                name: node.name().clone(),
                levels: words(node),
                other: first.name().clone(),
                other_levels: words(first),
            });
        }
    }
    match domain {
        FailureDomain::Level(level) if first.location().levels().all(|named| named != level) => {
            Err(MapError::DomainNotNamed { level })
        }
        _ => Ok(()),
    }
}

/// The weight of a node of each sub-cluster in CRUSH's fixed point. The least weight above 0 stays above 0 in it.
fn weights(members: &Members<'_>) -> Result<Vec<u32>, MapError> {
    let fixed = |weight: f64| (weight * f64::from(WEIGHT_ONE)).round();
    let total: f64 =
        members.subclusters.iter().map(|one| fixed(one.weight()) * one.node_count() as f64).sum();
    if total > f64::from(u32::MAX) {
        return Err(MapError::WeightsTooLarge { total: total / f64::from(WEIGHT_ONE) });
    }
    Ok(members.subclusters.iter().map(|one| fixed(one.weight()) as u32).collect())
}

/// A bucket on the way to a node.
struct Spot {
    type_id: u32,
    /// Unique among the buckets.
    name: String,
    id: i32,
}

impl Spot {
    fn place(level: Level, name: &PlaceName) -> Self {
        let (level_name, name) = (level.as_str(), name.as_str());
        Self { type_id: type_of(level), name: format!("{level_name}.{name}"), id: id_of(level_name, name) }
    }
}

/// The buckets that a node without a location is in: its sub-cluster, and its block if that has several. Their ids
/// count down from the root's, those of the sub-clusters first.
fn stand_ins(members: &Members<'_>, number: usize) -> Vec<Spot> {
    let (subcluster, slot) = members.place_of(number);
    let below_root = |number: usize| ROOT_ID - 1 - number as i32; // both numbers are below NODES_MAX
    let name = format!("{}.{subcluster}", SUBCLUSTER.1);
    let mut chain = vec![Spot { type_id: SUBCLUSTER.0, name, id: below_root(subcluster) }];
    if members.subclusters[subcluster].node_count() > BLOCK_NODES {
        let name = format!("{}.{subcluster}.{}", BLOCK.1, slot / BLOCK_NODES);
        // The number of its first node, which no other block has.
        let first = number - slot % BLOCK_NODES;
        chain.push(Spot { type_id: BLOCK.0, name, id: below_root(NODES_MAX + first) });
    }
    chain
}

/// Why a node cannot be where its location says.
enum Clash {
    /// A place that was found in two others: its position in the location, and a node that has it elsewhere.
    TwoParents { at: usize, other: usize },
    /// A place whose id another has: its position in the location, and the other bucket's name.
    SameId { at: usize, other: String },
}

fn refuse(members: &Members<'_>, number: usize, clash: Clash) -> MapError {
    let (subcluster, node) = members.place_of(number);
    let name = members.nodes[number].name().clone();
    let place_of = |number: usize, at: usize| {
        let (level, name) = &members.nodes[number].location().places()[at];
        format!("{level} {name}")
    };
    match clash {
        Clash::TwoParents { at, other } => MapError::PlaceInTwo {
            subcluster,
            node,
            name,
            place: place_of(number, at),
            parent: place_of(number, at - 1),
            other: members.nodes[other].name().clone(),
            other_parent: place_of(other, at - 1),
        },
        Clash::SameId { at, other } => MapError::PlacesAlike {
            subcluster,
            node,
            name,
            place: place_of(number, at),
            other: other.replacen('.', " ", 1),
        },
    }
}

/// A bucket as it grows.
struct Branch {
    spec: BucketSpec,
    /// The bucket it is in and its position among the items there; none for the root.
    parent: Option<(usize, usize)>,
    weight: u32,
    /// The first node below it.
    first: usize,
}

/// The buckets, in the order of their first node, so that a grown map has its new items behind the older ones.
struct Tree {
    branches: Vec<Branch>,
    /// Their positions by id.
    by_id: HashMap<i32, usize>,
}

impl Tree {
    fn new() -> Self {
        let mut tree = Self { branches: Vec::new(), by_id: HashMap::from([(ROOT_ID, 0)]) };
        tree.add(Spot { type_id: ROOT.0, name: ROOT.1.to_owned(), id: ROOT_ID }, None, 0);
        tree
    }

    fn add(&mut self, spot: Spot, parent: Option<usize>, first: usize) {
        let Spot { type_id, name, id } = spot;
        let parent = parent.map(|parent| {
            let items = &mut self.branches[parent].spec.items;
            items.push(ItemSpec { id, weight: 0 });
            (parent, items.len() - 1)
        });
        let kind = BucketKind::Straw2;
        let spec = BucketSpec { id, name, type_id, kind, items: Vec::new(), shadow_class: None };
        self.branches.push(Branch { spec, parent, weight: 0, first });
    }

    /// The buckets from the root down to the last of `chain`.
    fn way(&mut self, chain: Vec<Spot>, node: usize) -> Result<Vec<usize>, Clash> {
        let mut way = vec![0];
        for (at, spot) in chain.into_iter().enumerate() {
            let parent = way[at];
            let branch = match self.by_id.entry(spot.id) {
                Entry::Occupied(known) => {
                    let branch = *known.get();
                    let Branch { spec, parent: known_parent, first, .. } = &self.branches[branch];
                    if spec.name != spot.name {
                        return Err(Clash::SameId { at, other: spec.name.clone() });
                    }
                    if known_parent.is_none_or(|(known, _)| known != parent) {
                        return Err(Clash::TwoParents { at, other: *first });
                    }
                    branch
                }
                Entry::Vacant(new) => {
                    let branch = *new.insert(self.branches.len());
                    self.add(spot, Some(parent), node);
                    branch
                }
            };
            way.push(branch);
        }
        Ok(way)
    }

    /// Puts a node at the end of a way.
    fn hang(&mut self, way: &[usize], node: usize, weight: u32) {
        for branch in way {
            self.branches[*branch].weight += weight;
        }
        if let Some(last) = way.last() {
            self.branches[*last].spec.items.push(ItemSpec { id: node as i32, weight });
        }
    }

    fn into_spec(mut self, members: &Members<'_>, domain: FailureDomain) -> CrushSpec {
        for at in 1..self.branches.len() {
            let weight = self.branches[at].weight;
            if let Some((parent, item)) = self.branches[at].parent {
                self.branches[parent].spec.items[item].weight = weight;
            }
        }
        let device = |(number, node): (usize, &Node)| DeviceSpec {
            id: number as i32,
            // Buckets start with another word, so no two names are equal.
            name: format!("node.{}", node.name()),
            class: None,
        };
        let mut types = vec![(DEVICE_TYPE, "node"), ROOT, SUBCLUSTER, BLOCK];
        types.extend(Level::ALL.map(|level| (type_of(level), level.as_str())));
        let (leaf, type_id) = match domain {
            FailureDomain::Node => (false, DEVICE_TYPE),
            FailureDomain::Level(level) => (true, type_of(level)),
        };
        let root = self.branches[0].spec.id;
        let choice = Choice { leaf, order: Order::Firstn, count: 0, type_id };
        let steps = vec![Step::Take(root), Step::Choose(choice), Step::Emit];
        CrushSpec {
            tunables: Tunables::JEWEL,
            devices: members.nodes.iter().enumerate().map(device).collect(),
            types: types.into_iter().map(|(id, name)| TypeSpec { id, name: name.to_owned() }).collect(),
            buckets: self.branches.into_iter().map(|branch| branch.spec).collect(),
            rules: vec![RuleSpec { id: 0, name: "replicas".to_owned(), steps }],
        }
    }
}

/// The number of a level's type, from 1 for the smallest, as in Ceph.
fn type_of(level: Level) -> u32 {
    (Level::ALL.len() - level as usize) as u32
}

/// The id of a place: from a hash of what it is called, and not that of the root.
fn id_of(type_name: &str, name: &str) -> i32 {
    let digest = Sha256::new().chain_update(type_name).chain_update([0]).chain_update(name).finalize();
    let hash = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    const COUNT: u64 = i32::MAX as u64;
    ROOT_ID - 1 - (hash % COUNT) as i32 // below COUNT, so the id is i32::MIN at the least
}
