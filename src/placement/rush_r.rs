//! RUSH_R: R. J. Honicky and E. L. Miller, "Replication Under Scalable Hashing: A Family of Algorithms for Scalable
//! Decentralized Data Distribution", IPDPS 2004, section 3.2, by the steps of their group's own implementation,
//! which `tests/vectors/rush_r/README.md` lists.
//!
//! From the newest sub-cluster to the oldest, each receives as many of the replicas still to be placed as draws
//! without replacement by weight give it, on servers chosen by a partial shuffle. Three repairs to those steps:
//!
//! 1. a well-mixed random source, in place of one that leaves servers empty;
//! 2. a sub-cluster makes one draw for each replica still to be placed, up to as many hits as it has servers, and
//!    takes those hits or what the older ones cannot hold, whichever is more; fewer draws starved the small ones;
//! 3. nothing is placed on weight 0: what the older ones can hold counts servers of weight above 0 only.
//!
//! Nothing here knows of nodes that are out. FROZEN, like the mixer.

use super::mixer::{Mixer, Purpose, below, unit};
use super::{Event, Replicas, Trace};
use crate::cluster::{NodeIndex, REPLICAS_MAX, SlotRow, SlotTable};

/// Up to so many replicas a lookup is compiled on its own.
const USUAL_REPLICAS_MAX: usize = 3;

/// What draws are for, as a random source is asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// How many replicas the sub-cluster receives.
    Draw,
    /// Which of its servers receive them.
    Pick,
}

/// The random numbers of one key. The core takes them from a trait so that a test can run it on the generator that
/// the published placements were made with.
pub trait RandomSource {
    /// A sequence of random numbers.
    type Stream: RandomStream;

    /// The numbers for a step at a sub-cluster, from the first on, each time it is called.
    fn stream(&self, subcluster: u32, step: Step) -> Self::Stream;
}

/// A sequence of random numbers.
pub trait RandomStream {
    /// The next number, which stands for itself divided by 2^64. A source of fewer bits fills them from the top.
    fn next_bits(&mut self) -> u64;
}

/// The servers of one object, in the order they are found: newest sub-cluster first.
pub fn locate<S: RandomSource, T: Trace>(table: &SlotTable, source: &S, trace: &mut T) -> Replicas {
    let mut found = Replicas::new();
    locate_into(table, source, &mut found, trace);
    found
}

/// As [`locate`], into a `found` that is empty.
#[inline(never)]
pub(super) fn locate_into<S: RandomSource, T: Trace>(
    table: &SlotTable,
    source: &S,
    found: &mut Replicas,
    trace: &mut T,
) {
    if table.replicas() <= USUAL_REPLICAS_MAX {
        fill::<USUAL_REPLICAS_MAX, S, T>(table, source, found, trace);
    } else {
        fill_with_many(table, source, found, trace);
    }
}

/// Apart, because this code, in the same function, would take the registers from the usual one.
#[inline(never)]
fn fill_with_many<S: RandomSource, T: Trace>(
    table: &SlotTable,
    source: &S,
    found: &mut Replicas,
    trace: &mut T,
) {
    fill::<REPLICAS_MAX, S, T>(table, source, found, trace);
}

/// `MOST` is as much as the replicas can be: [`USUAL_REPLICAS_MAX`] or [`REPLICAS_MAX`].
#[inline]
fn fill<const MOST: usize, S: RandomSource, T: Trace>(
    table: &SlotTable,
    source: &S,
    found: &mut Replicas,
    trace: &mut T,
) {
    let mut left = table.replicas();
    let mut rows = table.rows().len();
    while left > 0 {
        // Small counts are compiled on their own, so that the processor works on several draws at once.
        let (row, take) = match left {
            1 => next_take::<1, S, T>(table, rows, left, source, trace),
            2 => next_take::<2, S, T>(table, rows, left, source, trace),
            3 => next_take::<3, S, T>(table, rows, left, source, trace),
            4 if MOST > 3 => next_take::<4, S, T>(table, rows, left, source, trace),
            _ => next_take::<MOST, S, T>(table, rows, left, source, trace),
        };
        let picked = &table.rows()[row];
        match take {
            1 => pick::<1, S>(picked, take, source, found, trace),
            2 => pick::<2, S>(picked, take, source, found, trace),
            3 => pick::<3, S>(picked, take, source, found, trace),
            4 if MOST > 3 => pick::<4, S>(picked, take, source, found, trace),
            _ => pick::<MOST, S>(picked, take, source, found, trace),
        }
        rows = row;
        left -= take;
    }
}

/// The newest of the oldest `rows` rows that receives some of `left` replicas, and how many.
///
/// `COUNT` is `left`, or `REPLICAS_MAX` for any.
#[inline]
fn next_take<const COUNT: usize, S: RandomSource, T: Trace>(
    table: &SlotTable,
    rows: usize,
    left: usize,
    source: &S,
    trace: &mut T,
) -> (usize, usize) {
    let count = if COUNT < REPLICAS_MAX { COUNT } else { left };
    for (number, bound) in table.quiet()[..rows].iter().enumerate().rev() {
        if number == 0 {
            break; // all that is left falls on the oldest, whatever it would draw
        }
        let mut draws = [0; COUNT];
        let draws = &mut draws[..count];
        let mut stream = source.stream(bound.subcluster, Step::Draw);
        draws.iter_mut().for_each(|draw| *draw = stream.next_bits());
        // Most sub-clusters receive nothing, and a comparison of whole numbers tells.
        let smallest = draws.iter().fold(u64::MAX, |smallest, draw| smallest.min(*draw));
        if (smallest >> 32) as u32 > bound.above {
            if T::LISTENS {
                hits(&table.rows()[number], draws, trace);
            }
            continue;
        }
        let row = &table.rows()[number];
        // What the older ones cannot hold.
        let must = left.saturating_sub(row.servers_before as usize);
        let hits = hits(row, draws, trace);
        let take = must.max(hits);
        if take > 0 {
            note_take(row, take, take - hits, trace);
            return (number, take);
        }
    }
    note_take(&table.rows()[0], left, left, trace);
    (0, left)
}

fn note_take(row: &SlotRow, count: usize, forced: usize, trace: &mut impl Trace) {
    let subcluster = row.subcluster;
    trace.note(|| Event::Take { subcluster, count: count as u32, forced: forced as u32 });
}

/// How many of the draws, without replacement by weight from this and the older sub-clusters together, fall on this
/// one. Stopping at as many hits as it has servers is the same as not counting further ones.
#[inline]
fn hits(row: &SlotRow, draws: &[u64], trace: &mut impl Trace) -> usize {
    let (mut own, mut total) = (row.weight_own, row.weight_total);
    let mut hits = 0;
    for (replica, draw) in draws.iter().enumerate() {
        // A product, where the steps divide: cheaper, and where the two round differently is beyond the reach of
        // the source. No branch, since the processor could not foresee it.
        let hit = unit(*draw) * total < own;
        trace.note(|| {
            let (subcluster, replica) = (row.subcluster, replica as u32);
            Event::Draw { subcluster, replica, draw: unit(*draw), chance: own / total, hit }
        });
        hits += usize::from(hit);
        own -= if hit { row.weight } else { 0.0 };
        total -= row.weight;
    }
    hits.min(row.servers as usize)
}

/// Appends `take` of the row's servers: the start of a shuffle of all of them, which only the places it changes are
/// kept of.
///
/// `COUNT` is `take`, or `REPLICAS_MAX` for any.
#[inline]
fn pick<const COUNT: usize, S: RandomSource>(
    row: &SlotRow,
    take: usize,
    source: &S,
    found: &mut Replicas,
    trace: &mut impl Trace,
) {
    let take = if COUNT < REPLICAS_MAX { COUNT } else { take };
    let mut stream = source.stream(row.subcluster, Step::Pick);
    // (place, the server that lies there now); later entries override earlier ones.
    let mut moved = [(0u32, 0u32); COUNT];
    let mut picks = [NodeIndex::new(0); COUNT];
    for made in 0..take {
        let remaining = row.servers - made as u32;
        let at = |place: u32| {
            moved[..made].iter().fold(place, |at, entry| if entry.0 == place { entry.1 } else { at })
        };
        let place = below(stream.next_bits(), remaining);
        let node = NodeIndex::new(row.first + at(place));
        let replica = (found.len() + made) as u32;
        trace.note(|| Event::Pick { subcluster: row.subcluster, replica, node });
        picks[made] = node;
        moved[made] = (place, at(remaining - 1));
    }
    found.extend(&picks[..take]);
}

/// The draws of one step at one sub-cluster.
#[derive(Debug)]
pub struct MixerStream {
    mixer: Mixer,
    purpose: Purpose,
    subcluster: u32,
    position: u32,
}

impl RandomStream for MixerStream {
    #[inline]
    fn next_bits(&mut self) -> u64 {
        let position = self.position;
        self.position += 1;
        self.mixer.bits(self.purpose, self.subcluster, position)
    }
}

impl RandomSource for Mixer {
    type Stream = MixerStream;

    #[inline]
    fn stream(&self, subcluster: u32, step: Step) -> MixerStream {
        let purpose = match step {
            Step::Draw => Purpose::Draw,
            Step::Pick => Purpose::Pick,
        };
        MixerStream { mixer: *self, purpose, subcluster, position: 0 }
    }
}
