//! `webdfs explain`: how a file came to its owners, step by step, and, if asked, what the nodes really hold of it.

mod print;
mod probe;
mod verdict;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Serialize, Serializer};

use super::CliError;
use super::maps::{self, FromFile};
use super::paths::{MapSource, Owner, answers};
use super::runtime::block_on;
use std::sync::Arc;

use crate::cluster::{ClusterMap, PlacementKind, View};
use crate::config::{self, Layout};
use crate::name::ObjectName;
use crate::peer::client::PeerClient;
use crate::peer::sign::Signer;
use crate::placement::narrate::{Section, narrate};
use crate::placement::{self, ObjectKey};
use crate::store::layout::{self, NameHash};
use probe::Probe;

/// Explain why a file belongs to its nodes: its hash, each step and draw, the owners, also under older maps
///
/// Computed from the maps; only --probe asks the nodes. Exit code 1 if any PATH is refused, or --probe finds that not
/// all is as it should be.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    source: MapSource,
    /// An older map, to show who were the owners under it; may be given again. With --config also those that the root
    /// remembers
    #[arg(long, value_name = "cluster-old.toml")]
    older: Vec<PathBuf>,
    /// Ask every node of these maps what it holds, and judge whether that is as it should be
    #[arg(long, requires = "config", conflicts_with = "map")]
    probe: bool,
    /// Show also each sub-cluster that receives nothing, the steps under older maps, and nodes that hold nothing
    #[arg(long)]
    all: bool,
    /// Answer in JSON, always with everything
    #[arg(long)]
    json: bool,
    /// URL paths as a browser would send them: percent-encoded, with the prefix
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// Where a file belongs, and why.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    path: &'a str,
    #[serde(serialize_with = "displayed")]
    name: ObjectName,
    #[serde(serialize_with = "displayed")]
    hash: ObjectKey,
    file: OnDisk,
    /// The current map, then the older ones, newest first.
    maps: Vec<UnderMap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<Probe>,
}

/// Where its replicas lie, relative to the root of a node.
#[derive(Debug, Serialize)]
struct OnDisk {
    /// None where the name cannot be a path.
    path: Option<String>,
    /// Where it lies if there is no such path, or a folder of that name stands in its way.
    escape: String,
}

/// The owners under one map.
#[derive(Debug, Serialize)]
struct UnderMap {
    epoch: u64,
    file: String,
    fingerprint: String,
    #[serde(rename = "placement", serialize_with = "displayed")]
    kind: PlacementKind,
    replicas: usize,
    nodes: usize,
    subclusters: usize,
    owners: Vec<Owner>,
    /// From an older map to the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
    #[serde(serialize_with = "flattened")]
    steps: Vec<Section>,
}

/// What became of the owners under an older map.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    /// Owners now that were none then.
    came: Vec<String>,
    /// Owners then that are none now.
    went: Vec<String>,
    /// Whether those that stayed have changed their order.
    reordered: bool,
}

/// Runs the command.
///
/// # Errors
/// When the configuration or a map is refused, a path names no file, the nodes do not hold what they should, or
/// nothing can be printed.
pub(super) fn run(args: &ExplainArgs) -> Result<(), CliError> {
    let naming = args.source.naming()?;
    let (maps, notes) = maps::gather(&naming, &args.older)?;
    for note in notes {
        eprintln!("webdfs: {note}");
    }
    let (mut explained, refused) =
        answers(&args.paths, &naming, |path, name| explain(&maps, naming.layout, path, name));
    if let (true, Some(node_toml)) = (args.probe, &args.source.config) {
        block_on(probe_all(node_toml, &maps, &mut explained))??;
    }
    let out = &mut io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut *out, &explained).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        print::print(out, &explained, args.all)?;
    }
    refused.end()?;
    let is_unhealthy =
        |file: &&Explained<'_>| file.probe.as_ref().is_some_and(|probe| !probe.verdict.healthy);
    match explained.iter().filter(is_unhealthy).count() {
        0 => Ok(()),
        wrong => Err(CliError::NotAsItShouldBe { wrong, asked: explained.len() }),
    }
}

/// Explains where the file of that name, which `path` asked for, belongs under each of `maps`, the current one first.
fn explain<'a>(maps: &[FromFile], layout: Layout, path: &'a str, name: ObjectName) -> Explained<'a> {
    let key = ObjectKey::of(name.as_bytes());
    let mut maps: Vec<UnderMap> = maps.iter().map(|from| under(&from.map, &from.file, key)).collect();
    if let Some((current, older)) = maps.split_first_mut() {
        for older in older {
            older.change = Some(Change::between(&older.owners, &current.owners));
        }
    }
    let file = OnDisk {
        path: layout::path(layout, &name).map(|path| path.display().to_string()),
        escape: NameHash::of(&name).escape().display().to_string(),
    };
    Explained { path, name, hash: key, file, maps, probe: None }
}

/// The owners of the file of that key under one map, and the steps that lead to them.
fn under(map: &ClusterMap, file: &Path, key: ObjectKey) -> UnderMap {
    let mut events = Vec::new();
    let owners = placement::locate_traced(map, key, &mut events);
    UnderMap {
        epoch: map.epoch().get(),
        file: file.display().to_string(),
        fingerprint: map.fingerprint().to_string(),
        kind: map.placement(),
        replicas: map.replicas(),
        nodes: map.nodes().len(),
        subclusters: map.subclusters().len(),
        owners: owners.iter().map(|owner| Owner::of(map, *owner)).collect(),
        change: None,
        steps: narrate(map, &events),
    }
}

impl Change {
    fn between(then: &[Owner], now: &[Owner]) -> Self {
        let names = |owners: &[Owner]| owners.iter().map(|owner| owner.node.clone()).collect::<Vec<_>>();
        let (then, now) = (names(then), names(now));
        let only = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|node| !others.contains(node)).cloned().collect()
        };
        let both = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|node| others.contains(node)).cloned().collect()
        };
        let reordered = both(&then, &now) != both(&now, &then);
        Self { came: only(&now, &then), went: only(&then, &now), reordered }
    }
}

/// Asks the nodes of all maps about each file.
async fn probe_all(
    node_toml: &Path,
    maps: &[FromFile],
    explained: &mut [Explained<'_>],
) -> Result<(), CliError> {
    let settings = config::load(node_toml)?;
    // One for all maps: which node it puts aside is of no concern here.
    let peers = PeerClient::new(settings.name.clone(), Signer::new(&settings.secrets), None);
    // One of all maps, and those of nodes that work by an older one.
    let mut views = Vec::new();
    for (at, from) in maps.iter().enumerate() {
        let older = maps[at + 1..].iter().map(|from| Arc::clone(&from.map)).collect();
        match View::new(&settings.name, Arc::clone(&from.map), older) {
            Ok(view) => views.push(view),
            Err(error) if at == 0 => return Err(super::maps::MapsError::from(error).into()),
            Err(_) => {}
        }
    }
    for file in explained {
        file.probe = Some(probe::probe(&peers, &views, maps, &file.name).await);
    }
    Ok(())
}

fn displayed<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The steps without their sections: each names what it is about.
fn flattened<S: Serializer>(sections: &[Section], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(sections.iter().flat_map(|section| &section.steps))
}
