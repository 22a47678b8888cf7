//! What a change of the map is, for a person to read before it is made: what differs, what speaks against it, and what
//! else there is to know (design, section 9).
//!
//! `pairing.rs` finds out which sub-cluster and slot of the one map is which of the other; `difference.rs` lists what
//! differs, `objection.rs` what must not happen unless someone says so, `older.rs` the same with regard to maps that are not
//! settled, `warning.rs` what may happen. Pure: nothing here asks a node.

mod difference;
mod objection;
mod older;
mod pairing;
#[cfg(test)]
mod tests;
mod warning;

use serde::Serialize;

pub use difference::{Difference, Names, StateChange};
pub use objection::{MOVES_MAX, Objection, ObjectionWord, UnknownWord};
pub use warning::Warning;

use crate::cluster::{ClusterMap, View};
use crate::sim::{Movement, Objects};
use pairing::Pairing;

/// The made-up objects by which [`Change::between`] tells how much moves: enough to see a factor of
/// [`MOVES_MAX`] in what a single node of a thousand receives.
pub const SAMPLE: Objects = Objects { count: 50_000, seed: 0 };

/// What differs between two maps, in the order of the maps.
pub fn differences_between(old: &ClusterMap, new: &ClusterMap) -> Vec<Difference> {
    difference::differences(&Pairing::of(old, new))
}

/// One map in the place of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What differs, in the order of the maps. Empty for two maps that differ in their epochs alone.
    pub differences: Vec<Difference>,
    /// What speaks against it. It must not be made, unless someone names the word of each and the word can be named.
    pub objections: Vec<Objection>,
    /// What whoever makes it should know.
    pub warnings: Vec<Warning>,
    /// How much moves.
    pub moves: Moves,
}

/// How much of made-up objects moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moves {
    /// The objects.
    pub objects: u64,
    /// The copies that nodes must receive.
    pub moved: u64,
    /// The same as a part of all copies before.
    pub moved_share: f64,
    /// The least that has to move for every node to hold its fair share.
    pub optimum: f64,
    /// `moved` as a multiple of that; none where nothing has to move.
    pub against_optimum: Option<f64>,
}

impl Change {
    /// What becomes of `old` when `new` takes its place; how much moves is told from [`SAMPLE`].
    pub fn between(old: &ClusterMap, new: &ClusterMap) -> Self {
        Self::of(old, new, &Movement::measure(old, new, SAMPLE, &()))
    }

    /// What becomes of a cluster that works by `view` when `new` comes into force: files may lie by older maps still.
    pub fn of_view(view: &View, new: &ClusterMap) -> Self {
        let mut change = Self::between(view.current(), new);
        for older in view.older() {
            let more = older::objections(older.map(), view.current(), new);
            let more = more.into_iter().filter(|one| !change.objections.contains(one)).collect::<Vec<_>>();
            change.objections.extend(more);
        }
        change
    }

    /// The same, when it is known how much moves.
    pub fn of(old: &ClusterMap, new: &ClusterMap, movement: &Movement) -> Self {
        let pairing = Pairing::of(old, new);
        let moves = Moves {
            objects: movement.objects,
            moved: movement.moved,
            moved_share: movement.moved_share,
            optimum: movement.optimum,
            against_optimum: movement.against_optimum,
        };
        Self {
            differences: difference::differences(&pairing),
            objections: objection::objections(&pairing, &moves),
            warnings: warning::warnings(&pairing),
            moves,
        }
    }

    /// What speaks against it still, when `forced` were named.
    pub fn unforced<'a>(&'a self, forced: &'a [ObjectionWord]) -> impl Iterator<Item = &'a Objection> {
        let is_forced = |word: ObjectionWord| word.can_be_forced() && forced.contains(&word);
        self.objections.iter().filter(move |objection| !is_forced(objection.word()))
    }
}
