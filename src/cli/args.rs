//! The arguments of the commands that start something. The texts are what `--help` shows; nothing is done here.

use std::path::PathBuf;

use clap::Args;

use crate::config::Overrides;

/// Answer requests until told to stop
///
/// SIGTERM and SIGUSR1 end it once running requests are finished; SIGHUP makes it read its configuration again; SIGUSR2
/// starts the program anew, after an upgrade, and leaves the sockets to the new process once that serves.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The settings of this node
    #[arg(long, value_name = "node.toml")]
    pub config: PathBuf,
    /// Listen here for FastCGI, unix:PATH or HOST:PORT, in place of what the file says
    #[arg(long, value_name = "WHERE")]
    pub fcgi: Option<String>,
    /// Let the embedded front listen here, in place of what the file says
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// Stop when the process that started this one ends, however it ends; for web servers that start webdfs themselves
    #[arg(long)]
    pub die_with_parent: bool,
}

/// Show the decided settings, and test all that can be tested before serving
///
/// One line each; exit code 1 if anything is wrong.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The settings of this node
    #[arg(long, value_name = "node.toml")]
    pub config: PathBuf,
}

/// Run the background work of one storage root, and its embedded front, without answering FastCGI
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The settings of this node
    #[arg(long, value_name = "node.toml")]
    pub config: PathBuf,
}

/// Show how the running node is: what it holds, what it lacks, and which other nodes answer
///
/// Objects are counted when the node compares its files with those of the others; all else is as of now. Exit code 1 if
/// no webdfs runs on the storage root.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The settings of this node
    #[arg(long, value_name = "node.toml")]
    pub config: PathBuf,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Let the running node compare all its files with those of the other nodes, and wait until they agree
///
/// Exit code 0 only when a full pass that began after this was asked for has finished with every owner of every file.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// The settings of this node
    #[arg(long, value_name = "node.toml")]
    pub config: PathBuf,
    /// One pass, now
    #[arg(long, required = true)]
    pub once: bool,
}

/// Let the running node read all its files and compare them with their checksums, and wait for the end
///
/// Files that have rotted are taken out of service and fetched again from other nodes. Exit code 0 only when every file
/// was read after this was asked for.
#[derive(Debug, Args)]
pub struct ScrubArgs {
    /// The settings of this node
    #[arg(long, value_name = "node.toml")]
    pub config: PathBuf,
}

impl ServeArgs {
    /// What goes before the file.
    pub fn overrides(&self) -> Overrides {
        Overrides { fcgi: self.fcgi.clone(), http: self.http.clone() }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    enum All {
        Serve(ServeArgs),
        Check(CheckArgs),
        Agent(AgentArgs),
        Status(StatusArgs),
        Reconcile(ReconcileArgs),
        Scrub(ScrubArgs),
    }

    fn parse(line: &str) -> Result<All, clap::Error> {
        All::try_parse_from(["webdfs"].into_iter().chain(line.split(' ')))
    }

    #[test]
    fn the_arguments_are_described_without_contradiction() {
        All::command().debug_assert();
    }

    #[test]
    fn serve_passes_on_what_goes_before_the_file() {
        let Ok(All::Serve(args)) = parse("serve --config n.toml --fcgi unix:w.sock") else { panic!() };
        assert_eq!(args.overrides(), Overrides { fcgi: Some("unix:w.sock".to_owned()), http: None });
    }

    #[test]
    fn what_needs_a_configuration_says_so() {
        for line in ["serve", "check", "agent", "status", "reconcile --once", "scrub"] {
            assert!(parse(line).unwrap_err().to_string().contains("--config"), "{line}");
        }
    }
}
