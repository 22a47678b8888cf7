//! RUSH_P: R. J. Honicky and E. L. Miller, "A Fast Algorithm for Online Placement and Reorganization of Replicated
//! Data", IPDPS 2003, and "Replication Under Scalable Hashing", IPDPS 2004, section 3.1.
//!
//! From the newest sub-cluster to the oldest, one draw is made for all replicas. Each turns it into a position of
//! its own on a circle, on which the sub-cluster and all older ones together are the whole and the sub-cluster is
//! the part from 0 to its share; a replica whose position lies in it is placed there, on a server of its own
//! (`server.rs`), which needs at least as many servers as replicas in each sub-cluster. The oldest takes what is
//! left.
//!
//! Replica r's position is the draw times [`STRIDE`] to the power of r, so it is the draw turned by a stride that
//! is made of the draw: multiplying by an odd number permutes the circle, so each replica follows the weights
//! exactly. The published turn, r times a fixed stride, does so as well, but leaves two replicas of an object
//! hardly ever in one sub-cluster: with 10 of 10 servers, a lost node's objects were on its 9 neighbours 13 times
//! less often than on others. A stride drawn for each key mends that for pairs, but puts all of three replicas into
//! one sub-cluster 2.8 times as often as independent draws. With powers, pairs and triples are as with independent
//! draws. FROZEN, like the mixer.

use super::mixer::{Mixer, Purpose, unit};
use super::server::server;
use super::{Event, Replicas, Trace};
use crate::cluster::{NodeIndex, REPLICAS_MAX, ShareTable, SlotRow, SlotTable};

/// An odd number whose multiples modulo 2^64 are spread well in two to eight dimensions (Steele & Vigna,
/// "Computationally easy, spectrally good multipliers for congruential pseudorandom number generators", 2021,
/// <https://doi.org/10.1002/spe.3030>). So are those of its powers, which two or three of any replicas are apart by:
/// relative to the best there could be, the spectral figure of merit modulo 2^64 is at least 0.16 for every pair of
/// [`REPLICAS_MAX`] ranks and 0.24 for every triple; for the first three ranks it is 0.74.
const STRIDE: u64 = 0xf135_7aea_2e62_a9c5;

/// The servers of one object; the rank of each is the replica it holds. `shares` are those of `slots`, each of
/// whose rows has at least as many servers as there are replicas.
#[inline(never)]
pub(super) fn locate_into(
    slots: &SlotTable,
    shares: &ShareTable,
    mixer: Mixer,
    found: &mut Replicas,
    trace: &mut impl Trace,
) {
    // The usual counts are compiled on their own, so that the processor works on several positions at once.
    match slots.replicas() {
        1 => find::<1, _>(slots, shares, mixer, found, trace),
        2 => find::<2, _>(slots, shares, mixer, found, trace),
        3 => find::<3, _>(slots, shares, mixer, found, trace),
        4 => find::<4, _>(slots, shares, mixer, found, trace),
        _ => find::<REPLICAS_MAX, _>(slots, shares, mixer, found, trace),
    }
}

/// `COUNT` is the number of replicas, or `REPLICAS_MAX` for any.
#[inline]
fn find<const COUNT: usize, T: Trace>(
    slots: &SlotTable,
    shares: &ShareTable,
    mixer: Mixer,
    found: &mut Replicas,
    trace: &mut T,
) {
    let count = if COUNT < REPLICAS_MAX { COUNT } else { slots.replicas() };
    let mut nodes = [NodeIndex::new(0); COUNT];
    // One bit for each replica still to be placed.
    let mut left = (1u32 << count) - 1;
    for (number, share) in shares.shares().iter().enumerate().rev() {
        let draw = mixer.bits(Purpose::Draw, share.subcluster, 0);
        let (mut hits, mut position) = (0, draw);
        for replica in 0..count {
            hits |= u32::from(position < share.bound) << replica;
            position = position.wrapping_mul(STRIDE);
        }
        hits = if number == 0 { left } else { hits & left };
        if hits == 0 && !T::LISTENS {
            continue;
        }
        let row = &slots.rows()[number];
        if T::LISTENS {
            note_draws(row, draw, left, hits, trace);
        }
        left &= !hits;
        while hits != 0 {
            let replica = hits.trailing_zeros();
            nodes[replica as usize] = server(row, replica, mixer, trace);
            hits &= hits - 1;
        }
        if left == 0 {
            break;
        }
    }
    found.extend(&nodes[..count]);
}

fn note_draws(row: &SlotRow, draw: u64, left: u32, hits: u32, trace: &mut impl Trace) {
    let (subcluster, chance) = (row.subcluster, row.weight_own / row.weight_total);
    for replica in (0..u32::BITS).filter(|replica| left >> replica & 1 == 1) {
        trace.note(|| {
            let draw = unit(draw.wrapping_mul(STRIDE.wrapping_pow(replica)));
            Event::Draw { subcluster, replica, draw, chance, hit: hits >> replica & 1 == 1 }
        });
    }
}
