//! `webdfs map`: the map of a cluster, made and changed.

mod import_php;

use clap::Subcommand;

use import_php::ImportPhpArgs;

use super::CliError;

/// Make the map of a cluster
#[derive(Debug, Subcommand)]
pub(super) enum MapCommand {
    ImportPhp(ImportPhpArgs),
}

pub(super) fn run(command: &MapCommand) -> Result<(), CliError> {
    match command {
        MapCommand::ImportPhp(args) => import_php::run(args),
    }
}
