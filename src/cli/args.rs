//! The arguments of the commands that start something. The texts are what `--help` shows; nothing is done here.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::Overrides;

/// Answer requests until told to stop
///
/// SIGTERM and SIGUSR1 end it once running requests are finished; SIGHUP makes it read its configuration again.
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

/// Run the background work of one storage root alone, without answering requests
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The settings of this node
    #[arg(long, value_name = "node.toml")]
    pub config: PathBuf,
}

/// Start a small cluster on this machine, store images in it, and say how to try it
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// What stands in front of each node; auto: nginx if it is installed
    #[arg(long, value_enum, default_value_t = DemoFront::Auto)]
    pub front: DemoFront,
    /// Check that everything came back as it was stored, then end with exit code 0, or 1 if not
    #[arg(long)]
    pub check: bool,
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: u16,
    /// How many of them hold each image; at most the number of nodes
    #[arg(long, value_name = "R", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub replicas: u16,
    /// Keep all files in this folder, in place of a temporary one that is removed
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// What stands in front of each node of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoFront {
    /// nginx if it is installed, else the embedded front
    Auto,
    /// nginx
    Nginx,
    /// The embedded front
    Http,
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
        Demo(DemoArgs),
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
        for line in ["serve", "check", "agent"] {
            assert!(parse(line).unwrap_err().to_string().contains("--config"), "{line}");
        }
    }

    #[test]
    fn the_demo_runs_without_arguments_and_within_bounds() {
        let Ok(All::Demo(args)) = parse("demo") else { panic!() };
        assert_eq!((args.front, args.nodes, args.replicas, args.check), (DemoFront::Auto, 3, 2, false));
        for line in ["demo --nodes 0", "demo --replicas 0", "demo --front apache", "demo --replicas 17"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
