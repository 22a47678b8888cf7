//! `webdfs locate`: the nodes that hold a file, computed from the map alone; no node is asked.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::CliError;
use crate::cluster::ClusterMap;
use crate::config::{Naming, load_map, load_naming};
use crate::name::{NameError, ObjectName, Target};
use crate::placement::{self, ObjectKey};

/// Show which nodes hold a file, in rank order, with their URLs
///
/// Computed from the map; no node is asked. Exit code 1 if any PATH is refused; the others are answered.
#[derive(Debug, Args)]
pub struct LocateArgs {
    #[command(flatten)]
    source: MapSource,
    /// Answer in JSON: [{"path":...,"epoch":...,"owners":[{"node":...,"url":...}]}]
    #[arg(long)]
    json: bool,
    /// URL paths as a browser would send them: percent-encoded, with the prefix
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct MapSource {
    /// The settings of a node, for its map and its prefix
    #[arg(long, value_name = "node.toml")]
    config: Option<PathBuf>,
    /// A map; prefix and index are then the defaults of node.toml
    #[arg(long, value_name = "cluster.toml")]
    map: Option<PathBuf>,
}

/// Why a path is refused.
#[derive(Debug, thiserror::Error)]
enum LocateError {
    /// The path names nothing.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The path means a folder, and no file stands for it.
    #[error("a folder, and node.toml says index = \"\"; name a file in it")]
    Folder,
}

/// Where one file belongs.
#[derive(Debug, Serialize)]
struct Located<'a> {
    path: &'a str,
    epoch: u64,
    owners: Vec<Owner>,
}

/// One of the nodes it belongs to.
#[derive(Debug, Serialize)]
struct Owner {
    node: String,
    url: String,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is refused, a path names no file, or nothing can be printed.
pub(super) fn run(args: &LocateArgs) -> Result<(), CliError> {
    let naming = naming_of(&args.source)?;
    let map = load_map(&naming.map)?;
    let mut refused = 0;
    let mut found = Vec::new();
    for path in &args.paths {
        match locate(&map, &naming, path) {
            Ok(located) => found.push(located),
            Err(error) => {
                refused += 1;
                eprintln!("webdfs: {path}: {error}");
            }
        }
    }
    print(&mut io::stdout().lock(), &found, args.json)?;
    match refused {
        0 => Ok(()),
        refused => Err(CliError::PathsRefused { refused, asked: args.paths.len() }),
    }
}

/// How the files are named by what the command line points at.
fn naming_of(source: &MapSource) -> Result<Naming, CliError> {
    match (&source.config, &source.map) {
        (Some(node_toml), _) => Ok(load_naming(node_toml)?),
        (None, Some(map)) => Ok(Naming::with_defaults(map.clone())),
        (None, None) => unreachable!("the group of arguments requires one of them"),
    }
}

/// The owners of the file that `path` names.
fn locate<'a>(map: &ClusterMap, naming: &Naming, path: &'a str) -> Result<Located<'a>, LocateError> {
    let name = name_of(path, naming)?;
    let owners = placement::locate(map, ObjectKey::of(name.as_bytes()));
    let owner = |index: &_| {
        let node = map.node(*index);
        Owner { node: node.name().to_string(), url: node.url().to_string() }
    };
    Ok(Located { path, epoch: map.epoch().get(), owners: owners.iter().map(owner).collect() })
}

/// The name of the file that `path` means: for a folder that of its index.
fn name_of(path: &str, naming: &Naming) -> Result<ObjectName, LocateError> {
    match (Target::parse(path.as_bytes(), &naming.prefix)?, &naming.index) {
        (Target::Object(name), _) => Ok(name),
        (Target::Folder(folder), Some(index)) => Ok(folder.join(index.as_bytes())?),
        (Target::Folder(_), None) => Err(LocateError::Folder),
    }
}

/// Prints the answers: a line per file and an indented one per owner, or JSON.
fn print(out: &mut impl Write, found: &[Located<'_>], json: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, found)?;
        return writeln!(out);
    }
    for located in found {
        writeln!(out, "{} (epoch {})", located.path, located.epoch)?;
        for (at, owner) in located.owners.iter().enumerate() {
            writeln!(out, "  {} {} {}", at + 1, owner.node, owner.url)?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse_map;

    const MAP: &str = r#"
        epoch = 7
        replicas = 2
        write_quorum = 1
        [[subcluster]]
        name = "first"
        node = [
            { name = "img1", url = "http://10.0.0.1/_webdfs" },
            { name = "img2", url = "http://10.0.0.2/_webdfs" },
            { name = "img3", url = "http://10.0.0.3/_webdfs" },
        ]
    "#;

    fn map() -> ClusterMap {
        parse_map(MAP, Path::new("cluster.toml")).unwrap()
    }

    /// Below the prefix /images/.
    fn naming(index: Option<&str>) -> Naming {
        let index = index.map(str::to_owned);
        Naming { prefix: "/images/".parse().unwrap(), index, ..Naming::with_defaults("cluster.toml".into()) }
    }

    fn printed(paths: &[&str], json: bool) -> String {
        let (map, naming) = (map(), naming(None));
        let found: Vec<_> = paths.iter().map(|path| locate(&map, &naming, path).unwrap()).collect();
        let mut out = Vec::new();
        print(&mut out, &found, json).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_names_the_owners_in_rank_order_and_no_other_node() {
        let map = map();
        let owners = placement::locate(&map, ObjectKey::of(b"cat.jpg"));
        let owner = |rank: usize| {
            let node = map.node(owners[rank]);
            format!(r#"{{"node":"{}","url":"{}"}}"#, node.name(), node.url())
        };
        let expected = format!(
            r#"[{{"path":"/images/cat.jpg","epoch":7,"owners":[{},{}]}}]{}"#,
            owner(0),
            owner(1),
            "\n"
        );
        assert_eq!(printed(&["/images/cat.jpg"], true), expected);
    }

    #[test]
    fn text_has_a_line_per_file_and_one_per_owner() {
        let text = printed(&["/images/cat.jpg", "/images/dog.png"], false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert_eq!((lines[0], lines[3]), ("/images/cat.jpg (epoch 7)", "/images/dog.png (epoch 7)"));
        assert!(lines[1].starts_with("  1 img") && lines[2].starts_with("  2 img"), "{text}");
    }

    #[test]
    fn nothing_found_is_still_json() {
        assert_eq!(printed(&[], true), "[]\n");
    }

    #[test]
    fn a_path_is_decoded_once_and_stripped_of_its_prefix() {
        let name = |path| name_of(path, &naming(Some("start.html"))).unwrap();
        assert_eq!(name("/images/a%20b.jpg").as_bytes(), b"a b.jpg");
        assert_eq!(name("/images/a%2520b.jpg").as_bytes(), b"a%20b.jpg");
        assert_eq!(name("/images/").as_bytes(), b"start.html");
        assert_eq!(name("/images/sub/").as_bytes(), b"sub/start.html");
    }

    #[test]
    fn a_path_that_names_no_file_is_refused() {
        for path in ["/other/cat.jpg", "cat.jpg", "", "/images/../../x", "/images/%00", "/images/sub/"] {
            assert!(locate(&map(), &naming(None), path).is_err(), "{path}");
        }
    }
}
