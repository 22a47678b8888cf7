//! `webdfs config`: the configuration of the web server in front, filled in for one node.
//!
//! The shipped files are the templates, and valid as they are: what is printed is their text with the node's own values
//! in the place of those they are shipped with. Nothing is read but node.toml, and not its secret.

mod exclude;
mod prefix;
mod servers;
mod snippet;
mod values;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::config::{Site, front_word, load_site};

use servers::Server;
pub use servers::SiteError;

/// Print the web server's configuration, filled in for this node
///
/// The text is that of the shipped files (nginx/, apache/, ...) with this node's values. Where a server has several
/// files, all are printed one after the other; --file prints one, --output writes them.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The web server
    #[arg(value_enum)]
    server: Server,
    /// The settings of this node
    #[arg(long, value_name = "node.toml")]
    config: PathBuf,
    /// Print this one of the server's files
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Write the files into this folder, which is made if need be
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    output: Option<PathBuf>,
}

/// For who is about to edit what was made.
const MADE: &str = "# Made by that command: change node.toml and give it again rather than edit this file.\n";

/// One file, filled in.
#[derive(Debug)]
struct Filled {
    name: &'static str,
    text: String,
}

/// Runs the command.
///
/// # Errors
/// When node.toml is refused, a value cannot be said in the server's configuration, or the answer cannot be written.
pub(super) fn run(args: &ConfigArgs) -> Result<(), CliError> {
    let site = load_site(&args.config)?;
    let program = std::env::current_exe()?;
    let files = values::fill(args.server, &site, &program)?;
    let head = format!(
        "# Of node {}, from {}: webdfs config {}\n",
        site.name,
        site.path.display(),
        args.server.word()
    ) + MADE;
    match (&args.output, &args.file) {
        (Some(folder), _) => write_into(folder, &head, &files)?,
        (None, Some(name)) => {
            let known = || files.iter().map(|file| file.name).collect::<Vec<_>>().join(", ");
            let file = files.iter().find(|file| file.name == name);
            let file = file.ok_or_else(|| SiteError::NoSuchFile { name: name.clone(), known: known() })?;
            io::stdout().lock().write_all((head + &file.text).as_bytes())?;
        }
        (None, None) => print_all(&head, &files)?,
    }
    advise(args.server, &site);
    Ok(())
}

fn write_into(folder: &PathBuf, head: &str, files: &[Filled]) -> Result<(), SiteError> {
    let error = |path: &std::path::Path| {
        let path = path.to_owned();
        move |source| SiteError::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(error(folder))?;
    for file in files {
        let path = folder.join(file.name);
        fs::write(&path, format!("{head}{}", file.text)).map_err(error(&path))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// Prints every file; with a line above each if there are several.
fn print_all(head: &str, files: &[Filled]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(head.as_bytes())?;
    for file in files {
        if files.len() > 1 {
            writeln!(out, "\n# ======== {} ========\n", file.name)?;
        }
        out.write_all(file.text.as_bytes())?;
    }
    out.flush()
}

/// Says on standard error what else there is to do, and what does not fit together.
fn advise(server: Server, site: &Site) {
    if !server.fronts().contains(&site.front) {
        let words: Vec<_> =
            server.fronts().iter().map(|front| format!("front = \"{}\"", front_word(*front))).collect();
        eprintln!(
            "{}: front is \"{}\", so ETags and the delivery of large files are not those of {}: set {}",
            site.path.display(),
            front_word(site.front),
            server.word(),
            words.join(" or ")
        );
    }
    if io::stderr().is_terminal() {
        eprintln!("where: {}", server.place());
        eprintln!("check it with: {}", server.test_command());
    }
}
