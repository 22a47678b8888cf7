//! `webdfs map`: the map of a cluster, made and changed.

mod apply;
mod ask;
mod diff;
mod edit;
mod history;
mod import_php;
mod in_force;
mod plan;
mod status;
mod wait;

use clap::Subcommand;

pub use apply::ApplyError;

use apply::ApplyArgs;
use diff::DiffArgs;
use history::HistoryArgs;
use import_php::ImportPhpArgs;
use plan::PlanArgs;
use status::StatusArgs;

use super::CliError;

pub(super) use edit::{EditArgs, edit};

/// The maps of a cluster: make, compare, plan and apply them, and see how far a change is
#[derive(Debug, Subcommand)]
pub(super) enum MapCommand {
    Diff(DiffArgs),
    Plan(PlanArgs),
    Apply(ApplyArgs),
    Status(StatusArgs),
    History(HistoryArgs),
    ImportPhp(ImportPhpArgs),
}

pub(super) fn run(command: &MapCommand) -> Result<(), CliError> {
    match command {
        MapCommand::Diff(args) => diff::run(args),
        MapCommand::Plan(args) => plan::run(args),
        MapCommand::Apply(args) => apply::run(args),
        MapCommand::Status(args) => status::run(args),
        MapCommand::History(args) => history::run(args),
        MapCommand::ImportPhp(args) => import_php::run(args),
    }
}
