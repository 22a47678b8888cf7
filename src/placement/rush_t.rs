//! RUSH_T: R. J. Honicky and E. L. Miller, "Replication Under Scalable Hashing: A Family of Algorithms for Scalable
//! Decentralized Data Distribution", IPDPS 2004, section 3.3.
//!
//! Each replica goes down a tree whose leaves are the sub-clusters (`cluster/tree.rs`, which says why it is shaped as
//! it is). At a node, each subtree waits for a time drawn by key, replica and its label, the shorter the heavier it
//! is, and the first one is taken: each with the chance that is its share of the weight. When one subtree's weight
//! changes, only it gains or loses. In the leaf the replica takes a server of its own (`server.rs`), which needs at
//! least as many servers as replicas in each sub-cluster. FROZEN, like the mixer.

use super::mixer::{Mixer, Purpose};
use super::server::server;
use super::{Event, Replicas, Trace};
use crate::cluster::{SlotTable, Standing, SubClusterTree, TreeNode};

/// The servers of one object; the rank of each is the replica it holds. `tree` is that over the rows of `slots`, each of which
/// has at least as many servers as there are replicas.
#[inline]
pub fn locate(slots: &SlotTable, tree: &SubClusterTree, mixer: Mixer, trace: &mut impl Trace) -> Replicas {
    let mut found = Replicas::new();
    for replica in 0..slots.replicas() as u32 {
        let mut target = tree.root();
        let row = loop {
            match tree.standing(target) {
                Standing::Leaf(row) => break row,
                Standing::Node(node) => target = first_branch(tree, node, replica, mixer, trace),
            }
        };
        found.push(server(&slots.rows()[row], replica, mixer, trace));
    }
    found
}

/// What the subtree with the shortest wait leads to.
#[inline]
fn first_branch<T: Trace>(
    tree: &SubClusterTree,
    node: TreeNode,
    replica: u32,
    mixer: Mixer,
    trace: &mut T,
) -> u32 {
    let runs = tree.runs(node);
    let draw = |label: u32| mixer.bits(Purpose::Wait, label, replica);
    let (mut shortest, mut target, mut winner) = (f64::INFINITY, 0, 0);
    for run in runs {
        // Among equal weights the shortest wait is the largest draw, so that only that one is turned into a wait.
        let (mut largest, mut branch) = (0, tree.branches(run)[0]);
        for candidate in tree.branches(run) {
            let bits = draw(candidate.label);
            branch = if bits > largest { *candidate } else { branch };
            largest = largest.max(bits);
        }
        let wait = if runs.len() > 1 { half_lives(largest) * run.per_weight } else { 0.0 };
        if wait < shortest {
            (shortest, target, winner) = (wait, branch.target, branch.label);
        }
    }
    if T::LISTENS {
        for run in runs {
            for (branch, extent) in tree.branches(run).iter().zip(tree.extents(run)) {
                trace.note(|| Event::Wait {
                    replica,
                    label: branch.label,
                    oldest: extent.oldest,
                    newest: extent.newest,
                    weight: extent.weight,
                    wait: half_lives(draw(branch.label)) * run.per_weight,
                    shortest: branch.label == winner,
                });
            }
        }
    }
    target
}

/// Minus the logarithm to base 2 of a draw as a real in (0, 1]: how many half-lives something of that fate lasts.
/// Above 0, never more for a larger draw, and within 5e-8 of the exact value, relatively.
///
/// Computed by additions and multiplications alone, which give the same on every machine; a library's logarithm does
/// not.
#[inline]
fn half_lives(draw: u64) -> f64 {
    /// -log2(1 - t / 2) / t for t from 0 to 1: interpolated at the extremes of the Chebyshev polynomial of degree 8, so that it is
    /// 1 at 1 exactly; lowest power first.
    const SERIES: [f64; 9] = [
        0.721347520444482,
        0.180335964266674,
        0.0601512494087248,
        0.0220601470721447,
        0.0116725048429985,
        -0.00387574243714487,
        0.013660070132161,
        -0.00941640241001392,
        0.00406468867997376,
    ];
    // The draw as a fraction is (1 - t / 2) / 2^zeros; t is exact, as a multiple of 2^-52.
    let zeros = (draw | 1).leading_zeros();
    let mantissa = ((draw | 1) << zeros) << 1 >> 12;
    let t = 2.0 - f64::from_bits(1.0f64.to_bits() | mantissa);
    let series = SERIES.iter().rev().fold(0.0, |sum, factor| sum * t + factor);
    f64::from(zeros) + t * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_logarithms() {
        assert_eq!(half_lives(0), half_lives(1));
        assert!(half_lives(u64::MAX) > 0.0);
        let mut draw = u64::MAX;
        let mut compared = 0;
        let mut last = 0.0;
        while draw > 1 << 20 {
            let (wait, exact) = (half_lives(draw), -(draw as f64 / 2f64.powi(64)).log2());
            // Next to 1 the library's own rounding counts.
            assert!((wait - exact).abs() <= 5e-8 * exact + 1e-15, "{draw}: {wait}, {exact}");
            assert!(wait >= last, "{draw}: a smaller draw waits less");
            last = wait;
            compared += 1;
            draw -= draw / 997 + 1;
        }
        assert!(compared > 10_000, "{compared}");
    }

    #[test]
    fn waits_never_change() {
        let waits =
            [u64::MAX, 3 << 62, 1 << 63, 0x1234_5678_9abc_def0, 0].map(|draw| half_lives(draw).to_bits());
        assert_eq!(waits, [0; 5]);
    }
}
