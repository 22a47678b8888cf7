//! What RUSH_P needs of a map besides its [`SlotTable`]: the share of each sub-cluster in the weight of itself and
//! all older ones, as a bound that a draw of 64 bits is compared with (Honicky & Miller, "A Fast Algorithm for
//! Online Placement and Reorganization of Replicated Data", IPDPS 2003).
//!
//! Arithmetic on plain data. Frozen: files lie on disk by these numbers.

use super::slots::{SlotRow, SlotTable};

/// The shares of the sub-clusters of weight above 0, oldest first: one for each of [`SlotTable::rows`].
#[derive(Clone, Debug)]
pub struct ShareTable {
    shares: Vec<Share>,
}

/// The share of a sub-cluster in the weight of itself and all older ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The position of the sub-cluster among all of the map, those of weight 0 included.
    pub subcluster: u32,
    /// Of 2^64 equally likely draws, those below this fall on the sub-cluster. The oldest takes all draws, whatever
    /// stands here.
    pub bound: u64,
}

impl ShareTable {
    /// The shares of the table's rows.
    pub fn new(slots: &SlotTable) -> Self {
        Self { shares: slots.rows().iter().map(Share::of).collect() }
    }

    /// See [`ShareTable`].
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }
}

impl Share {
    fn of(row: &SlotRow) -> Self {
        let share = row.weight_own / row.weight_total;
        Self { subcluster: row.subcluster, bound: scaled(share) }
    }
}

/// A share of 1 as one of 2^64, rounded down: multiplying by a power of two is exact, and the conversion cuts off
/// what is below 1 and stops at `u64::MAX`.
fn scaled(share: f64) -> u64 {
    const WHOLE: f64 = 18_446_744_073_709_551_616.0;
    (share * WHOLE) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{NODES_MAX, SlotGroup, WEIGHT_MAX, WEIGHT_MIN};

    #[test]
    fn each_share_is_of_the_weight_up_to_its_own_sub_cluster() {
        let groups = [(4, 1.0), (7, 0.0), (2, 2.0), (8, 3.0)];
        let groups = groups.map(|(servers, weight)| SlotGroup { servers, weight });
        let table = ShareTable::new(&SlotTable::new(&groups, 2).unwrap());
        let shares: Vec<_> = table.shares().iter().map(|share| (share.subcluster, share.bound)).collect();
        assert_eq!(shares, [(0, u64::MAX), (2, 1 << 63), (3, 3 << 62)]);
    }

    #[test]
    fn no_share_is_lost_beside_the_heaviest() {
        let light = SlotGroup { servers: 1, weight: WEIGHT_MIN };
        let heavy = SlotGroup { servers: NODES_MAX as u32 - 1, weight: WEIGHT_MAX };
        let thousandths =
            |group: SlotGroup| u128::from(group.servers) * (group.weight * 1_000.0).round() as u128;
        for (older, newer) in [(light, heavy), (heavy, light)] {
            let table = ShareTable::new(&SlotTable::new(&[older, newer], 1).unwrap());
            let bound = u128::from(table.shares()[1].bound);
            for (given, own) in [(bound, newer), ((1 << 64) - bound, older)] {
                let exact = (thousandths(own) << 64) / (thousandths(older) + thousandths(newer));
                assert!(given.abs_diff(exact) * 100 < exact, "{given} of {exact}");
            }
        }
    }

    #[test]
    fn a_share_is_rounded_down() {
        assert_eq!(scaled(0.5), 1 << 63);
        assert_eq!(scaled(1.0 / 3.0), 0x5555_5555_5555_5400);
        assert_eq!(scaled(2f64.powi(-64) * 1.5), 1);
        assert_eq!(scaled(1.0), u64::MAX);
    }
}
