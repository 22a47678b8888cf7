//! A lookup in words: what [`locate_traced`](super::locate_traced) noted, told so that someone who knows nothing of
//! the algorithm can follow how a file came to its nodes, with the values that the words round.
//!
//! One arm of [`narrate`] and one function for each kind of event. What must never be here: arithmetic that decides
//! anything. The words are about what the lookup did; they do not repeat it.

use serde::Serialize;

use super::Event;
use crate::cluster::{ClusterMap, NodeIndex, PlacementKind};

/// The steps of a lookup that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What they are about.
    pub about: About,
    /// The same in words.
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
    /// The sub-cluster at this position in the map.
    SubCluster(u32),
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
            sections.push(Section { about, heading: heading(map, about), steps: Vec::new() });
        }
        let steps = &mut sections.last_mut().expect("there is one now").steps;
        let step = match *event {
            Event::Draw { subcluster, replica, draw, chance, hit } => {
                draws(map, steps, (subcluster, replica), (draw, chance, hit))
            }
            Event::Take { subcluster, count, forced } => takes(map, steps, subcluster, (count, forced)),
            Event::Pick { subcluster, node } => picks(map, subcluster, node),
            Event::Substitute { rank, out, node, passed_over } => {
                substitutes(map, rank, (out, node), passed_over)
            }
        };
        steps.push(step);
    }
    sections
}

/// The section that an event belongs in.
fn about(event: &Event) -> About {
    match *event {
        Event::Draw { subcluster, .. } | Event::Take { subcluster, .. } | Event::Pick { subcluster, .. } => {
            About::SubCluster(subcluster)
        }
        Event::Substitute { .. } => About::Substitutes,
    }
}

fn heading(map: &ClusterMap, about: About) -> String {
    match about {
        About::SubCluster(position) => {
            let subcluster = &map.subclusters()[position as usize];
            let nodes = count(subcluster.node_count(), "node");
            let own = format!("{}: {nodes} of weight {}", subcluster.name(), subcluster.weight());
            let rows = map.slots().rows();
            match rows.binary_search_by_key(&position, |row| row.subcluster).map(|at| &rows[at]) {
                Ok(row) if row.servers_before > 0 => {
                    let (share, all) = (weight(row.weight_own), weight(row.weight_total));
                    format!("{own}, together {share} of the {all} that it and the older ones weigh")
                }
                Ok(_) => format!("{own}, the oldest with any weight"),
                Err(_) => own,
            }
        }
        About::Substitutes => "nodes that are out".to_owned(),
    }
}

/// A draw at a sub-cluster. `before` are the steps before it there.
fn draws(
    map: &ClusterMap,
    before: &[Step],
    (subcluster, replica): (u32, u32),
    (draw, chance, hit): (f64, f64, bool),
) -> Step {
    let hits = before.iter().filter(|step| matches!(step.values, Values::Draw { hit: true, .. })).count();
    let is_full = hits >= map.subclusters()[subcluster as usize].node_count();
    // Where the draws have used up all older weight the quotient is no chance any more, but the hit is sure.
    let is_sure = hit && !(draw < chance);
    let chance = match chance {
        _ if is_sure => 1.0,
        chance if chance > 0.0 => chance.min(1.0),
        _ => 0.0,
    };
    let (drawn, below) = apart(draw, chance);
    let outcome = match hit {
        _ if is_full => "does not count, each node has a replica".to_owned(),
        true if is_sure => "a replica whatever was drawn, no other weight is left".to_owned(),
        true => format!("below its share, {below}: a replica"),
        false => format!("not below its share, {below}"),
    };
    let values = Values::Draw { subcluster: subcluster_name(map, subcluster), replica, draw, chance, hit };
    Step { values, words: format!("draw {}: {drawn}, {outcome}", replica + 1), is_quiet: !hit }
}

/// How many replicas a sub-cluster receives. `before` are the steps before it there.
fn takes(map: &ClusterMap, before: &[Step], subcluster: u32, (taken, forced): (u32, u32)) -> Step {
    let replicas = count(taken as usize, "replica");
    let words = match forced {
        0 => format!("receives {replicas}"),
        _ if before.is_empty() => format!("receives {replicas}: what is left"),
        _ if forced == taken => format!("receives {replicas}, since the older ones have too few nodes"),
        _ => format!("receives {replicas}, {forced} of them because the older ones have too few nodes"),
    };
    let values = Values::Take { subcluster: subcluster_name(map, subcluster), count: taken, forced };
    Step { values, words, is_quiet: false }
}

/// A node of a sub-cluster is chosen.
fn picks(map: &ClusterMap, subcluster: u32, node: NodeIndex) -> Step {
    let owner = &map.subclusters()[subcluster as usize];
    let slot = node.get() - owner.first_node().get() + 1;
    let name = node_name(map, node);
    let words = format!("picks {name}, node {slot} of its {}", owner.node_count());
    Step { values: Values::Pick { subcluster: owner.name().to_string(), node: name }, words, is_quiet: false }
}

/// An owner is replaced.
fn substitutes(
    map: &ClusterMap,
    rank: usize,
    (out, node): (Option<NodeIndex>, NodeIndex),
    passed_over: u32,
) -> Step {
    let (out, node) = (out.map(|out| node_name(map, out)), node_name(map, node));
    let reason = match &out {
        Some(out) => format!("{out} is out; in its place as owner {} a second draw by weight", rank + 1),
        None => format!("no node was found as owner {}; a second draw by weight", rank + 1),
    };
    let after = match passed_over {
        0 => String::new(),
        some => format!(", after {} out or owners already", count(some as usize, "candidate")),
    };
    let words = format!("{reason} gives {node}{after}");
    Step { values: Values::Substitute { owner: rank + 1, out, node, passed_over }, words, is_quiet: false }
}

fn subcluster_name(map: &ClusterMap, position: u32) -> String {
    map.subclusters()[position as usize].name().to_string()
}

fn node_name(map: &ClusterMap, node: NodeIndex) -> String {
    map.node(node).name().to_string()
}

/// A number of things.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A sum of weights, without the tail that adding doubles leaves.
fn weight(sum: f64) -> String {
    let text = format!("{sum:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A draw and what it is compared with, in as many digits as it takes to see which is smaller.
fn apart(draw: f64, chance: f64) -> (String, String) {
    /// The fewest decimals shown, and the most: then a double from 0 to 1 has nothing more to tell.
    const DECIMALS: std::ops::RangeInclusive<usize> = 3..=17;
    let shown = |decimals: usize| (format!("{draw:.decimals$}"), format!("{chance:.decimals$}"));
    let differ = |decimals: &usize| {
        let (draw, chance) = shown(*decimals);
        draw != chance
    };
    let decimals = DECIMALS.clone().find(differ).unwrap_or(*DECIMALS.end());
    shown(decimals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{MapSpec, NodeSpec, NodeState, PlacementSpec, SubClusterSpec};
    use crate::placement::{ObjectKey, locate_traced};

    /// Sub-clusters of these names, nodes and weights, of which the nodes `out` are out; the nodes are img1, img2, ...
    fn map(groups: &[(&str, usize, f64)], replicas: usize, out: &[&str]) -> ClusterMap {
        let mut number = 0;
        let mut node = || {
            number += 1;
            let name = format!("img{number}");
            let state = if out.contains(&name.as_str()) { NodeState::Out } else { NodeState::In };
            NodeSpec { url: format!("http://{name}"), name, public_url: None, state }
        };
        let subcluster = |&(name, nodes, weight): &(&str, usize, f64)| SubClusterSpec {
            name: name.to_owned(),
            weight,
            nodes: (0..nodes).map(|_| node()).collect(),
        };
        let subclusters = groups.iter().map(subcluster).collect();
        let placement = PlacementSpec::RushR;
        ClusterMap::new(MapSpec { epoch: 7, replicas, write_quorum: 1, placement, subclusters }).unwrap()
    }

    fn told(map: &ClusterMap, name: &str) -> Vec<String> {
        let mut events = Vec::new();
        locate_traced(map, ObjectKey::of(name.as_bytes()), &mut events);
        let lines = |section: Section| {
            let steps = section.steps.into_iter().map(|step| format!("  {}", step.words));
            [section.heading].into_iter().chain(steps).collect::<Vec<_>>()
        };
        narrate(map, &events).into_iter().flat_map(lines).collect()
    }

    #[test]
    fn a_lookup_is_told_from_the_newest_sub_cluster_to_the_oldest() {
        let map = map(&[("first", 4, 1.0), ("second", 2, 2.0), ("third", 4, 1.0)], 3, &[]);
        let expected = [
            "third: 4 nodes of weight 1, together 4 of the 12 that it and the older ones weigh",
            "  draw 1: 0.018, below its share, 0.333: a replica",
            "  draw 2: 0.780, not below its share, 0.273",
            "  draw 3: 0.519, not below its share, 0.300",
            "  receives 1 replica",
            "  picks img10, node 4 of its 4",
            "second: 2 nodes of weight 2, together 4 of the 8 that it and the older ones weigh",
            "  draw 1: 0.378, below its share, 0.500: a replica",
            "  draw 2: 0.408, not below its share, 0.333",
            "  receives 1 replica",
            "  picks img5, node 1 of its 2",
            "first: 4 nodes of weight 1, the oldest with any weight",
            "  receives 1 replica: what is left",
            "  picks img1, node 1 of its 4",
        ];
        assert_eq!(told(&map, "photos/cat.jpg"), expected);
    }

    #[test]
    fn an_owner_that_is_out_is_told_with_its_substitute() {
        let map = map(&[("first", 4, 1.0)], 3, &["img1"]);
        let expected = [
            "nodes that are out",
            "  img1 is out; in its place as owner 3 a second draw by weight gives img2, after 5 candidates out or owners \
             already",
        ];
        assert_eq!(told(&map, "a.jpg")[5..], expected);
    }

    #[test]
    fn what_the_older_ones_cannot_hold_is_told_as_such() {
        let map = map(&[("first", 1, 1.0), ("second", 3, 0.001)], 3, &[]);
        let expected = [
            "second: 3 nodes of weight 0.001, together 0.003 of the 1.003 that it and the older ones weigh",
            "  draw 1: 0.316, not below its share, 0.003",
            "  draw 2: 0.190, not below its share, 0.003",
            "  draw 3: 0.682, not below its share, 0.003",
            "  receives 2 replicas, since the older ones have too few nodes",
            "  picks img3, node 2 of its 3",
            "  picks img4, node 3 of its 3",
            "first: 1 node of weight 1, the oldest with any weight",
            "  receives 1 replica: what is left",
            "  picks img1, node 1 of its 1",
        ];
        assert_eq!(told(&map, "a.jpg"), expected);
    }

    #[test]
    fn a_hit_that_no_draw_could_miss_or_no_node_can_take_is_told_as_such() {
        let map = map(&[("first", 3, 0.1), ("second", 1, 10.0)], 4, &[]);
        let draw = |replica, chance, hit| Event::Draw { subcluster: 1, replica, draw: 0.5, chance, hit };
        let told = narrate(&map, &[draw(0, -1.0, true), draw(1, 0.0, false), draw(2, f64::NAN, true)]);
        let words: Vec<_> = told[0].steps.iter().map(|step| step.words.as_str()).collect();
        let expected = [
            "draw 1: 0.500, a replica whatever was drawn, no other weight is left",
            "draw 2: 0.500, does not count, each node has a replica",
            "draw 3: 0.500, does not count, each node has a replica",
        ];
        assert_eq!(words, expected);
        assert!(matches!(told[0].steps[0].values, Values::Draw { chance: 1.0, .. }));
    }

    #[test]
    fn draws_and_shares_are_shown_in_as_many_digits_as_tell_them_apart() {
        let pair = |draw, chance| {
            let (draw, chance) = apart(draw, chance);
            format!("{draw} {chance}")
        };
        assert_eq!(pair(0.5, 0.25), "0.500 0.250");
        assert_eq!(pair(0.333_31, 1.0 / 3.0), "0.33331 0.33333");
        assert_eq!(pair(0.000_04, 0.000_1), "0.0000 0.0001");
        assert_eq!(pair(0.5, 0.5), "0.50000000000000000 0.50000000000000000");
    }

    #[test]
    fn a_sub_cluster_that_receives_nothing_is_quiet() {
        let map = map(&[("first", 4, 1.0), ("second", 4, 0.0), ("third", 1, 0.001)], 2, &[]);
        let mut events = Vec::new();
        locate_traced(&map, ObjectKey::of(b"a.jpg"), &mut events);
        let sections = narrate(&map, &events);
        let quiet: Vec<_> = sections.iter().map(|section| (section.about, section.is_quiet())).collect();
        assert_eq!(quiet, [(About::SubCluster(2), true), (About::SubCluster(0), false)]);
    }

    #[test]
    fn steps_are_json_with_names_and_exact_numbers() {
        let map = map(&[("first", 2, 1.0)], 1, &[]);
        let section = narrate(&map, &[Event::Pick { subcluster: 0, node: NodeIndex::new(1) }]).remove(0);
        let json = serde_json::to_string(&section.steps).unwrap();
        let expected =
            r#"[{"step":"pick","subcluster":"first","node":"img2","words":"picks img2, node 2 of its 2"}]"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn sums_of_weights_have_no_tail() {
        assert_eq!(
            (weight(0.1 + 0.2).as_str(), weight(12.0).as_str(), weight(200.0).as_str()),
            ("0.3", "12", "200")
        );
    }
}
