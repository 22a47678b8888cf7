//! What a bucket's lookups need besides its weights, computed from them once: the sums of a list, the nodes of a
//! tree, the lengths of straws. Arithmetic alone; `tests/vectors/crush/README.md` states each formula.

use super::fixed::power;
use super::spec::StrawCalculation;

/// The sum of each weight and all before it; `None` if one does not fit.
pub(super) fn list_sums(weights: &[u32]) -> Option<Vec<u32>> {
    let mut sum = 0u32;
    let mut next = |weight: &u32| {
        sum = sum.checked_add(*weight)?;
        Some(sum)
    };
    weights.iter().map(&mut next).collect()
}

/// The weights of the nodes of the tree over items of these weights, by label; the sum of all must fit 32 bits.
///
/// Item i is the leaf 2i + 1. A node whose label has h > 0 trailing zero bits has its children 2^(h-1) to either
/// side, and weighs what they weigh together; leaves without an item weigh nothing.
pub(super) fn tree_nodes(weights: &[u32]) -> Vec<u32> {
    let Some(last) = weights.len().checked_sub(1) else {
        return Vec::new();
    };
    let depth = 1 + (usize::BITS - last.leading_zeros());
    let count = 1usize << depth;
    let mut nodes = vec![0u32; count];
    for (at, weight) in weights.iter().enumerate() {
        nodes[2 * at + 1] = *weight;
    }
    for height in 1..depth {
        let (step, half) = (1usize << height, 1usize << (height - 1));
        // Labels with exactly `height` trailing zeros.
        for label in (step..count).step_by(2 * step) {
            nodes[label] = nodes[label - half] + nodes[label + half];
        }
    }
    nodes
}

/// The lengths of the straws for items of these weights; `None` if one does not fit.
pub(super) fn straw_lengths(weights: &[u32], calculation: StrawCalculation) -> Option<Vec<u32>> {
    let mut rising: Vec<usize> = (0..weights.len()).collect();
    rising.sort_by_key(|at| weights[*at]);
    let mut lengths = vec![0u32; weights.len()];
    let mut left = weights.len() as u32;
    let (mut straw, mut below, mut last) = (1.0f64, 0.0f64, 0.0f64);
    for (rank, &at) in rising.iter().enumerate() {
        let weight = weights[at];
        if weight == 0 {
            if calculation == StrawCalculation::Corrected {
                left -= 1;
            }
            continue;
        }
        lengths[at] = length(straw)?;
        let Some(&following) = rising.get(rank + 1) else { break };
        let following = weights[following];
        if calculation == StrawCalculation::Original && following == weight {
            continue;
        }
        below += (f64::from(weight) - last) * f64::from(left);
        left -= match calculation {
            StrawCalculation::Original => {
                rising[rank + 1..].iter().take_while(|at| weights[**at] == following).count() as u32
            }
            StrawCalculation::Corrected => 1,
        };
        // The original counts this in 32 bits and lets it wrap.
        let next = f64::from(left.wrapping_mul(following - weight));
        straw *= power(1.0 / (below / (below + next)), 1.0 / f64::from(left));
        last = f64::from(weight);
    }
    Some(lengths)
}

/// A length as fixed point, rounded down.
fn length(straw: f64) -> Option<u32> {
    let scaled = straw * 65_536.0;
    (scaled >= 0.0 && scaled <= f64::from(u32::MAX)).then_some(scaled as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_a_tree_weigh_what_is_below_them() {
        assert!(tree_nodes(&[]).is_empty());
        assert_eq!(tree_nodes(&[7]), [0, 7]);
        assert_eq!(tree_nodes(&[1, 2]), [0, 1, 3, 2]);
        assert_eq!(tree_nodes(&[1, 2, 4]), [0, 1, 3, 2, 7, 4, 4, 0]);
        assert_eq!(tree_nodes(&[1, 2, 4, 8, 16])[8], 31);
    }

    #[test]
    fn sums_and_straws_that_do_not_fit_are_noticed() {
        assert_eq!(list_sums(&[1, 2, 4]), Some(vec![1, 3, 7]));
        assert_eq!(list_sums(&[u32::MAX, 1]), None);
        for calculation in [StrawCalculation::Original, StrawCalculation::Corrected] {
            assert_eq!(straw_lengths(&[], calculation), Some(vec![]));
            assert_eq!(straw_lengths(&[0, 0], calculation), Some(vec![0, 0]));
            assert_eq!(straw_lengths(&[9, 9], calculation), Some(vec![65_536, 65_536]));
            assert_eq!(straw_lengths(&[1, u32::MAX - 1], calculation), None);
        }
    }
}
