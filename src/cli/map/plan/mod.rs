//! `webdfs map plan`: what a map would move, before anything happens. Every node counts its own files.

mod draw;
mod forecast;
mod gather;
mod print;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::apply::ApplyError;
use super::diff::Which;
use super::in_force::{InForce, in_force};
use crate::change::{Change, ObjectionWord};
use crate::cli::CliError;
use crate::cli::work::wait_for;
use crate::cluster::View;
use crate::config::{self, MapText};
use crate::control::PlanOrder;
use crate::maps::MapsError;
use crate::peer::client::PeerClient;
use crate::peer::sign::Signer;
use forecast::Forecast;

/// Tell how many files and bytes a map would move between which nodes, before it is applied
///
/// Every node counts its own files, in the background and at half the speed of its disk, which takes minutes where there are
/// millions; nothing else happens. Nodes that do not answer are left out, and named. Exit code 1 if anything speaks against the
/// change, a node has too little room, or one that holds files was left out.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanArgs {
    /// The map that shall be in force
    #[arg(value_name = "NEW.toml")]
    new: PathBuf,
    /// The settings of any node of the cluster, on that node
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Answer in JSON: {"old":...,"new":...,"differences":[...],"objections":[...],"pairs":[...],"nodes":[...],...}
    #[arg(long)]
    json: bool,
    /// Draw it, too: what flows from node to node, and how full each is before and after
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Be content with the nodes that answer
    #[arg(long)]
    partial: bool,
    /// Do not count this objection
    #[arg(long, value_name = "WORD")]
    force: Vec<ObjectionWord>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Plan {
    old: Which,
    new: Which,
    /// Epochs of older maps that are not settled: some of the files have moved already.
    unsettled: Vec<u64>,
    #[serde(flatten)]
    change: Change,
    #[serde(flatten)]
    forecast: Forecast,
}

/// Runs the command.
///
/// # Errors
/// When a map is refused, something speaks against the change, or not all nodes have counted.
pub(super) fn run(args: &PlanArgs) -> Result<(), CliError> {
    let settings = config::load(&args.config)?;
    let peers = PeerClient::new(settings.name.clone(), Signer::new(&settings.secrets), None);
    let InForce { view, .. } = wait_for(in_force(&settings, &peers))??;
    let (text, map) = MapText::load(&args.new)?;
    let map = Arc::new(map);
    let mut change = Change::of_view(&view, &map);
    let older = view.older().iter().map(|older| Arc::clone(older.map())).chain([Arc::clone(view.current())]);
    let older = older.filter(|older| older.fingerprint() != map.fingerprint()).collect();
    let all = View::new(&settings.name, Arc::clone(&map), older);
    let all = all.map_err(|error| ApplyError::from(MapsError::from(error)))?;
    let order = PlanOrder { map: map.fingerprint(), token: fastrand::u64(..), text: Some(text) };
    let answers = wait_for(gather::gather(&peers, &view, &all, order))?;
    let forecast = Forecast::of(&view, &all, answers);
    change.objections.extend(forecast.objections());
    let plan = Plan {
        old: Which::of(view.current(), Path::new("in force")),
        new: Which::of(&map, &args.new),
        unsettled: view.older().iter().map(|older| older.map().epoch().get()).collect(),
        change,
        forecast,
    };
    if let Some(file) = &args.svg {
        fs::write(file, draw::svg(&plan)).map_err(|source| CliError::Write { file: file.clone(), source })?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &plan).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        print::print(&mut out, &plan)?;
    }
    match plan.change.unforced(&args.force).count() {
        0 if plan.forecast.missing == 0 || args.partial => Ok(()),
        0 => Err(CliError::Partial { missing: plan.forecast.missing }),
        count => Err(CliError::Objections { count }),
    }
}
