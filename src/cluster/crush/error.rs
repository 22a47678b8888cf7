//! Why a CRUSH map is refused, and where in it the reason lies. Whoever read the map from a text turns a
//! [`CrushPlace`] into a line of it.

use super::spec::{
    BUCKET_ID_MIN, COUNT_MAX, DEPTH_MAX, DEVICE_ID_MAX, FALLBACK_ITEMS_MAX, ITEMS_MAX, RULES_MAX, STEPS_MAX,
    TRIES_MAX, TRIES_PRODUCT_MAX, TYPE_ID_MAX, VARY_R_MAX,
};

/// Where in a [`CrushSpec`](super::CrushSpec) something is, by positions in its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrushPlace {
    /// The map as a whole.
    Map,
    /// The tunable of that name.
    Tunable(&'static str),
    /// A device.
    Device(usize),
    /// A type.
    Type(usize),
    /// A bucket.
    Bucket(usize),
    /// An item: the bucket, and its position in that.
    Item(usize, usize),
    /// A rule.
    Rule(usize),
    /// A step: the rule, and its position in that.
    Step(usize, usize),
}

/// A map that is refused: where, and why. The specification is at fault, not the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct CrushError {
    /// Where the fault is.
    pub place: CrushPlace,
    /// What it is.
    pub fault: CrushFault,
}

/// What is wrong with a map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrushFault {
    /// A name that is empty, too long or has characters that a text map cannot hold.
    #[error("{0:?} is no name; a name has 1 to 255 of the characters A-Z a-z 0-9 . _ - (and ~ in shadows)")]
    Name(String),
    /// Two things of one name.
    #[error("the name {0} is used twice")]
    DuplicateName(String),
    /// Two things of one id.
    #[error("the id {0} is used twice")]
    DuplicateId(i64),
    /// The id of a device is out of bounds.
    #[error("the device id {0} is not from 0 to {DEVICE_ID_MAX}")]
    DeviceId(i32),
    /// The id of a bucket is out of bounds.
    #[error("the bucket id {0} is not from -1 down to {BUCKET_ID_MIN}")]
    BucketId(i32),
    /// The id of a type is out of bounds.
    #[error("the type id {0} is above {TYPE_ID_MAX}")]
    TypeId(u32),
    /// A bucket is of the type of devices, or a bucket or step of a type that the map does not have.
    #[error("there is no type {0} that buckets can have")]
    BucketType(u32),
    /// A step looks for a type that the map does not have.
    #[error("there is no type {0}")]
    UnknownType(u32),
    /// A bucket is too large.
    #[error("bucket {name} has {count} items; at most {ITEMS_MAX} are allowed")]
    TooManyItems {
        /// Its name.
        name: String,
        /// How many it has.
        count: usize,
    },
    /// There is no such item.
    #[error("bucket {bucket} holds item {item}, which is neither a device nor a bucket of the map")]
    UnknownItem {
        /// The bucket's name.
        bucket: String,
        /// The id.
        item: i32,
    },
    /// An item is in two buckets, or twice in one.
    #[error("item {item} is in bucket {bucket} and in bucket {earlier}; it can be in one place only")]
    DuplicateItem {
        /// The second bucket's name.
        bucket: String,
        /// The item's name.
        item: String,
        /// The first bucket's name.
        earlier: String,
    },
    /// A bucket of a copy for one class holds a bucket that is not of that copy, or the other way round.
    #[error("bucket {bucket} holds {item}, which belongs to the hierarchy of another device class")]
    ForeignItem {
        /// The bucket's name.
        bucket: String,
        /// The item's name.
        item: String,
    },
    /// A bucket is inside itself.
    #[error("bucket {0} is inside itself")]
    Cycle(String),
    /// The hierarchy is too deep.
    #[error("bucket {0} is too deep: at most {DEPTH_MAX} levels of buckets are allowed, itself included")]
    TooDeep(String),
    /// The items of a uniform bucket differ in weight.
    #[error("bucket {0} is uniform, but its items differ in weight")]
    UnequalWeights(String),
    /// The weights of a bucket add up to more than CRUSH can count.
    #[error("the weights of the items of bucket {0} add up to 65536 or more")]
    WeightSum(String),
    /// The weights of a straw bucket differ so much that its straws have no length.
    #[error("the weights of the items of straw bucket {0} differ too much to calculate its straws")]
    Straws(String),
    /// A number of attempts is out of bounds.
    #[error("{given} attempts are too many; {TRIES_MAX} are allowed")]
    Tries {
        /// What was given.
        given: u32,
    },
    /// Attempts for items and for the devices below them multiply to too much work.
    #[error(
        "{tries} attempts for an item, each with {leaf_tries} for a device, are more than {TRIES_PRODUCT_MAX}"
    )]
    TriesProduct {
        /// For items.
        tries: u32,
        /// For the devices below each.
        leaf_tries: u32,
    },
    /// A bucket is too large to be searched as often as it has items.
    #[error(
        "with choose_local_fallback_tries above 0, a bucket can have {FALLBACK_ITEMS_MAX} items, and one has {0}; set \
         choose_local_fallback_tries to 0, as all profiles from bobtail on do"
    )]
    FallbackItems(usize),
    /// `chooseleaf_vary_r` is out of bounds.
    #[error("chooseleaf_vary_r is {0}; at most {VARY_R_MAX} is allowed")]
    VaryR(u32),
    /// There are too many rules.
    #[error("the map has {0} rules; at most {RULES_MAX} are allowed")]
    TooManyRules(usize),
    /// A rule has no steps or too many.
    #[error("rule {name} has {count} steps; it needs from 1 to {STEPS_MAX}")]
    StepCount {
        /// Its name.
        name: String,
        /// How many it has.
        count: usize,
    },
    /// A step asks for too many items, or to leave away too many.
    #[error("a step asks for {0} items; it must be from -{COUNT_MAX} to {COUNT_MAX}")]
    Count(i32),
    /// A step asks for the devices below devices. CRUSH would answer with devices that are out, and with repeats.
    #[error("chooseleaf indep cannot look for devices below devices; write choose indep")]
    LeafOfDevice,
    /// A step takes what the map does not have.
    #[error("item {0} is taken, which is neither a device nor a bucket of the map")]
    UnknownTake(i32),
    /// A rule chooses before anything was taken, or after it was emitted.
    #[error("a choose step without a take before it has nothing to choose from")]
    ChooseWithoutTake,
    /// A rule emits before anything was taken, or twice.
    #[error("an emit step without a take before it has nothing to emit")]
    EmitWithoutTake,
    /// What a rule took last is never emitted.
    #[error("rule {0} does not emit what it took last")]
    NoEmit(String),
}
