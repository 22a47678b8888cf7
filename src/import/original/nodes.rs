//! The clusters and nodes of the original: its URLs become names and addresses of nodes.

use std::collections::BTreeSet;

use super::value::{Key, Located, lossy};
use super::{Fault, Place, counted, list, number, required, text};
use crate::cluster::{NAME_BYTES_MAX, NodeName, NodeSpec, NodeState, NodeUrl, Scheme, SubClusterSpec};

/// What was found on the way, besides the map.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The line that a fault of the map as a whole is about: that of the number of replicas.
    pub(super) map_line: usize,
    /// The line of each sub-cluster, and of its nodes.
    lines: Vec<(usize, Vec<usize>)>,
    /// The names of the nodes by their `proxyUrl` as it was written.
    pub(super) names: Vec<(String, String)>,
    /// The path of every `proxyUrl`, if they agree.
    pub(super) path: Option<String>,
    pub(super) notes: Vec<String>,
}

impl Found {
    /// The line of a place in the map.
    pub(super) fn line_of(&self, place: Place) -> usize {
        let line = match place {
            Place::SubCluster(at) => self.lines.get(at).map(|(line, _)| *line),
            Place::Node(at, slot) => self.lines.get(at).and_then(|(_, nodes)| nodes.get(slot)).copied(),
            Place::Map | Place::Field(_) | Place::CrushMap(_) => None,
        };
        line.unwrap_or(self.map_line)
    }
}

/// A node as the original names it.
struct Address {
    written: String,
    url: NodeUrl,
}

pub(super) fn subclusters(clusters: &Located) -> Result<(Found, Vec<SubClusterSpec>), Fault> {
    let mut found = Found::default();
    let mut groups = Vec::new();
    for cluster in counted(clusters, "'clusters'")? {
        let values = list(cluster, "a cluster")?;
        let weight = required(values, cluster, "weight")?;
        let Some(weight) = number(weight) else {
            return Err(weight.fault(format!("'weight' is {}; it is a number", weight.value.kind())));
        };
        let nodes = required(values, cluster, "nodes")?;
        let (mut addresses, mut lines) = (Vec::new(), Vec::new());
        for node in counted(nodes, "'nodes'")? {
            addresses.push(address(node, &mut found.notes)?);
            lines.push(node.line);
        }
        found.lines.push((cluster.line, lines));
        groups.push((weight, addresses));
    }
    let all: Vec<&Address> = groups.iter().flat_map(|(_, addresses)| addresses).collect();
    let names = names(&all);
    found.path = all.first().map(|first| first.url.path_prefix().to_owned());
    if all.iter().any(|other| Some(other.url.path_prefix()) != found.path.as_deref()) {
        found.path = None;
    }
    if all.iter().any(|node| node.url.scheme() == Scheme::Https) {
        let note = "Some proxyUrls are https. Nodes speak http with each other: see that their urls below answer there.";
        found.notes.push(note.to_owned());
    }
    found.names = all.iter().map(|node| node.written.clone()).zip(names.iter().cloned()).collect();
    let is_alone = distinct(all.iter().map(|node| origin(&node.url)));
    let mut names = names.into_iter();
    let specs = groups.iter().enumerate().map(|(number, (weight, addresses))| SubClusterSpec {
        name: format!("cluster{}", number + 1),
        weight: *weight,
        nodes: addresses.iter().zip(&mut names).map(|(node, name)| node_spec(node, name, is_alone)).collect(),
    });
    let specs = specs.collect();
    Ok((found, specs))
}

fn address(node: &Located, notes: &mut Vec<String>) -> Result<Address, Fault> {
    let values = list(node, "a node")?;
    let written = required(values, node, "proxyUrl")?;
    let text = text(written, "'proxyUrl'")?;
    let url = NodeUrl::public(&text).map_err(|error| written.fault(format!("'proxyUrl': {error}")))?;
    for (key, value) in values.entries() {
        match key {
            Key::Text(key) if key == b"proxyUrl" || key == b"staticUrl" => {}
            Key::Text(key) => {
                notes.push(format!("line {}: the node's '{}' is not taken over.", value.line, lossy(key)))
            }
            Key::Int(key) => {
                notes.push(format!("line {}: the node's entry {key} is not taken over.", value.line))
            }
        }
    }
    Ok(Address { written: text, url })
}

/// Scheme, host and port.
fn origin(url: &NodeUrl) -> String {
    let shown = url.to_string();
    shown[..shown.len() - url.path_prefix().len()].to_owned()
}

fn node_spec(node: &Address, name: String, is_alone: bool) -> NodeSpec {
    let origin = origin(&node.url);
    // Of several nodes behind one web server each has its own path, as it had there.
    let folder = match (is_alone, node.url.path_prefix().rsplit_once('/')) {
        (false, Some((folder, last))) if last.ends_with(".php") => folder,
        (false, _) => node.url.path_prefix(),
        (true, _) => "",
    };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    NodeSpec {
        name,
        url: format!("http://{host}{folder}/_webdfs"),
        public_url: Some(origin),
        state: NodeState::In,
        location: Default::default(),
    }
}

/// Names that tell the nodes apart: their hosts, if that is enough; else with ports, else with paths, else numbers.
fn names(all: &[&Address]) -> Vec<String> {
    let host = |node: &&Address| node.url.host().to_owned();
    let port = |node: &&Address| format!("{}-{}", node.url.host(), node.url.port());
    let path = |node: &&Address| format!("{}-{}{}", node.url.host(), node.url.port(), node.url.path_prefix());
    let candidates: [&dyn Fn(&&Address) -> String; 3] = [&host, &port, &path];
    for candidate in candidates {
        let names: Vec<String> = all.iter().map(|node| plain(&candidate(node))).collect();
        if distinct(names.iter()) && names.iter().all(|name| name.parse::<NodeName>().is_ok()) {
            return names;
        }
    }
    (1..=all.len()).map(|number| format!("node{number}")).collect()
}

/// With nothing but what may stand in a name.
fn plain(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let text: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    text.trim_matches(['-', '.']).chars().take(NAME_BYTES_MAX).collect()
}

fn distinct<T: Ord>(mut values: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    values.all(|value| seen.insert(value))
}
