//! A lookup in words: what [`locate_traced`](super::locate_traced) noted, told so that someone who knows nothing of
//! the algorithm can follow how a file came to its nodes, with the values that the words round.
//!
//! For each kind of event there is an arm in [`narrate`] and in `about`, and a function in `words.rs`, `tree.rs` or
//! `crush.rs`. What must never be here: arithmetic that decides anything. The words are about what the lookup did;
//! they do not repeat it.

mod crush;
mod rules;
mod section;
mod tree;
mod values;
mod words;

#[cfg(test)]
mod tests;

use super::Event;
use crate::cluster::{ClusterMap, PlacementKind};

pub use rules::rules;
pub use section::{About, Section, Step, lines};
pub use values::{Branch, Choice, Found, Values};
pub use words::count;

/// Tells the steps of a lookup under `map`, those that belong together as one section.
///
/// # Panics
/// If `events` are from a lookup under another map.
pub fn narrate(map: &ClusterMap, mut events: &[Event]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    while let [event, ..] = events {
        let about = about(map, event);
        // All replicas go down a tree together, so the way of one is told in pieces.
        let found = match about {
            About::Replica(_) => sections.iter().rposition(|section| section.about == about),
            _ => sections.len().checked_sub(1).filter(|last| sections[*last].about == about),
        };
        let at = found.unwrap_or_else(|| {
            let (name, heading) = heading(map, about);
            sections.push(Section { about, name, heading, steps: Vec::new() });
            sections.len() - 1
        });
        let (step, told) = step(map, &sections[at].steps, event, events);
        sections[at].steps.push(step);
        events = &events[told..];
    }
    sections
}

/// The step that `event`, the first of `events`, begins, and how many of them it tells. `before` are the steps before
/// it in its section.
fn step(map: &ClusterMap, before: &[Step], event: &Event, events: &[Event]) -> (Step, usize) {
    let step = match *event {
        Event::Wait { replica, .. } => return tree::branches(map, replica, events),
        Event::CrushChoose { .. } | Event::CrushEmpty { .. } => return crush::descends(map, events),
        Event::CrushOwner { .. } => return crush::owners(map, events),
        Event::Seed { seed } => words::seeds(seed),
        Event::Draw { subcluster, replica, draw, chance, hit } => {
            words::draws(map, before, (subcluster, replica), (draw, chance, hit))
        }
        Event::Take { subcluster, count, forced } => words::takes(map, before, subcluster, (count, forced)),
        Event::Pick { subcluster, replica, node } => words::picks(map, subcluster, replica, node),
        Event::Substitute { rank, out, node, passed_over } => {
            words::substitutes(map, rank, (out, node), passed_over)
        }
        Event::CrushTake { item } => crush::takes(map, item),
        Event::CrushCollision { item } => crush::fails(map, item, crush::FOUND_BEFORE),
        Event::CrushOut { device } => crush::fails(map, device, crush::OUT),
        Event::CrushNoDevice { bucket } => crush::fails(map, bucket, crush::NO_NODE),
        Event::CrushGaveUp { rank } => crush::gives_up(rank),
    };
    (step, 1)
}

/// The section that an event belongs in.
fn about(map: &ClusterMap, event: &Event) -> About {
    match *event {
        Event::Seed { .. } => About::Seed,
        Event::Draw { replica, .. } | Event::Pick { replica, .. } if looks_for_each(map) => {
            About::Replica(replica)
        }
        Event::Draw { subcluster, .. } | Event::Take { subcluster, .. } | Event::Pick { subcluster, .. } => {
            About::SubCluster(subcluster)
        }
        Event::Wait { replica, .. } => About::Replica(replica),
        Event::Substitute { .. } => About::Substitutes,
        Event::CrushTake { .. }
        | Event::CrushChoose { .. }
        | Event::CrushEmpty { .. }
        | Event::CrushCollision { .. }
        | Event::CrushOut { .. }
        | Event::CrushNoDevice { .. }
        | Event::CrushGaveUp { .. }
        | Event::CrushOwner { .. } => About::Hierarchy,
    }
}

/// Whether the sub-clusters are asked for each replica anew, so that its way is what belongs together.
fn looks_for_each(map: &ClusterMap) -> bool {
    matches!(map.placement(), PlacementKind::RushT | PlacementKind::WebdfsRushP)
}

/// The name of what a section is about, and what there is to know of it.
fn heading(map: &ClusterMap, about: About) -> (String, String) {
    match about {
        About::Seed => ("seed".to_owned(), "the seed of the original's random numbers".to_owned()),
        About::SubCluster(position) => {
            (words::subcluster_name(map, position), words::subcluster_heading(map, position))
        }
        About::Replica(replica) => {
            let name = format!("replica {}", replica + 1);
            (name.clone(), name)
        }
        About::Hierarchy => ("hierarchy".to_owned(), crush::heading(map).unwrap_or_default()),
        About::Substitutes if map.placement() == PlacementKind::Crush => {
            ("substitutes".to_owned(), "nodes that are out, or were not found".to_owned())
        }
        About::Substitutes => ("substitutes".to_owned(), "nodes that are out".to_owned()),
    }
}
