//! A sentence for each kind of event of CRUSH.

use super::{Step, Values};
use crate::cluster::{Algorithm, ClusterMap, CrushTable, NodeIndex};
use crate::placement::crush::HOLE;

/// What a lookup by CRUSH goes by. None under another algorithm.
pub(super) fn heading(map: &ClusterMap) -> Option<String> {
    let table = table(map)?;
    let (rule, domain) = (table.rule().name(), table.domain_type());
    Some(format!("rule {rule}, which keeps replicas apart by {domain}"))
}

/// A rule starts from an item.
pub(super) fn takes(map: &ClusterMap, item: i32) -> Step {
    let item = name(map, item);
    Step { words: format!("starts at {item}"), values: Values::CrushTake { item }, is_quiet: false }
}

/// A bucket chooses an item.
pub(super) fn chooses(map: &ClusterMap, bucket: i32, attempt: u32, item: i32) -> Step {
    let (bucket, item) = (name(map, bucket), name(map, item));
    let words = format!("attempt {}: {bucket} chooses {item}", attempt + 1);
    Step { words, values: Values::CrushChoose { bucket, attempt, item }, is_quiet: false }
}

/// An item leads to nothing, for this reason.
pub(super) fn fails(map: &ClusterMap, item: i32, reason: &'static str) -> Step {
    let item = name(map, item);
    Step { words: format!("{item} {reason}"), values: Values::CrushFailure { item, reason }, is_quiet: false }
}

/// All attempts for an item failed.
pub(super) fn gives_up(rank: u32) -> Step {
    let words = format!("gives up looking for number {}: too many attempts failed", rank + 1);
    Step { words, values: Values::CrushGaveUp { rank }, is_quiet: false }
}

/// What was found for an owner.
pub(super) fn owners(map: &ClusterMap, rank: usize, device: i32, node: Option<NodeIndex>) -> Step {
    let owner = rank + 1;
    let device = (device != HOLE).then(|| name(map, device));
    let words = match (&device, node) {
        (Some(device), Some(_)) => format!("owner {owner} is {device}"),
        (Some(device), None) => {
            format!(
                "{device} is in the failure domain of another owner, or holds nothing: owner {owner} is missing"
            )
        }
        (None, _) => format!("nothing was found as owner {owner}"),
    };
    let node = node.map(|node| map.node(node).name().to_string());
    Step { words, values: Values::CrushOwner { owner, device, node }, is_quiet: false }
}

fn table(map: &ClusterMap) -> Option<&CrushTable> {
    match map.algorithm() {
        Algorithm::Crush(table) => Some(table),
        _ => None,
    }
}

/// What people call an item: the name of a node, or the level and the name of a place; in a map of the user's own its
/// name there.
fn name(map: &ClusterMap, item: i32) -> String {
    let Some(table) = table(map) else { return item.to_string() };
    if let Some(node) = table.node_of(item) {
        return map.node(node).name().to_string();
    }
    match table.map().item_name(item) {
        Some(name) if table.made_from().is_some() => name.replacen('.', " ", 1),
        Some(name) => name.to_owned(),
        None => item.to_string(),
    }
}
