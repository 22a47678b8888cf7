//! What a placement does to a great many objects, computed before anyone deploys it: who holds how much
//! ([`Load`]), what moves when the map changes ([`Movement`]), who takes over when a node fails ([`Failure`]), and
//! how the algorithms compare on the same nodes ([`Comparison`]). [`cautions`] says what speaks against a change of maps
//! without placing anything.
//!
//! The objects are made up, the placements are those of [`placement::locate`](crate::placement::locate): nothing is
//! assumed of an algorithm, everything is counted. The counts are whole numbers added up over parts of the objects,
//! so they do not depend on how many threads there are, and memory grows with the nodes, not with the objects. Pure:
//! nothing here reads a clock or a file, so how fast lookups are is measured elsewhere.

mod caution;
mod compare;
mod failure;
mod fair;
mod load;
mod movement;
mod objects;
mod tally;

#[cfg(test)]
mod testing;

pub use caution::{Caution, cautions};
pub use compare::{Comparison, Contestant, Fleet, FleetError, Unplaceable, contestants};
pub use failure::{Failure, FailureError, PASSES_OF_FAILURES, Survivor, failures, nodes_to_fail};
pub use load::{Load, NodeLoad, SubClusterLoad};
pub use movement::{Movement, NodeMovement, Pair, PairsOf};
pub use objects::{OBJECTS_MAX, Objects, Progress};
