//! The files that a cluster starts with: the map, each node's settings and secret. Those of its web servers are in
//! `servers`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use webdfs::name::{ObjectName, Prefix};

use super::cluster::Cluster;
use super::front::Front;
use super::servers;

/// The cluster secret.
pub const SECRET: &str = "a secret for tests, and for nothing else";

/// What a cluster is like.
#[derive(Debug, Clone)]
pub struct Options {
    pub nodes: usize,
    /// How many of them are in the first map; none: all.
    pub members: Option<usize>,
    pub replicas: usize,
    pub write_quorum: usize,
    pub durability: &'static str,
    /// `[write] allow`, as TOML.
    pub allow: &'static str,
    /// `[write] reserve`.
    pub reserve: &'static str,
    /// Which nodes gossip, at the address of their front, by UDP.
    pub gossip: fn(usize) -> bool,
    /// More lines for `[write]`.
    pub write: &'static str,
    /// More lines for `[deliver]`.
    pub deliver: &'static str,
    /// The lines of `[agent]`.
    pub agent: &'static str,
    /// `prefix` of node.toml.
    pub prefix: &'static str,
    /// More lines for the top of node.toml.
    pub top: &'static str,
    /// More lines for the top of the map.
    pub map: String,
    /// The nodes and the weight of each sub-cluster, as many nodes in all as there are; none: one sub-cluster of all.
    pub subclusters: Vec<(usize, f64)>,
    /// The `location` of each node, as TOML; none: no node has one.
    pub locations: &'static [&'static str],
    /// Called before the first node starts.
    pub prepare: fn(&Cluster),
    /// Nodes that are in the map but are never started: something else may listen there.
    pub absent: &'static [usize],
    /// Nodes that the others reach at their [`detour_address`](Cluster::detour_address), where the test listens.
    pub detour: &'static [usize],
    /// Whether the web server looks for a file itself before it asks webdfs (all can but HAProxy).
    pub static_first: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 3,
            members: None,
            replicas: 3,
            write_quorum: 2,
            durability: "none",
            allow: r#"["127.0.0.0/8"]"#,
            reserve: "0B",
            gossip: |_| false,
            write: "",
            deliver: "",
            agent: "",
            prefix: "/",
            top: "",
            map: String::new(),
            subclusters: Vec::new(),
            locations: &[],
            prepare: |_| (),
            absent: &[],
            detour: &[],
            static_first: true,
        }
    }
}

impl Options {
    /// One node that holds everything, and what is done to its files before it starts.
    pub fn one_node(prepare: fn(&Cluster)) -> Self {
        Self { nodes: 1, replicas: 1, write_quorum: 1, prepare, ..Self::default() }
    }
}

impl Cluster {
    pub(super) fn cluster_toml(&self) -> String {
        let Options { nodes, replicas, write_quorum, detour, map: top, subclusters, locations, .. } =
            &self.options;
        let mut map = format!("epoch = 1\nreplicas = {replicas}\nwrite_quorum = {write_quorum}\n{top}\n");
        let mut starts = BTreeMap::from([(0, ("first".to_owned(), 1.0))]);
        let mut start = 0;
        for (number, (nodes, weight)) in subclusters.iter().enumerate() {
            starts.insert(start, (format!("s{number}"), *weight));
            start += nodes;
        }
        for node in 0..self.options.members.unwrap_or(*nodes) {
            if let Some((name, weight)) = starts.get(&node) {
                let _ = writeln!(map, "[[subcluster]]\nname = \"{name}\"\nweight = {weight:?}");
            }
            let host = if detour.contains(&node) { self.detour_address(node) } else { self.address(node) };
            let _ = write!(map, "[[subcluster.node]]\nname = \"{}\"\n", self.name(node));
            let _ = writeln!(map, "url = \"http://{host}/_webdfs\"");
            let _ = writeln!(map, "public_url = \"http://{}\"", self.address(node));
            if let Some(location) = locations.get(node) {
                let _ = writeln!(map, "location = {location}");
            }
        }
        map
    }

    /// The URL of a file that is missing.
    pub(super) fn missing(&self) -> String {
        let prefix: Prefix = self.options.prefix.parse().expect("a good prefix");
        prefix.url_path(&ObjectName::from_bytes(b"is-it-ready").expect("a good name"))
    }

    /// Writes what a node needs to start.
    pub fn configure(&self, node: usize) {
        fs::create_dir_all(self.root(node)).expect("a folder");
        self.write_secret(node, SECRET);
        self.write_config(node, self.options.allow);
        servers::configure(self, node);
    }

    /// Changes a file of a node's web server as a person would.
    ///
    /// # Panics
    /// When the file does not say what is to be changed.
    pub fn edit_server_file(&self, node: usize, file: &str, changes: &[(&str, &str)]) {
        let path = self.node_dir(node).join(file);
        let text = fs::read_to_string(&path).expect("a file of the web server");
        let text = changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{file} does not say {from}");
            text.replace(from, to)
        });
        fs::write(path, text).expect("the file is written");
    }

    /// Writes a node's secret.
    pub fn write_secret(&self, node: usize, secret: &str) {
        write_private(&self.node_dir(node).join("secret"), secret);
    }

    /// Writes a node's `node.toml`, with `allow` as given.
    pub fn write_config(&self, node: usize, allow: &str) {
        let Options { durability, reserve, write, deliver, agent, prefix, top, .. } = &self.options;
        let (name, side) = (self.name(node), self.side_address(node));
        let front = self.front.word();
        let fcgi = match self.front {
            // The web server starts webdfs, and hands it the socket.
            Front::Embedded | Front::ApacheFcgid | Front::LighttpdSpawned => "",
            _ => "fcgi = \"unix:webdfs.sock\"\n",
        };
        let gossip = match (self.options.gossip)(node) {
            true => format!("gossip = \"{}\"\n", self.address(node)),
            false => String::new(),
        };
        let text = format!(
            "name = \"{name}\"\nmap = \"../cluster.toml\"\nroot = \"root\"\nfront = \"{front}\"\n\
             durability = \"{durability}\"\nprefix = \"{prefix}\"\n{top}\n\
             [listen]\n{fcgi}{gossip}http = \"{side}\"\n\
             [deliver]\n{deliver}\n\
             [agent]\n{agent}\n\
             [write]\nallow = {allow}\nreserve = \"{reserve}\"\n{write}\n"
        );
        fs::write(self.config(node), text).expect("node.toml is written");
    }
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    let mut file =
        fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("a file is written");
}
