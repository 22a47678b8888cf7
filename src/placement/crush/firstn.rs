//! The search for replicas, `firstn`: one item after the other, each attempt from the top; one that cannot be found is
//! left out, and the others move up. The steps are those of `tests/vectors/crush/README.md`. FROZEN.

use super::{Mapping, Search, Settings, choose};
use crate::cluster::crush::{Bucket, Choice, DEVICE_TYPE};
use crate::placement::{Event, Trace};

/// Where a search starts, and what it must not find.
struct Start<'a, 'b> {
    /// The bucket to search under.
    bucket: Bucket<'a>,
    /// The number that the first attempt chooses by.
    r: u32,
    /// The type of the items looked for.
    type_id: u32,
    /// Attempts from the top, the first included.
    tries: u32,
    /// Items found before.
    taken: &'b [i32],
}

/// Why an attempt failed.
#[derive(PartialEq, Eq)]
enum Failure {
    Collision,
    Rejection,
}

impl<'a, T: Trace> Search<'a, T> {
    /// Up to `count` items under `bucket`, at most `room` of them, to the end of `found`; for `chooseleaf` the device below
    /// each in its place.
    pub(super) fn firstn(
        &mut self,
        bucket: Bucket<'a>,
        choice: Choice,
        count: u32,
        room: usize,
        found: &mut Mapping,
    ) {
        let (mut items, mut leaves) = (Mapping::EMPTY, Mapping::EMPTY);
        for rank in 0..count {
            if items.len() >= room {
                break;
            }
            let tries = self.settings.tries;
            let start = Start { bucket, r: rank, type_id: choice.type_id, tries, taken: &items };
            let placed = self.place(start, |search, item, r| match search.map.bucket(item) {
                Some(below) if choice.leaf => search.leaf(below, r, &leaves),
                _ => Some(item),
            });
            match placed {
                Some((item, leaf)) => {
                    items.push(item);
                    leaves.push(leaf);
                    found.push(leaf);
                }
                None => self.trace.note(|| Event::CrushGaveUp { rank }),
            }
        }
    }

    /// A device under `bucket`, which was chosen by attempt `r`, that is none of `leaves`.
    fn leaf(&mut self, bucket: Bucket<'a>, r: u32, leaves: &[i32]) -> Option<i32> {
        let settings = self.settings;
        let tries = match settings.leaf_tries {
            Some(tries) => tries,
            None if settings.descend_once => 1,
            None => settings.tries,
        };
        let rank = if settings.stable { 0 } else { leaves.len() as u32 };
        let parent_r = settings.vary_r.checked_sub(1).map_or(0, |shift| r >> shift);
        let r = rank.wrapping_add(parent_r);
        let start = Start { bucket, r, type_id: DEVICE_TYPE, tries, taken: leaves };
        let placed = self.place(start, |_, item, _| Some(item));
        if placed.is_none() {
            self.trace.note(|| Event::CrushNoDevice { bucket: bucket.id() });
        }
        placed.map(|(item, _)| item)
    }

    /// One item, with what `accept` gives for it and the attempt that chose it; where `accept` gives nothing, the item
    /// is rejected.
    #[inline]
    fn place(
        &mut self,
        start: Start<'a, '_>,
        mut accept: impl FnMut(&mut Self, i32, u32) -> Option<i32>,
    ) -> Option<(i32, i32)> {
        let Settings { local_tries, local_fallback_tries, .. } = self.settings;
        let mut failures = 0;
        'from_the_top: loop {
            let mut bucket = start.bucket;
            let mut local_failures = 0;
            loop {
                let r = start.r.wrapping_add(failures);
                let half = bucket.size() >> 1;
                let permutes = local_fallback_tries > 0
                    && local_failures >= half
                    && local_failures > local_fallback_tries;
                let item = if permutes {
                    let item = choose::permuted(bucket, self.x, r);
                    self.note_choice(bucket, r, item);
                    item
                } else {
                    self.choose(bucket, r)
                };
                let failure = match item {
                    None => Failure::Rejection,
                    Some(item) => {
                        let below = self.map.bucket(item);
                        if below.map_or(DEVICE_TYPE, Bucket::type_id) != start.type_id {
                            bucket = below?;
                            continue;
                        }
                        if start.taken.contains(&item) {
                            self.trace.note(|| Event::CrushCollision { item });
                            Failure::Collision
                        } else {
                            match accept(self, item, r) {
                                Some(leaf) if below.is_some() || !self.is_out(item) => {
                                    return Some((item, leaf));
                                }
                                _ => Failure::Rejection,
                            }
                        }
                    }
                };
                failures += 1;
                local_failures += 1;
                let again_here = failure == Failure::Collision && local_failures <= local_tries
                    || local_fallback_tries > 0 && local_failures <= bucket.size() + local_fallback_tries;
                if again_here {
                    continue;
                }
                if failures < start.tries {
                    continue 'from_the_top;
                }
                return None;
            }
        }
    }
}
