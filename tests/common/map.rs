//! Maps of a cluster's nodes, as text.

use super::cluster::Cluster;

/// A sub-cluster: its name, its weight, and the nodes in it, each with more of its line.
pub type Group<'a> = (&'a str, f64, &'a [(usize, &'a str)]);

/// A map of a cluster's nodes.
pub fn map_text(
    cluster: &Cluster,
    epoch: u64,
    (replicas, quorum): (usize, usize),
    groups: &[Group<'_>],
) -> String {
    let mut text = format!("epoch = {epoch}\nreplicas = {replicas}\nwrite_quorum = {quorum}\n");
    for (name, weight, nodes) in groups {
        text += &format!("[[subcluster]]\nname = \"{name}\"\nweight = {weight:?}\n");
        for (node, more) in *nodes {
            let (name, address) = (cluster.name(*node), cluster.address(*node));
            text += &format!(
                "[[subcluster.node]]\nname = \"{name}\"\nurl = \"http://{address}/_webdfs\"\n{more}\n"
            );
        }
    }
    text
}
