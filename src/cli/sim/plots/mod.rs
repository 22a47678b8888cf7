//! The results as plots, in SVG: which result becomes which file, and what its axes say. `bars.rs` and `heat.rs` draw.

mod bars;
mod heat;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plotters::style::RGBColor;

use super::{AllAlgorithms, NOWHERE, pair_ends};
use crate::sim::{Failure, Load, Movement, PairsOf};
use bars::{Bars, Marks, Series};
use heat::Heat;

/// More nodes than this are drawn as sub-clusters.
const NODES_MAX: usize = 250;

/// Colours that are told apart by everyone, on paper too (Okabe & Ito, "Color Universal Design", 2008).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const SKY: RGBColor = RGBColor(86, 180, 233);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const RED: RGBColor = RGBColor(213, 94, 0);
const GREY: RGBColor = RGBColor(170, 170, 170);

/// Why a plot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The folder or a file in it cannot be written.
    #[error("{}: cannot be written", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The drawing library gave up.
    #[error("{}: cannot be drawn: {reason}", .path.display())]
    Draw {
        /// The file that was to be drawn.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
}

/// Makes the folder for the plots.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make(folder: &Path) -> Result<(), PlotError> {
    fs::create_dir_all(folder).map_err(|source| PlotError::Write { path: folder.to_owned(), source })
}

/// load.svg: the copies on each node against its fair share.
pub(super) fn load(folder: &Path, load: &Load) -> Result<(), PlotError> {
    let Shares { what, labels, held, fair } = Shares::of(load);
    let title = format!("Load of {what}s: {} objects, {} replicas", load.objects, load.replicas);
    let bars = Bars {
        title: &title,
        x: what,
        y: "copies",
        labels,
        series: vec![Series::new("copies", BLUE, held)],
        marks: Some(Marks { name: "fair share", values: fair }),
    };
    save(folder, "load.svg", bars::svg(&[bars]))
}

/// load.svg: the copies before and after.
pub(super) fn load_change(folder: &Path, movement: &Movement) -> Result<(), PlotError> {
    let (before, after) = (&movement.before, &movement.after);
    let series = |before, after| vec![Series::new("before", GREY, before), Series::new("after", BLUE, after)];
    let title = format!("Load before and after: {} objects", movement.objects);
    let nodes = &movement.nodes;
    let (x, labels, series, fair) = if nodes.len() <= NODES_MAX {
        let copies = |of: fn(&crate::sim::NodeMovement) -> Option<u64>| {
            nodes.iter().map(|node| of(node).map(|copies| copies as f64)).collect()
        };
        let labels = nodes.iter().map(|node| node.node.to_string()).collect();
        let fair = nodes.iter().map(|node| Some(node.fair_after)).collect();
        ("node", labels, series(copies(|node| node.before), copies(|node| node.after)), fair)
    } else {
        let mut labels: Vec<String> = before.subclusters.iter().map(|s| s.subcluster.to_string()).collect();
        let added = after.subclusters.iter().map(|s| s.subcluster.to_string());
        let added: Vec<String> = added.filter(|name| !labels.contains(name)).collect();
        labels.extend(added);
        let find = |load: &Load, of: fn(&crate::sim::SubClusterLoad, u64) -> f64| {
            let find = |label: &String| load.subclusters.iter().find(|s| s.subcluster.as_str() == label);
            labels.iter().map(|label| find(label).map(|found| of(found, load.copies))).collect::<Vec<_>>()
        };
        let (was, is) = (find(before, |s, _| s.copies as f64), find(after, |s, _| s.copies as f64));
        let fair = find(after, |s, copies| s.fair_share * copies as f64);
        ("sub-cluster", labels, series(was, is), fair)
    };
    let marks = Some(Marks { name: "fair share after", values: fair });
    save(folder, "load.svg", bars::svg(&[Bars { title: &title, x, y: "copies", labels, series, marks }]))
}

/// movement.svg: from where to where copies move.
pub(super) fn movement(folder: &Path, movement: &Movement) -> Result<(), PlotError> {
    let what = pair_ends(movement);
    let title = format!("{} copies move, {:.0} have to", movement.moved, movement.optimum);
    // In the order of the maps, and what comes from nowhere last.
    let order: Vec<String> = match movement.pairs_of {
        Some(PairsOf::SubClusters) => {
            let loads = movement.before.subclusters.iter().chain(&movement.after.subclusters);
            loads.map(|subcluster| subcluster.subcluster.to_string()).collect()
        }
        _ => movement.nodes.iter().map(|node| node.node.to_string()).collect(),
    };
    let nowhere = NOWHERE.to_owned();
    let cells = movement.pairs.iter().map(|pair| {
        let from = pair.from.clone().unwrap_or_else(|| nowhere.clone());
        (from, pair.to.clone(), pair.copies as f64)
    });
    let rows: Vec<String> = order.iter().cloned().chain([nowhere.clone()]).collect();
    let (from, to) = (format!("from {what}"), format!("to {what}"));
    let heat = Heat::new(&title, &from, &to, "copies", &rows, &order, cells);
    save(folder, "movement.svg", heat.svg())
}

/// takeover.svg: who takes over from the node that fails, or from each of several; nothing if none can.
pub(super) fn takeover(folder: &Path, load: &Load, failures: &[Failure]) -> Result<(), PlotError> {
    const FILE: &str = "takeover.svg";
    if failures.is_empty() {
        return Ok(());
    }
    if let [failure] = failures {
        let survivors = &failure.survivors;
        let title = format!("Who takes over the {} copies of {}", failure.held, failure.node);
        let bars = Bars {
            title: &title,
            x: "node",
            y: "copies",
            labels: survivors.iter().map(|node| node.node.to_string()).collect(),
            series: vec![Series::new(
                "takes over",
                BLUE,
                survivors.iter().map(|node| Some(node.took as f64)).collect(),
            )],
            marks: Some(Marks {
                name: "fair part",
                values: survivors.iter().map(|node| Some(node.fair)).collect(),
            }),
        };
        return save(folder, FILE, bars::svg(&[bars]));
    }
    let failed: Vec<String> = failures.iter().map(|failure| failure.node.to_string()).collect();
    let order: Vec<String> = load.nodes.iter().map(|node| node.node.to_string()).collect();
    let cells = failures.iter().flat_map(|failure| {
        let cell =
            |node: &crate::sim::Survivor| (failure.node.to_string(), node.node.to_string(), node.took as f64);
        failure.survivors.iter().map(cell)
    });
    let title = "Who takes over when a node fails";
    save(folder, FILE, Heat::new(title, "failed node", "survivor", "copies", &failed, &order, cells).svg())
}

/// comparison.svg: all algorithms in three panels.
pub(super) fn comparison(folder: &Path, all: &AllAlgorithms) -> Result<(), PlotError> {
    let labels: Vec<String> =
        all.algorithms.iter().map(|timed| timed.comparison.algorithm.to_owned()).collect();
    let values = |of: fn(&super::Timed) -> Option<f64>| all.algorithms.iter().map(of).collect::<Vec<_>>();
    let fleet = &all.fleet;
    let nodes = format!("{} nodes, {} to a sub-cluster", fleet.nodes, fleet.per_subcluster);
    let titles = [
        format!("Spread against pure chance: {nodes}"),
        format!("Copies that move against the optimum: {nodes}"),
        format!("Time of a lookup of {} replicas: {nodes}", fleet.replicas),
    ];
    let panel = |title, y, series, ideal: bool| {
        let marks = ideal.then(|| Marks { name: "ideal", values: vec![Some(1.0); labels.len()] });
        Bars { title, x: "algorithm", y, labels: labels.clone(), series, marks }
    };
    let spreads = vec![
        Series::new("all nodes", BLUE, values(|timed| timed.comparison.load_spread)),
        Series::new("survivors of a node out", SKY, values(|timed| timed.comparison.survivors_spread)),
    ];
    let moves = vec![
        Series::new("add", BLUE, values(|timed| timed.comparison.add)),
        Series::new("drain newest", SKY, values(|timed| timed.comparison.drain_newest)),
        Series::new("drain middle", ORANGE, values(|timed| timed.comparison.drain_middle)),
        Series::new("drain oldest", RED, values(|timed| timed.comparison.drain_oldest)),
        Series::new("node out", GREEN, values(|timed| timed.comparison.node_out)),
    ];
    let times = vec![Series::new("one core", BLUE, values(|timed| Some(timed.nanoseconds)))];
    let panels = [
        panel(&titles[0], "times chance", spreads, true),
        panel(&titles[1], "times the optimum", moves, true),
        panel(&titles[2], "nanoseconds", times, false),
    ];
    save(folder, "comparison.svg", bars::svg(&panels))
}

/// What there is to draw of a load: nodes, or sub-clusters where there are too many.
struct Shares {
    what: &'static str,
    labels: Vec<String>,
    /// Copies.
    held: Vec<Option<f64>>,
    /// The copies they should hold.
    fair: Vec<Option<f64>>,
}

impl Shares {
    fn of(load: &Load) -> Self {
        let copies = load.copies as f64;
        if load.nodes.len() <= NODES_MAX {
            let nodes = || load.nodes.iter();
            return Self {
                what: "node",
                labels: nodes().map(|node| node.node.to_string()).collect(),
                held: nodes().map(|node| Some(node.copies as f64)).collect(),
                fair: nodes().map(|node| Some(node.fair_share * copies)).collect(),
            };
        }
        let subclusters = || load.subclusters.iter();
        Self {
            what: "sub-cluster",
            labels: subclusters().map(|one| one.subcluster.to_string()).collect(),
            held: subclusters().map(|one| Some(one.copies as f64)).collect(),
            fair: subclusters().map(|one| Some(one.fair_share * copies)).collect(),
        }
    }
}

fn save(folder: &Path, name: &str, svg: Result<String, String>) -> Result<(), PlotError> {
    let path = folder.join(name);
    match svg {
        Ok(svg) => fs::write(&path, svg).map_err(|source| PlotError::Write { path, source }),
        Err(reason) => Err(PlotError::Draw { path, reason }),
    }
}
