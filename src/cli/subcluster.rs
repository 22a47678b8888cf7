//! `webdfs subcluster`: the next map, with a sub-cluster more, or one of another weight.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::CliError;
use super::map::{EditArgs, edit};
use crate::cluster::{Edit, NodeName, NodeSpec, NodeState, SubClusterName, SubClusterSpec};

/// Write the next map, with a sub-cluster more, or one of another weight
///
/// The map is written, and nothing else happens without `--apply`. Only its values are kept: comments in the file that it was are not.
#[derive(Debug, Subcommand)]
pub(super) enum SubclusterCommand {
    Add(AddArgs),
    Weight(WeightArgs),
}

/// Add a sub-cluster, to grow: its share of the files moves onto it, and nothing else moves
///
/// Comments of the present map are not kept.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    subcluster: SubClusterName,
    /// How much each of its nodes holds, compared with those of the other sub-clusters
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0)]
    weight: f64,
    /// A node, and where the other nodes reach it; once for each node, in the order that they keep
    #[arg(long = "node", value_name = "NAME=URL", required = true)]
    nodes: Vec<OfNode>,
    /// Where clients reach a node
    #[arg(long = "public-url", value_name = "NAME=URL")]
    public_urls: Vec<OfNode>,
    /// Where a node stands, for a map that keeps racks or the like apart: rack:r4,host:h7
    #[arg(long = "location", value_name = "NAME=LEVEL:PLACE,...")]
    locations: Vec<OfNode>,
    #[command(flatten)]
    maps: EditArgs,
}

/// Give the nodes of a sub-cluster another weight; 0 drains it
///
/// Comments of the present map are not kept.
#[derive(Debug, Args)]
pub(super) struct WeightArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    subcluster: SubClusterName,
    /// How much each of its nodes holds, compared with those of the other sub-clusters
    #[arg(value_name = "WEIGHT")]
    weight: f64,
    #[command(flatten)]
    maps: EditArgs,
}

/// Something said of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OfNode {
    node: NodeName,
    said: String,
}

/// Why something is not said of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum OfNodeError {
    #[error("there is no \"=\" behind the name of a node; right would be img7=...")]
    NoName,
    #[error(transparent)]
    Name(#[from] crate::cluster::NameError),
}

/// Why there is no such sub-cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubclusterError {
    /// Something is said of a node that is not added.
    #[error("{option} {node}=...: --node {node}=URL is missing, only nodes that are added can be told of")]
    Stranger {
        /// Where it is said.
        option: &'static str,
        /// The node.
        node: NodeName,
    },
    /// A place without a level.
    #[error("--location {node}={given}: right would be {node}=rack:r4,host:h7")]
    Location {
        /// The node.
        node: NodeName,
        /// What was given.
        given: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When the map in force is not known, the sub-cluster is not as it should be, the map would be refused, or it cannot be
/// written.
pub(super) fn run(command: SubclusterCommand) -> Result<(), CliError> {
    match command {
        SubclusterCommand::Add(args) => edit(&args.maps, Edit::AddSubCluster(args.spec()?)),
        SubclusterCommand::Weight(args) => edit(&args.maps, Edit::Weight(args.subcluster, args.weight)),
    }
}

impl AddArgs {
    fn spec(&self) -> Result<SubClusterSpec, SubclusterError> {
        let node = |of: &OfNode| NodeSpec {
            name: of.node.to_string(),
            url: of.said.clone(),
            public_url: None,
            state: NodeState::In,
            location: BTreeMap::new(),
        };
        let mut nodes: Vec<NodeSpec> = self.nodes.iter().map(node).collect();
        let find = |option, of: &OfNode| {
            let at = self.nodes.iter().position(|node| node.node == of.node);
            at.ok_or_else(|| SubclusterError::Stranger { option, node: of.node.clone() })
        };
        for of in &self.public_urls {
            let at = find("--public-url", of)?;
            nodes[at].public_url = Some(of.said.clone());
        }
        for of in &self.locations {
            let at = find("--location", of)?;
            for place in of.said.split(',') {
                let wrong = || SubclusterError::Location { node: of.node.clone(), given: of.said.clone() };
                let (level, name) = place.split_once(':').ok_or_else(wrong)?;
                nodes[at].location.insert(level.to_owned(), name.to_owned());
            }
        }
        Ok(SubClusterSpec { name: self.subcluster.to_string(), weight: self.weight, nodes })
    }
}

impl FromStr for OfNode {
    type Err = OfNodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, said) = text.split_once('=').ok_or(OfNodeError::NoName)?;
        Ok(Self { node: node.parse()?, said: said.to_owned() })
    }
}
