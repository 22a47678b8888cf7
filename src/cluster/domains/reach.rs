//! What a rule of a CRUSH map can choose for the replicas of an object: which devices, and in which failure domains.
//!
//! A rule is read in parts, each from a take to its emit. A part's replicas are kept apart by the items of its last
//! step that chooses several: below each of those, all later steps choose one. A part that chooses one device in all
//! keeps nothing apart, and goes by what the other parts do.

use std::collections::BTreeMap;

use crate::cluster::crush::{
    Choice, CrushError, CrushFault, CrushMap, CrushPlace, CrushSpec, DEVICE_TYPE, Rule, Step,
};

/// Why a CRUSH map that is right by itself cannot place replicas here: where in it the reason lies, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct UseError {
    /// Where.
    pub place: CrushPlace,
    /// What.
    pub fault: UseFault,
}

/// What is wrong with a CRUSH map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UseFault {
    /// It is no right map.
    #[error(transparent)]
    Map(CrushFault),
    /// A part of the rule emits what it took.
    #[error("rule {rule} emits what it takes without a choose step; replicas are chosen by one")]
    NoChoice {
        /// The rule.
        rule: String,
    },
    /// A part of the rule ends with buckets.
    #[error(
        "rule {rule} ends with items of type {type_name}, which hold no objects; use chooseleaf, or choose devices"
    )]
    NotDevices {
        /// The rule.
        rule: String,
        /// What it ends with.
        type_name: String,
    },
    /// Two parts of the rule keep their replicas apart by different types.
    #[error(
        "rule {rule} keeps replicas apart by {first} in one part and by {second} in another; use one type"
    )]
    MixedDomains {
        /// The rule.
        rule: String,
        /// The type of the first part.
        first: String,
        /// The type of the other.
        second: String,
    },
    /// The rule can never give enough.
    #[error("rule {rule} chooses at most {chosen}, but replicas is {replicas}")]
    TooFewChosen {
        /// The rule.
        rule: String,
        /// How many it chooses at most.
        chosen: usize,
        /// The replicas.
        replicas: usize,
    },
    /// A device that the rule reaches is no node of the map.
    #[error("device {device} can be chosen by rule {rule}, but no node of the cluster map has this name")]
    NoNode {
        /// The device.
        device: String,
        /// The rule.
        rule: String,
    },
    /// A device is in two failure domains.
    #[error("device {device} is in {first} and in {second}; a node is in one failure domain")]
    TwoDomains {
        /// The device.
        device: String,
        /// One domain.
        first: String,
        /// The other.
        second: String,
    },
}

impl From<CrushError> for UseError {
    fn from(error: CrushError) -> Self {
        Self { place: error.place, fault: UseFault::Map(error.fault) }
    }
}

/// A device that a rule can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// Its id.
    pub device: i32,
    /// Its weight in the bucket it is in; above 0.
    pub weight: u32,
    /// The item that is its failure domain; the device itself or a bucket.
    pub domain: i32,
}

/// What a rule can choose.
pub(super) struct Reach {
    /// Each device once, by rising id.
    pub devices: Vec<Reached>,
    /// What the rule takes, each once, in order.
    pub roots: Vec<i32>,
    /// The name of the type of the failure domains.
    pub domain_type: String,
}

/// A part of a rule, from a take to its emit.
struct Part {
    take: i32,
    choices: Vec<Choice>,
    /// The position of the emit in the rule.
    emit: usize,
    replicas: usize,
}

impl Reach {
    /// What `rule`, a rule of `map`, which was made from `spec`, can choose for `replicas`.
    ///
    /// # Errors
    /// If it can place no such replicas.
    pub fn of(spec: &CrushSpec, map: &CrushMap, rule: &Rule, replicas: usize) -> Result<Self, UseError> {
        let number = map.rules().iter().position(|other| other.id() == rule.id()).unwrap_or_default();
        let refuse = |(step, fault): (Option<usize>, UseFault)| {
            let place = step.map_or(CrushPlace::Rule(number), |step| CrushPlace::Step(number, step));
            UseError { place, fault }
        };
        let parts = usable_parts(map, rule, replicas).map_err(refuse)?;
        let type_id = common_domain_type(map, rule, &parts).map_err(refuse)?;
        let mut found: BTreeMap<i32, Reached> = BTreeMap::new();
        let mut conflict = None;
        for part in &parts {
            let domain_at = part.choices.iter().rposition(|choice| choice.type_id == type_id);
            let walk = Walk { map, part, type_id, domain_at };
            walk.below(part.take, (0, None), &mut |reached| {
                let known = *found.entry(reached.device).or_insert(reached);
                if known.domain != reached.domain {
                    conflict.get_or_insert((reached.device, known.domain, reached.domain));
                }
            });
        }
        if let Some((device, first, second)) = conflict {
            let [first, second] = [first, second].map(|item| name_of(map, item));
            let fault = UseFault::TwoDomains { device: name_of(map, device), first, second };
            return Err(UseError { place: device_place(spec, device), fault });
        }
        let mut roots: Vec<i32> = Vec::new();
        for part in &parts {
            if !roots.contains(&part.take) {
                roots.push(part.take);
            }
        }
        Ok(Self { devices: found.into_values().collect(), roots, domain_type: type_name(map, type_id) })
    }
}

/// Where a device stands in `spec`.
pub(super) fn device_place(spec: &CrushSpec, device: i32) -> CrushPlace {
    let at = spec.devices.iter().position(|other| other.id == device);
    at.map_or(CrushPlace::Map, CrushPlace::Device)
}

/// The name of an item, for messages.
pub(super) fn name_of(map: &CrushMap, item: i32) -> String {
    map.item_name(item).unwrap_or_default().to_owned()
}

/// The name of a type, for messages.
fn type_name(map: &CrushMap, type_id: u32) -> String {
    map.type_name(type_id).map_or_else(|| format!("number {type_id}"), str::to_owned)
}

/// The parts of a rule that choose anything. Together they choose as many as there are replicas, or more.
fn usable_parts(
    map: &CrushMap,
    rule: &Rule,
    replicas: usize,
) -> Result<Vec<Part>, (Option<usize>, UseFault)> {
    let name = || rule.name().to_owned();
    let mut chosen = 0usize;
    let mut parts = parts_of(rule, replicas);
    for part in &parts {
        let Some(last) = part.choices.last() else {
            return Err((Some(part.emit), UseFault::NoChoice { rule: name() }));
        };
        if !(last.leaf || last.type_id == DEVICE_TYPE) {
            let type_name = type_name(map, last.type_id);
            return Err((Some(part.emit), UseFault::NotDevices { rule: name(), type_name }));
        }
        chosen = chosen.saturating_add(part.count());
    }
    if chosen < replicas {
        return Err((None, UseFault::TooFewChosen { rule: name(), chosen, replicas }));
    }
    parts.retain(|part| part.count() > 0);
    Ok(parts)
}

/// The type that all parts which choose several keep their replicas apart by.
fn common_domain_type(map: &CrushMap, rule: &Rule, parts: &[Part]) -> Result<u32, (Option<usize>, UseFault)> {
    let several = |part: &&Part| part.choices.iter().any(|choice| !chooses_one(choice));
    let any_several = parts.iter().any(|part| several(&part));
    let mut asked = parts.iter().filter(|part| !any_several || several(part));
    let first = asked.next().map_or(DEVICE_TYPE, Part::domain_type);
    match asked.find(|part| part.domain_type() != first) {
        None => Ok(first),
        Some(other) => {
            let [first, second] = [first, other.domain_type()].map(|type_id| type_name(map, type_id));
            Err((Some(other.emit), UseFault::MixedDomains { rule: rule.name().to_owned(), first, second }))
        }
    }
}

/// The parts of a rule. Every choose and every emit has a take before it, or the map had been refused.
fn parts_of(rule: &Rule, replicas: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut take, mut choices) = (None, Vec::new());
    for (at, step) in rule.steps().iter().enumerate() {
        match *step {
            Step::Take(item) => {
                take = Some(item);
                choices.clear();
            }
            Step::Choose(choice) => choices.push(choice),
            Step::Emit => {
                let choices = std::mem::take(&mut choices);
                parts.extend(take.take().map(|take| Part { take, choices, emit: at, replicas }));
            }
            _ => (),
        }
    }
    parts
}

impl Part {
    /// How many devices it chooses at most.
    fn count(&self) -> usize {
        self.choices.iter().map(|choice| self.count_of(choice)).fold(1, usize::saturating_mul)
    }

    /// How many items a step chooses under each item.
    fn count_of(&self, choice: &Choice) -> usize {
        match usize::try_from(choice.count) {
            Ok(0) => self.replicas,
            Ok(count) => count,
            Err(_) => self.replicas.saturating_sub(choice.count.unsigned_abs() as usize),
        }
    }

    /// The type that its last step which chooses several looks for, or its last step.
    fn domain_type(&self) -> u32 {
        let several = self.choices.iter().rev().find(|choice| !chooses_one(choice));
        several.or(self.choices.last()).map_or(DEVICE_TYPE, |choice| choice.type_id)
    }
}

/// Whether a step chooses one for any number of replicas.
fn chooses_one(choice: &Choice) -> bool {
    choice.count == 1
}

/// The devices that a part can come to.
struct Walk<'a> {
    map: &'a CrushMap,
    part: &'a Part,
    /// The type of the failure domains, and which step of the part finds them, if one does.
    type_id: u32,
    domain_at: Option<usize>,
}

impl Walk<'_> {
    /// Calls `see` for every device below `item` that the steps can come to and that no weight of 0 cuts off. `at` is
    /// how many of the steps are behind, and the domain found by then. Recursion ends: the map has no cycle, and its
    /// depth is bounded.
    fn below(&self, item: i32, at: (usize, Option<i32>), see: &mut impl FnMut(Reached)) {
        let Some(bucket) = self.map.bucket(item) else { return };
        let weighty = bucket.items().iter().zip(bucket.weights()).filter(|(_, weight)| **weight > 0);
        for (&item, &weight) in weighty {
            let (mut behind, mut domain) = at;
            let next = self.part.choices.get(behind);
            if next.is_some_and(|choice| self.map.type_of(item) == Some(choice.type_id)) {
                if self.domain_at == Some(behind) {
                    domain = Some(original(self.map, item));
                }
                behind += 1;
            }
            if item < 0 {
                self.below(item, (behind, domain), see);
            } else if behind == self.part.choices.len() {
                // What no step looks for may stand above what is taken; where there is none, a device is its own.
                let above = || self.map.ancestor_of_type(item, self.type_id).unwrap_or(item);
                see(Reached { device: item, weight, domain: domain.unwrap_or_else(above) });
            }
        }
    }
}

/// Of a bucket in the copy of the hierarchy for one class, the bucket it is a copy of: what stands in one rack fails
/// with that rack, whatever its class. Such a copy is named after its original, with `~CLASS` appended.
fn original(map: &CrushMap, item: i32) -> i32 {
    let copied = map.bucket(item).filter(|bucket| bucket.shadow_class().is_some());
    let name = copied.and_then(|bucket| bucket.name().split_once('~'));
    name.and_then(|(name, _)| map.item_named(name)).unwrap_or(item)
}
