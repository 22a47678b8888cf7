//! The bodies of the messages by which two nodes reconcile.  Pure.

use serde::{Deserialize, Serialize};

use crate::held::Held;
use crate::name::ObjectName;
use crate::reconcile::Digest;
use crate::store::NameHash;
use crate::version::Version;

/// Keys in one [`HaveOrder`] at most.
pub const HAVE_KEYS_MAX: usize = 400;
/// Bytes of names in one [`HaveOrder`] or [`HaveAnswer`], in the form in which they travel: with all else a key is sent
/// with, it stays below the size of a control body.
pub const HAVE_NAME_BYTES_MAX: usize = 20 << 10;
/// Keys at most that a node is asked to make durable before it answers: so few that it does in time.
pub const DURABLE_KEYS_MAX: usize = 64;
/// Digests in one [`DigestsOrder`] at most.
pub const DIGESTS_MAX: usize = 512;

/// Walk over your root, unless you have done so lately.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct InventoryOrder {
    /// How long ago the walk may have begun, in milliseconds.
    pub max_age_ms: u64,
}

/// Whether the walk is done. If not, the sender asks again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct InventoryAnswer {
    /// It is.
    pub ready: bool,
}

/// The sender's digests of ranges of the keys that it and the receiver own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DigestsOrder {
    /// The first range.
    pub first: usize,
    /// One for each range from there on.
    pub digests: Vec<Digest>,
}

/// Where the receiver's digests differ.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DigestsAnswer {
    /// The ranges.
    pub unequal: Vec<usize>,
}

/// A key, and what somebody holds under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The key.
    pub name: ObjectName,
    /// What is held.
    pub held: Held,
}

/// What the sender holds of the keys that it and the receiver own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HaveOrder {
    /// All keys that the sender holds from this hash on ...
    pub from: NameHash,
    /// ... up to but without this one; none: up to the last. If it is `from`, then only those named are meant.
    pub to: Option<NameHash>,
    /// The keys, [`HAVE_KEYS_MAX`] at most.
    pub items: Vec<Item>,
    /// Whether the receiver makes durable what it holds of them before it answers: the sender may remove its copy.
    pub durable: bool,
}

/// What the receiver holds otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HaveAnswer {
    /// Of the keys named, by their places in the order: what the receiver holds where it is not the same.
    pub different: Vec<(usize, Held)>,
    /// Keys between `from` and `to` that were not named, with what the receiver held when it walked over its root.
    pub more: Vec<Item>,
    /// Further keys were not looked for from this hash on: there are too many for one answer.
    pub until: Option<NameHash>,
}

/// Tombstones of keys that the sender and the receiver own, to be asked about or to be forgotten.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TombstonesOrder {
    /// The tombstones, [`DURABLE_KEYS_MAX`] at most.
    pub tombstones: Vec<Tombstone>,
}

/// A tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The key.
    pub name: ObjectName,
    /// The version of the deletion.
    pub version: Version,
}

/// For how long the receiver has known that every owner has some tombstones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgreedAnswer {
    /// For each, in their order: in seconds, by the receiver's clock; 0 if it does not know that yet. None unless it has
    /// exactly this tombstone, durably, and its root is complete.
    pub seconds: Vec<Option<u64>>,
}

/// Which tombstones the receiver has forgotten.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForgetAnswer {
    /// For each, in their order, whether the receiver has exactly this one no more.
    pub forgotten: Vec<bool>,
}

/// Hold a pass restricted to the sender's keys, which lacks some of them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OfferOrder {
    /// Which of the sender's requests it is, so that the sender can ask how far it is.
    pub token: u64,
}

/// How far the pass is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OfferAnswer {
    /// It is finished: the sender holds all that the receiver has for it.
    pub finished: bool,
}
