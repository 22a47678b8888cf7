//! `webdfs locate`: the nodes that hold a file, computed from the map alone; no node is asked.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::CliError;
use super::paths::{MapSource, Owner, answers};
use crate::cluster::ClusterMap;
use crate::name::ObjectName;
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

/// Where one file belongs.
#[derive(Debug, Serialize)]
struct Located<'a> {
    path: &'a str,
    epoch: u64,
    owners: Vec<Owner>,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is refused, a path names no file, or nothing can be printed.
pub(super) fn run(args: &LocateArgs) -> Result<(), CliError> {
    let naming = args.source.naming()?;
    let map = super::maps::newest(&naming)?.map;
    let (found, refused) = answers(&args.paths, &naming, |path, name| locate(&map, path, &name));
    print(&mut io::stdout().lock(), &found, args.json)?;
    refused.end()
}

/// The owners of the file of that name, which `path` asked for.
fn locate<'a>(map: &ClusterMap, path: &'a str, name: &ObjectName) -> Located<'a> {
    let owners = placement::locate(map, ObjectKey::of(name.as_bytes()));
    let owners = owners.iter().map(|owner| Owner::of(map, *owner)).collect();
    Located { path, epoch: map.epoch().get(), owners }
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

    fn printed(paths: &[&str], json: bool) -> String {
        let map = map();
        let name =
            |path: &str| ObjectName::from_bytes(path.trim_start_matches("/images/").as_bytes()).unwrap();
        let found: Vec<_> = paths.iter().map(|path| locate(&map, path, &name(path))).collect();
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
}
