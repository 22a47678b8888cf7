//! webdfs behind lighttpd, with the shipped configuration: connected to, and started by it.

mod common;

#[path = "lighttpd/lives.rs"]
mod lives;
#[path = "lighttpd/names.rs"]
mod names;
#[path = "lighttpd/requests.rs"]
mod requests;

use common::{Cluster, Front, Options};

/// lighttpd in both roles.
const FRONTS: [Front; 2] = [Front::Lighttpd, Front::LighttpdSpawned];

/// Runs a test behind lighttpd in both roles, each time in a cluster of its own.
fn in_both_roles(options: &Options, test: impl Fn(&Cluster)) {
    for front in FRONTS {
        test(&Cluster::start(front, options.clone()));
    }
}
