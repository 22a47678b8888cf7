//! A sentence for each way down a hierarchy of CRUSH.

use super::section::Step;
use super::values::{Choice, Found, Values};
use crate::cluster::{Algorithm, ClusterMap, CrushTable};
use crate::placement::Event;
use crate::placement::crush::HOLE;

/// Why an item cannot be used.
pub(super) const FOUND_BEFORE: &str = "was found before";
/// The same.
pub(super) const OUT: &str = "is out";
/// The same.
pub(super) const NO_NODE: &str = "leads to no node that can be used";
/// The same.
const EMPTY: &str = "has nothing to choose from";

/// What a lookup by CRUSH goes by. None under another algorithm.
pub(super) fn heading(map: &ClusterMap) -> Option<String> {
    let table = table(map)?;
    let (rule, domain) = (table.rule().name(), table.domain_type());
    Some(match table.made_from() {
        Some(_) => format!("replicas are kept apart by {domain}"),
        None => format!("rule {rule}, which keeps replicas apart by {domain}"),
    })
}

/// A rule starts from an item.
pub(super) fn takes(map: &ClusterMap, item: i32) -> Step {
    let item = name(map, item);
    let words = format!("starts at {item}");
    Step::new(Values::CrushTake { item }, words, false)
}

/// Buckets choose, each the next one, from the first of `events` on. And how many of these that are.
pub(super) fn descends(map: &ClusterMap, events: &[Event]) -> (Step, usize) {
    let (mut from, mut at, mut choices, mut failure) = (None, None, Vec::new(), None);
    let mut told = 0;
    for event in events {
        match *event {
            Event::CrushChoose { bucket, attempt, item } if at.is_none_or(|at| at == bucket) => {
                from = from.or(Some(bucket));
                at = Some(item);
                choices.push(Choice { draw: u64::from(attempt) + 1, item: name(map, item) });
            }
            Event::CrushEmpty { bucket: item } if at.is_none_or(|at| at == item) => {
                from = from.or(Some(item));
                failure = Some(EMPTY);
            }
            Event::CrushCollision { item } if at == Some(item) => failure = Some(FOUND_BEFORE),
            Event::CrushOut { device } if at == Some(device) => failure = Some(OUT),
            _ => break,
        }
        told += 1;
        if failure.is_some() {
            break;
        }
    }
    let from = from.map(|from| name(map, from)).unwrap_or_default();
    let words = way(&from, &choices, failure);
    (Step::new(Values::CrushDescent { from, choices, failure }, words, failure.is_some()), told)
}

fn way(from: &str, choices: &[Choice], failure: Option<&str>) -> String {
    let mut words = match choices.first() {
        Some(choice) => format!("draw {}: {from}", choice.draw),
        None => from.to_owned(),
    };
    let mut draw = choices.first().map(|choice| choice.draw);
    for choice in choices {
        if draw != Some(choice.draw) {
            words += &format!(", by draw {}", choice.draw);
            draw = Some(choice.draw);
        }
        words += &format!(" > {}", choice.item);
    }
    match failure {
        Some(reason) if choices.is_empty() => format!("{words} {reason}"),
        Some(reason) => format!("{words}, which {reason}"),
        None => words,
    }
}

/// An item leads to nothing, for this reason.
pub(super) fn fails(map: &ClusterMap, item: i32, reason: &'static str) -> Step {
    let item = name(map, item);
    let words = format!("{item} {reason}");
    Step::new(Values::CrushFailure { item, reason }, words, true)
}

/// All attempts for an item failed.
pub(super) fn gives_up(rank: u32) -> Step {
    let words = format!("gives up looking for number {}: too many draws failed", rank + 1);
    Step::new(Values::CrushGaveUp { rank }, words, false)
}

/// What was found for the owners, and how many of `events` tell it.
pub(super) fn owners(map: &ClusterMap, events: &[Event]) -> (Step, usize) {
    let mut owners = Vec::new();
    for event in events {
        let Event::CrushOwner { rank, device, node } = *event else { break };
        let device = (device != HOLE).then(|| name(map, device));
        let node = node.map(|node| map.node(node).name().to_string());
        owners.push(Found { owner: rank + 1, device, node });
    }
    let told = owners.len();
    let words: Vec<_> = owners.iter().map(found_in_words).collect();
    let words = format!("found: {}", words.join(", "));
    (Step::new(Values::CrushOwners { owners }, words, false), told)
}

fn found_in_words(found: &Found) -> String {
    match (&found.device, &found.node) {
        (Some(device), Some(_)) => device.clone(),
        (Some(device), None) => {
            format!("{device}, which is in the failure domain of another owner or holds nothing")
        }
        (None, _) => format!("nothing as owner {}", found.owner),
    }
}

fn table(map: &ClusterMap) -> Option<&CrushTable> {
    match map.algorithm() {
        Algorithm::Crush(table) => Some(table),
        _ => None,
    }
}

/// What people call an item: the name of a node, or the level and the name of a place, or that of a sub-cluster; in a
/// map of the user's own its name there.
fn name(map: &ClusterMap, item: i32) -> String {
    let Some(table) = table(map) else { return item.to_string() };
    if let Some(node) = table.node_of(item) {
        return map.node(node).name().to_string();
    }
    match table.map().item_name(item) {
        Some(name) if table.made_from().is_some() => place_name(map, name),
        Some(name) => name.to_owned(),
        None => item.to_string(),
    }
}

/// What people call an item of a hierarchy that was made for the map.
fn place_name(map: &ClusterMap, name: &str) -> String {
    // Without locations the nodes are below their sub-clusters, by number.
    let position = name.strip_prefix("subcluster.").and_then(|number| number.parse().ok());
    match position.and_then(|position: usize| map.subclusters().get(position)) {
        Some(subcluster) => format!("sub-cluster {}", subcluster.name()),
        None => name.replacen('.', " ", 1),
    }
}
