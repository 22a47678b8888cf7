//! `webdfs map`: the map of a cluster, made and changed.

mod diff;
mod edit;

use clap::Subcommand;

use diff::DiffArgs;

use super::CliError;

pub(super) use edit::{EditArgs, edit};

/// Make or compare the maps of a cluster
#[derive(Debug, Subcommand)]
pub(super) enum MapCommand {
    Diff(DiffArgs),
}

pub(super) fn run(command: &MapCommand) -> Result<(), CliError> {
    match command {
        MapCommand::Diff(args) => diff::run(args),
    }
}
