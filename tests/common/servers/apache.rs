//! apache.

use std::process::Command;

use super::Cluster;

pub(super) fn configure(_cluster: &Cluster, _node: usize) {
    unimplemented!()
}

pub(super) fn command(_cluster: &Cluster, _node: usize) -> Command {
    unimplemented!()
}
