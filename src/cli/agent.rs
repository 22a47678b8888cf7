//! `webdfs agent`: runs the background work of one storage root alone.

use super::serve::{block_on, lift_file_limit};
use super::{AgentArgs, CliError};
use crate::config::Overrides;
use crate::node::{self, Source};

pub(super) fn run(args: AgentArgs) -> Result<(), CliError> {
    lift_file_limit();
    let source = Source {
        config: args.config,
        overrides: Overrides::default(),
        working_directory: std::env::current_dir()?,
    };
    Ok(block_on(node::run_agent(source))??)
}
