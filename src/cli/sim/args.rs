//! The arguments of `webdfs sim`. The texts are what `--help` shows; nothing is done here.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::NodeName;
use crate::sim::{Fleet, OBJECTS_MAX, Objects};

/// Show what a map does to a great many made-up files, before anyone deploys it
///
/// With one map: how much each node holds, who takes over when a node fails, and how fast lookups are. With two: what
/// moves when the second takes the place of the first, against the least that has to. With --compare: all
/// algorithms on the same nodes. Everything is computed; no node is asked.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// A map, and the one that takes its place
    #[arg(
        value_name = "cluster.toml",
        num_args = 1..=2,
        required_unless_present = "compare",
        conflicts_with = "compare"
    )]
    pub(super) maps: Vec<PathBuf>,
    /// Compare all algorithms on nodes of equal weight
    #[arg(long)]
    pub(super) compare: bool,
    /// Show who takes over from this node of the map; may be repeated. Default: some nodes, summarised
    #[arg(long, value_name = "NODE", conflicts_with = "compare")]
    pub(super) fail: Vec<NodeName>,
    /// How many files
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=OBJECTS_MAX))]
    objects: u64,
    /// Which files: another number gives other names
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// With --compare: how many nodes
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "maps")]
    nodes: usize,
    /// With --compare: how many nodes to a sub-cluster
    #[arg(long, value_name = "M", default_value_t = 10, conflicts_with = "maps")]
    per_subcluster: usize,
    /// With --compare: copies of each file
    #[arg(long, value_name = "R", default_value_t = 3, conflicts_with = "maps")]
    replicas: usize,
    /// Answer in JSON, with every node
    #[arg(long)]
    pub(super) json: bool,
    /// Draw the results into this folder, too
    #[arg(long, value_name = "DIR")]
    pub(super) svg: Option<PathBuf>,
    /// The most rows of a table: those that matter most are shown; 0 for all
    #[arg(long, value_name = "N", default_value_t = 40, conflicts_with = "json")]
    pub(super) rows: usize,
}

impl SimArgs {
    /// The files to place.
    pub(super) fn objects(&self) -> Objects {
        Objects { count: self.objects, seed: self.seed }
    }

    /// The nodes to compare on.
    pub(super) fn fleet(&self) -> Fleet {
        Fleet { nodes: self.nodes, per_subcluster: self.per_subcluster, replicas: self.replicas }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Sim {
        #[command(flatten)]
        args: SimArgs,
    }

    fn parse(line: &str) -> Result<SimArgs, clap::Error> {
        Sim::try_parse_from(["sim"].into_iter().chain(line.split_whitespace())).map(|sim| sim.args)
    }

    #[test]
    fn the_arguments_are_described_without_contradiction() {
        Sim::command().debug_assert();
    }

    #[test]
    fn there_are_one_map_or_two_or_a_comparison() {
        assert_eq!(parse("a.toml").unwrap().maps.len(), 1);
        assert_eq!(parse("a.toml b.toml --fail img1 --fail img2").unwrap().fail.len(), 2);
        let compare = parse("--compare --nodes 20 --per-subcluster 4 --replicas 2 --objects 5").unwrap();
        assert_eq!(compare.fleet(), Fleet { nodes: 20, per_subcluster: 4, replicas: 2 });
        assert_eq!(compare.objects(), Objects { count: 5, seed: 0 });
        let wrong = [
            "",
            "a b c",
            "a --compare",
            "--compare --fail x",
            "a --nodes 5",
            "a --objects 0",
            "a --fail -x",
            "a --json --rows 1",
        ];
        for line in wrong {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
