//! What `webdfs node ...` and `webdfs subcluster ...` have in common: the next map is made of the one in force, and written.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::apply::{How, apply};
use super::diff::print;
use crate::change::{Change, ObjectionWord};
use crate::cli::{CliError, maps};
use crate::cluster::{ClusterMap, Edit};
use crate::config::{crush_file, load, load_naming, map_text};

/// Where the map in force is, and where the next one goes.
#[derive(Debug, Args)]
pub(in crate::cli) struct EditArgs {
    /// The settings of a node: the map is the newest that its root remembers, else the one that this file names
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Write here, where no file may be yet, instead of to standard output; a CRUSH map goes beside it as EPOCH.crush
    #[arg(long, value_name = "cluster.toml")]
    output: Option<PathBuf>,
    /// Put the map in force, too, as webdfs map apply does
    #[arg(long)]
    apply: bool,
    /// Do it in spite of a reason against it
    #[arg(long, value_name = "WORD", requires = "apply")]
    force: Vec<ObjectionWord>,
    /// Wait until all files have moved; to end that before the end changes nothing else
    #[arg(long, requires = "apply")]
    wait: bool,
}

/// Makes the next map, writes it, and tells what changes.
///
/// # Errors
/// When the map in force is not known, it cannot be changed like that, or the next one cannot be written.
pub(in crate::cli) fn edit(args: &EditArgs, edit: Edit) -> Result<(), CliError> {
    let old = maps::newest(&load_naming(&args.config)?)?;
    let new = old.map.edited(edit).map_err(|source| CliError::Edit { file: old.file.clone(), source })?;
    if args.output.is_some() || !args.apply {
        write(&new, args.output.as_deref())?;
    }
    let mut out = io::stderr().lock();
    writeln!(out, "epoch {}, from epoch {} of {}", new.epoch(), old.map.epoch(), old.file.display())?;
    if args.apply {
        let text = map_text(&new);
        let how = How { force: args.force.clone(), wait: args.wait };
        return apply(&load(&args.config)?, text, new, &how);
    }
    print(&mut out, &Change::between(&old.map, &new))?;
    Ok(())
}

fn write(map: &ClusterMap, output: Option<&Path>) -> Result<(), CliError> {
    let text = map_text(map);
    let Some(file) = output else {
        if text.crush.is_some() {
            return Err(CliError::TwoFiles);
        }
        return Ok(io::stdout().lock().write_all(text.toml.as_bytes())?);
    };
    let crush = text.crush.map(|text| (file.with_file_name(crush_file(map.epoch())), text));
    // The map last: what it names is there then.
    let files = crush.iter().map(|(file, text)| (file.as_path(), text)).chain([(file, &text.toml)]);
    for (at, text) in files {
        write_new(at, text).map_err(|source| CliError::Write { file: at.to_owned(), source })?;
    }
    Ok(())
}

/// A file that is there stays as it is: it may be the map of a running cluster.
fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut new = fs::File::create_new(file)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()
}
