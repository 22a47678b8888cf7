//! `webdfs map`: the map of a cluster, made and changed.

mod apply;
mod ask;
mod diff;
mod edit;
mod import_php;
mod status;

use clap::Subcommand;

pub use apply::ApplyError;

use apply::ApplyArgs;
use diff::DiffArgs;
use import_php::ImportPhpArgs;
use status::StatusArgs;

use super::CliError;

pub(super) use edit::{EditArgs, edit};

/// Make or compare the maps of a cluster
#[derive(Debug, Subcommand)]
pub(super) enum MapCommand {
    Diff(DiffArgs),
    Apply(ApplyArgs),
    Status(StatusArgs),
    ImportPhp(ImportPhpArgs),
}

pub(super) fn run(command: &MapCommand) -> Result<(), CliError> {
    match command {
        MapCommand::Diff(args) => diff::run(args),
        MapCommand::Apply(args) => apply::run(args),
        MapCommand::Status(args) => status::run(args),
        MapCommand::ImportPhp(args) => import_php::run(args),
    }
}
