//! `webdfs agent`: runs the background work of one storage root alone, or tells the node that runs how to do it.

use std::io::{self, Write};
use std::path::PathBuf;

use super::args::{AgentOrder, OrderArgs, RateArgs};
use super::runtime::run_node;
use super::serve::lift_file_limit;
use super::status::background_text;
use super::work::{agent_of, wait_for};
use super::{AgentArgs, CliError};
use crate::config::Overrides;
use crate::control::Request;
use crate::node::{self, Source};

pub(super) fn run(args: AgentArgs) -> Result<(), CliError> {
    match (args.order, args.config) {
        (Some(AgentOrder::Pause(args)), _) => order(&args, Request::Pause),
        (Some(AgentOrder::Resume(args)), _) => order(&args, Request::Resume),
        (Some(AgentOrder::Rate(RateArgs { rate, order: args })), _) => {
            order(&args, Request::Rate { bytes_per_second: rate.0 })
        }
        (None, config) => run_alone(config.expect("the parser requires it")),
    }
}

fn order(args: &OrderArgs, order: Request) -> Result<(), CliError> {
    let agent = agent_of(&args.config)?;
    let background = wait_for(agent.order(order))??;
    writeln!(io::stdout().lock(), "background work: {}", background_text(&background))?;
    Ok(())
}

fn run_alone(config: PathBuf) -> Result<(), CliError> {
    lift_file_limit();
    let source =
        Source { config, overrides: Overrides::default(), working_directory: std::env::current_dir()? };
    Ok(run_node(|background| node::run_agent(source, background))??)
}
