//! From a plain specification to a checked map. Nothing here reads text.

use std::collections::{HashMap, HashSet};

use super::derive::{list_sums, straw_lengths, tree_nodes};
use super::error::{CrushError, CrushFault, CrushPlace};
use super::index::BucketIndex;
use super::rule::{Rule, check_tunables};
use super::spec::{
    BUCKET_ID_MIN, BucketKind, BucketSpec, CrushSpec, DEPTH_MAX, DEVICE_ID_MAX, DEVICE_TYPE, DeviceSpec,
    ITEMS_MAX, RULES_MAX, RuleSpec, TYPE_ID_MAX, Tunables, TypeSpec,
};
use super::{BucketCore, BucketName, CrushMap, Device, ItemTable, LANES};

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

impl CrushMap {
    /// Checks `spec` and builds the map.
    ///
    /// # Errors
    /// The first thing found wrong, and where in `spec` it is.
    pub fn new(spec: CrushSpec) -> Result<Self, CrushError> {
        check_tunables(&spec).map_err(|(name, fault)| refusal(CrushPlace::Tunable(name), fault))?;
        check_types(&spec.types)?;
        let types = spec.types.iter().map(|one| one.id).collect();
        let mut names = Names { types, by_name: HashMap::new(), by_id: HashMap::new() };
        for (at, device) in spec.devices.iter().enumerate() {
            names.add_device(device).map_err(|fault| refusal(CrushPlace::Device(at), fault))?;
        }
        for (at, bucket) in spec.buckets.iter().enumerate() {
            names.add_bucket(bucket).map_err(|fault| refusal(CrushPlace::Bucket(at), fault))?;
        }
        let parents = check_hierarchy(&spec, &names)?;
        let items_most = spec.buckets.iter().map(|bucket| bucket.items.len()).max().unwrap_or(0);
        let rules = build_rules(spec.rules, &spec.tunables, items_most, &names)?;

        let (buckets, items) = build_buckets(&spec.buckets, &spec.tunables)?;
        let ids: Vec<i32> = spec.buckets.iter().map(|bucket| bucket.id).collect();
        let mut types = spec.types;
        types.sort_by_key(|one| one.id);
        let mut devices: Vec<Device> = (spec.devices.into_iter())
            .map(|device| Device { id: device.id, name: device.name, class: device.class })
            .collect();
        devices.sort_by_key(|device| device.id);
        Ok(Self {
            tunables: spec.tunables,
            types,
            devices,
            buckets,
            names: (spec.buckets.into_iter())
                .map(|bucket| BucketName { name: bucket.name, shadow_class: bucket.shadow_class })
                .collect(),
            rules,
            bucket_index: BucketIndex::new(&ids),
            by_name: names.by_name,
            parents,
            items,
        })
    }
}

fn refusal(place: CrushPlace, fault: CrushFault) -> CrushError {
    CrushError { place, fault }
}

/// What an id stands for.
struct Known {
    name: String,
    type_id: u32,
    /// A device's class, or the class that a bucket's copy of the hierarchy is for.
    class: Option<String>,
}

/// The types, and the devices and buckets so far, which share names.
struct Names {
    /// The ids of the types.
    types: HashSet<u32>,
    by_name: HashMap<String, i32>,
    by_id: HashMap<i32, Known>,
}

impl Names {
    fn add_device(&mut self, device: &DeviceSpec) -> Result<(), CrushFault> {
        if !(0..=DEVICE_ID_MAX).contains(&device.id) {
            return Err(CrushFault::DeviceId(device.id));
        }
        check_name(&device.name, false)?;
        self.add(device.id, &device.name, DEVICE_TYPE, &device.class)
    }

    fn add_bucket(&mut self, bucket: &BucketSpec) -> Result<(), CrushFault> {
        if !(BUCKET_ID_MIN..=-1).contains(&bucket.id) {
            return Err(CrushFault::BucketId(bucket.id));
        }
        check_name(&bucket.name, bucket.shadow_class.is_some())?;
        if bucket.type_id == DEVICE_TYPE || !self.types.contains(&bucket.type_id) {
            return Err(CrushFault::BucketType(bucket.type_id));
        }
        if bucket.items.len() > ITEMS_MAX {
            return Err(CrushFault::TooManyItems { name: bucket.name.clone(), count: bucket.items.len() });
        }
        self.add(bucket.id, &bucket.name, bucket.type_id, &bucket.shadow_class)
    }

    fn add(&mut self, id: i32, name: &str, type_id: u32, class: &Option<String>) -> Result<(), CrushFault> {
        if self.by_name.insert(name.to_owned(), id).is_some() {
            return Err(CrushFault::DuplicateName(name.to_owned()));
        }
        let known = Known { name: name.to_owned(), type_id, class: class.clone() };
        match self.by_id.insert(id, known) {
            Some(_) => Err(CrushFault::DuplicateId(id.into())),
            None => Ok(()),
        }
    }

    fn name(&self, id: i32) -> String {
        self.by_id.get(&id).map_or_else(|| id.to_string(), |known| known.name.clone())
    }
}

fn check_name(name: &str, shadow: bool) -> Result<(), CrushFault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c) || (shadow && c == '~');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(CrushFault::Name(name.chars().take(NAME_BYTES_MAX).collect()))
    }
}

fn check_types(types: &[TypeSpec]) -> Result<(), CrushError> {
    let (mut ids, mut names) = (HashSet::new(), HashSet::new());
    for (at, one) in types.iter().enumerate() {
        let fault = if one.id > TYPE_ID_MAX {
            Some(CrushFault::TypeId(one.id))
        } else if let Err(fault) = check_name(&one.name, false) {
            Some(fault)
        } else if !ids.insert(one.id) {
            Some(CrushFault::DuplicateId(one.id.into()))
        } else if !names.insert(&one.name) {
            Some(CrushFault::DuplicateName(one.name.clone()))
        } else {
            None
        };
        if let Some(fault) = fault {
            return Err(refusal(CrushPlace::Type(at), fault));
        }
    }
    Ok(())
}

/// Every item exists and is in one place, and no bucket is inside itself or too deep. Gives the bucket that each item
/// is in; for a device, the one outside the copies for a class.
fn check_hierarchy(spec: &CrushSpec, names: &Names) -> Result<HashMap<i32, i32>, CrushError> {
    let mut parents = HashMap::new();
    // Devices again, by class.
    let mut shadows: HashMap<i32, i32> = HashMap::new();
    for (at, bucket) in spec.buckets.iter().enumerate() {
        for (position, item) in bucket.items.iter().enumerate() {
            let refuse = |fault| Err(refusal(CrushPlace::Item(at, position), fault));
            let Some(known) = names.by_id.get(&item.id) else {
                return refuse(CrushFault::UnknownItem { bucket: bucket.name.clone(), item: item.id });
            };
            let is_device = known.type_id == DEVICE_TYPE;
            let in_main = bucket.shadow_class.is_none();
            if known.class != bucket.shadow_class && !(is_device && in_main) {
                let item = known.name.clone();
                return refuse(CrushFault::ForeignItem { bucket: bucket.name.clone(), item });
            }
            // A device has one class, so it is in one copy at most.
            let places = if is_device && !in_main { &mut shadows } else { &mut parents };
            if let Some(earlier) = places.insert(item.id, bucket.id) {
                return refuse(CrushFault::DuplicateItem {
                    bucket: bucket.name.clone(),
                    item: known.name.clone(),
                    earlier: names.name(earlier),
                });
            }
        }
    }
    check_depth(spec, &parents)?;
    Ok(parents)
}

fn check_depth(spec: &CrushSpec, parents: &HashMap<i32, i32>) -> Result<(), CrushError> {
    let way_up = |id: i32| {
        std::iter::successors(parents.get(&id).copied(), |above| parents.get(above).copied()).take(DEPTH_MAX)
    };
    let buckets = || spec.buckets.iter().enumerate();
    if let Some((at, bucket)) = buckets().find(|(_, bucket)| way_up(bucket.id).any(|id| id == bucket.id)) {
        return Err(refusal(CrushPlace::Bucket(at), CrushFault::Cycle(bucket.name.clone())));
    }
    // A longer cycle is too deep.
    if let Some((at, bucket)) = buckets().find(|(_, bucket)| way_up(bucket.id).count() >= DEPTH_MAX) {
        return Err(refusal(CrushPlace::Bucket(at), CrushFault::TooDeep(bucket.name.clone())));
    }
    Ok(())
}

fn build_rules(
    specs: Vec<RuleSpec>,
    tunables: &Tunables,
    items_most: usize,
    names: &Names,
) -> Result<Vec<Rule>, CrushError> {
    if specs.len() > RULES_MAX {
        return Err(refusal(CrushPlace::Map, CrushFault::TooManyRules(specs.len())));
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(specs.len());
    for (at, spec) in specs.into_iter().enumerate() {
        let in_rule = |fault| refusal(CrushPlace::Rule(at), fault);
        check_name(&spec.name, false).map_err(in_rule)?;
        if rules.iter().any(|rule| rule.id() == spec.id) {
            return Err(in_rule(CrushFault::DuplicateId(spec.id.into())));
        }
        if rules.iter().any(|rule| rule.name() == spec.name) {
            return Err(in_rule(CrushFault::DuplicateName(spec.name)));
        }
        let item_type = |item: i32| names.by_id.get(&item).map(|known| known.type_id);
        let has_type = |id: u32| id == DEVICE_TYPE || names.types.contains(&id);
        let rule =
            Rule::new(spec, tunables, items_most, item_type, has_type).map_err(
                |(step, fault)| match step {
                    Some(step) => refusal(CrushPlace::Step(at, step), fault),
                    None => in_rule(fault),
                },
            )?;
        rules.push(rule);
    }
    Ok(rules)
}

fn build_buckets(
    specs: &[BucketSpec],
    tunables: &Tunables,
) -> Result<(Vec<BucketCore>, ItemTable), CrushError> {
    let mut table = ItemTable::default();
    let mut buckets = Vec::with_capacity(specs.len());
    for (at, spec) in specs.iter().enumerate() {
        let core = table.add(spec, tunables).map_err(|fault| refusal(CrushPlace::Bucket(at), fault))?;
        buckets.push(core);
    }
    Ok((buckets, table))
}

impl ItemTable {
    /// Appends the items of a bucket and what is derived from them.
    fn add(&mut self, spec: &BucketSpec, tunables: &Tunables) -> Result<BucketCore, CrushFault> {
        let name = || spec.name.clone();
        let weights: Vec<u32> = spec.items.iter().map(|item| item.weight).collect();
        // All weights of a map come to less than 2^32 items of 4 bytes, so the positions fit.
        let first = self.ids.len() as u32;
        let nodes_first = self.nodes.len() as u32;
        let sums = list_sums(&weights).ok_or_else(|| CrushFault::WeightSum(name()))?;
        let derived = match spec.kind {
            BucketKind::Uniform if weights.windows(2).any(|pair| pair[0] != pair[1]) => {
                return Err(CrushFault::UnequalWeights(name()));
            }
            BucketKind::Straw => straw_lengths(&weights, tunables.straw_calc_version)
                .ok_or_else(|| CrushFault::Straws(name()))?,
            BucketKind::Tree => {
                self.nodes.extend(tree_nodes(&weights));
                sums
            }
            BucketKind::Uniform | BucketKind::List | BucketKind::Straw2 => sums,
        };
        let inverse = |weight: &u32| if *weight == 0 { f32::INFINITY } else { 1.0 / *weight as f32 };
        self.inverse_weights.extend(weights.iter().map(inverse));
        self.ids.extend(spec.items.iter().map(|item| item.id));
        self.weights.extend(weights);
        self.derived.extend(derived);
        let padded = self.ids.len().next_multiple_of(LANES);
        self.ids.resize(padded, 0);
        self.weights.resize(padded, 0);
        self.derived.resize(padded, 0);
        self.inverse_weights.resize(padded, f32::INFINITY);
        Ok(BucketCore {
            id: spec.id,
            type_id: spec.type_id,
            kind: spec.kind,
            first,
            size: spec.items.len() as u32,
            nodes_first,
            nodes: self.nodes.len() as u32 - nodes_first,
        })
    }
}
