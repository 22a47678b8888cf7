//! A map taken over, as the text of a `cluster.toml`.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::Original;
use crate::cluster::{MapSpec, PlacementSpec};

/// How wide a comment gets.
const WIDTH: usize = 110;

/// The map without places and states, which the original had none of.
#[derive(Serialize)]
struct Map<'a> {
    epoch: u64,
    replicas: usize,
    write_quorum: usize,
    placement: &'a str,
    php: &'a str,
    subcluster: Vec<SubCluster<'a>>,
}

#[derive(Serialize)]
struct SubCluster<'a> {
    name: &'a str,
    weight: f64,
    node: Vec<Node<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<&'a str>,
}

pub(super) fn toml(original: &Original, file: &Path) -> String {
    let mut text = String::new();
    let file = file.display().to_string().escape_debug().to_string();
    comment(
        &mut text,
        &format!(
            "A cluster of the original webDFS with the placement it has, from {file} by `webdfs map import-php`."
        ),
    );
    comment(
        &mut text,
        "The guide from here on is docs/takeover.md. The order of clusters and nodes never changes.",
    );
    text.push_str("#\n# For node.toml:\n");
    for line in &original.node_settings {
        let _ = writeln!(text, "#     {line}");
    }
    for note in &original.notes {
        text.push_str("#\n");
        comment(&mut text, note);
    }
    text.push('\n');
    text.push_str(&map_text(&original.spec));
    text
}

/// A paragraph as comment lines.
fn comment(text: &mut String, paragraph: &str) {
    let mut width = 0;
    for word in paragraph.split_whitespace() {
        if width == 0 || width + word.len() + 1 > WIDTH {
            text.push_str(if width == 0 { "#" } else { "\n#" });
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += word.len() + 1;
    }
    text.push('\n');
}

fn map_text(spec: &MapSpec) -> String {
    let (placement, php) = match &spec.placement {
        PlacementSpec::WebdfsRushR(php) => ("webdfs_rush_r", php.as_str()),
        PlacementSpec::WebdfsRushP(php) => ("webdfs_rush_p", php.as_str()),
        other => unreachable!("the original has no {other:?}"),
    };
    let subcluster = spec.subclusters.iter().map(|subcluster| SubCluster {
        name: &subcluster.name,
        weight: subcluster.weight,
        node: subcluster
            .nodes
            .iter()
            .map(|node| Node { name: &node.name, url: &node.url, public_url: node.public_url.as_deref() })
            .collect(),
    });
    let map = Map {
        epoch: spec.epoch,
        replicas: spec.replicas,
        write_quorum: spec.write_quorum,
        placement,
        php,
        subcluster: subcluster.collect(),
    };
    toml::to_string(&map).expect("texts and finite numbers are always TOML")
}
