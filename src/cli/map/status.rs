//! `webdfs map status`: which nodes work by which map, and how far files have moved.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{BinaryBytes, HumanDuration};
use serde::Serialize;

use super::ask::statuses;
use crate::cli::CliError;
use crate::cli::work::wait_for;
use crate::cluster::View;
use crate::config;
use crate::control::{Carried, State, Status};
use crate::maps::view_at_rest;
use crate::peer::client::PeerClient;
use crate::peer::sign::Signer;

use super::apply::ApplyError;

/// Between two looks, of which the second tells how fast it goes.
const BETWEEN: Duration = Duration::from_secs(1);

/// Show which nodes work by which map, which files have still to move, and how long that takes
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    /// The settings of any node of the cluster, on that node
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Standing {
    /// The epoch of the map in force at this node.
    epoch: u64,
    /// Its fingerprint.
    map: String,
    /// The epochs of older maps that are not settled.
    unsettled: Vec<u64>,
    /// Nodes that work by that map, and all nodes.
    holding: usize,
    nodes: usize,
    /// Nodes whose pass under it holds up the settling, and those of them that have finished it.
    settlers: usize,
    passed: usize,
    /// Keys compared by the passes that run now, and all of them.
    done: u64,
    of: u64,
    /// Bytes read, sent and fetched per second.
    bytes_per_second: u64,
    /// About so many seconds are left; none: that is not known.
    seconds_left: Option<u64>,
    each: Vec<NodeStanding>,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
struct NodeStanding {
    node: String,
    epoch: Option<u64>,
    has_passed: bool,
    doing: Option<String>,
    done: u64,
    of: Option<u64>,
    objects: Option<u64>,
    /// What it has carried to and from other nodes since its process started.
    carried: Carried,
    /// Why nothing is known of it.
    problem: Option<String>,
}

pub(super) fn run(args: &StatusArgs) -> Result<(), CliError> {
    let settings = config::load(&args.config)?;
    let view = view_at_rest(&settings.name, &settings.root, &settings.map).map_err(ApplyError::from)?;
    let peers = PeerClient::new(settings.name.clone(), Signer::new(&settings.secrets), None);
    let standing = wait_for(async {
        let (begun, before) = (Instant::now(), statuses(&peers, &view).await);
        let before = Standing::of(&view, &before);
        if before.unsettled.is_empty() {
            return before;
        }
        tokio::time::sleep(BETWEEN).await;
        let after = statuses(&peers, &view).await;
        Standing::of(&view, &after).since(&before, begun.elapsed())
    })?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &standing).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        standing.print(&mut out)?;
    }
    Ok(())
}

impl Standing {
    pub(super) fn of<E: std::fmt::Display>(
        view: &View,
        statuses: &[(crate::cluster::NodeIndex, Result<Status, E>)],
    ) -> Self {
        let settlers: Vec<_> = view.settlers().collect();
        let (epoch, map) = (view.epoch_in_force(), view.fingerprint());
        let each: Vec<_> = statuses
            .iter()
            .map(|(node, status)| NodeStanding::of(view.node(*node).name().as_str(), epoch, status))
            .collect();
        let has_passed =
            |node| statuses.iter().zip(&each).any(|((of, _), said)| *of == node && said.has_passed);
        let runs = each.iter().filter(|node| !node.has_passed);
        Self {
            epoch,
            map: map.to_string(),
            unsettled: view.older().iter().map(|older| older.map().epoch().get()).collect(),
            holding: statuses
                .iter()
                .filter(|(_, status)| status.as_ref().is_ok_and(|status| status.map == map))
                .count(),
            nodes: statuses.len(),
            settlers: settlers.len(),
            passed: settlers.into_iter().filter(|node| has_passed(*node)).count(),
            done: runs.clone().map(|node| node.done).sum(),
            of: runs.filter_map(|node| node.of).sum(),
            bytes_per_second: statuses
                .iter()
                .filter_map(|(_, status)| Some(status.as_ref().ok()?.reconcile.now.bytes))
                .sum(),
            seconds_left: None,
            each,
        }
    }

    /// The same, with what has been done since an earlier look.
    pub(super) fn since(mut self, before: &Self, elapsed: Duration) -> Self {
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / elapsed.as_secs_f64();
        let keys = per_second(self.done, before.done);
        self.bytes_per_second = per_second(self.bytes_per_second, before.bytes_per_second) as u64;
        let left = self.of.saturating_sub(self.done) as f64;
        self.seconds_left = (keys > 0.0).then(|| (left / keys).ceil() as u64);
        self
    }

    /// Whether every node that holds up the settling has finished its pass.
    pub(super) fn has_passed(&self) -> bool {
        self.passed == self.settlers
    }

    /// How much is done of how much, and that in words.
    pub(super) fn progress(&self) -> (u64, u64, String) {
        let of = self.of.max(1);
        let said = format!(
            "{} of {} nodes have finished; {} of {} keys compared on the others, {}/s, {}",
            self.passed,
            self.settlers,
            self.done,
            self.of,
            BinaryBytes(self.bytes_per_second),
            match self.seconds_left {
                Some(seconds) => format!("about {} left", HumanDuration(Duration::from_secs(seconds))),
                None => "how long it takes is not known yet".to_owned(),
            }
        );
        (self.done.min(of), of, said)
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "map {} of epoch {}, in force on {} of {} nodes",
            self.map, self.epoch, self.holding, self.nodes
        )?;
        for node in &self.each {
            writeln!(out, "{:<12}{node}", node.node)?;
        }
        if self.unsettled.is_empty() {
            return writeln!(out, "settled: no older map is needed any more");
        }
        let older: Vec<_> = self.unsettled.iter().map(ToString::to_string).collect();
        let (done, of, said) = self.progress();
        let filled = (40 * done / of) as usize;
        writeln!(out, "[{}{}] {said}", "#".repeat(filled), ".".repeat(40 - filled))?;
        writeln!(out, "not settled: files are still looked for under epoch {}", older.join(", "))
    }
}

impl NodeStanding {
    fn of<E: std::fmt::Display>(node: &str, epoch: u64, status: &Result<Status, E>) -> Self {
        let node = node.to_owned();
        match status {
            Ok(status) => {
                let now = &status.reconcile.now;
                Self {
                    node,
                    epoch: Some(status.epoch),
                    has_passed: status.passed == epoch,
                    doing: (now.state == State::Running).then(|| now.doing.clone()),
                    done: now.done,
                    of: now.of,
                    objects: status.counted.map(|counted| counted.objects),
                    carried: status.carried,
                    problem: None,
                }
            }
            Err(error) => Self {
                node,
                epoch: None,
                has_passed: false,
                doing: None,
                done: 0,
                of: None,
                objects: None,
                carried: Carried::default(),
                problem: Some(error.to_string()),
            },
        }
    }
}

impl std::fmt::Display for NodeStanding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(epoch) = self.epoch else {
            return write!(f, "{}", self.problem.as_deref().unwrap_or("not known"));
        };
        write!(f, "epoch {epoch}")?;
        match (self.has_passed, &self.doing) {
            (true, _) => write!(f, ", finished")?,
            (false, Some(doing)) => {
                write!(f, ", {doing}, {}", self.done)?;
                if let Some(of) = self.of {
                    write!(f, " of {of}")?;
                }
                write!(f, " keys")?;
            }
            (false, None) => write!(f, ", waits")?,
        }
        match self.objects {
            Some(0) if self.has_passed => write!(f, ", empty"),
            Some(objects) => write!(f, ", {objects} objects"),
            None => Ok(()),
        }
    }
}
