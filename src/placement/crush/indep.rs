//! The search for the parts of an erasure code, `indep`: every position keeps its item whatever becomes of the
//! others; one that cannot be found leaves a hole. The steps are those of `tests/vectors/crush/README.md`. FROZEN.

use super::{HOLE, Mapping, Search};
use crate::cluster::REPLICAS_MAX;
use crate::cluster::crush::{Bucket, BucketKind, Choice, DEVICE_TYPE};
use crate::placement::{Event, Trace};

/// A position for which nothing was found yet. No item has this id.
const OPEN: i32 = HOLE - 1;

/// What an attempt came to.
enum Found {
    /// An item of the type looked for, and the number that it was chosen by.
    Item(i32, u32),
    /// An empty bucket: another attempt may find something.
    Nothing,
    /// A device where the type looked for should be: the position stays empty for good.
    DeadEnd,
}

/// An attempt at a position.
#[derive(Clone, Copy)]
struct Attempt {
    /// The position, with what the search above adds to it.
    r: u32,
    /// How many positions there are: what r goes up by with each failure.
    count: u32,
    /// How many rounds failed before.
    failures: u32,
}

impl<'a, T: Trace> Search<'a, T> {
    /// `count` positions under `bucket`, at most `room` of them, to the end of `found`; for `chooseleaf` the device below
    /// each item in its place.
    pub(super) fn indep(
        &mut self,
        bucket: Bucket<'a>,
        choice: Choice,
        count: u32,
        room: usize,
        found: &mut Mapping,
    ) {
        let positions = room.min(count as usize).min(REPLICAS_MAX);
        let (mut items, mut leaves) = ([OPEN; REPLICAS_MAX], [OPEN; REPLICAS_MAX]);
        for failures in 0..self.settings.tries {
            for position in 0..positions {
                if items[position] != OPEN {
                    continue;
                }
                let attempt = Attempt { r: position as u32, count, failures };
                let (item, leaf) = match self.descend(bucket, choice.type_id, attempt) {
                    Found::DeadEnd => (HOLE, HOLE),
                    Found::Nothing => continue,
                    Found::Item(item, _) if items[..positions].contains(&item) => {
                        self.trace.note(|| Event::CrushCollision { item });
                        continue;
                    }
                    Found::Item(item, r) => match self.map.bucket(item) {
                        Some(below) if choice.leaf => {
                            match self.indep_leaf(below, position as u32, count, r) {
                                Some(leaf) => (item, leaf),
                                None => continue,
                            }
                        }
                        None if self.is_out(item) => continue,
                        _ => (item, item),
                    },
                };
                items[position] = item;
                leaves[position] = leaf;
            }
            if !items[..positions].contains(&OPEN) {
                break;
            }
        }
        for (rank, leaf) in (0..).zip(&leaves[..positions]) {
            let is_found = *leaf != OPEN && *leaf != HOLE;
            if !is_found {
                self.trace.note(|| Event::CrushGaveUp { rank });
            }
            found.push(if is_found { *leaf } else { HOLE });
        }
    }

    /// A device under `bucket`, which was chosen by `parent_r`, for that position.
    fn indep_leaf(&mut self, bucket: Bucket<'a>, position: u32, count: u32, parent_r: u32) -> Option<i32> {
        for failures in 0..self.settings.leaf_tries.unwrap_or(1) {
            let attempt = Attempt { r: position.wrapping_add(parent_r), count, failures };
            if let Found::Item(device, _) = self.descend(bucket, DEVICE_TYPE, attempt)
                && !self.is_out(device)
            {
                return Some(device);
            }
        }
        self.trace.note(|| Event::CrushNoDevice { bucket: bucket.id() });
        None
    }

    /// Down from `bucket` to an item of the type.
    #[inline]
    fn descend(&mut self, mut bucket: Bucket<'a>, type_id: u32, attempt: Attempt) -> Found {
        let Attempt { r, count, failures } = attempt;
        loop {
            // A permutation would come back to the same positions if its size were a multiple of the step.
            let coincides = bucket.kind() == BucketKind::Uniform && bucket.size().is_multiple_of(count);
            let step = if coincides { count + 1 } else { count };
            let r = r.wrapping_add(step.wrapping_mul(failures));
            let Some(item) = self.choose(bucket, r) else { return Found::Nothing };
            match self.map.bucket(item) {
                Some(below) if below.type_id() != type_id => bucket = below,
                None if type_id != DEVICE_TYPE => return Found::DeadEnd,
                _ => return Found::Item(item, r),
            }
        }
    }
}
