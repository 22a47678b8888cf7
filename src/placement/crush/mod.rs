//! CRUSH: S. Weil, S. Brandt, E. Miller and C. Maltzahn, "CRUSH: Controlled, Scalable, Decentralized Placement of
//! Replicated Data", SC 2006, bit for bit as Ceph has it; `tests/vectors/crush/README.md` lists the facts it follows.
//!
//! Here is the one entry point, [`run`]. `rule.rs` follows the steps of a rule; `firstn.rs` and `indep.rs` search a
//! hierarchy in the two ways that a step can ask for; `choose.rs` and `straw2.rs` choose in one bucket; `hash.rs` and
//! `ln.rs` are the numbers everything starts from. Pure arithmetic on an accepted map: it cannot fail, wait or
//! allocate. FROZEN.

mod choose;
mod firstn;
mod hash;
mod indep;
mod ln;
mod rule;
mod straw2;

pub(super) use choose::choose;
pub use hash::{hash1, hash2, hash3, hash4, hash5};
pub(super) use ln::distance;
pub use ln::log2;
pub use rule::run;

use std::fmt;
use std::ops::Deref;

use super::{Event, Trace};
use crate::cluster::REPLICAS_MAX;
use crate::cluster::crush::{Bucket, CrushMap, Tunables, WEIGHT_ONE};

/// What stands in a [`Mapping`] where no item could be found for a position.
pub const HOLE: i32 = i32::MAX;

/// What a rule found, in order, as ids; at most [`REPLICAS_MAX`]. With `indep` steps there may be [`HOLE`]s. A slice that
/// needs no allocation.
#[derive(Clone, Copy)]
pub struct Mapping {
    /// Those from `count` on mean nothing.
    items: [i32; REPLICAS_MAX],
    count: usize,
}

impl Mapping {
    const EMPTY: Self = Self { items: [HOLE; REPLICAS_MAX], count: 0 };

    /// Adds an item, if there is room.
    #[inline]
    fn push(&mut self, item: i32) {
        if let Some(place) = self.items.get_mut(self.count) {
            *place = item;
            self.count += 1;
        }
    }
}

impl Deref for Mapping {
    type Target = [i32];

    #[inline]
    fn deref(&self) -> &[i32] {
        &self.items[..self.count]
    }
}

impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Mapping {}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One lookup: what all its searches have in common.
struct Search<'a, T> {
    map: &'a CrushMap,
    /// The input.
    x: u32,
    /// By device id, times [`WEIGHT_ONE`].
    reweight: &'a [u32],
    settings: Settings,
    trace: &'a mut T,
}

/// The tunables in force, after the steps of the rule so far.
#[derive(Clone, Copy)]
struct Settings {
    tries: u32,
    /// If a step set it.
    leaf_tries: Option<u32>,
    local_tries: u32,
    local_fallback_tries: u32,
    descend_once: bool,
    vary_r: u32,
    stable: bool,
}

impl Settings {
    fn of(tunables: &Tunables) -> Self {
        Self {
            // The tunable counts those after the first.
            tries: tunables.choose_total_tries + 1,
            leaf_tries: None,
            local_tries: tunables.choose_local_tries,
            local_fallback_tries: tunables.choose_local_fallback_tries,
            descend_once: tunables.chooseleaf_descend_once,
            vary_r: tunables.chooseleaf_vary_r,
            stable: tunables.chooseleaf_stable,
        }
    }
}

impl<'a, T: Trace> Search<'a, T> {
    /// The item that `bucket` chooses.
    #[inline]
    fn choose(&mut self, bucket: Bucket<'a>, r: u32) -> Option<i32> {
        let item = choose(bucket, self.x, r);
        self.note_choice(bucket, r, item);
        item
    }

    #[inline]
    fn note_choice(&mut self, bucket: Bucket<'a>, r: u32, item: Option<i32>) {
        self.trace.note(|| match item {
            Some(item) => Event::CrushChoose { bucket: bucket.id(), attempt: r, item },
            None => Event::CrushEmpty { bucket: bucket.id() },
        });
    }

    /// Whether a device is out, by its reweight: as often as that is below 1.
    #[inline]
    fn is_out(&mut self, device: i32) -> bool {
        let out = match self.reweight.get(device as usize) {
            Some(weight) if *weight >= WEIGHT_ONE => false,
            Some(weight) => hash2(self.x, device as u32) & 0xffff >= *weight,
            None => true,
        };
        if out {
            self.trace.note(|| Event::CrushOut { device });
        }
        out
    }
}
