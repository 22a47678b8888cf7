//! What nodes remember of deletions.

use std::path::PathBuf;

use webdfs::name::ObjectName;
use webdfs::store::NameHash;

use super::Cluster;

/// Where a node remembers that a path (decoded, beginning with a slash) was deleted.
pub fn tombstone(cluster: &Cluster, node: usize, path: &str) -> PathBuf {
    let name = ObjectName::from_bytes(path.trim_start_matches('/').as_bytes()).expect("a name");
    cluster.root(node).join(NameHash::of(&name).tombstone())
}

/// Which nodes remember that.
pub fn remembered(cluster: &Cluster, path: &str) -> Vec<usize> {
    cluster.present().filter(|node| tombstone(cluster, *node, path).exists()).collect()
}
