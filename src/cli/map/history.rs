//! `webdfs map history`: the maps that a root has had.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::cli::CliError;
use crate::cli::maps::MapsError;
use crate::cli::status::date;
use crate::cli::table::table;
use crate::config;
use crate::store::{HistoryEntry, map_history};

/// Show the maps that a node has worked by: when each came into force, when it was settled, and what it changed
///
/// Read from the node's root; no process need run. The maps themselves are forgotten when they are settled.
#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// The settings of a node, on that node
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Answer in JSON: [{"epoch":...,"map":...,"adopted":...,"settled":...,"change":...},...], times in seconds since 1970
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &HistoryArgs) -> Result<(), CliError> {
    let root = config::load_site(&args.config)?.root;
    let entries = map_history(&root).map_err(|source| MapsError::Remembered { root, source })?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &entries).map_err(io::Error::from)?;
        return Ok(writeln!(out)?);
    }
    let rows = entries.iter().enumerate().map(|(place, entry)| {
        [
            entry.epoch.to_string(),
            entry.map.to_string(),
            date(entry.adopted),
            settled(entry, place + 1 == entries.len()),
            entry.change.clone(),
        ]
    });
    Ok(writeln!(
        out,
        "{}",
        table(["epoch", "fingerprint", "in force since", "settled", "change"], rows, &[1, 2, 3, 4])
    )?)
}

fn settled(entry: &HistoryEntry, is_last: bool) -> String {
    match entry.settled {
        Some(at) => date(at),
        None if is_last => "not yet".to_owned(),
        None => "another came first".to_owned(),
    }
}
