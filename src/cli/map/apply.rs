//! `webdfs map apply`: a map becomes the one in force.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures_util::{StreamExt, stream};

use super::ask::{Asked, ask_all};
use super::diff;
use crate::change::{Change, ObjectionWord};
use crate::cli::CliError;
use crate::cli::work::wait_for;
use crate::cluster::{ClusterMap, NodeIndex, NodeName, View};
use crate::config::{self, MapText, Settings};
use crate::maps::{MapsError, stored_texts, view_at_rest};
use crate::peer::client::{PeerClient, PeerError};
use crate::peer::message::MapsBody;
use crate::peer::sign::Signer;

/// Nodes that are sent the map at the same time.
const AT_ONCE: usize = 64;

/// Put a map in force on all nodes, so that files move to where it places them
///
/// The map is refused if something speaks against it (see `webdfs map diff`), unless `--force` names each reason. It is sent
/// to all nodes of the present map and of the new one; those that do not answer get it from the others as soon as they do.
/// Follow the move with `webdfs map status`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ApplyArgs {
    /// The map that shall be in force
    #[arg(value_name = "NEW.toml")]
    new: PathBuf,
    /// The settings of any node of the cluster, on that node
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Do it in spite of a reason against it
    #[arg(long, value_name = "WORD")]
    force: Vec<ObjectionWord>,
}

/// Why a map is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The maps of this node are not known, or the new one is refused.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// Nobody can be told.
    #[error("no node of the cluster answers: start one, and look at its log")]
    Nobody,
    /// Another node is ahead of this one.
    #[error(
        "node {node} works by epoch {epoch} already, and this one by epoch {own}: it will follow within seconds, then make the next map from that one"
    )]
    Ahead {
        /// The node.
        node: NodeName,
        /// Its epoch.
        epoch: u64,
        /// That of this node.
        own: u64,
    },
    /// The node that decides between several that apply maps refuses.
    #[error("the map is not in force anywhere")]
    Refused(#[from] PeerError),
}

/// Puts a map in force.
///
/// # Errors
/// When it is refused, something speaks against it, or no node takes it.
pub(super) fn run(args: &ApplyArgs) -> Result<(), CliError> {
    let settings = config::load(&args.config)?;
    let view = view_at_rest(&settings.name, &settings.root, &settings.map).map_err(ApplyError::from)?;
    let (text, map) = MapText::load(&args.new)?;
    let mut out = io::stdout().lock();
    if view.fingerprint() == map.fingerprint() {
        writeln!(out, "this map is in force already: it is sent to all nodes again")?;
    } else {
        let change = Change::between(view.current(), &map);
        diff::print(&mut out, &change)?;
        let unforced = change.unforced(&args.force).count();
        if unforced > 0 {
            return Err(CliError::Objections { count: unforced });
        }
    }
    let texts = with_stored(&settings, text).map_err(ApplyError::from)?;
    let told = wait_for(tell(&settings, &view, Arc::new(map), &texts))??;
    print(&mut out, &told)?;
    Ok(())
}

fn with_stored(settings: &Settings, new: MapText) -> Result<MapsBody, MapsError> {
    let mut maps = stored_texts(&settings.root, &settings.map)?;
    maps.push(new);
    Ok(MapsBody { maps })
}

/// What became of it.
struct Told {
    epoch: u64,
    holding: usize,
    /// Who does not hold it, and why.
    others: Vec<PeerError>,
}

async fn tell(
    settings: &Settings,
    view: &View,
    map: Arc<ClusterMap>,
    texts: &MapsBody,
) -> Result<Told, ApplyError> {
    let peers = PeerClient::new(settings.name.clone(), Signer::new(&settings.secrets), None);
    let asked = ask_all(&peers, view).await;
    let answering =
        asked.iter().filter_map(|Asked { node, answer, .. }| Some((*node, answer.as_ref().ok()?)));
    let own = view.epoch_in_force();
    if let Some((node, answer)) =
        answering.clone().find(|(_, answer)| answer.epoch > own && answer.map != map.fingerprint())
    {
        return Err(ApplyError::Ahead { node: view.node(node).name().clone(), epoch: answer.epoch, own });
    }
    // Should two people apply two maps of one epoch, the one who comes first here wins, and the other spreads nothing.
    let (first, _) = answering.clone().next().ok_or(ApplyError::Nobody)?;
    let before = peers.adopt(view, first, texts).await?;
    log::debug!("node {} works by epoch {}", view.node(first).name(), before.epoch);
    let older = view.older().iter().map(|older| Arc::clone(older.map())).chain([Arc::clone(view.current())]);
    let older = older.filter(|older| older.fingerprint() != map.fingerprint()).collect();
    let all = View::new(&settings.name, Arc::clone(&map), older).map_err(MapsError::from)?;
    let all = &all;
    let peers = &peers;
    let nodes: Vec<NodeIndex> = all.indexed().map(|(node, _)| node).collect();
    let told: Vec<_> = stream::iter(nodes)
        .map(|node| async move { peers.adopt(all, node, texts).await })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let (mut holding, mut others) = (0, Vec::new());
    for answer in told {
        match answer {
            Ok(_) => holding += 1,
            Err(error) => others.push(error),
        }
    }
    Ok(Told { epoch: map.epoch().get(), holding, others })
}

fn print(out: &mut impl Write, told: &Told) -> io::Result<()> {
    let Told { epoch, holding, others } = told;
    writeln!(out, "epoch {epoch} is in force on {holding} of {} nodes", holding + others.len())?;
    for error in others {
        writeln!(out, "{error}: it gets the map from the others as soon as it answers")?;
    }
    Ok(())
}
