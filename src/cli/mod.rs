//! The command line: what was typed to a command, and what every command shares. One file per command; a command
//! prints its answer, and returns what went wrong for `main` to print.

mod agent;
mod args;
mod check;
mod config;
pub mod demo;
mod explain;
mod import;
mod locate;
mod map;
mod maps;
mod node;
mod paths;
mod runtime;
mod serve;
mod sign;
mod sim;
mod status;
mod subcluster;
mod table;
mod token;
mod work;

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::cluster::EditError;
use crate::config::ConfigError;
use crate::control::{CallError, Work};
use crate::import::JournalError;
use crate::import::original::OriginalError;
use crate::node::NodeError;

pub use crate::chain::chain;
pub use args::{AgentArgs, CheckArgs, ReconcileArgs, ScrubArgs, ServeArgs, StatusArgs};
pub use config::{ConfigArgs, SiteError};
pub use demo::DemoArgs;
pub use explain::ExplainArgs;
pub use import::ImportArgs;
pub use locate::LocateArgs;
pub use maps::MapsError;
pub use sign::{SignArgs, SignCommandError};
pub use sim::{SimArgs, SimError};
pub use subcluster::SubclusterError;
pub use token::TokenCommandError;

/// webdfs: images and other static files on many machines, beside the web server you already run.
#[derive(Debug, Parser)]
#[command(name = "webdfs", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(ServeArgs),
    Check(CheckArgs),
    Config(ConfigArgs),
    Locate(LocateArgs),
    #[command(subcommand)]
    Map(map::MapCommand),
    #[command(subcommand)]
    Node(node::NodeCommand),
    #[command(subcommand)]
    Subcluster(subcluster::SubclusterCommand),
    Import(ImportArgs),
    Explain(ExplainArgs),
    Sim(SimArgs),
    Agent(AgentArgs),
    Status(StatusArgs),
    Reconcile(ReconcileArgs),
    Scrub(ScrubArgs),
    #[command(subcommand)]
    Token(token::TokenCommand),
    Sign(SignArgs),
    Demo(DemoArgs),
}

/// Why a command failed; its exit code is 1.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Some of the paths asked for name no file; each was named on standard error, the others were answered.
    #[error("{refused} of {asked} paths refused")]
    PathsRefused {
        /// How many of them.
        refused: usize,
        /// How many there were.
        asked: usize,
    },
    /// A configuration of the original webDFS is not taken over.
    #[error(transparent)]
    Original(#[from] OriginalError),
    /// What is to be imported is not there.
    #[error("{}: cannot be imported", .path.display())]
    Source {
        /// What was named.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The journal of an import cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Some files were not imported; each was named.
    #[error("{failed} files were not imported; the same command tries them again")]
    NotImported {
        /// How many.
        failed: u64,
    },
    /// A file could not be written.
    #[error("{}: cannot be written", .file.display())]
    Write {
        /// The file, as it was named.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The maps do not go together.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The map cannot be changed like that.
    #[error("{}", .file.display())]
    Edit {
        /// The map that was to be changed.
        file: PathBuf,
        /// Why not.
        source: EditError,
    },
    /// A map is not put in force, or it is not known which one is.
    #[error(transparent)]
    Apply(#[from] map::ApplyError),
    /// There is no such sub-cluster to add.
    #[error(transparent)]
    Subcluster(#[from] SubclusterError),
    /// A map of two files has no place on standard output.
    #[error("the map has a CRUSH map, which is a file of its own: name a file for both with --output")]
    TwoFiles,
    /// Something speaks against a change; each was named.
    #[error("{count} {} to this change", if *.count == 1 { "objection" } else { "objections" })]
    Objections {
        /// How many.
        count: usize,
    },
    /// The user does not wait for the end of a change.
    #[error("the map is in force, and files go on moving: webdfs map status tells how far that is")]
    GoesOn,
    /// Not all nodes that hold files have counted them; each was named.
    #[error("{missing} {} left out: start them, or be content with --partial", if *.missing == 1 { "node is" } else { "nodes are" })]
    Partial {
        /// How many.
        missing: usize,
    },
    /// The nodes were asked, and do not hold what they should; the verdicts were printed.
    #[error("{wrong} of {asked} files not as they should be")]
    NotAsItShouldBe {
        /// How many of them.
        wrong: usize,
        /// How many there were.
        asked: usize,
    },
    /// There is no simulation.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The web server's configuration cannot be filled in.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The node does not run.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The process that does the background work has not done what was asked.
    #[error(transparent)]
    Agent(#[from] CallError),
    /// The tokens are as they were.
    #[error(transparent)]
    Token(#[from] TokenCommandError),
    /// There is no signed URL.
    #[error(transparent)]
    Sign(#[from] SignCommandError),
    /// The demo ended other than well.
    #[error(transparent)]
    Demo(#[from] demo::DemoError),
    /// Something is wrong; each was named in its line.
    #[error("{wrong} of {tested} tests failed")]
    CheckFailed {
        /// How many failed.
        wrong: usize,
        /// How many were made.
        tested: usize,
    },
    /// The answer could not be printed.
    #[error("the answer could not be printed")]
    Output(#[from] io::Error),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// As the command says; what it could answer is printed all the same.
    pub fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::Serve(args) => serve::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Config(args) => config::run(&args),
            Command::Locate(args) => locate::run(&args),
            Command::Map(command) => map::run(&command),
            Command::Node(command) => node::run(command),
            Command::Subcluster(command) => subcluster::run(command),
            Command::Import(args) => import::run(args),
            Command::Explain(args) => explain::run(&args),
            Command::Sim(args) => sim::run(&args),
            Command::Agent(args) => agent::run(args),
            Command::Status(args) => status::run(&args),
            Command::Reconcile(args) => work::run(&args.config, Work::Reconcile),
            Command::Scrub(args) => work::run(&args.config, Work::Scrub),
            Command::Token(command) => token::run(&command),
            Command::Sign(args) => sign::run(&args),
            Command::Demo(args) => Ok(demo::run(&args)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_described_without_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_error_is_printed_with_its_causes_on_one_line() {
        let source = io::Error::new(io::ErrorKind::NotFound, "gone");
        let error = CliError::from(ConfigError::Read { file: "node.toml".into(), source });
        assert_eq!(chain(&error), "node.toml: cannot be read: gone");
    }
}
