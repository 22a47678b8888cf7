//! The arguments of the commands that start something. The texts are what `--help` shows; nothing is done here.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{Overrides, Rate, RateError};

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
    /// Let gossip listen here, by UDP, in place of what the file says; "" for none
    #[arg(long, value_name = "HOST:PORT")]
    pub gossip: Option<String>,
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

/// Run the background work of one storage root, and its embedded front, without answering FastCGI; or tell the running node
/// how to do it
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct AgentArgs {
    /// The settings of this node
    // Always there unless there is a command.
    #[arg(long, value_name = "node.toml", required = true)]
    pub config: Option<PathBuf>,
    /// What to tell it.
    #[command(subcommand)]
    pub order: Option<AgentOrder>,
}

/// What the running node is told about its background work. It keeps to it until it is told otherwise, after a restart, too.
#[derive(Debug, Subcommand)]
pub enum AgentOrder {
    /// Let the work over all files rest: comparing with other nodes, bringing them what they lack, moving files, reading files
    ///
    /// What is being read or sent at this moment is finished first. It rests until `webdfs agent resume`, though the node is
    /// restarted. Whatever keeps acknowledged writes safe goes on: writes that a node has missed are brought to it, and other
    /// nodes are answered. While one node rests, files that it is to give to others stay where they are, and a map change does
    /// not come to its end.
    Pause(OrderArgs),
    /// Let it go on where it was
    Resume(OrderArgs),
    /// Change how many bytes of files are read and transferred in a second, all together
    ///
    /// It holds from the next piece of a file on, after a restart, too, until `default`.
    Rate(RateArgs),
}

/// Which node is told.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// The settings of the node
    #[arg(long, value_name = "node.toml")]
    pub config: PathBuf,
}

/// Which node is told, and what.
#[derive(Debug, Args)]
pub struct RateArgs {
    /// A size from 1MiB, "unlimited", or "default" for what node.toml says
    #[arg(value_name = "BYTES_PER_SECOND", value_parser = rate)]
    pub rate: OrderedRate,
    #[command(flatten)]
    pub order: OrderArgs,
}

/// The rate that is ordered; none: as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderedRate(pub Option<Rate>);

fn rate(text: &str) -> Result<OrderedRate, RateError> {
    match text {
        "default" => Ok(OrderedRate(None)),
        _ => text.parse().map(|rate| OrderedRate(Some(rate))),
    }
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
    /// Show all nodes of the cluster: which are up, under which map, how full, and how far their files have moved
    #[arg(long)]
    pub cluster: bool,
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
        Overrides { fcgi: self.fcgi.clone(), http: self.http.clone(), gossip: self.gossip.clone() }
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
        let line = "serve --config n.toml --fcgi unix:w.sock --gossip 10.0.0.1:7071";
        let Ok(All::Serve(args)) = parse(line) else { panic!() };
        let (fcgi, gossip) = (Some("unix:w.sock".to_owned()), Some("10.0.0.1:7071".to_owned()));
        assert_eq!(args.overrides(), Overrides { fcgi, http: None, gossip });
    }

    #[test]
    fn the_agent_runs_unless_it_is_told_something() {
        let Ok(All::Agent(AgentArgs { config: Some(_), order: None })) = parse("agent --config n.toml")
        else {
            panic!()
        };
        let told = |line: &str| match parse(line) {
            Ok(All::Agent(AgentArgs { order, .. })) => order.unwrap(),
            other => panic!("{line}: {other:?}"),
        };
        assert!(matches!(told("agent pause --config n.toml"), AgentOrder::Pause(_)));
        assert!(matches!(told("agent resume --config n.toml"), AgentOrder::Resume(_)));
        for (text, expected) in
            [("default", None), ("unlimited", Some("unlimited")), ("20MiB", Some("20MiB"))]
        {
            let AgentOrder::Rate(args) = told(&format!("agent rate {text} --config n.toml")) else {
                panic!()
            };
            assert_eq!(args.rate.0.map(|rate| rate.to_string()).as_deref(), expected);
        }
    }

    #[test]
    fn what_needs_a_configuration_says_so() {
        for line in ["serve", "check", "agent", "agent pause", "status", "reconcile --once", "scrub"] {
            assert!(parse(line).unwrap_err().to_string().contains("--config"), "{line}");
        }
    }
}
