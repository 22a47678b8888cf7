//! Why maps are refused.

use std::path::PathBuf;

use crate::cluster::{Epoch, Fingerprint, NodeName, NotAMember};
use crate::config::ConfigError;
use crate::store::StoreError;

/// Why maps are refused.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// A map makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Two different maps have one epoch.
    #[error(
        "two different maps have epoch {epoch}, {own} here and {theirs} there: nodes that hold different maps do not work \
         together; apply a map of a higher epoch"
    )]
    SameEpoch {
        /// The epoch.
        epoch: Epoch,
        /// The fingerprint of the map in force here.
        own: Fingerprint,
        /// That of the other.
        theirs: Fingerprint,
    },
    /// The node is not in the first map there is.
    #[error("node \"{name}\" is not in {}: add it there, or correct name in node.toml", .file.display())]
    NotInFile {
        /// The node's name.
        name: NodeName,
        /// The map's file.
        file: PathBuf,
    },
    /// The node would be in none of them.
    #[error(transparent)]
    NotAMember(#[from] NotAMember),
    /// The disk fails.
    #[error(transparent)]
    Store(StoreError),
    /// The root has lost its maps while this process runs.
    #[error("the root remembers no map any more: .webdfs/maps is empty")]
    None,
}
