//! From the nodes' locations to a CRUSH map: a root, below it the places by level, and in the smallest places the
//! nodes, all of them straw2 buckets with the newest tunables.
//!
//! FROZEN: files lie on disk by the ids made here. A straw2 bucket draws for each item by its id, so an id must not
//! change when other items come and go: a node's is its slot, a place's comes from its level and name.

use std::collections::HashSet;
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

/// The most places that locations can name: half as many as there are ids, so that a free one is found soon.
pub const PLACES_MAX: usize = ID_COUNT as usize / 2;

/// How many ids places can have: as many as CRUSH maps have for buckets.
const ID_COUNT: u32 = 1 << ID_BITS;
const ID_BITS: u32 = 18;

/// The type of the root, and of the sub-clusters where they stand in for places.
const ROOT: (u32, &str) = (11, "root");
const SUBCLUSTER: (u32, &str) = (12, "subcluster");

/// The map over `members` whose replicas are kept apart by `domain`.
///
/// Where no node has a location, the sub-clusters stand between the root and the nodes: the draws of straw2 have 16
/// bits, too few to choose fairly among many thousand nodes in one bucket.
///
/// # Errors
/// If the locations do not fit together, or the weights are too large for CRUSH.
pub(super) fn grow(members: &Members<'_>, domain: FailureDomain) -> Result<CrushSpec, MapError> {
    check_levels(members, domain)?;
    check_count(members)?;
    let weights = weights(members)?;
    let mut tree = Tree::new();
    for (number, node) in members.nodes.iter().enumerate() {
        let subcluster = node.subcluster().to_string();
        let places = node.location().places();
        let chain: Vec<(u32, &str, &str)> = match places {
            [] => vec![(SUBCLUSTER.0, SUBCLUSTER.1, &subcluster)],
            _ => {
                places.iter().map(|(level, name)| (type_of(*level), level.as_str(), name.as_str())).collect()
            }
        };
        let way = tree.way(&chain, number).map_err(|clash| two_parents(members, number, clash))?;
        tree.hang(&way, number, weights[node.subcluster()]);
    }
    Ok(tree.into_spec(members, domain))
}

/// All nodes name the same levels, and `domain` is among them.
fn check_levels(members: &Members<'_>, domain: FailureDomain) -> Result<(), MapError> {
    let first = &members.nodes[0];
    let words = |node: &crate::cluster::Node| {
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

fn check_count(members: &Members<'_>) -> Result<(), MapError> {
    let places = members.nodes.iter().flat_map(|node| node.location().places());
    let count = places.collect::<HashSet<_>>().len();
    if count > PLACES_MAX { Err(MapError::TooManyPlaces { count }) } else { Ok(()) }
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

/// A place that was found in two others: its position in the location, and a node that has it elsewhere.
struct Clash {
    at: usize,
    other: usize,
}

fn two_parents(members: &Members<'_>, number: usize, clash: Clash) -> MapError {
    let (subcluster, slot) = members.place_of(number);
    let parent_of = |number: usize| {
        let (level, name) = &members.nodes[number].location().places()[clash.at - 1];
        format!("{level} {name}")
    };
    let (level, place) = &members.nodes[number].location().places()[clash.at];
    MapError::PlaceInTwo {
        subcluster,
        node: slot,
        name: members.nodes[number].name().clone(),
        place: format!("{level} {place}"),
        parent: parent_of(number),
        other: members.nodes[clash.other].name().clone(),
        other_parent: parent_of(clash.other),
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
    by_place: HashMap<(u32, String), usize>,
    ids: HashSet<i32>,
}

impl Tree {
    fn new() -> Self {
        let mut tree = Self { branches: Vec::new(), by_place: HashMap::new(), ids: HashSet::new() };
        tree.add(ROOT.0, ROOT.1.to_owned(), id_of(ROOT.1, "", &HashSet::new()), None, 0);
        tree
    }

    fn add(&mut self, type_id: u32, name: String, id: i32, parent: Option<usize>, first: usize) -> usize {
        let parent = parent.map(|parent| {
            let items = &mut self.branches[parent].spec.items;
            items.push(ItemSpec { id, weight: 0 });
            (parent, items.len() - 1)
        });
        self.ids.insert(id);
        let kind = BucketKind::Straw2;
        let spec = BucketSpec { id, name, type_id, kind, items: Vec::new(), shadow_class: None };
        self.branches.push(Branch { spec, parent, weight: 0, first });
        self.branches.len() - 1
    }

    /// The buckets from the root down to the smallest place of `chain`, each given as type, type's name and name.
    fn way(&mut self, chain: &[(u32, &str, &str)], node: usize) -> Result<Vec<usize>, Clash> {
        let mut way = vec![0];
        for (at, (type_id, type_name, name)) in chain.iter().enumerate() {
            let parent = way[at];
            let found = match self.by_place.entry((*type_id, (*name).to_owned())) {
                Entry::Occupied(known) => Some(*known.get()),
                Entry::Vacant(new) => {
                    new.insert(self.branches.len());
                    None
                }
            };
            let branch = found.unwrap_or_else(|| {
                let id = id_of(type_name, name, &self.ids);
                self.add(*type_id, format!("{type_name}.{name}"), id, Some(parent), node)
            });
            match self.branches[branch].parent {
                Some((known, _)) if known != parent => {
                    return Err(Clash { at, other: self.branches[branch].first });
                }
                _ => way.push(branch),
            }
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
        let mut types = vec![(DEVICE_TYPE, "node"), ROOT, SUBCLUSTER];
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

/// The id of a place: from a hash of what it is called, and where that is taken by another, from the next hash.
/// Those that were there first keep theirs.
fn id_of(type_name: &str, name: &str, taken: &HashSet<i32>) -> i32 {
    let id = |attempt: u32| {
        let digest = Sha256::new()
            .chain_update(type_name)
            .chain_update([0])
            .chain_update(name)
            .chain_update([0])
            .chain_update(attempt.to_be_bytes())
            .finalize();
        let hash = digest.iter().take(4).fold(0, |hash, byte| hash << 8 | u32::from(*byte));
        -1 - (hash >> (u32::BITS - ID_BITS)) as i32
    };
    let mut attempts = 0u32..;
    let free = attempts.find_map(|attempt| Some(id(attempt)).filter(|id| !taken.contains(id)));
    free.expect("half of the ids are free")
}
