//! What moves when one map takes the place of another, against the least that has to.

use std::cmp::Reverse;

use serde::Serialize;

use super::fair::ratio;
use super::tally::{Plan, Tally};
use super::{Load, Objects, Progress};
use crate::cluster::{ClusterMap, NodeName};
use crate::placement::locate;

/// What moves between two maps. A copy moves when a node must hold an object that it did not hold before; that a node
/// changes its rank among the owners of an object moves nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Movement {
    /// The objects placed.
    pub objects: u64,
    /// Objects of which any copy moved, came or went.
    pub objects_changed: u64,
    /// Copies that nodes must receive: the sum of `arrived` over the nodes.
    pub moved: u64,
    /// Copies that nodes lose: the sum of `left`. As many as moved, unless the maps differ in replicas.
    pub left: u64,
    /// `moved` as a part of all copies before.
    pub moved_share: f64,
    /// The copies that have to move for every node to hold its fair share: what the shares that grow, grow by.
    pub optimum: f64,
    /// `moved` as a multiple of the optimum; none where nothing has to move.
    pub against_optimum: Option<f64>,
    /// Copies that moved without need: onto a node whose fair share does not grow, or off one whose share does not
    /// shrink.
    pub astray: u64,
    /// The load before.
    pub before: Load,
    /// The load after.
    pub after: Load,
    /// The nodes of the map before, in order, then those that only the map after has.
    pub nodes: Vec<NodeMovement>,
    /// Whether `pairs` are of nodes, or of sub-clusters since there are too many nodes; none if there are too many of
    /// both.
    pub pairs_of: Option<PairsOf>,
    /// From where to where copies move, the most first.
    pub pairs: Vec<Pair>,
}

/// What one node receives and loses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeMovement {
    /// Its name.
    pub node: NodeName,
    /// The copies it holds before; none if the map before does not have it.
    pub before: Option<u64>,
    /// The copies it holds after; none if the map after does not have it.
    pub after: Option<u64>,
    /// The copies it should hold before, by its weight.
    pub fair_before: f64,
    /// The copies it should hold after.
    pub fair_after: f64,
    /// The copies it receives.
    pub arrived: u64,
    /// The copies it loses.
    pub left: u64,
}

/// What the two ends of a [`Pair`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PairsOf {
    /// Nodes.
    Nodes,
    /// Sub-clusters.
    SubClusters,
}

/// Copies that move from one place to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Where they are before; none where an object has more copies than before.
    pub from: Option<String>,
    /// Where they are after.
    pub to: String,
    /// How many.
    pub copies: u64,
}

impl Movement {
    /// Places all objects under both maps.
    pub fn measure(
        before: &ClusterMap,
        after: &ClusterMap,
        objects: Objects,
        progress: &impl Progress,
    ) -> Self {
        let plan = Plan::new(before, after, true);
        let (counts_before, mut tallies) = tallies(before, std::slice::from_ref(&plan), objects, progress);
        let tally = tallies.remove(0);
        let scale = objects.count as f64;
        let (moved, left): (u64, u64) = (tally.arrived.iter().sum(), tally.left.iter().sum());
        let optimum = plan.optimum() * scale;
        let before_load = Load::of_counts(before, objects, &counts_before);
        let counts_after: Vec<u64> =
            plan.place_after.iter().map(|place| tally.after[*place as usize]).collect();
        let counted = plan.pairs.iter().flat_map(|pairs| pairs.counted());
        let mut pairs: Vec<Pair> =
            counted.map(|(from, to, copies)| Pair { from: from.cloned(), to: to.clone(), copies }).collect();
        // A stable sort: pairs of as many copies stay in the order of the maps.
        pairs.sort_by_key(|pair| Reverse(pair.copies));
        Self {
            objects: objects.count,
            objects_changed: tally.objects_changed,
            moved,
            left,
            moved_share: moved as f64 / before_load.copies as f64,
            optimum,
            against_optimum: ratio(moved as f64, optimum),
            astray: tally.astray,
            before: before_load,
            after: Load::of_counts(after, objects, &counts_after),
            nodes: nodes(before, &plan, &counts_before, &tally, scale),
            pairs_of: plan.pairs.as_ref().map(|pairs| pairs.of),
            pairs,
        }
    }
}

/// The copies of each object that have to move, on the average, for every node to hold its fair share after a change: what
/// the shares that grow, grow by.
pub fn optimum(before: &ClusterMap, after: &ClusterMap) -> f64 {
    Plan::new(before, after, false).optimum()
}

/// The copies on each node of `before`, and what each plan moves.
pub(super) fn tallies(
    before: &ClusterMap,
    plans: &[Plan<'_>],
    objects: Objects,
    progress: &impl Progress,
) -> (Vec<u64>, Vec<Tally>) {
    let start = || {
        let tallies: Vec<Tally> = plans.iter().map(|plan| Tally::new(plan.places())).collect();
        (vec![0; before.nodes().len()], tallies)
    };
    let count = |sum: &mut (Vec<u64>, Vec<Tally>), key| {
        let owners = locate(before, key);
        owners.iter().for_each(|node| sum.0[node.get()] += 1);
        for (plan, tally) in plans.iter().zip(&mut sum.1) {
            tally.count(plan, &owners, &locate(plan.after, key));
        }
    };
    let join = |sum: (Vec<u64>, Vec<Tally>), more: (Vec<u64>, Vec<Tally>)| {
        let tallies = sum.1.into_iter().zip(more.1).map(|(tally, more)| tally.join(more)).collect();
        (super::load::add(sum.0, more.0), tallies)
    };
    objects.fold(progress, start, count, join)
}

fn nodes(
    before: &ClusterMap,
    plan: &Plan<'_>,
    counts_before: &[u64],
    tally: &Tally,
    scale: f64,
) -> Vec<NodeMovement> {
    let mut in_after = vec![false; plan.places()];
    plan.place_after.iter().for_each(|place| in_after[*place as usize] = true);
    let added = plan.added.iter().map(|node| &plan.after.nodes()[*node as usize]);
    let one = |(place, node): (usize, &crate::cluster::Node)| NodeMovement {
        node: node.name().clone(),
        before: counts_before.get(place).copied(),
        after: in_after[place].then(|| tally.after[place]),
        fair_before: plan.fair_before[place] * scale,
        fair_after: plan.fair_after[place] * scale,
        arrived: tally.arrived[place],
        left: tally.left[place],
    };
    before.nodes().iter().chain(added).enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cluster::{MapSpec, NodeState};
    use crate::sim::testing::{changed, fleet, map};

    const OBJECTS: Objects = Objects { count: 20_000, seed: 0 };

    /// The change, measured, with what must hold for every change.
    fn measured(before: &MapSpec, change: impl FnOnce(&mut MapSpec)) -> Movement {
        let (before, after) = (map(before.clone()), changed(before, change));
        let movement = Movement::measure(&before, &after, OBJECTS, &());
        let sum = |of: fn(&NodeMovement) -> u64| movement.nodes.iter().map(of).sum::<u64>();
        assert_eq!((sum(|node| node.arrived), sum(|node| node.left)), (movement.moved, movement.left));
        assert_eq!(movement.pairs.iter().map(|pair| pair.copies).sum::<u64>(), movement.moved);
        for node in &movement.nodes {
            let (held, holds) = (node.before.unwrap_or(0), node.after.unwrap_or(0));
            assert_eq!(held + node.arrived, holds + node.left, "{node:?}");
        }
        assert_eq!(movement.before, Load::measure(&before, OBJECTS, &()));
        assert_eq!(movement.after, Load::measure(&after, OBJECTS, &()));
        assert_eq!((movement.moved, movement.left, movement.objects_changed), slowly(&before, &after));
        let gained = movement.after.copies as i64 - movement.before.copies as i64;
        assert_eq!(movement.moved as i64 - movement.left as i64, gained);
        movement
    }

    /// The copies that come and go, and the objects that change, by the sets of names that hold each object.
    fn slowly(before: &ClusterMap, after: &ClusterMap) -> (u64, u64, u64) {
        let (mut counted, mut name) = ((0, 0, 0), String::new());
        for number in 0..OBJECTS.count {
            let key = OBJECTS.key(number, &mut name);
            let holders = |map: &ClusterMap| -> BTreeSet<NodeName> {
                locate(map, key).iter().map(|node| map.node(*node).name().clone()).collect()
            };
            let (before, after) = (holders(before), holders(after));
            counted.0 += after.difference(&before).count() as u64;
            counted.1 += before.difference(&after).count() as u64;
            counted.2 += u64::from(before != after);
        }
        counted
    }

    fn about(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 0.03, "{found}, not about {expected}");
    }

    #[test]
    fn the_same_map_moves_nothing() {
        let movement = measured(&fleet(2, &[(3, 1.0), (3, 2.0)]), |spec| spec.epoch = 2);
        assert_eq!((movement.moved, movement.objects_changed, movement.astray), (0, 0, 0));
        assert_eq!((movement.optimum, movement.against_optimum), (0.0, None));
        assert!(movement.pairs.is_empty());
    }

    #[test]
    fn a_node_that_is_out_and_lost_then_moves_nothing() {
        let mut out = fleet(2, &[(3, 1.0), (3, 2.0)]);
        out.node_mut("n1").unwrap().state = NodeState::Out;
        let movement = measured(&out, |spec| spec.node_mut("n1").unwrap().state = NodeState::Lost);
        assert_eq!((movement.moved, movement.left, movement.optimum), (0, 0, 0.0));
        assert!(movement.after.nodes[1].lost && movement.after.nodes[1].out);
    }

    #[test]
    fn a_slot_under_a_new_name_is_filled_from_the_old_one() {
        let movement =
            measured(&fleet(2, &[(4, 1.0)]), |spec| spec.node_mut("n1").unwrap().name = "new".into());
        let held = movement.before.nodes[1].copies;
        assert_eq!((movement.moved, movement.objects_changed, movement.astray), (held, held, 0));
        assert_eq!(movement.optimum, 10_000.0);
        assert_eq!(movement.pairs, [Pair { from: Some("n1".into()), to: "new".into(), copies: held }]);
        let new = &movement.nodes[4];
        assert_eq!(
            (new.node.as_str(), new.before, new.after, new.fair_before),
            ("new", None, Some(held), 0.0)
        );
        let old = &movement.nodes[1];
        assert_eq!((old.before, old.after, old.left, old.fair_after), (Some(held), None, held, 0.0));
    }

    #[test]
    fn growth_moves_the_share_of_the_new_nodes_and_nothing_else() {
        let movement = measured(&fleet(2, &[(3, 1.0), (3, 1.0)]), |spec| {
            spec.subclusters.push(fleet(2, &[(3, 1.0), (3, 1.0), (6, 1.0)]).subclusters.remove(2));
        });
        assert!((movement.optimum - 20_000.0).abs() < 1e-6, "{}", movement.optimum);
        about(movement.against_optimum.unwrap(), 1.0);
        assert_eq!(movement.astray, 0);
        let new: Vec<String> = (6..12).map(|number| format!("n{number}")).collect();
        assert!(movement.pairs.iter().all(|pair| new.contains(&pair.to)), "{:?}", movement.pairs);
    }

    #[test]
    fn another_copy_comes_from_nowhere_and_one_less_leaves_only() {
        let fleets = |replicas| fleet(replicas, &[(3, 1.0)]);
        let more = measured(&fleets(2), |spec| spec.replicas = 3);
        assert_eq!((more.moved, more.left, more.optimum, more.astray), (20_000, 0, 20_000.0, 0));
        assert_eq!(more.moved_share, 0.5);
        assert!(more.pairs.iter().all(|pair| pair.from.is_none()), "{:?}", more.pairs);
        let less = measured(&fleets(3), |spec| spec.replicas = 2);
        assert_eq!((less.moved, less.left, less.optimum, less.objects_changed), (0, 20_000, 0.0, 20_000));
    }

    #[test]
    fn a_node_that_is_out_loses_its_copies_and_nothing_goes_astray() {
        let movement = measured(&fleet(3, &[(5, 1.0), (5, 1.0)]), |spec| {
            spec.node_mut("n7").unwrap().state = NodeState::Out;
        });
        assert_eq!((movement.moved, movement.nodes[7].after), (movement.nodes[7].left, Some(0)));
        assert!(movement.pairs.iter().all(|pair| pair.from.as_deref() == Some("n7")));
        assert_eq!((movement.astray, movement.pairs.len()), (0, 9));
    }

    #[test]
    fn everything_at_once_still_adds_up() {
        let movement = measured(&fleet(2, &[(4, 1.0), (3, 2.0), (3, 0.5)]), |spec| {
            spec.replicas = 3;
            spec.subclusters[1].weight = 0.0;
            spec.node_mut("n8").unwrap().name = "new".into();
            spec.node_mut("n7").unwrap().state = NodeState::Out;
            spec.subclusters.remove(0);
            spec.subclusters.push(fleet(2, &[(5, 1.0), (4, 1.0), (1, 1.0), (5, 3.0)]).subclusters.remove(3));
        });
        let (old, new) = (&movement.nodes[0], &movement.nodes[10]);
        assert_eq!((old.node.as_str(), old.after, old.left), ("n0", None, old.before.unwrap()));
        assert_eq!((new.node.as_str(), new.before, new.arrived), ("new", None, new.after.unwrap()));
        assert!(movement.against_optimum.unwrap() > 1.0 && movement.astray < movement.moved);
    }

    #[test]
    fn what_moves_between_nodes_that_keep_their_shares_is_astray() {
        // The same nodes in another order: all shares stay, most copies move.
        let movement = measured(&fleet(2, &[(4, 1.0)]), |spec| spec.subclusters[0].nodes.rotate_left(1));
        assert_eq!(movement.optimum, 0.0);
        assert!(movement.moved > 10_000, "{}", movement.moved);
        assert_eq!((movement.astray, movement.against_optimum), (movement.moved, None));
    }

    #[test]
    fn pairs_are_of_sub_clusters_where_there_are_too_many_nodes() {
        let before = fleet(2, &[(1_000, 1.0), (1_000, 1.0)]);
        let movement = measured(&before, |spec| spec.subclusters[1].weight = 0.0);
        assert_eq!(movement.pairs_of, Some(PairsOf::SubClusters));
        let pair = &movement.pairs[0];
        assert_eq!((pair.from.as_deref(), pair.to.as_str()), (Some("s1"), "s0"));
    }
}
