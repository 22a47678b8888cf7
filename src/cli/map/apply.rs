//! `webdfs map apply`: a map becomes the one in force.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures_util::{StreamExt, stream};

use super::ask::{Asked, ask_all, statuses};
use super::diff;
use super::in_force::{InForce, in_force};
use super::wait::until_settled;
use crate::change::{Change, Names, Objection, ObjectionWord};
use crate::cli::CliError;
use crate::cli::work::wait_for;
use crate::cluster::{ClusterMap, NodeIndex, NodeName, View};
use crate::config::{self, MapText, Settings};
use crate::maps::MapsError;
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
    #[command(flatten)]
    how: How,
}

/// How a map is put in force.
#[derive(Debug, Args)]
pub(in crate::cli) struct How {
    /// Do it in spite of a reason against it
    #[arg(long, value_name = "WORD")]
    pub(super) force: Vec<ObjectionWord>,
    /// Wait until all files have moved; to end that before the end changes nothing else
    #[arg(long)]
    pub(super) wait: bool,
}

/// Why a map is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The maps of this node are not known, or the new one is refused.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// Nobody who answers knows of a map in force, and somebody does not answer.
    #[error(
        "this node knows of no map that is in force, being new or without its disk, and asks the others: start that one, or use the node.toml of a node that works already"
    )]
    NoneKnown(#[source] PeerError),
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
    /// Another map has come into force while this one was waited for.
    #[error("the map of epoch {epoch} is in force by now, and that of epoch {own} will never be settled")]
    Overtaken {
        /// Its epoch.
        epoch: u64,
        /// The epoch that was waited for.
        own: u64,
    },
    /// The node that decides between several that apply maps refuses.
    #[error("the map is not in force anywhere")]
    Refused(#[from] PeerError),
}

/// Runs the command.
///
/// # Errors
/// As [`apply`].
pub(super) fn run(args: &ApplyArgs) -> Result<(), CliError> {
    let (text, map) = MapText::load(&args.new)?;
    apply(&config::load(&args.config)?, text, map, &args.how)
}

/// Puts a map in force.
///
/// # Errors
/// When it is refused, something speaks against it, or no node takes it.
pub(super) fn apply(settings: &Settings, text: MapText, map: ClusterMap, how: &How) -> Result<(), CliError> {
    let peers = PeerClient::new(settings.name.clone(), Signer::new(&settings.secrets), None);
    let InForce { view, mut texts } = wait_for(in_force(settings, &peers))??;
    let mut out = io::stdout().lock();
    if view.fingerprint() == map.fingerprint() {
        writeln!(out, "this map is in force already: it is sent to all nodes again")?;
    } else {
        let mut change = Change::of_view(&view, &map);
        change.objections.extend(wait_for(nameless(&peers, &view))?);
        diff::print(&mut out, &change)?;
        let unforced = change.unforced(&how.force).count();
        if unforced > 0 {
            return Err(CliError::Objections { count: unforced });
        }
    }
    texts.push(text);
    let texts = MapsBody { maps: texts };
    wait_for(async {
        let map = Arc::new(map);
        ask_first(&peers, &view, &map, &texts).await?;
        let all = with_older(settings, &view, &map)?;
        print(&mut out, &tell(&peers, &all, &texts).await)?;
        if how.wait {
            until_settled(&peers, &all).await?;
            writeln!(out, "settled: no older map is needed any more")?;
        }
        Ok(())
    })?
}

/// What became of it.
struct Told {
    epoch: u64,
    holding: usize,
    /// Who does not hold it, and why.
    others: Vec<PeerError>,
}

/// Files whose names nobody knows, as far as nodes answer and have looked.
async fn nameless(peers: &PeerClient, view: &View) -> Option<Objection> {
    let found = statuses(peers, view).await.into_iter().filter_map(|(node, status)| {
        let counted = status.ok()?.counted.filter(|counted| counted.nameless > 0)?;
        Some((view.node(node).name().clone(), counted.nameless))
    });
    let (nodes, counts): (Vec<_>, Vec<u64>) = found.unzip();
    (!nodes.is_empty()).then(|| Objection::Nameless(Names(nodes), counts.iter().sum()))
}

/// Has the first node that answers take the map.
async fn ask_first(
    peers: &PeerClient,
    view: &View,
    map: &ClusterMap,
    texts: &MapsBody,
) -> Result<(), ApplyError> {
    let asked = ask_all(peers, view).await;
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
    Ok(())
}

/// The maps as they are when this one is in force.
fn with_older(settings: &Settings, view: &View, map: &Arc<ClusterMap>) -> Result<View, ApplyError> {
    let older = view.older().iter().map(|older| Arc::clone(older.map())).chain([Arc::clone(view.current())]);
    let older = older.filter(|older| older.fingerprint() != map.fingerprint()).collect();
    Ok(View::new(&settings.name, Arc::clone(map), older).map_err(MapsError::from)?)
}

/// Has all nodes take the map.
async fn tell(peers: &PeerClient, all: &View, texts: &MapsBody) -> Told {
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
    Told { epoch: all.epoch().get(), holding, others }
}

fn print(out: &mut impl Write, told: &Told) -> io::Result<()> {
    let Told { epoch, holding, others } = told;
    writeln!(out, "epoch {epoch} is in force on {holding} of {} nodes", holding + others.len())?;
    for error in others {
        writeln!(out, "{error}: it gets the map from the others as soon as it answers")?;
    }
    Ok(())
}
