//! `webdfs sim`: what a map does to a great many made-up files, computed by [`crate::sim`] and shown here.
//!
//! `tables.rs` shows it as text, `plots` draws it, serde makes JSON of the very results; `speed.rs` adds the one thing
//! that is not computed but measured.

mod args;
mod plots;
mod progress;
mod speed;
mod tables;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::CliError;
use crate::change::Change;
use crate::cluster::{ClusterMap, MapError, NodeIndex};
use crate::config::load_map;
use crate::sim::{
    Comparison, Contestant, Failure, FailureError, Fleet, FleetError, Load, Movement, PASSES_OF_FAILURES,
    PairsOf, contestants, failures, nodes_to_fail,
};

pub use args::SimArgs;
use progress::Meter;
use speed::Speed;

/// How many nodes fail in turn where none is named. Each costs a lookup of every file.
const FAILURES: usize = 16;

/// Where copies come from that nobody held: there are more replicas than before.
const NOWHERE: &str = "(a copy more)";

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A node to fail that the map does not have.
    #[error("{}: there is no node {node}", .file.display())]
    UnknownNode {
        /// What was asked for.
        node: String,
        /// The map.
        file: PathBuf,
    },
    /// Who takes over is a question about one map.
    #[error("--fail goes with one map; two are given")]
    FailOfTwoMaps,
    /// A node to fail that is needed.
    #[error(transparent)]
    Failure(#[from] FailureError),
    /// Nodes that nothing can be compared on.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// Nodes that no algorithm can place on.
    #[error("no algorithm can place files on these nodes; {label}")]
    NoAlgorithm {
        /// One of the algorithms.
        label: &'static str,
        /// What it says.
        source: Box<MapError>,
    },
    /// A plot could not be drawn.
    #[error(transparent)]
    Plot(#[from] plots::PlotError),
}

/// What is known of a map besides what it does.
#[derive(Serialize)]
struct MapFacts {
    file: String,
    epoch: u64,
    placement: &'static str,
    replicas: usize,
    nodes: usize,
    subclusters: usize,
}

/// The answer for one map.
#[derive(Serialize)]
struct OneMap {
    map: MapFacts,
    load: Load,
    /// Empty where no node can be missed.
    failures: Vec<Failure>,
    /// Lookups per second.
    speed: Speed,
}

/// The answer for two maps.
#[derive(Serialize)]
struct TwoMaps {
    before: MapFacts,
    after: MapFacts,
    /// What speaks against the change, and what else there is to know.
    warnings: Vec<String>,
    movement: Movement,
}

/// The answer of the comparison.
#[derive(Serialize)]
struct AllAlgorithms {
    #[serde(flatten)]
    fleet: Fleet,
    objects: u64,
    algorithms: Vec<Timed>,
    unplaceable: Vec<Refused>,
}

#[derive(Serialize)]
struct Timed {
    #[serde(flatten)]
    comparison: Comparison,
    /// Of one lookup on one core.
    nanoseconds: f64,
}

#[derive(Serialize)]
struct Refused {
    algorithm: &'static str,
    reason: String,
}

/// An answer: shown as text, or drawn. JSON it is by itself.
trait Answer: Serialize {
    fn print(&self, out: &mut dyn Write, rows: usize) -> io::Result<()>;
    /// Draws it into files of `folder`, which exists.
    fn draw(&self, folder: &Path) -> Result<(), plots::PlotError>;
}

/// Runs the command.
///
/// # Errors
/// When a map is refused, a node named is not in it or cannot be missed, or nothing can be written.
pub(super) fn run(args: &SimArgs) -> Result<(), CliError> {
    match &args.maps[..] {
        [map] => answer(args, &one_map(args, map)?),
        [before, after, ..] => answer(args, &two_maps(args, before, after)?),
        [] => answer(args, &all_algorithms(args)?),
    }
}

fn answer(args: &SimArgs, answer: &impl Answer) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, answer).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        answer.print(&mut out, if args.rows == 0 { usize::MAX } else { args.rows })?;
    }
    out.flush()?;
    if let Some(folder) = &args.svg {
        plots::make(folder).and_then(|()| answer.draw(folder)).map_err(SimError::from)?;
    }
    Ok(())
}

fn one_map(args: &SimArgs, file: &Path) -> Result<OneMap, CliError> {
    let map = load_map(file)?;
    let objects = args.objects();
    let named = named_nodes(args, &map, file)?;
    let meter = Meter::new(objects.count * (1 + PASSES_OF_FAILURES));
    let load = Load::measure(&map, objects, &meter);
    let failures = match &named[..] {
        [] => failures(&map, &nodes_to_fail(&map, FAILURES), objects, &meter),
        named => failures(&map, named, objects, &meter),
    };
    let failures = failures.map_err(SimError::from)?;
    drop(meter);
    Ok(OneMap { map: MapFacts::of(&map, file), load, failures, speed: Speed::measure(&map) })
}

fn named_nodes(args: &SimArgs, map: &ClusterMap, file: &Path) -> Result<Vec<NodeIndex>, SimError> {
    let index = |name: &_| {
        let unknown = || SimError::UnknownNode { node: format!("{name}"), file: file.to_owned() };
        map.index_of(name).ok_or_else(unknown)
    };
    args.fail.iter().map(index).collect()
}

fn two_maps(args: &SimArgs, before_file: &Path, after_file: &Path) -> Result<TwoMaps, CliError> {
    if !args.fail.is_empty() {
        return Err(SimError::FailOfTwoMaps.into());
    }
    let (before, after) = (load_map(before_file)?, load_map(after_file)?);
    let meter = Meter::new(args.objects().count);
    let movement = Movement::measure(&before, &after, args.objects(), &meter);
    let Change { objections, warnings, .. } = Change::of(&before, &after, &movement);
    let objections = objections.iter().map(ToString::to_string);
    Ok(TwoMaps {
        before: MapFacts::of(&before, before_file),
        after: MapFacts::of(&after, after_file),
        warnings: objections.chain(warnings.iter().map(ToString::to_string)).collect(),
        movement,
    })
}

fn all_algorithms(args: &SimArgs) -> Result<AllAlgorithms, CliError> {
    let (fleet, objects) = (args.fleet(), args.objects());
    let (able, unable) = contestants(fleet).map_err(SimError::from)?;
    if let (true, Some(refused)) = (able.is_empty(), unable.first()) {
        let source = Box::new(refused.reason.clone());
        return Err(SimError::NoAlgorithm { label: refused.label, source }.into());
    }
    let meter = Meter::new(objects.count * Contestant::PASSES * able.len() as u64);
    let timed = |contestant: &Contestant| Timed {
        comparison: contestant.measure(objects, &meter),
        nanoseconds: speed::nanoseconds(contestant.map()),
    };
    let algorithms = able.iter().map(timed).collect();
    let refused =
        |one: crate::sim::Unplaceable| Refused { algorithm: one.label, reason: one.reason.to_string() };
    let unplaceable = unable.into_iter().map(refused).collect();
    Ok(AllAlgorithms { fleet, objects: objects.count, algorithms, unplaceable })
}

impl MapFacts {
    fn of(map: &ClusterMap, file: &Path) -> Self {
        Self {
            file: file.display().to_string(),
            epoch: map.epoch().get(),
            placement: map.placement().as_str(),
            replicas: map.replicas(),
            nodes: map.nodes().len(),
            subclusters: map.subclusters().len(),
        }
    }
}

/// What the pairs of a movement go from and to.
fn pair_ends(movement: &Movement) -> &'static str {
    match movement.pairs_of {
        Some(PairsOf::SubClusters) => "sub-cluster",
        _ => "node",
    }
}

/// The rows to show, in their order: all, or the `count` that are worst.
fn worst<T>(all: &[T], count: usize, badness: impl Fn(&T) -> f64) -> Vec<&T> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| badness(&all[*b]).total_cmp(&badness(&all[*a])));
    order.truncate(count);
    order.sort_unstable();
    order.into_iter().map(|at| &all[at]).collect()
}
