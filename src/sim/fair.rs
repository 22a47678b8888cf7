//! What each node should hold by its weight, and how far counts are from what should be. Arithmetic only.

use crate::cluster::{ClusterMap, NodeIndex};

/// The weight that a node is placed by, but 0 if it is out or lost.
pub(super) fn weight_in_service(map: &ClusterMap, node: NodeIndex) -> f64 {
    if map.node(node).state().is_in_service() { map.weight_of(node) } else { 0.0 }
}

/// The copies of each object that fall on each node by its weight: shares of [`ClusterMap::replicas`], at most 1 for a
/// node, because no node holds two copies of an object. Where weight asks for more, the others get what is left, by
/// their weights. 0 for a node that is out.
///
/// What an algorithm refuses besides, such as two copies in one rack, does not show here.
pub(super) fn fair_copies(map: &ClusterMap) -> Vec<f64> {
    let weights: Vec<f64> = map.indexed().map(|(node, _)| weight_in_service(map, node)).collect();
    share_out(&weights, map.replicas() as f64)
}

/// Shares `total` out by weight, at most 1 to each; `total` is not more than the number of weights above 0.
fn share_out(weights: &[f64], total: f64) -> Vec<f64> {
    let mut full = vec![false; weights.len()];
    loop {
        let left = total - full.iter().filter(|full| **full).count() as f64;
        let open: f64 = weights.iter().zip(&full).filter(|(_, full)| !**full).map(|(weight, _)| weight).sum();
        let share = |weight: f64| if open > 0.0 { weight / open * left } else { 0.0 };
        let over: Vec<usize> =
            (0..weights.len()).filter(|node| !full[*node] && share(weights[*node]) > 1.0).collect();
        if over.is_empty() {
            let share = |(weight, full): (&f64, &bool)| if *full { 1.0 } else { share(*weight) };
            return weights.iter().zip(&full).map(share).collect();
        }
        over.into_iter().for_each(|node| full[node] = true);
    }
}

/// How far counts lie from what was expected, against what pure chance would do: the root of chi squared by its
/// degrees of freedom. 1 is what throwing each copy on its own would give; copies of an object that avoid each other,
/// as they must, come out a little lower where nodes are few. Only the proportions of `expected` count; `None` if
/// fewer than two are above 0 or nothing was counted.
pub(super) fn spread(counts: &[u64], expected: &[f64]) -> Option<f64> {
    let counted = || counts.iter().zip(expected).filter(|(_, expected)| **expected > 0.0);
    let total: u64 = counted().map(|(count, _)| count).sum();
    let expected_total: f64 = counted().map(|(_, expected)| expected).sum();
    let kinds = counted().count();
    if kinds < 2 || total == 0 {
        return None;
    }
    let squares = counted().map(|(count, expected)| {
        let expected = expected / expected_total * total as f64;
        (*count as f64 - expected).powi(2) / expected
    });
    Some((squares.sum::<f64>() / (kinds - 1) as f64).sqrt())
}

/// `part` of `whole`; `None` of nothing.
pub(super) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::NodeState;
    use crate::sim::testing::{fleet, map};

    #[test]
    fn shares_follow_the_weights_of_the_nodes_in_service() {
        let spec = fleet(2, &[(2, 1.0), (1, 4.0), (2, 0.0), (2, 1.0)]);
        assert_eq!(fair_copies(&map(spec.clone())), [0.25, 0.25, 1.0, 0.0, 0.0, 0.25, 0.25]);
        let third = 1.0 / 3.0;
        for state in [NodeState::Out, NodeState::Lost] {
            let mut out = spec.clone();
            out.node_mut("n0").unwrap().state = state;
            assert_eq!(fair_copies(&map(out)), [0.0, third, 1.0, 0.0, 0.0, third, third]);
        }
    }

    #[test]
    fn no_node_is_entitled_to_two_copies() {
        assert_eq!(share_out(&[1.0, 1.0, 100.0], 2.0), [0.5, 0.5, 1.0]);
        // The second is only found to be full once the first is.
        assert_eq!(share_out(&[100.0, 3.0, 1.0, 0.0], 2.5), [1.0, 1.0, 0.5, 0.0]);
        assert_eq!(share_out(&[5.0, 1.0, 0.0], 2.0), [1.0, 1.0, 0.0]);
        assert_eq!(share_out(&[1.0; 4], 4.0), [1.0; 4]);
    }

    #[test]
    fn spread_is_the_root_of_chi_squared_by_its_degrees() {
        // Expected 20 and 10 of 30: (5^2 / 20 + 5^2 / 10) / 1.
        let found = spread(&[25, 5, 0], &[2.0, 1.0, 0.0]).unwrap();
        assert!((found - 3.75_f64.sqrt()).abs() < 1e-12, "{found}");
        assert_eq!(spread(&[7, 7], &[0.5, 0.5]), Some(0.0));
        assert_eq!(spread(&[7, 0], &[1.0, 0.0]), None);
        assert_eq!(spread(&[0, 0], &[1.0, 1.0]), None);
    }
}
