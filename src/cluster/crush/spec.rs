//! What a CRUSH map says, before it is checked: plain values, as a text map or a generator gave them, and the bounds
//! the check holds them to. Nothing here parses or decides.
//!
//! Source: S. Weil, S. Brandt, E. Miller and C. Maltzahn, "CRUSH: Controlled, Scalable, Decentralized Placement of
//! Replicated Data", SC 2006, in the form Ceph gave it; `tests/vectors/crush/README.md` lists the facts.

use super::super::spec::NODES_MAX;

/// A weight of 1 in the fixed point that CRUSH counts in: 16 bits before the point, 16 behind it.
pub const WEIGHT_ONE: u32 = 0x1_0000;

/// The largest device id.
pub const DEVICE_ID_MAX: i32 = (1 << 20) - 1;

/// The smallest bucket id; bucket ids count down from -1.
pub const BUCKET_ID_MIN: i32 = i32::MIN;

/// The largest type id.
pub const TYPE_ID_MAX: u32 = 65_535;

/// The most items of one bucket.
pub const ITEMS_MAX: usize = NODES_MAX;

/// The most buckets on a way from a root down to a device.
pub const DEPTH_MAX: usize = 16;

/// The most rules.
pub const RULES_MAX: usize = 256;

/// The most steps of one rule.
pub const STEPS_MAX: usize = 256;

/// The largest number of attempts that a tunable or a step can ask for.
pub const TRIES_MAX: u32 = 1_000;

/// The largest product of the attempts for an item and those for the device below it, which bounds the work of a
/// lookup in a map where all devices are out.
pub const TRIES_PRODUCT_MAX: u32 = 1 << 18;

/// The most items of any bucket of a map in which `choose_local_fallback_tries` is above 0 at a choose step. Such a
/// search makes as many attempts in a bucket as that has items, and each of them looks at all items.
pub const FALLBACK_ITEMS_MAX: usize = 2_048;

/// The most items that a step can ask for under one bucket, and the most that it can ask to leave away.
pub const COUNT_MAX: i32 = 64;

/// The largest `chooseleaf_vary_r`: it shifts a number of 32 bits by one less.
pub const VARY_R_MAX: u32 = 32;

/// The type of devices.
pub const DEVICE_TYPE: u32 = 0;

/// A CRUSH map as written down, to be checked by [`CrushMap::new`](super::CrushMap::new). The order of each list
/// plays no part, except that of the items in a bucket and of the steps in a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrushSpec {
    /// How often and how a search starts again.
    pub tunables: Tunables,
    /// The leaves of the hierarchy.
    pub devices: Vec<DeviceSpec>,
    /// The levels of the hierarchy. That of number [`DEVICE_TYPE`], the devices' own, may be missing.
    pub types: Vec<TypeSpec>,
    /// The inner nodes of the hierarchy.
    pub buckets: Vec<BucketSpec>,
    /// What lookups can follow.
    pub rules: Vec<RuleSpec>,
}

/// The numbers that steer how a search goes on after a collision or a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tunables {
    /// Attempts in the same bucket after a collision, up to [`TRIES_MAX`].
    pub choose_local_tries: u32,
    /// Attempts in the same bucket by a permutation of its items, up to [`TRIES_MAX`].
    pub choose_local_fallback_tries: u32,
    /// Attempts from the top, besides the first; below [`TRIES_MAX`].
    pub choose_total_tries: u32,
    /// Whether `chooseleaf` makes one attempt to find a device in a bucket, in place of as many as from the top.
    pub chooseleaf_descend_once: bool,
    /// 0: the search for a device starts with attempt 0; else with that of the bucket, shifted right by one less
    /// than this. Up to [`VARY_R_MAX`].
    pub chooseleaf_vary_r: u32,
    /// Whether the search for a device is the same whatever the rank of the replica.
    pub chooseleaf_stable: bool,
    /// Which of the two calculations the lengths of straws come from.
    pub straw_calc_version: StrawCalculation,
    /// Which kinds of buckets an editor may create, as bits; lookups do not care.
    pub allowed_bucket_algs: u32,
}

impl Tunables {
    /// The oldest profile, "argonaut" or "legacy": what a text map means that sets no tunable.
    pub const LEGACY: Self = Self {
        choose_local_tries: 2,
        choose_local_fallback_tries: 5,
        choose_total_tries: 19,
        chooseleaf_descend_once: false,
        chooseleaf_vary_r: 0,
        chooseleaf_stable: false,
        straw_calc_version: StrawCalculation::Original,
        allowed_bucket_algs: 22,
    };

    /// The newest profile, "jewel" or "optimal".
    pub const JEWEL: Self = Self {
        choose_local_tries: 0,
        choose_local_fallback_tries: 0,
        choose_total_tries: 50,
        chooseleaf_descend_once: true,
        chooseleaf_vary_r: 1,
        chooseleaf_stable: true,
        straw_calc_version: StrawCalculation::Corrected,
        allowed_bucket_algs: 54,
    };
}

impl Default for Tunables {
    /// [`Tunables::JEWEL`].
    fn default() -> Self {
        Self::JEWEL
    }
}

/// How the lengths of straws are calculated from weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StrawCalculation {
    /// `straw_calc_version 0`, which misjudges equal and zero weights.
    Original,
    /// `straw_calc_version 1`.
    Corrected,
}

/// A device as written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Unique; from 0 to [`DEVICE_ID_MAX`].
    pub id: i32,
    /// Unique among devices and buckets.
    pub name: String,
    /// What kind of device it is, such as `ssd`.
    pub class: Option<String>,
}

/// A level of the hierarchy as written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSpec {
    /// Unique; up to [`TYPE_ID_MAX`].
    pub id: u32,
    /// Unique among types.
    pub name: String,
}

/// How a bucket chooses among its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BucketKind {
    /// By a permutation; all items weigh the same.
    Uniform,
    /// Along a list, newest item first.
    List,
    /// Down a binary tree.
    Tree,
    /// The longest straw, of lengths fixed by all weights together.
    Straw,
    /// The longest straw, each drawn by its own weight alone.
    Straw2,
}

impl BucketKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Uniform, Self::List, Self::Tree, Self::Straw, Self::Straw2];

    /// Its name in a text map.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::List => "list",
            Self::Tree => "tree",
            Self::Straw => "straw",
            Self::Straw2 => "straw2",
        }
    }
}

/// A bucket as written down. Its hash is rjenkins1, the only one there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSpec {
    /// Unique; from -1 down to [`BUCKET_ID_MIN`].
    pub id: i32,
    /// Unique among devices and buckets.
    pub name: String,
    /// Its level: one of the map's types, and not [`DEVICE_TYPE`].
    pub type_id: u32,
    /// How it chooses.
    pub kind: BucketKind,
    /// At most [`ITEMS_MAX`]. The order is part of the placement.
    pub items: Vec<ItemSpec>,
    /// Set in the copies of the hierarchy that hold the devices of one class alone: that class. An item is in at
    /// most one bucket of each such copy, and in at most one other bucket.
    pub shadow_class: Option<String>,
}

/// A device or bucket in another bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemSpec {
    /// Its id.
    pub id: i32,
    /// Its weight, times [`WEIGHT_ONE`]. A bucket's weight here need not be the sum of its own items.
    pub weight: u32,
}

/// A rule as written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSpec {
    /// Unique.
    pub id: u32,
    /// Unique among rules.
    pub name: String,
    /// At least one, at most [`STEPS_MAX`].
    pub steps: Vec<Step>,
}

/// A step of a rule. A rule keeps a working list of items; see each step for what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The list is that device or bucket.
    Take(i32),
    /// Each bucket of the list is replaced by items found under it.
    Choose(Choice),
    /// The list goes to the result and is empty then.
    Emit,
    /// Attempts for an item, the first included, for the rest of the rule; 0 changes nothing.
    SetChooseTries(u32),
    /// Attempts for the device below an item; 0 changes nothing.
    SetChooseleafTries(u32),
    /// Replaces [`Tunables::choose_local_tries`].
    SetChooseLocalTries(u32),
    /// Replaces [`Tunables::choose_local_fallback_tries`].
    SetChooseLocalFallbackTries(u32),
    /// Replaces [`Tunables::chooseleaf_vary_r`].
    SetChooseleafVaryR(u32),
    /// Replaces [`Tunables::chooseleaf_stable`].
    SetChooseleafStable(bool),
}

/// What a `choose` or `chooseleaf` step looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// Whether a device below each item is looked for at once (`chooseleaf`), and makes the list.
    pub leaf: bool,
    /// How items are counted.
    pub order: Order,
    /// How many under each bucket of the list; 0 or less is added to the replicas asked for. Up to [`COUNT_MAX`], and
    /// as far below 0.
    pub count: i32,
    /// Of which type.
    pub type_id: u32,
}

/// What becomes of the rest when an item cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// The others move up (`firstn`): for replicas.
    Firstn,
    /// The position stays, as a hole (`indep`): for parts of an erasure code.
    Indep,
}
