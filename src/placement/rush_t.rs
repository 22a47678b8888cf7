//! RUSH_T: R. J. Honicky and E. L. Miller, "Replication Under Scalable Hashing: A Family of Algorithms for Scalable
//! Decentralized Data Distribution", IPDPS 2004, section 3.3.
//!
//! Each replica goes down a tree whose leaves are the sub-clusters (`cluster/tree.rs`, which says why it is shaped
//! as it is). At a node, each subtree waits for a time, exponentially distributed and the shorter the heavier it
//! is, and the first is taken: each with the chance that is its share of the weight. When one subtree's weight
//! changes, only it gains or loses. Key, replica and the label of the binary tree's node over two neighbours give
//! one draw, whose high half is for the left and whose low half for the right one. In the leaf the replica takes a
//! server of its own (`server.rs`), which needs at least as many servers as replicas in each sub-cluster.
//!
//! A draw of 32 bits is enough: only a subtree of less than about 2^-32 of its neighbours' weight receives noticeably
//! less than its share by it, and that is the share of one key of all there are. FROZEN, like the mixer.

use super::mixer::{Mixer, Purpose};
use super::server::server;
use super::{Event, Replicas, Trace};
use crate::cluster::{REPLICAS_MAX, SlotTable, SubClusterTree, TreeNode};

/// The servers of one object; the rank of each is the replica it holds. `tree` is that over the rows of `slots`,
/// each of which has at least as many servers as there are replicas.
#[inline(never)]
pub(super) fn locate_into(
    slots: &SlotTable,
    tree: &SubClusterTree,
    mixer: Mixer,
    found: &mut Replicas,
    trace: &mut impl Trace,
) {
    let count = slots.replicas();
    let mut targets = [tree.root(); REPLICAS_MAX];
    // All replicas go one step, then all the next: while one waits for the outcome of its draws, the processor
    // works on those of the others.
    let mut arrived = 0;
    while arrived < count {
        arrived = 0;
        for (replica, target) in (0..).zip(&mut targets[..count]) {
            match tree.node(*target) {
                None => arrived += 1,
                Some(node) => *target = first_branch(tree, node, replica, mixer, trace),
            }
        }
    }
    for (replica, target) in (0..).zip(&targets[..count]) {
        found.extend(&[server(&slots.rows()[*target as usize], replica, mixer, trace)]);
    }
}

/// What the subtree with the shortest wait leads to; the oldest of several.
#[inline]
fn first_branch<T: Trace>(
    tree: &SubClusterTree,
    node: &TreeNode,
    replica: u32,
    mixer: Mixer,
    trace: &mut T,
) -> u32 {
    let branches = tree.branches(node);
    let draw = |position: usize| {
        let pair = mixer.bits(Purpose::Wait, node.label_over(position), replica);
        (pair >> (32 - position % 2 * 32)) as u32
    };
    let wait = |position: usize, draw: u32| (half_lives(draw) * branches[position].per_weight).to_bits();
    let even = node.even as usize;
    // Among equal weights the shortest wait is that of the largest draw.
    let pairs = mixer.bits_of_every(Purpose::Wait, node.first_label, node.label_step, replica);
    let (mut first, largest) = largest_draw(pairs, even);
    if even < branches.len() {
        let mut shortest = wait(first, largest);
        for position in even..branches.len() {
            let wait = wait(position, draw(position));
            // No branches in the code, here and below, since the processor could not foresee them.
            first = if wait < shortest { position } else { first };
            shortest = if wait < shortest { wait } else { shortest };
        }
    }
    if T::LISTENS {
        for (position, extent) in tree.extents(node).iter().enumerate() {
            trace.note(|| Event::Wait {
                replica,
                label: node.label_over(position),
                oldest: extent.oldest,
                newest: extent.newest,
                weight: extent.weight,
                wait: f64::from_bits(wait(position, draw(position))),
                shortest: position == first,
            });
        }
    }
    branches[first].target
}

/// The position of the largest of `count` draws, the oldest of several, and that draw.
#[inline]
fn largest_draw(mut pairs: impl Iterator<Item = u64>, count: usize) -> (usize, u32) {
    // Draws with their positions below, which count down so that the oldest of equal draws is the largest.
    const DRAW: u64 = 0xffff_ffff << 32;
    let mut largest = 0;
    let mut below = u64::from(u32::MAX);
    for pair in pairs.by_ref().take(count / 2) {
        largest = largest.max(pair & DRAW | below).max(pair << 32 | (below - 1));
        below -= 2;
        // Nothing is larger. Without this, compilers try several pairs at once with instructions that multiply 32
        // bits at a time, which takes twice as long.
        if largest == u64::MAX {
            break;
        }
    }
    if count % 2 == 1 {
        largest = largest.max(pairs.next().unwrap_or(0) & DRAW | below);
    }
    ((u32::MAX - largest as u32) as usize, (largest >> 32) as u32)
}

/// A draw of 32 bits as a real between 0 and 1: the middle of the part of 2^32 that it stands for.
#[inline]
fn fraction(draw: u32) -> f64 {
    (f64::from(draw) + 0.5) * (1.0 / (1u64 << 32) as f64)
}

/// Minus the logarithm to base 2 of a draw as a [`fraction`]: how many half-lives something of that fate lasts.
/// Above 0, and within 5e-8 of the exact value, relatively.
///
/// Computed by additions and multiplications alone, which give the same on every machine; a library's logarithm
/// does not.
#[inline]
fn half_lives(draw: u32) -> f64 {
    /// -log2(1 - t / 2) / t for t from 0 to 1, interpolated at the extremes of the Chebyshev polynomial of degree
    /// 8, so that it is 1 at 1 exactly; lowest power first.
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
    let [s0, s1, s2, s3, s4, s5, s6, s7, s8] = SERIES;
    // The fraction is (1 - t / 2) / 2^halvings, and t is exact.
    let bits = fraction(draw).to_bits();
    let halvings = 1022 - (bits >> 52) as u32;
    let t = 2.0 - f64::from_bits(bits & ((1 << 52) - 1) | 1.0f64.to_bits());
    // Frozen in this order, in which half of it can be computed at once.
    let (t2, t4) = (t * t, (t * t) * (t * t));
    let low = (s0 + s1 * t) + (s2 + s3 * t) * t2;
    let high = (s4 + s5 * t) + (s6 + s7 * t) * t2;
    f64::from(halvings) + t * (low + (high + s8 * t4) * t4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_logarithms() {
        let draws = (0..=u32::MAX).step_by(99_991).chain([u32::MAX, 1 << 31, (1 << 31) - 1, 1 << 30]);
        for draw in draws {
            let (wait, exact) = (half_lives(draw), -fraction(draw).log2());
            assert!(wait > 0.0 && (wait - exact).abs() <= 5e-8 * exact, "{draw}: {wait}, {exact}");
        }
    }

    /// Else the largest of draws for equal weights would not always be the shortest wait.
    #[test]
    fn the_larger_the_draw_the_shorter_the_wait() {
        let starts = (0..=u32::MAX).step_by(9_999_991).chain((0..32).map(|bit| (1u32 << bit) - 1));
        for draw in starts.flat_map(|start| start..start.saturating_add(20)) {
            assert!(half_lives(draw) > half_lives(draw + 1), "{draw}");
        }
    }

    #[test]
    fn waits_never_change() {
        let waits = [0, 1, 0x1234_5678, 1 << 31, 3 << 30, u32::MAX].map(|draw| half_lives(draw).to_bits());
        // Computed from the description above by a second program.
        assert_eq!(
            waits,
            [
                0x4040_8000_0000_0000,
                0x403f_6a3f_e5c6_042a,
                0x400e_829f_b5e3_3139,
                0x3fef_ffff_ffd1_d575,
                0x3fda_8ff9_7143_7c4e,
                0x3de7_1547_6531_4851
            ]
        );
    }

    #[test]
    fn the_largest_draw_is_the_oldest_of_several() {
        let pairs = |draws: &[u32]| {
            let pair = |two: &[u32]| u64::from(two[0]) << 32 | u64::from(*two.get(1).unwrap_or(&u32::MAX));
            draws.chunks(2).map(pair).collect::<Vec<_>>()
        };
        let cases: [(&[u32], usize); 7] = [
            (&[0], 0),
            (&[0, 0, 0], 0),
            (&[5, 7, 7, 6], 1),
            (&[5, 7, 9], 2),
            (&[1, u32::MAX, u32::MAX], 1),
            (&[u32::MAX, u32::MAX], 0),
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], 15),
        ];
        for (draws, position) in cases {
            assert_eq!(largest_draw(pairs(draws).into_iter(), draws.len()), (position, draws[position]));
        }
    }
}
