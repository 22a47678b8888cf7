//! What a placement does to a great many objects, computed before anyone deploys it: who holds how much
//! ([`Load`]), what moves when the map changes ([`Movement`]), who takes over when a node fails ([`Failure`]), and
//! how the algorithms compare on the same nodes ([`Comparison`]). What speaks against a change of maps is said by
//! [`crate::change`], from what is computed here.
//!
//! The objects are made up, the placements are those of [`placement::locate`](crate::placement::locate): nothing is
//! assumed of an algorithm, everything is counted. The counts are whole numbers added up over parts of the objects,
//! so they do not depend on how many threads there are, and memory grows with the nodes, not with the objects. Pure:
//! nothing here reads a clock or a file, so how fast lookups are is measured elsewhere.

mod compare;
mod failure;
mod fair;
mod load;
mod movement;
mod objects;
mod tally;

#[cfg(test)]
pub(crate) mod testing;

pub use compare::{Comparison, Contestant, Fleet, FleetError, Unplaceable, contestants};
pub use failure::{
    Failure, FailureError, PASSES_OF_FAILURES, Survivor, failures, held_only_by, nodes_to_fail,
};
pub use load::{Load, NodeLoad, SubClusterLoad};
pub use movement::{Movement, NodeMovement, Pair, PairsOf, optimum};
pub use objects::{OBJECTS_MAX, Objects, Progress};
