//! A lookup in words: what [`locate_traced`](super::locate_traced) noted, told so that someone who knows nothing of
//! the algorithm can follow how a file came to its nodes, with the values that the words round.
//!
//! For each kind of event there is an arm in [`narrate`] and in `about`, and a function in `words.rs`. What must never
//! be here: arithmetic that decides anything. The words are about what the lookup did; they do not repeat it.

mod crush;
mod words;

#[cfg(test)]
mod tests;

use serde::Serialize;

use super::Event;
use crate::cluster::{ClusterMap, PlacementKind};

pub use words::count;
use words::{draws, picks, seeds, substitutes, takes, waits, weight};

/// The steps of a lookup that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What they are about.
    pub about: About,
    /// Its name.
    pub name: String,
    /// What there is to know of it in words.
    pub heading: String,
    /// At least one, in order.
    pub steps: Vec<Step>,
}

impl Section {
    /// Whether nothing came of it: as many sub-clusters of a large map as receive no replica.
    pub fn is_quiet(&self) -> bool {
        self.steps.iter().all(|step| step.is_quiet)
    }
}

/// What a section is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The number that everything is drawn by.
    Seed,
    /// The sub-cluster at this position in the map.
    SubCluster(u32),
    /// The way of that replica, from 0, down a tree.
    Replica(u32),
    /// A hierarchy of buckets, as CRUSH has it.
    Hierarchy,
    /// Owners that are replaced.
    Substitutes,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What happened, with numbers as exact as they are.
    #[serde(flatten)]
    pub values: Values,
    /// The same as a sentence.
    pub words: String,
    /// Whether nothing came of it.
    #[serde(skip)]
    pub is_quiet: bool,
}

/// What happened in a step: an [`Event`] with names in place of numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Values {
    /// [`Event::Seed`].
    Seed {
        /// The number.
        seed: u32,
    },
    /// [`Event::Draw`].
    Draw {
        /// The name of the sub-cluster.
        subcluster: String,
        /// As in the event, from 0.
        replica: u32,
        /// What was drawn, from 0 to 1.
        draw: f64,
        /// A draw below this is a hit; from 0 to 1.
        chance: f64,
        /// Whether it was one.
        hit: bool,
    },
    /// [`Event::Take`].
    Take {
        /// The name of the sub-cluster.
        subcluster: String,
        /// How many replicas it receives.
        count: u32,
        /// How many of them because the older sub-clusters cannot hold them.
        forced: u32,
    },
    /// [`Event::Wait`].
    Wait {
        /// As in the event, from 0.
        replica: u32,
        /// The label of the subtree.
        label: u32,
        /// The name of its oldest sub-cluster of weight above 0.
        oldest: String,
        /// The name of its newest.
        newest: String,
        /// The weight of all its nodes.
        weight: f64,
        /// How long it waits.
        wait: f64,
        /// Whether that is the shortest.
        shortest: bool,
    },
    /// [`Event::Pick`].
    Pick {
        /// The name of the sub-cluster.
        subcluster: String,
        /// The name of the node.
        node: String,
    },
    /// [`Event::Substitute`].
    Substitute {
        /// The rank of the owner, from 1.
        owner: usize,
        /// The node that is out; none where too few were found.
        out: Option<String>,
        /// The node in its place.
        node: String,
        /// How many candidates were passed over.
        passed_over: u32,
    },
    /// [`Event::CrushTake`].
    CrushTake {
        /// What is taken.
        item: String,
    },
    /// [`Event::CrushChoose`].
    CrushChoose {
        /// The bucket.
        bucket: String,
        /// The number of the attempt, from 0.
        attempt: u32,
        /// What it chooses.
        item: String,
    },
    /// [`Event::CrushEmpty`], [`Event::CrushCollision`], [`Event::CrushOut`] and [`Event::CrushNoDevice`].
    CrushFailure {
        /// What was chosen.
        item: String,
        /// Why it cannot be used.
        reason: &'static str,
    },
    /// [`Event::CrushGaveUp`].
    CrushGaveUp {
        /// As in the event, from 0.
        rank: u32,
    },
    /// [`Event::CrushOwner`].
    CrushOwner {
        /// The rank of the owner, from 1.
        owner: usize,
        /// The device; none where there is a hole.
        device: Option<String>,
        /// The node; none where the device is no owner.
        node: Option<String>,
    },
}

/// The rules of an algorithm, in as few words as it takes to follow its steps.
pub fn rules(kind: PlacementKind) -> &'static str {
    match kind {
        PlacementKind::RushR => {
            "The sub-clusters are asked from the newest to the oldest, until every replica has its node. Each makes one \
             draw, a number from 0 to 1, for every replica that has none yet. A draw below its share of the weight, its \
             own compared with that of itself and all older ones, gives it a replica; each draw uses up a node, so the \
             share changes a little from draw to draw. The oldest takes what is left."
        }
        PlacementKind::RushP => {
            "The sub-clusters are asked from the newest to the oldest, until every replica has its node. Each makes one \
             draw, which is turned into another number from 0 to 1 for every replica. Where that is below its share of \
             the weight, its own compared with that of itself and all older ones, it receives the replica. The oldest \
             takes what is left."
        }
        PlacementKind::RushT => {
            "The sub-clusters are the leaves of a tree. Each replica goes down from the top: at every branching each \
             subtree waits for a time that is drawn, the shorter the more its sub-clusters weigh, and the replica goes \
             where the wait is shortest."
        }
        PlacementKind::WebdfsRushR => {
            "As the original webDFS does it: the sub-clusters are asked from the newest to the oldest, until every \
             replica has its node. Each makes one draw, a number from 0 to 1, for every replica that has none yet, and \
             receives one for each draw that is no more than its share of the weight."
        }
        PlacementKind::WebdfsRushP => {
            "As the original webDFS does it: each replica is looked for on its own. The sub-clusters are asked from the \
             newest to the oldest, and the first whose draw is below its share of the weight receives it."
        }
        PlacementKind::Crush => {
            "From the top of a hierarchy, such as racks, hosts and nodes, every level chooses one of its parts by a draw \
             for each that grows with its weight, down to a node. What was found before, or is in a failure domain \
             that was, is tried again from the top with the next attempt's draws, until every replica has its node."
        }
    }
}

/// Tells the steps of a lookup under `map`, those that belong together as one section.
///
/// # Panics
/// If `events` are from a lookup under another map.
pub fn narrate(map: &ClusterMap, events: &[Event]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for event in events {
        let about = about(event);
        if sections.last().is_none_or(|section| section.about != about) {
            let (name, heading) = heading(map, about);
            sections.push(Section { about, name, heading, steps: Vec::new() });
        }
        let steps = &mut sections.last_mut().expect("there is one now").steps;
        let step = match *event {
            Event::Seed { seed } => seeds(seed),
            Event::Draw { subcluster, replica, draw, chance, hit } => {
                draws(map, steps, (subcluster, replica), (draw, chance, hit))
            }
            Event::Take { subcluster, count, forced } => takes(map, steps, subcluster, (count, forced)),
            Event::Wait { replica, label, oldest, newest, weight, wait, shortest } => {
                waits(map, (replica, label), (oldest, newest), (weight, wait, shortest))
            }
            Event::Pick { subcluster, node } => picks(map, subcluster, node),
            Event::Substitute { rank, out, node, passed_over } => {
                substitutes(map, rank, (out, node), passed_over)
            }
            Event::CrushTake { item } => crush::takes(map, item),
            Event::CrushChoose { bucket, attempt, item } => crush::chooses(map, bucket, attempt, item),
            Event::CrushEmpty { bucket } => crush::fails(map, bucket, "has nothing to choose from"),
            Event::CrushCollision { item } => crush::fails(map, item, "was found before: another attempt"),
            Event::CrushOut { device } => crush::fails(map, device, "is out: another attempt"),
            Event::CrushNoDevice { bucket } => {
                crush::fails(map, bucket, "leads to no node that can be used: another attempt")
            }
            Event::CrushGaveUp { rank } => crush::gives_up(rank),
            Event::CrushOwner { rank, device, node } => crush::owners(map, rank, device, node),
        };
        steps.push(step);
    }
    sections
}

/// Several quiet sections as one line. Empty if there are none.
pub fn together(sections: &[Section]) -> String {
    let (Some(first), Some(last)) = (sections.first(), sections.last()) else { return String::new() };
    let subclusters = count(sections.len(), "sub-cluster");
    let draws = sections.iter().map(|section| section.steps.len()).sum();
    let (first, last, draws) = (&first.name, &last.name, count(draws, "draw"));
    format!(
        "{subclusters} from {first} to {last}: {draws}, none of them below its share, so they receive nothing"
    )
}

/// The section that an event belongs in.
fn about(event: &Event) -> About {
    match *event {
        Event::Seed { .. } => About::Seed,
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

/// The name of what a section is about, and what there is to know of it.
fn heading(map: &ClusterMap, about: About) -> (String, String) {
    match about {
        About::Seed => ("seed".to_owned(), "the seed of the original's random numbers".to_owned()),
        About::SubCluster(position) => {
            let subcluster = &map.subclusters()[position as usize];
            let nodes = count(subcluster.node_count(), "node");
            let own = format!("{}: {nodes} of weight {}", subcluster.name(), subcluster.weight());
            let rows = map.slots().rows();
            let heading = match rows.binary_search_by_key(&position, |row| row.subcluster).map(|at| &rows[at])
            {
                Ok(row) if row.servers_before > 0 => {
                    let (share, all) = (weight(row.weight_own), weight(row.weight_total));
                    format!("{own}, together {share} of the {all} that it and the older ones weigh")
                }
                Ok(_) => format!("{own}, the oldest with any weight"),
                Err(_) => own,
            };
            (subcluster.name().to_string(), heading)
        }
        About::Replica(replica) => {
            let name = format!("replica {}", replica + 1);
            (name.clone(), format!("{name}: the way down the tree"))
        }
        About::Hierarchy => ("hierarchy".to_owned(), crush::heading(map).unwrap_or_default()),
        About::Substitutes if map.placement() == PlacementKind::Crush => {
            ("substitutes".to_owned(), "nodes that are out, or were not found".to_owned())
        }
        About::Substitutes => ("substitutes".to_owned(), "nodes that are out".to_owned()),
    }
}
