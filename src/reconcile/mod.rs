//! What two nodes compare to find out where they differ (design section 8): the walks over their roots, and digests of
//! ranges of keys.

mod digest;
mod walks;

pub use digest::{Digest, DigestError};
pub use walks::{Walked, Walks};

use std::ops::Range;

use crate::store::inventory::BUCKETS;

/// How the keys that two nodes own are divided: into ranges of equally many buckets of an inventory. Both sides make the
/// same of the same map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    buckets_each: usize,
}

impl Ranges {
    /// 4,096 ranges are divided among a node's peers, so that a large cluster exchanges no more digests than a small one.
    /// `nodes` is how many nodes the map has.
    pub fn among(nodes: usize) -> Self {
        let peers = nodes.saturating_sub(1).max(1);
        Self { buckets_each: peers.next_power_of_two().min(BUCKETS) }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        BUCKETS / self.buckets_each
    }

    /// The buckets of a range.
    pub fn buckets(self, range: usize) -> Range<usize> {
        let first = range * self.buckets_each;
        first..first + self.buckets_each
    }

    /// The range of a bucket.
    pub fn of_bucket(self, bucket: usize) -> usize {
        bucket / self.buckets_each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_of_a_map_cover_every_bucket_once() {
        for nodes in [1, 2, 3, 4, 5, 100, 10_000] {
            let ranges = Ranges::among(nodes);
            let covered: Vec<_> = (0..ranges.count()).flat_map(|range| ranges.buckets(range)).collect();
            assert_eq!(covered, (0..BUCKETS).collect::<Vec<_>>(), "{nodes} nodes");
            let of_bucket = |range| ranges.buckets(range).all(|bucket| ranges.of_bucket(bucket) == range);
            assert!((0..ranges.count()).all(of_bucket), "{nodes} nodes");
            assert!(ranges.count() * (nodes - 1) <= BUCKETS.max(nodes), "{nodes} nodes: {}", ranges.count());
        }
    }
}
