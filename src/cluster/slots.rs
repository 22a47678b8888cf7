//! What a lookup needs of a map, computed once: the sub-clusters that can receive anything, with the sums the
//! algorithms of the RUSH family start from (Honicky & Miller, "Replication Under Scalable Hashing", IPDPS 2004).
//!
//! Arithmetic on plain data. Whether a node is marked out never shows here: slots stay.

use super::name::NodeIndex;
use super::spec::REPLICAS_MAX;

/// Servers and weight of a sub-cluster, which is all that placement knows of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotGroup {
    /// How many servers it has; it may be none.
    pub servers: u32,
    /// The weight of each; 0 receives nothing.
    pub weight: f64,
}

/// The sub-clusters of weight above 0, oldest first, prepared for the lookup of a fixed number of replicas.
#[derive(Clone, Debug)]
pub struct SlotTable {
    replicas: usize,
    rows: Vec<SlotRow>,
    /// `quiet[i]` belongs to `rows[i]`; apart from them because a lookup reads all of these and few of the rows.
    quiet: Vec<QuietBound>,
}

/// A sub-cluster of weight above 0. The paper's symbols: m servers of weight w, sub-cluster j.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotRow {
    /// Its position among all sub-clusters of the map, those of weight 0 included: j.
    pub subcluster: u32,
    /// The number of its first server, counted through all sub-clusters.
    pub first: u32,
    /// How many servers it has: m, at least 1.
    pub servers: u32,
    /// How many servers of weight above 0 the older sub-clusters have.
    pub servers_before: u32,
    /// The weight of each server: w, above 0.
    pub weight: f64,
    /// The weight of all its servers: m times w.
    pub weight_own: f64,
    /// The weight of all servers of this and the older sub-clusters, summed oldest first.
    pub weight_total: f64,
}

/// From which draw on a sub-cluster surely gets nothing, as a lookup first asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuietBound {
    /// The same as in the row.
    pub(crate) subcluster: u32,
    /// If all its draws, as fractions of 2^32, lie above this, none of them is a hit and
    /// nothing is forced on it. `u32::MAX` where no draw can tell.
    pub(crate) above: u32,
}

impl SlotTable {
    /// The table for `groups`, oldest first, and lookups of `replicas`.
    ///
    /// `None` when a lookup could fail: no replicas or more than [`REPLICAS_MAX`], fewer servers of weight above 0 than replicas,
    /// more servers than a `u32` counts, or a weight that is negative or not finite.
    pub fn new(groups: &[SlotGroup], replicas: usize) -> Option<Self> {
        if !(1..=REPLICAS_MAX).contains(&replicas) {
            return None;
        }
        let mut rows = Vec::with_capacity(groups.len());
        let (mut first, mut servers_before, mut weight_total) = (0u32, 0u32, 0.0);
        for (subcluster, group) in groups.iter().enumerate() {
            let (servers, weight) = (group.servers, group.weight);
            if !(weight >= 0.0 && weight.is_finite()) {
                return None;
            }
            let end = first.checked_add(servers)?;
            if servers > 0 && weight > 0.0 {
                let subcluster = u32::try_from(subcluster).ok()?;
                let weight_own = f64::from(servers) * weight;
                weight_total += weight_own;
                rows.push(SlotRow {
                    subcluster,
                    first,
                    servers,
                    servers_before,
                    weight,
                    weight_own,
                    weight_total,
                });
                servers_before += servers;
            }
            first = end;
        }
        if (servers_before as usize) < replicas || !f64::is_finite(weight_total) {
            return None;
        }
        let quiet = rows.iter().map(|row| QuietBound::of(row, replicas)).collect();
        Some(Self { replicas, rows, quiet })
    }

    /// How many replicas a lookup finds: from 1 to [`REPLICAS_MAX`], and no more than there are servers of weight
    /// above 0.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// The sub-clusters of weight above 0, oldest first; at least one.
    pub fn rows(&self) -> &[SlotRow] {
        &self.rows
    }

    /// See [`QuietBound`]; as long as [`SlotTable::rows`].
    pub(crate) fn quiet(&self) -> &[QuietBound] {
        &self.quiet
    }

    /// How many servers have a weight above 0.
    pub fn weighted_servers(&self) -> u32 {
        self.rows.last().map_or(0, |row| row.servers_before + row.servers)
    }

    /// The node that is number `rank`, from 0, among the servers of weight above 0.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn weighted_server(&self, rank: u32) -> NodeIndex {
        let row = self.rows[self.rows.partition_point(|row| row.servers_before <= rank) - 1];
        assert!(
            rank - row.servers_before < row.servers,
            "rank {rank} is beyond the servers of weight above 0"
        );
        NodeIndex::new(row.first + (rank - row.servers_before))
    }
}

impl QuietBound {
    /// A draw u is a hit when `u * total < yes`, where total has lost one weight for each earlier draw, so no draw
    /// is one at or above yes divided by the smallest total.
    fn of(row: &SlotRow, replicas: usize) -> Self {
        /// Covers the rounding of the sums many times over. Too large a bound costs a look at the row, no more.
        const SLACK: f64 = 1.0 + 1e-9;
        const WHOLE: f64 = 4_294_967_296.0;
        let always = Self { subcluster: row.subcluster, above: u32::MAX };
        if (row.servers_before as usize) < replicas {
            return always; // the older ones may not hold all: something may be forced on it
        }
        let total_least = row.weight_total - (replicas - 1) as f64 * row.weight;
        if total_least < row.weight {
            return always;
        }
        // Rounded up by more than one step of the scale. The conversion stops at u32::MAX.
        let bound = row.weight_own / total_least * SLACK * WHOLE + 1.0;
        Self { above: bound as u32, ..always }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(groups: &[(u32, f64)], replicas: usize) -> Option<SlotTable> {
        let groups: Vec<_> = groups.iter().map(|&(servers, weight)| SlotGroup { servers, weight }).collect();
        SlotTable::new(&groups, replicas)
    }

    #[test]
    fn sub_clusters_without_servers_or_weight_keep_their_numbers_and_count_for_nothing() {
        let table = table(&[(2, 1.5), (3, 0.0), (0, 7.0), (4, 0.5)], 6).unwrap();
        let rows: Vec<_> = table
            .rows()
            .iter()
            .map(|row| (row.subcluster, row.first, row.servers, row.servers_before, row.weight_total))
            .collect();
        assert_eq!(rows, [(0, 0, 2, 0, 3.0), (3, 5, 4, 2, 5.0)]);
        assert_eq!(table.weighted_servers(), 6);
        let ranked: Vec<_> = (0..6).map(|rank| table.weighted_server(rank).get()).collect();
        assert_eq!(ranked, [0, 1, 5, 6, 7, 8]);
    }

    #[test]
    fn what_could_make_a_lookup_fail_is_refused() {
        assert!(table(&[(3, 1.0)], 3).is_some());
        assert!(table(&[(3, 1.0)], 4).is_none());
        assert!(table(&[(3, 1.0), (9, 0.0)], 4).is_none());
        assert!(table(&[(3, 1.0)], 0).is_none());
        assert!(table(&[(30, 1.0)], REPLICAS_MAX + 1).is_none());
        assert!(table(&[], 1).is_none());
        assert!(table(&[(u32::MAX, 1.0), (1, 1.0)], 1).is_none());
        for weight in [-1.0, f64::NAN, f64::INFINITY, f64::MAX] {
            assert!(table(&[(3, 1.0), (3, weight)], 1).is_none(), "{weight}");
        }
    }
}
