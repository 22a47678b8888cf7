//! The web servers in front of the nodes. Each file writes the configuration of one server, the shipped files with what
//! they leave to the site around them, and says how to start it in the foreground.

mod apache;
mod caddy;
mod haproxy;
mod lighttpd;
mod nginx;
mod shipped;

use std::process::Command;

use super::cluster::Cluster;
use super::front::Front;

/// Writes what the web server of a node needs to start.
pub(super) fn configure(cluster: &Cluster, node: usize) {
    match cluster.front {
        Front::Embedded => {}
        Front::Nginx | Front::Responder => nginx::configure(cluster, node),
        Front::ApacheFcgid | Front::ApacheProxy => apache::configure(cluster, node),
        Front::Lighttpd | Front::LighttpdSpawned => lighttpd::configure(cluster, node),
        Front::Haproxy => haproxy::configure(cluster, node),
        Front::Caddy => caddy::configure(cluster, node),
    }
}

/// What starts the web server of a node, in the foreground; `None` where there is none.
pub(super) fn command(cluster: &Cluster, node: usize) -> Option<Command> {
    match cluster.front {
        Front::Embedded => None,
        Front::Nginx | Front::Responder => Some(nginx::command(cluster, node)),
        Front::ApacheFcgid | Front::ApacheProxy => Some(apache::command(cluster, node)),
        Front::Lighttpd | Front::LighttpdSpawned => Some(lighttpd::command(cluster, node)),
        Front::Haproxy => Some(haproxy::command(cluster, node)),
        Front::Caddy => Some(caddy::command(cluster, node)),
    }
}

/// Makes what is started for a node a process of the user that this web server needs, if it needs one.
pub(super) fn as_user(cluster: &Cluster, node: usize, command: &mut Command) {
    if matches!(cluster.front, Front::ApacheFcgid | Front::ApacheProxy) {
        apache::as_user(cluster, node, command);
    }
}

/// Whether what the web server of a node has started itself is ready to judge.
pub(super) fn are_spawned_ready(cluster: &Cluster, node: usize) -> bool {
    cluster.front != Front::LighttpdSpawned || lighttpd::spawned_are_ready(cluster, node)
}

/// A shipped file with this node's values in the place of those it is shipped with.
///
/// # Panics
/// When one of those does not stand in the file.
fn shipped(file: &str, values: &[(&str, &str)]) -> String {
    shipped::text(file, values).unwrap_or_else(|error| panic!("{error}"))
}

/// A shipped file that names of a node its socket and its root, and nothing else.
fn with_socket_and_root(file: &str, cluster: &Cluster, node: usize) -> String {
    let (socket, root) = (cluster.socket(node), cluster.root(node));
    let values = [(shipped::SOCKET, &socket), (shipped::ROOT, &root)];
    shipped(file, &values.map(|(value, own)| (value, own.to_str().expect("a path in UTF-8"))))
}
