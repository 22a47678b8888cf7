//! What the commands share that are asked about URL paths: which map, which file a path names, its owners, and how
//! paths that are refused are told.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::CliError;
use crate::cluster::{ClusterMap, NodeIndex};
use crate::config::{ConfigError, Naming, load_naming};
use crate::name::{NameError, ObjectName, Target};

/// Where the map is, and how files are named.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct MapSource {
    /// The settings of a node, for its map and its prefix
    #[arg(long, value_name = "node.toml")]
    pub(super) config: Option<PathBuf>,
    /// A map; prefix and index are then the defaults of node.toml
    #[arg(long, value_name = "cluster.toml")]
    pub(super) map: Option<PathBuf>,
}

impl MapSource {
    /// How the files are named by what the command line points at.
    ///
    /// # Errors
    /// When node.toml cannot be read or is refused.
    pub(super) fn naming(&self) -> Result<Naming, ConfigError> {
        match (&self.config, &self.map) {
            (Some(node_toml), _) => load_naming(node_toml),
            (None, Some(map)) => Ok(Naming::with_defaults(map.clone())),
            (None, None) => unreachable!("the group of arguments requires one of them"),
        }
    }
}

/// Why a path is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum PathError {
    /// The path names nothing.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The path means a folder, and no file stands for it.
    #[error("a folder, and node.toml says index = \"\"; name a file in it")]
    Folder,
}

/// The name of the file that `path` means: for a folder that of its index.
///
/// # Errors
/// When it names no file.
pub(super) fn name_of(path: &str, naming: &Naming) -> Result<ObjectName, PathError> {
    match (Target::parse(path.as_bytes(), &naming.prefix)?, &naming.index) {
        (Target::Object(name), _) => Ok(name),
        (Target::Folder(folder), Some(index)) => Ok(folder.join(index.as_bytes())?),
        (Target::Folder(_), None) => Err(PathError::Folder),
    }
}

/// One of the nodes that a file belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Owner {
    /// Its name.
    pub(super) node: String,
    /// Its URL.
    pub(super) url: String,
}

impl Owner {
    /// The node of that index.
    pub(super) fn of(map: &ClusterMap, node: NodeIndex) -> Self {
        let node = map.node(node);
        Self { node: node.name().to_string(), url: node.url().to_string() }
    }
}

/// The answers to the paths that name a file, and how many others there are; those are told on standard error.
pub(super) fn answers<'a, T>(
    paths: &'a [String],
    naming: &Naming,
    answer: impl Fn(&'a str, ObjectName) -> T,
) -> (Vec<T>, Refused) {
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        match name_of(path, naming) {
            Ok(name) => found.push(answer(path, name)),
            Err(error) => eprintln!("webdfs: {path}: {error}"),
        }
    }
    let refused = Refused { refused: paths.len() - found.len(), asked: paths.len() };
    (found, refused)
}

/// How many of the paths asked for were refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    refused: usize,
    asked: usize,
}

impl Refused {
    /// How the command ends.
    ///
    /// # Errors
    /// If any path was refused.
    pub(super) fn end(self) -> Result<(), CliError> {
        match self {
            Refused { refused: 0, .. } => Ok(()),
            Refused { refused, asked } => Err(CliError::PathsRefused { refused, asked }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Below the prefix /images/.
    fn naming(index: Option<&str>) -> Naming {
        let index = index.map(str::to_owned);
        Naming { prefix: "/images/".parse().unwrap(), index, ..Naming::with_defaults("cluster.toml".into()) }
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
    fn a_path_that_names_no_file_is_refused_and_the_others_are_answered() {
        let refused = ["/other/cat.jpg", "cat.jpg", "", "/images/../../x", "/images/%00", "/images/sub/"];
        for path in refused {
            assert!(name_of(path, &naming(None)).is_err(), "{path}");
        }
        let paths = refused.map(str::to_owned).into_iter().chain(["/images/cat.jpg".to_owned()]);
        let paths: Vec<String> = paths.collect();
        let (found, end) = answers(&paths, &naming(None), |path, name| (path, name.to_string()));
        assert_eq!(found, [("/images/cat.jpg", "cat.jpg".to_owned())]);
        assert_eq!(end.end().unwrap_err().to_string(), "6 of 7 paths refused");
    }
}
