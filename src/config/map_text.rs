//! A [`ClusterMap`] to the text of a cluster.toml that a person would like to read, the way back from `map_file.rs`:
//! what is read again is the same map, with the same fingerprint.
//!
//! Only the values are written: comments of a file that the map was read from are not part of a map.

use std::fmt::{self, Write};

use super::decide::word;
use super::map_file::{MapText, STATES};
use crate::cluster::crush::print_text;
use crate::cluster::{ClusterMap, CrushSource, Epoch, Level, Node, NodeState, PlaceName, PlacementSpec};

/// What the CRUSH map of the map of that epoch is called, beside its cluster.toml.
pub fn crush_file(epoch: Epoch) -> String {
    format!("{epoch}.crush")
}

/// Writes a map down, with the CRUSH map that it is placed by, if that is one of its own, as a file [`crush_file`]
/// beside it. [`parse_map_with`](super::parse_map_with) reads it again.
pub fn map_text(map: &ClusterMap) -> MapText {
    let placement = map.to_spec().placement;
    let crush = match &placement {
        PlacementSpec::Crush(CrushSource::Map { map, .. }) => Some(print_text(map)),
        _ => None,
    };
    let mut toml = String::new();
    print(&mut toml, map, &placement).expect("a string takes everything");
    MapText { toml, crush }
}

fn print(out: &mut String, map: &ClusterMap, placement: &PlacementSpec) -> fmt::Result {
    writeln!(
        out,
        "# The cluster map, the same on every node. A map that differs in anything has a higher epoch."
    )?;
    writeln!(out, "epoch = {}", map.epoch())?;
    writeln!(out, "replicas = {}", map.replicas())?;
    writeln!(out, "write_quorum = {}", map.write_quorum())?;
    writeln!(out, "placement = {}", quoted(map.placement().as_str()))?;
    match placement {
        PlacementSpec::WebdfsRushR(php) | PlacementSpec::WebdfsRushP(php) => {
            writeln!(out, "php = {}", quoted(php.as_str()))?;
        }
        PlacementSpec::Crush(CrushSource::Locations(domain)) => {
            writeln!(out, "failure_domain = {}", quoted(domain.as_str()))?;
        }
        PlacementSpec::Crush(CrushSource::Map { rule, .. }) => {
            writeln!(out, "crush_map = {}", quoted(&crush_file(map.epoch())))?;
            if let Some(rule) = rule {
                writeln!(out, "crush_rule = {}", quoted(rule))?;
            }
        }
        PlacementSpec::RushR | PlacementSpec::RushP | PlacementSpec::RushT => {}
    }
    writeln!(
        out,
        "\n# Sub-clusters and the nodes in them never change their order: files lie by it. Grow at the end."
    )?;
    // A CRUSH map has weights of its own.
    let has_weights = !matches!(placement, PlacementSpec::Crush(CrushSource::Map { .. }));
    for subcluster in map.subclusters() {
        writeln!(out, "\n[[subcluster]]\nname = {}", quoted(subcluster.name().as_str()))?;
        if has_weights {
            writeln!(out, "weight = {:?}", subcluster.weight())?;
        }
        map.nodes_of(subcluster).iter().try_for_each(|node| print_node(out, node))?;
    }
    Ok(())
}

fn print_node(out: &mut String, node: &Node) -> fmt::Result {
    writeln!(out, "\n[[subcluster.node]]")?;
    writeln!(out, "name = {}", quoted(node.name().as_str()))?;
    writeln!(out, "url = {}", quoted(&node.url().to_string()))?;
    if let Some(url) = node.public_url() {
        writeln!(out, "public_url = {}", quoted(&url.to_string()))?;
    }
    if node.state() != NodeState::In {
        writeln!(out, "state = {}", quoted(word(&STATES, node.state())))?;
    }
    let place = |(level, name): &(Level, PlaceName)| format!("{level} = {}", quoted(name.as_str()));
    let places: Vec<String> = node.location().places().iter().map(place).collect();
    if !places.is_empty() {
        writeln!(out, "location = {{ {} }}", places.join(", "))?;
    }
    Ok(())
}

/// A text as a value of TOML, whatever is in it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
