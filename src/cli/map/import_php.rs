//! `webdfs map import-php`: the map of a cluster of the original webDFS, from its configuration.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::CliError;
use crate::config::ConfigError;
use crate::import::original::{CONFIG_BYTES_MAX, Original, Wanted};
use crate::php::PhpVersion;

/// Make a cluster.toml from the cluster_config.php of an original webDFS (in PHP)
///
/// The file is read, never run. What it says besides the map stands in comments, with what to do about it. The guide is
/// docs/takeover.md.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportPhpArgs {
    /// The configuration of the original
    #[arg(value_name = "cluster_config.php")]
    file: PathBuf,
    /// The PHP that the original ran on when its files were stored: 5.2 for 5.2.1 to 7.0, 7.1 for later ones
    #[arg(long, value_name = "5.2|7.1", default_value = "5.2")]
    php: PhpVersion,
    /// Which entry of 'data' to take; 0 is the present one
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    entry: usize,
    /// The epoch of the map
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    epoch: u64,
    /// Write here, where no file may be yet, instead of to standard output
    #[arg(long, value_name = "cluster.toml")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &ImportPhpArgs) -> Result<(), CliError> {
    let text = read(&args.file).map_err(|source| ConfigError::Read { file: args.file.clone(), source })?;
    let wanted = Wanted { php: args.php, entry: args.entry, epoch: args.epoch };
    let original = Original::read(&text, &args.file, wanted)?;
    let text = original.to_toml(&args.file);
    match &args.output {
        Some(file) => write_new(file, &text).map_err(|source| CliError::Write { file: file.clone(), source }),
        None => Ok(io::stdout().lock().write_all(text.as_bytes())?),
    }
}

/// A byte more than is accepted, if there are so many.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(file)?.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// A file that is there stays as it is: it may be the map of a running cluster.
fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut new = fs::File::create_new(file)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()
}
