//! CRUSH maps: the hierarchy of buckets over devices, and the rules that lookups follow (S. Weil et al., "CRUSH:
//! Controlled, Scalable, Decentralized Placement of Replicated Data", SC 2006, in the form Ceph gave it).
//!
//! A [`CrushMap`] is made by a checking constructor from a plain [`CrushSpec`], so that an accepted map cannot make a
//! lookup panic or loop; what lookups need is computed then, once. [`parse_text`] reads a specification from a text map
//! as `crushtool -d` prints it. Pure data: no files, no clock, and no placement, which is in
//! `placement::crush`.
//!
//! # How to use it
//!
//! - Ids are CRUSH's own: devices from 0 up, buckets from -1 down. Both are called items where either may stand. Types
//!   are the levels, [`DEVICE_TYPE`] that of the devices. Weights are fixed point, [`WEIGHT_ONE`] being 1.
//! - To generate a map, fill in a [`CrushSpec`] and call [`CrushMap::new`]; [`Tunables::JEWEL`] are the tunables of
//!   today. To read one: `CrushMap::new(parse_text(text)?.spec)`, or [`CrushMap::from_text`], which also gives the line
//!   of whatever the constructor refuses. [`print_text`] writes one.
//! - [`CrushMap::devices`] are all devices; [`CrushMap::reachable`] those that a rule can choose: they lie below
//!   something it takes, and no weight on the way is 0.
//! - [`CrushMap::parent`], [`CrushMap::type_of`] and [`CrushMap::ancestor_of_type`] answer for any item, the last one
//!   also which failure domain a device is in. [`CrushMap::domains`] lists the items of a type that lead to a reachable
//!   device: as many as there are, so many replicas a rule over that type can keep apart.
//! - [`Rule::steps`] are what a lookup does; [`Rule::domain_type`] is the type that its replicas are kept apart by, and
//!   [`Rule::yields_devices`] says whether it ends with devices at all.

mod build;
mod derive;
mod error;
mod fixed;
mod index;
mod rule;
mod spec;
mod text;

#[cfg(test)]
mod tests;

pub use error::{CrushError, CrushFault, CrushPlace};
pub(crate) use fixed::log2_bits;
pub use rule::Rule;
pub use spec::{
    BUCKET_ID_MIN, BucketKind, BucketSpec, COUNT_MAX, Choice, CrushSpec, DEPTH_MAX, DEVICE_ID_MAX,
    DEVICE_TYPE, DeviceSpec, FALLBACK_ITEMS_MAX, ITEMS_MAX, ItemSpec, Order, RULES_MAX, RuleSpec, STEPS_MAX,
    Step, StrawCalculation, TRIES_MAX, TRIES_PRODUCT_MAX, TYPE_ID_MAX, Tunables, TypeSpec, VARY_R_MAX,
    WEIGHT_ONE,
};
pub use text::{TextError, TextFault, TextMap, parse_text, print_text};

use std::collections::HashMap;

use index::BucketIndex;

/// Items of a bucket are stored in groups of so many, the last filled up, so that a lookup can work on a whole group
/// at once.
pub const LANES: usize = 8;

/// An accepted CRUSH map: no cycles, every item exists and is in one place, every rule can be followed to its end.
#[derive(Clone, Debug)]
pub struct CrushMap {
    tunables: Tunables,
    /// By id.
    types: Vec<TypeSpec>,
    /// By id.
    devices: Vec<Device>,
    buckets: Vec<BucketCore>,
    names: Vec<BucketName>,
    rules: Vec<Rule>,
    /// The positions in `buckets`.
    bucket_index: BucketIndex,
    /// Every device and bucket by name.
    by_name: HashMap<String, i32>,
    /// The bucket that each item is in, the copies for one class left aside.
    parents: HashMap<i32, i32>,
    items: ItemTable,
}

/// A device of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    id: i32,
    name: String,
    class: Option<String>,
}

impl Device {
    /// Its id, from 0.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Its name, unique among devices and buckets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of device it is, if the map says so.
    pub fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }
}

/// The items of all buckets, one after the other; each bucket starts at a multiple of [`LANES`].
#[derive(Clone, Debug, Default)]
struct ItemTable {
    ids: Vec<i32>,
    weights: Vec<u32>,
    /// Lists: the weight of the item and all before it. Straws: their lengths.
    derived: Vec<u32>,
    /// One divided by the weight; infinite for weight 0 and where there is no item.
    inverse_weights: Vec<f32>,
    /// The weights of the nodes of tree buckets.
    nodes: Vec<u32>,
}

/// What a lookup needs of a bucket.
#[derive(Clone, Copy, Debug)]
struct BucketCore {
    id: i32,
    type_id: u32,
    kind: BucketKind,
    /// Where its items start in the table.
    first: u32,
    /// How many there are.
    size: u32,
    /// Trees: where its nodes start, and how many there are, a power of two.
    nodes_first: u32,
    nodes: u32,
}

#[derive(Clone, Debug)]
struct BucketName {
    name: String,
    shadow_class: Option<String>,
}

/// A bucket of a map.
#[derive(Clone, Copy)]
pub struct Bucket<'a> {
    map: &'a CrushMap,
    core: &'a BucketCore,
    index: usize,
}

impl<'a> Bucket<'a> {
    /// Its id, below 0.
    #[inline]
    pub fn id(self) -> i32 {
        self.core.id
    }

    /// Its type: its level in the hierarchy; never [`DEVICE_TYPE`].
    #[inline]
    pub fn type_id(self) -> u32 {
        self.core.type_id
    }

    /// How it chooses among its items.
    #[inline]
    pub fn kind(self) -> BucketKind {
        self.core.kind
    }

    /// How many items it has, maybe none; at most [`ITEMS_MAX`].
    #[inline]
    pub fn size(self) -> u32 {
        self.core.size
    }

    /// Its name, unique among devices and buckets.
    pub fn name(self) -> &'a str {
        &self.map.names[self.index].name
    }

    /// The class whose devices alone it leads to, if it is part of a copy of the hierarchy for one.
    pub fn shadow_class(self) -> Option<&'a str> {
        self.map.names[self.index].shadow_class.as_deref()
    }

    /// The ids of its items.
    #[inline]
    pub fn items(self) -> &'a [i32] {
        self.part(&self.map.items.ids)
    }

    /// The weights of its items, times [`WEIGHT_ONE`].
    #[inline]
    pub fn weights(self) -> &'a [u32] {
        self.part(&self.map.items.weights)
    }

    /// Lists: for each item its weight with that of all before it.
    #[inline]
    pub fn sums(self) -> &'a [u32] {
        self.part(&self.map.items.derived)
    }

    /// Straws: their lengths.
    #[inline]
    pub fn straws(self) -> &'a [u32] {
        self.part(&self.map.items.derived)
    }

    /// Trees: the weights of the nodes, by their labels; as many as a power of two. Item i is at label 2i + 1.
    #[inline]
    pub fn tree_nodes(self) -> &'a [u32] {
        let first = self.core.nodes_first as usize;
        &self.map.items.nodes[first..first + self.core.nodes as usize]
    }

    /// The ids of its items in whole groups of [`LANES`], the last filled up, each with one divided by its weight
    /// (infinite where the weight is 0 or there is no item).
    #[inline]
    pub fn lanes(self) -> impl Iterator<Item = (&'a [i32; LANES], &'a [f32; LANES])> {
        let first = self.core.first as usize;
        let end = first + (self.core.size as usize).next_multiple_of(LANES);
        let (ids, _) = self.map.items.ids[first..end].as_chunks();
        let (inverse, _) = self.map.items.inverse_weights[first..end].as_chunks();
        ids.iter().zip(inverse)
    }

    #[inline]
    fn part<T>(self, table: &'a [T]) -> &'a [T] {
        let first = self.core.first as usize;
        &table[first..first + self.core.size as usize]
    }
}

impl CrushMap {
    /// How searches go on after a failure.
    #[inline]
    pub fn tunables(&self) -> &Tunables {
        &self.tunables
    }

    /// The types, by rising id.
    pub fn types(&self) -> &[TypeSpec] {
        &self.types
    }

    /// The name of a type.
    pub fn type_name(&self, type_id: u32) -> Option<&str> {
        let at = self.types.binary_search_by_key(&type_id, |one| one.id).ok()?;
        Some(&self.types[at].name)
    }

    /// The type of that name.
    pub fn type_named(&self, name: &str) -> Option<u32> {
        self.types.iter().find(|one| one.name == name).map(|one| one.id)
    }

    /// The devices, by rising id.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The device of that id.
    pub fn device(&self, id: i32) -> Option<&Device> {
        let at = self.devices.binary_search_by_key(&id, |device| device.id).ok()?;
        self.devices.get(at)
    }

    /// The buckets, in the order in which they were given.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket<'_>> {
        self.buckets.iter().enumerate().map(|(index, core)| Bucket { map: self, core, index })
    }

    /// The bucket of that id.
    #[inline]
    pub fn bucket(&self, id: i32) -> Option<Bucket<'_>> {
        let index = self.bucket_index.position(id)?;
        Some(Bucket { map: self, core: self.buckets.get(index)?, index })
    }

    /// The device or bucket of that name.
    pub fn item_named(&self, name: &str) -> Option<i32> {
        self.by_name.get(name).copied()
    }

    /// The name of a device or bucket.
    pub fn item_name(&self, item: i32) -> Option<&str> {
        match self.bucket(item) {
            Some(bucket) => Some(bucket.name()),
            None => self.device(item).map(Device::name),
        }
    }

    /// The type of an item: [`DEVICE_TYPE`] for a device; `None` where there is no such item.
    pub fn type_of(&self, item: i32) -> Option<u32> {
        match self.bucket(item) {
            Some(bucket) => Some(bucket.type_id()),
            None => self.device(item).map(|_| DEVICE_TYPE),
        }
    }

    /// The bucket that an item is in; `None` for a root, and for what is nowhere. For a device it is never a bucket
    /// of a copy for one class.
    pub fn parent(&self, item: i32) -> Option<i32> {
        self.parents.get(&item).copied()
    }

    /// The nearest item of that type on the way up from `item`, which may be itself.
    pub fn ancestor_of_type(&self, item: i32, type_id: u32) -> Option<i32> {
        let mut way = std::iter::successors(Some(item), |item| self.parent(*item));
        way.find(|item| self.type_of(*item) == Some(type_id))
    }

    /// The rules, in the order in which they were given.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of that id.
    pub fn rule(&self, id: u32) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id() == id)
    }

    /// The rule of that name.
    pub fn rule_named(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name() == name)
    }

    /// The devices that `rule` can choose, by rising id: they lie below what it takes (or are taken themselves), and
    /// neither their weight nor that of a bucket on the way is 0. (A uniform bucket does not look at weights, and one
    /// of other kinds whose items all have weight 0 may choose its first; such devices are no place for replicas and
    /// are left out here.)
    pub fn reachable(&self, rule: &Rule) -> Vec<i32> {
        let mut found: Vec<i32> = rule.takes().flat_map(|item| self.devices_below(item)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The items of that type that `rule` can choose and that lead to a device that it can choose, by rising id.
    pub fn domains(&self, rule: &Rule, type_id: u32) -> Vec<i32> {
        let mut found = Vec::new();
        for take in rule.takes() {
            self.each_below(take, &mut |item| {
                if self.type_of(item) == Some(type_id) && !self.devices_below(item).is_empty() {
                    found.push(item);
                }
            });
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn devices_below(&self, item: i32) -> Vec<i32> {
        let mut found = Vec::new();
        self.each_below(item, &mut |item| {
            if item >= 0 {
                found.push(item);
            }
        });
        found
    }

    /// Calls `see` for `item` and all below it that no weight of 0 cuts off. Recursion ends: the map has no cycle and
    /// is at most [`DEPTH_MAX`] deep.
    fn each_below(&self, item: i32, see: &mut impl FnMut(i32)) {
        see(item);
        if let Some(bucket) = self.bucket(item) {
            let weighty = bucket.items().iter().zip(bucket.weights()).filter(|(_, weight)| **weight > 0);
            weighty.for_each(|(item, _)| self.each_below(*item, see));
        }
    }
}
