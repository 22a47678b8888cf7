//! The placements of the original webDFS: a look into the table that [`WebdfsTable`] is; or, where someone listens, the
//! original's own steps, which lead to the same nodes. The steps are in [`crate::php`].

use super::{Event, ObjectKey, Replicas, Trace};
use crate::cluster::{NodeIndex, WebdfsTable};
use crate::php::{Seed, Steps};

/// The owners of the object of that key.
#[inline(never)]
pub(super) fn locate_into<T: Trace>(
    table: &WebdfsTable,
    key: ObjectKey,
    found: &mut Replicas,
    trace: &mut T,
) {
    let seed = Seed::of_crc32(key.number());
    if T::LISTENS {
        trace.note(|| Event::Seed { seed: u32::from(seed.get()) });
        table.walk(seed, &mut Listener { found, trace });
    } else {
        table.owners(seed).for_each(|node| found.extend(&[node]));
    }
}

/// Passes the steps on.
struct Listener<'a, T> {
    found: &'a mut Replicas,
    trace: &'a mut T,
}

impl<T: Trace> Steps for Listener<'_, T> {
    const LISTENS: bool = T::LISTENS;

    fn draw(&mut self, subcluster: u32, replica: u32, draw: f64, chance: f64, hit: bool) {
        self.trace.note(|| Event::Draw { subcluster, replica, draw, chance, hit });
    }

    fn take(&mut self, subcluster: u32, count: u32, forced: u32) {
        self.trace.note(|| Event::Take { subcluster, count, forced });
    }

    fn pick(&mut self, subcluster: u32, node: u32) {
        let (node, replica) = (NodeIndex::new(node), self.found.len() as u32);
        self.found.extend(&[node]);
        self.trace.note(|| Event::Pick { subcluster, replica, node });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{locate, locate_traced};
    use super::*;
    use crate::cluster::{ClusterMap, MapSpec, NodeSpec, NodeState, PlacementSpec, SubClusterSpec};
    use crate::php::PhpVersion;

    fn map(placement: PlacementSpec, out: Option<usize>) -> ClusterMap {
        let mut number = 0;
        let mut node = || {
            number += 1;
            let state = if out == Some(number - 1) { NodeState::Out } else { NodeState::In };
            NodeSpec {
                name: format!("n{number}"),
                url: format!("http://n{number}"),
                public_url: None,
                state,
                location: Default::default(),
            }
        };
        let subclusters = [(4, 1.0), (3, 2.0), (5, 0.0), (2, 4.0)].into_iter().enumerate().map(
            |(position, (count, weight))| SubClusterSpec {
                name: format!("s{position}"),
                weight,
                nodes: (0..count).map(|_| node()).collect(),
            },
        );
        let subclusters = subclusters.collect();
        ClusterMap::new(MapSpec { epoch: 1, replicas: 3, write_quorum: 2, placement, subclusters }).unwrap()
    }

    fn placements() -> impl Iterator<Item = PlacementSpec> {
        PhpVersion::ALL
            .into_iter()
            .flat_map(|php| [PlacementSpec::WebdfsRushR(php), PlacementSpec::WebdfsRushP(php)])
    }

    /// One key of every seed.
    fn keys() -> impl Iterator<Item = ObjectKey> {
        Seed::all().map(|seed| ObjectKey::from_number(u32::from(seed.get()) << 16))
    }

    #[test]
    fn the_steps_that_are_told_lead_where_the_table_says() {
        for placement in placements() {
            let map = map(placement.clone(), None);
            for key in keys().step_by(7) {
                let mut steps = Vec::new();
                let owners = locate_traced(&map, key, &mut steps);
                assert_eq!(owners, locate(&map, key), "{placement:?} {key}");
                assert_eq!(steps.first(), Some(&Event::Seed { seed: key.number() >> 16 }));
                let picked = steps.iter().filter_map(|step| match step {
                    Event::Pick { node, .. } => Some(*node),
                    _ => None,
                });
                assert!(picked.eq(owners.iter().copied()), "{placement:?} {key}: {steps:?}");
                assert!(steps.iter().any(|step| matches!(step, Event::Draw { hit: true, .. })), "{steps:?}");
            }
        }
    }

    #[test]
    fn only_the_objects_of_a_node_that_is_out_move() {
        for placement in placements() {
            for out in [0, 5, 13] {
                let (before, after) = (map(placement.clone(), None), map(placement.clone(), Some(out)));
                let mut moved = 0;
                for key in keys() {
                    let (old, new) = (locate(&before, key), locate(&after, key));
                    for (rank, owner) in old.iter().enumerate() {
                        let is_out = owner.get() == out;
                        assert_eq!(new[rank] != *owner, is_out, "{placement:?} {key}: {old:?}, {new:?}");
                        moved += usize::from(is_out);
                    }
                    assert!(new.iter().all(|node| new.iter().filter(|other| *other == node).count() == 1));
                }
                assert!(moved > 0, "{placement:?}: node {out} holds nothing");
            }
        }
    }
}
