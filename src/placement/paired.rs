//! Which copy of an object takes the place of which when its owners change.  Pure.

/// What becomes of an object whose owners change: a bit for each rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paired {
    /// Ranks before, of owners that are none after.
    went: u32,
    /// Ranks after, of owners that were none before.
    came: u32,
}

impl Paired {
    /// Owners before and after, each in rank order and without a repeat; at most 32 of each.
    #[inline(always)]
    pub fn of<T: PartialEq>(before: &[T], after: &[T]) -> Self {
        let lacking = |these: &[T], those: &[T]| {
            (0..these.len()).fold(0, |bits, rank| bits | u32::from(!those.contains(&these[rank])) << rank)
        };
        Self { went: lacking(before, after), came: lacking(after, before) }
    }

    /// Whether the owners are the same nodes.
    pub fn is_nothing(self) -> bool {
        self.came == 0 && self.went == 0
    }

    /// The ranks before of those that own it no more.
    pub fn went(self) -> impl Iterator<Item = usize> {
        ranks(self.went)
    }

    /// The rank after of each new owner, and the rank before of the one whose copy it gets: of the one that gives up the
    /// same rank, and else of the others in order. None where there are more copies than before.
    pub fn moves(self) -> impl Iterator<Item = (usize, Option<usize>)> {
        let same = self.came & self.went;
        let mut others = ranks(self.went & !same);
        let to_others = ranks(self.came & !same).map(move |rank| (rank, others.next()));
        ranks(same).map(|rank| (rank, Some(rank))).chain(to_others)
    }
}

/// The ranks whose bits are set, in order.
fn ranks(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let rank = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(rank)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_comes_from_who_had_its_rank_and_else_from_the_next_that_gives_one_up() {
        for (before, after, moves) in [
            (&[1, 2, 3][..], &[3, 1, 2][..], &[][..]),
            (&[1, 2, 3], &[1, 4, 3], &[(1, Some(1))]),
            (&[1, 2, 3], &[4, 1, 2], &[(0, Some(2))]),
            (&[1, 2, 3], &[4, 5, 1], &[(1, Some(1)), (0, Some(2))]),
            (&[1, 2], &[1, 2, 3], &[(2, None)]),
            (&[1, 2, 3], &[2, 3], &[]),
        ] {
            let found: Vec<_> = Paired::of(before, after).moves().collect();
            assert_eq!(found, moves, "{before:?} {after:?}");
        }
        assert!(Paired::of(&[1, 2], &[2, 1]).is_nothing());
        assert_eq!(Paired::of(&[1, 2, 3], &[2, 3]).went().collect::<Vec<_>>(), [0]);
    }
}
