//! Which server of a sub-cluster holds a replica, for the algorithms that look for each replica on its own.
//!
//! The servers are shuffled like cards, by draws of the key and the sub-cluster, and replica r takes card r; so
//! replicas that meet in a sub-cluster of at least as many servers never share one, and each pair of servers is
//! equally likely.
//!
//! RUSH_P and RUSH_T as published take server (draw + r * step) mod m instead. Even with a step drawn for each key
//! from all that are coprime to m, which is what keeps replicas apart, that is far from even wherever m is no
//! prime: of 10 servers and 3 replicas, a server never shares an object with the one 5 places on, and with its
//! neighbours twice as many as with the others; of 12 servers, the objects of a lost one lie on 7 of the other 11.
//! FROZEN, like the mixer.

use super::mixer::{Mixer, Purpose, below};
use super::{Event, Trace};
use crate::cluster::{NodeIndex, SlotRow};

/// The server of that replica, which is below the row's number of servers.
#[inline]
pub(super) fn server(row: &SlotRow, replica: u32, mixer: Mixer, trace: &mut impl Trace) -> NodeIndex {
    // The place in what is left of the deck that card `made` is taken from; the last card then fills the gap.
    let taken = |made: u32| below(mixer.bits(Purpose::Pick, row.subcluster, made), row.servers - made);
    // Backwards through the shuffle: where did the card lie before?
    let mut place = taken(replica);
    for made in (0..replica).rev() {
        if place == taken(made) {
            place = row.servers - made - 1;
        }
    }
    let node = NodeIndex::new(row.first + place);
    trace.note(|| Event::Pick { subcluster: row.subcluster, replica, node });
    node
}
