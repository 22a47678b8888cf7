//! `webdfs import`: brings the files of a folder, a list or another store to a running cluster, by its front door.

mod meter;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tokio::runtime::Builder;

use super::CliError;
use crate::cluster::{NodeUrl, UrlError};
use crate::import::{Import, Keys, Source, Summary, Tracker, run as import};
use crate::name::Prefix;
use meter::Meter;

/// Bring the files of a folder, a list or a MogileFS to a running cluster
///
/// SOURCE is a folder; or a list, a file with a line for each file (- for standard input): /name<TAB>ORIGIN, or an origin
/// alone. An origin is an http:// URL or a path of this machine; a name is written as in a URL. A folder called mogilefs
/// is written ./mogilefs.
///
/// Every file is uploaded with its length and SHA-256, so that nothing half-done is stored. What is there with the same
/// bytes is left as it is; what is there with other bytes is, too, and counts as failed, unless --overwrite is given.
/// The times of the files are not kept: each becomes a version of now.
///
/// Exit code 1 if anything was not stored; the end names it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ImportArgs {
    #[command(subcommand)]
    from: Option<From>,
    /// A folder, a list of files, or - for a list on standard input
    #[arg(required = true)]
    source: Option<PathBuf>,
    #[command(flatten)]
    how: Option<How>,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Bring the files of a domain of MogileFS; each is named as its key
    ///
    /// The tracker is asked which keys there are and where their files lie, and they are fetched from there.
    #[command(name = "mogilefs")]
    MogileFs {
        /// A tracker; several are asked in turn
        #[arg(long, value_name = "HOST:PORT", required = true)]
        tracker: Vec<String>,
        /// The domain
        #[arg(long)]
        domain: String,
        /// Only the keys that this file lists, one a line
        #[arg(long, value_name = "FILE", conflicts_with = "key_prefix")]
        keys: Option<PathBuf>,
        /// Only the keys that begin so
        #[arg(long, value_name = "PREFIX", default_value = "")]
        key_prefix: String,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, Args)]
struct How {
    /// A node, or the web server in front of it; several are used in turn, and one that fails is left out for a while
    #[arg(long, value_name = "URL", required = true, value_parser = target)]
    to: Vec<NodeUrl>,
    /// What stands before each name in its URL there, as prefix in node.toml
    #[arg(long, value_name = "/p/", default_value = "/")]
    prefix: Prefix,
    /// How many files are under way at once
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Write down in this file what is finished, and leave out what stands there: an import that was stopped goes on
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Replace files that are there with other bytes
    #[arg(long)]
    overwrite: bool,
    /// Write files once more that are there with the same bytes, while nobody else writes them: those that the original
    /// webDFS left in hashed folders get their names so
    #[arg(long)]
    again: bool,
    /// How often a file is tried again that no node could take, with growing pauses
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(..=100))]
    retries: u32,
    /// Only look what would be imported, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the end as JSON, for programs
    #[arg(long)]
    json: bool,
}

fn target(text: &str) -> Result<NodeUrl, UrlError> {
    NodeUrl::between_nodes(text)
}

pub(super) fn run(args: ImportArgs) -> Result<(), CliError> {
    let (source, how, title) = match (args.from, args.source, args.how) {
        (Some(From::MogileFs { tracker, domain, keys, key_prefix, how }), _, _) => {
            let title = format!("the MogileFS domain {domain}");
            let keys = keys.map_or(Keys::Prefix(key_prefix), Keys::File);
            (Source::MogileFs { tracker: Tracker::new(tracker, domain), keys }, how, title)
        }
        (None, Some(path), Some(how)) if path.as_os_str() == "-" => {
            (Source::Input, how, "standard input".to_owned())
        }
        (None, Some(path), Some(how)) => {
            path.metadata().map_err(|source| CliError::Source { path: path.clone(), source })?;
            // A pipe has no name.
            let title = path.canonicalize().unwrap_or_else(|_| path.clone()).display().to_string();
            (if path.is_dir() { Source::Folder(path) } else { Source::List(path) }, how, title)
        }
        _ => unreachable!("clap asks for a source and for --to"),
    };
    let import = Import {
        title: format!("{title} to {}", how.prefix),
        to: how.to,
        prefix: how.prefix,
        concurrency: how.concurrency.into(),
        retries: how.retries,
        overwrite: how.overwrite,
        again: how.again,
        dry_run: how.dry_run,
        journal: how.resume,
    };
    let summary = perform(&import, &source)?;
    print(&mut io::stdout().lock(), &summary, how.dry_run, how.json)?;
    match summary.failed {
        0 => Ok(()),
        failed => Err(CliError::NotImported { failed }),
    }
}

fn perform(to_do: &Import, source: &Source) -> Result<Summary, CliError> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let meter = Meter::new(source);
    let summary = runtime.block_on(import(to_do, source, |summary| meter.show(summary)));
    drop(meter);
    // A source may still wait for standard input.
    runtime.shutdown_background();
    Ok(summary?)
}

fn print(out: &mut impl Write, summary: &Summary, dry_run: bool, json: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, summary)?;
        return writeln!(out);
    }
    for failed in &summary.failures {
        writeln!(out, "failed: {}: {}", failed.what, failed.why)?;
    }
    let unnamed = summary.failed - summary.failures.len() as u64;
    if unnamed > 0 {
        writeln!(out, "failed: {unnamed} more")?;
    }
    let Summary { files, bytes, same, resumed, failed, .. } = summary;
    let verb = if dry_run { "would be stored" } else { "stored" };
    writeln!(
        out,
        "{files} files {verb} ({}), {same} were there already, {resumed} finished before, {failed} failed",
        indicatif::BinaryBytes(*bytes)
    )
}
