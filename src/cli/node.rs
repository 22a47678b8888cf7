//! `webdfs node`: the next map, in which a node has another state.

use clap::{Args, Subcommand};

use super::CliError;
use super::map::{EditArgs, edit};
use crate::cluster::{Edit, NodeName, NodeState};

/// Write the next map, with a node out of service, back in service, or given up
///
/// The map is written, and nothing else happens without `--apply`. Only its values are kept: comments in the file that it was are not.
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Take a node out of service: its files move to the others, and it keeps its slot
    ///
    /// It must run until they have moved. Comments of the present map are not kept.
    Out(NodeArgs),
    /// Put a node that is out or lost into service again
    ///
    /// Comments of the present map are not kept.
    In(NodeArgs),
    /// Give a node up that is dead for good: out of service, and nobody waits for it
    ///
    /// Should it come back, what it holds counts only once the others confirm it. Comments of the present map are not kept.
    Lost(NodeArgs),
}

/// Which node, and where the maps are.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// The node
    #[arg(value_name = "NAME")]
    node: NodeName,
    #[command(flatten)]
    maps: EditArgs,
}

/// Runs the command.
///
/// # Errors
/// When the map in force is not known, there is no such node, it is so already, the map would be refused, or it cannot be
/// written.
pub(super) fn run(command: NodeCommand) -> Result<(), CliError> {
    let (args, state) = match command {
        NodeCommand::Out(args) => (args, NodeState::Out),
        NodeCommand::In(args) => (args, NodeState::In),
        NodeCommand::Lost(args) => (args, NodeState::Lost),
    };
    edit(&args.maps, Edit::State(args.node, state))
}
