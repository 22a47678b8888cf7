//! Counting answers: R nodes are asked, some number of them must agree.  Pure.

/// How many of the asked have said yes or no so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    asked: usize,
    needed: usize,
    yes: usize,
    no: usize,
}

/// What the answers so far decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Enough have agreed, whatever the others say.
    Reached,
    /// It depends on answers that are still to come.
    Pending,
    /// Too many have refused or failed.
    Failed,
}

impl Tally {
    /// `needed` of `asked` must agree.
    pub fn new(asked: usize, needed: usize) -> Self {
        Self { asked, needed, yes: 0, no: 0 }
    }

    /// Takes one answer in.
    pub fn count(&mut self, agreed: bool) {
        if agreed {
            self.yes += 1;
        } else {
            self.no += 1;
        }
        debug_assert!(self.yes + self.no <= self.asked, "more answers than were asked");
    }

    /// How many have agreed.
    pub fn yes(&self) -> usize {
        self.yes
    }

    /// Whether everybody has answered.
    pub fn is_complete(&self) -> bool {
        self.yes + self.no >= self.asked
    }

    /// What the answers so far decide.
    pub fn decision(&self) -> Decision {
        if self.yes >= self.needed {
            Decision::Reached
        } else if self.asked - self.no < self.needed {
            Decision::Failed
        } else {
            Decision::Pending
        }
    }
}

/// How many owners' answers make sure that an acknowledged write is among them: every write is on `write_quorum` of
/// `replicas`, so R - W + 1 of them cannot all have missed it.
pub fn read_quorum(replicas: usize, write_quorum: usize) -> usize {
    replicas - write_quorum + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_decided_as_soon_as_it_can_be() {
        let mut tally = Tally::new(3, 2);
        assert_eq!(tally.decision(), Decision::Pending);
        tally.count(true);
        tally.count(false);
        assert_eq!((tally.decision(), tally.is_complete()), (Decision::Pending, false));
        tally.count(true);
        assert_eq!((tally.decision(), tally.is_complete(), tally.yes()), (Decision::Reached, true, 2));

        let mut tally = Tally::new(3, 2);
        tally.count(false);
        tally.count(false);
        assert_eq!(tally.decision(), Decision::Failed);
    }

    #[test]
    fn more_needed_than_asked_fails_at_once() {
        assert_eq!(Tally::new(1, 2).decision(), Decision::Failed);
    }

    #[test]
    fn a_read_quorum_meets_every_write_quorum() {
        for replicas in 1..=16 {
            for write_quorum in 1..=replicas {
                assert_eq!(read_quorum(replicas, write_quorum) + write_quorum, replicas + 1);
            }
        }
    }
}
