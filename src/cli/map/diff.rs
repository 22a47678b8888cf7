//! `webdfs map diff`: what a change of maps is, and what speaks against it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::change::Change;
use crate::cli::CliError;
use crate::cluster::ClusterMap;
use crate::config::load_map;

/// Show what differs between two maps, what speaks against putting the second in the place of the first, and how much moves
///
/// Computed from the maps, with made-up files; no node is asked. Exit code 1 if anything speaks against it.
#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// The map that is
    #[arg(value_name = "OLD.toml")]
    old: PathBuf,
    /// The map that shall be
    #[arg(value_name = "NEW.toml")]
    new: PathBuf,
    /// Answer in JSON: {"old":...,"new":...,"differences":[...],"objections":[...],"warnings":[...],"moves":...}
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Diff {
    old: Which,
    new: Which,
    #[serde(flatten)]
    change: Change,
}

/// Which map it is.
#[derive(Debug, Serialize)]
pub(super) struct Which {
    pub(super) file: String,
    pub(super) epoch: u64,
    pub(super) fingerprint: String,
}

/// Runs the command.
///
/// # Errors
/// When a map is refused, anything speaks against the change, or nothing can be printed.
pub(super) fn run(args: &DiffArgs) -> Result<(), CliError> {
    let (old, new) = (load_map(&args.old)?, load_map(&args.new)?);
    let change = Change::between(&old, &new);
    let diff = Diff { old: Which::of(&old, &args.old), new: Which::of(&new, &args.new), change };
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &diff).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        for (about, which) in [("old", &diff.old), ("new", &diff.new)] {
            writeln!(
                out,
                "{about}: {}: epoch {}, fingerprint {}",
                which.file, which.epoch, which.fingerprint
            )?;
        }
        print(&mut out, &diff.change)?;
    }
    match diff.change.objections.len() {
        0 => Ok(()),
        count => Err(CliError::Objections { count }),
    }
}

/// A change, in lines.
pub(super) fn print(out: &mut impl Write, change: &Change) -> io::Result<()> {
    print_differences(out, change)?;
    print_against(out, change)?;
    let moves = &change.moves;
    let against = match moves.against_optimum {
        Some(times) => format!("{times:.2} times what has to"),
        None => "none has to".to_owned(),
    };
    writeln!(out, "{:.2} % of all copies move, {against}", moves.moved_share * 100.0)
}

/// What differs.
pub(super) fn print_differences(out: &mut impl Write, change: &Change) -> io::Result<()> {
    for difference in &change.differences {
        writeln!(out, "{difference}")?;
    }
    if change.differences.is_empty() {
        writeln!(out, "nothing differs but the epoch, if that")?;
    }
    Ok(())
}

/// What speaks against it, and what else there is to know.
pub(super) fn print_against(out: &mut impl Write, change: &Change) -> io::Result<()> {
    for objection in &change.objections {
        writeln!(out, "OBJECTION {}: {objection}", objection.word())?;
    }
    for warning in &change.warnings {
        writeln!(out, "WARNING {warning}")?;
    }
    Ok(())
}

impl Which {
    pub(super) fn of(map: &ClusterMap, file: &Path) -> Self {
        Self {
            file: file.display().to_string(),
            epoch: map.epoch().get(),
            fingerprint: map.fingerprint().to_string(),
        }
    }
}
