//! Where each bucket is, by its id: a small hash table, since the ids of generated maps are spread over all 32-bit
//! numbers below 0. Lookups only read it; its layout plays no part in what they find.

/// Positions by bucket id. Entries lie at the place that a hash of their id names, or behind it.
#[derive(Clone, Debug)]
pub(super) struct BucketIndex {
    /// As many as a power of two, from 8, and at least twice as many as buckets, so that a search meets a free one.
    cells: Vec<Cell>,
    multiplier: u32,
    /// Leaves as many bits of a hash as number the cells.
    shift: u32,
}

/// An id and a position; [`FREE`] for none.
#[derive(Clone, Copy, Debug)]
struct Cell {
    id: i32,
    position: u32,
}

/// No bucket has the id 0.
const FREE: Cell = Cell { id: 0, position: 0 };

/// Odd numbers, each a hash function: the id times it, of which the upper bits count. The first takes ids that follow
/// one another apart as far as can be; the others are for a list that it throws together.
const MULTIPLIERS: [u32; 4] = [0x9e37_79b9, 0x85eb_ca6b, 0xc2b2_ae35, 0x27d4_eb2f];

/// A table in which some id would lie further than this from its place is made larger, as often as there are
/// multipliers.
const STEPS_MAX: usize = 16;

impl BucketIndex {
    /// The index of these ids, which are below 0, each to its position among them. Of equal ids one counts.
    pub(super) fn new(ids: &[i32]) -> Self {
        let least = (2 * ids.len()).next_power_of_two().max(8);
        let mut last = None;
        for (attempt, multiplier) in MULTIPLIERS.into_iter().enumerate() {
            let (index, steps) = Self::with(ids, multiplier, least << attempt);
            if steps <= STEPS_MAX {
                return index;
            }
            last = Some(index);
        }
        last.expect("there are multipliers")
    }

    /// The index of that many cells, and how far the worst id lies from its place.
    fn with(ids: &[i32], multiplier: u32, cells: usize) -> (Self, usize) {
        let shift = u32::BITS - cells.ilog2();
        let mut index = Self { cells: vec![FREE; cells], multiplier, shift };
        let mut worst = 0;
        for (id, position) in ids.iter().zip(0u32..) {
            let (at, steps) = index.search(*id);
            index.cells[at] = Cell { id: *id, position };
            worst = worst.max(steps);
        }
        (index, worst)
    }

    /// Where an id is, or the free cell where it would be, and how far that is from its place.
    #[inline]
    fn search(&self, id: i32) -> (usize, usize) {
        let mask = self.cells.len() - 1;
        let mut at = ((id as u32).wrapping_mul(self.multiplier) >> self.shift) as usize;
        let mut steps = 0;
        while self.cells[at].id != id && self.cells[at].id != FREE.id {
            at = (at + 1) & mask;
            steps += 1;
        }
        (at, steps)
    }

    /// The position of a bucket; none for the id of a device, or of no bucket.
    #[inline]
    pub(super) fn position(&self, id: i32) -> Option<usize> {
        if id >= 0 {
            return None;
        }
        let cell = self.cells[self.search(id).0];
        (cell.id == id).then_some(cell.position as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ids: &[i32]) -> BucketIndex {
        let index = BucketIndex::new(ids);
        for (position, id) in ids.iter().enumerate() {
            assert_eq!(index.position(*id), Some(position), "{id}");
        }
        for id in [0, 1, 7, i32::MAX] {
            assert_eq!(index.position(id), None, "{id}");
        }
        index
    }

    #[test]
    fn every_bucket_is_found_and_nothing_else() {
        assert_eq!(check(&[]).position(-1), None);
        assert_eq!(check(&[-3, -1, i32::MIN]).position(-2), None);
        let near: Vec<i32> = (1..=20_000).map(|id| -id).collect();
        assert_eq!(check(&near).position(-20_001), None);
        let far: Vec<i32> = near.iter().map(|id| id.wrapping_mul(0x1234_5677) | i32::MIN).collect();
        assert!(check(&far).cells.len() <= 1 << 17);
    }

    #[test]
    fn ids_that_one_hash_throws_together_are_found_soon_by_another() {
        // The inverse of the first multiplier undoes it: these all have the same place.
        let inverse = (0..5).fold(1u32, |inverse, _| {
            inverse.wrapping_mul(2u32.wrapping_sub(MULTIPLIERS[0].wrapping_mul(inverse)))
        });
        assert_eq!(MULTIPLIERS[0].wrapping_mul(inverse), 1);
        let ids = (0u32..40_000).map(|low| inverse.wrapping_mul(low) as i32).filter(|id| *id < 0);
        let ids: Vec<i32> = ids.collect();
        assert!(ids.len() > 10_000);
        assert_ne!(check(&ids).multiplier, MULTIPLIERS[0]);
    }
}
