//! A cluster on loopback: its files, its ports and its processes.
//!
//! It is run as a site would run it: `webdfs serve` with a `node.toml` for each node, behind an nginx of its own or on
//! the embedded front. Nothing inside webdfs is used directly.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::client::Client;
use super::nginx::{Nginx, Site};
use super::process::{Ended, Process, ProcessError, tail};

/// The longest path of a unix socket on Linux: 108 bytes with the zero at its end (unix(7)).
const SOCKET_PATH_MAX: usize = 107;
/// How long a node may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often a node that does not answer yet is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// A path under which nothing is stored.
const ABSENT: &str = "/is/there/an/answer.png";
/// How many bytes of chance the cluster's secret has.
const SECRET_BYTES: usize = 32;
/// Files of a node that are logs.
const LOGS: [&str; 2] = [WEBDFS_LOG, NGINX_LOG];
const WEBDFS_LOG: &str = "webdfs.log";
const NGINX_LOG: &str = "nginx-error.log";

/// What stands in front of the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Front {
    /// An nginx for each node.
    Nginx(Nginx),
    /// The embedded front of webdfs.
    Http,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The webdfs program.
    pub executable: PathBuf,
    /// An empty folder, see [`super::folder`].
    pub folder: PathBuf,
    /// Number of nodes, 1 or more.
    pub node_count: usize,
    /// Number of copies of each object, from 1 to `node_count`.
    pub replica_count: usize,
    /// What stands in front of the nodes.
    pub front: Front,
}

impl Plan {
    /// How many copies a write needs: more than half of them.
    pub fn write_quorum(&self) -> usize {
        self.replica_count / 2 + 1
    }
}

/// A node of the cluster.
#[derive(Debug)]
pub struct Node {
    /// Its name in the map.
    pub name: String,
    /// Holds everything of this node.
    pub folder: PathBuf,
    port: u16,
    webdfs: Option<Process>,
    nginx: Option<Process>,
}

/// A cluster and its processes; dropping it ends them all.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    /// The nodes, in the order of the map.
    pub nodes: Vec<Node>,
}

/// Why the cluster does not run.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file of the cluster cannot be written.
    #[error("{} cannot be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no source of chance for the secret.
    #[error("no secret can be made: /dev/urandom cannot be read")]
    Chance(#[source] io::Error),
    /// No free port.
    #[error("no free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// The folder's path leaves no room for a socket.
    #[error("{} is {} bytes long, and the path of a socket may have {SOCKET_PATH_MAX}; choose a shorter --keep or TMPDIR",
        .0.display(), .0.as_os_str().len())]
    SocketPath(PathBuf),
    /// A process does not start.
    #[error("node {node}")]
    Start {
        /// The node.
        node: String,
        /// Why.
        source: ProcessError,
    },
    /// A process ended that should run.
    #[error("node {node}: {program} ended with {ended}")]
    Ended {
        /// The node.
        node: String,
        /// webdfs or nginx.
        program: &'static str,
        /// How.
        ended: Ended,
    },
    /// A node runs, but does not answer as it should.
    #[error("node {node} is not ready after {} s: {state}", READY_WITHIN.as_secs())]
    NotReady {
        /// The node.
        node: String,
        /// What it answers.
        state: String,
    },
}

impl Node {
    /// Where clients reach it, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Its storage root.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Its settings.
    pub fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    /// Process id of its webdfs, if it was started.
    pub fn webdfs_id(&self) -> Option<u32> {
        self.webdfs.as_ref().map(Process::id)
    }

    /// Process id of its nginx, if it has one.
    pub fn nginx_id(&self) -> Option<u32> {
        self.nginx.as_ref().map(Process::id)
    }

    /// The program of this node that has ended, if one has.
    pub fn ended(&self) -> Option<(&'static str, Ended)> {
        let programs = [("webdfs", &self.webdfs), ("nginx", &self.nginx)];
        programs.into_iter().find_map(|(program, process)| Some((program, process.as_ref()?.ended()?)))
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("webdfs.sock")
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.nginx.iter().chain(&self.webdfs)
    }

    fn start(&mut self, plan: &Plan) -> Result<(), ProcessError> {
        let mut serve = Command::new(&plan.executable);
        serve.arg("serve").arg("--config").arg(self.config());
        self.webdfs = Some(Process::start(&mut serve, &self.folder.join(WEBDFS_LOG))?);
        if let Front::Nginx(nginx) = &plan.front {
            let mut command = nginx.command(&self.folder);
            self.nginx = Some(Process::start(&mut command, &self.folder.join(NGINX_LOG))?);
        }
        Ok(())
    }

    fn node_toml(&self, front: &Front) -> String {
        let (front, listen) = match front {
            Front::Nginx(_) => ("nginx", format!("fcgi = \"unix:{}\"", self.socket().display())),
            Front::Http => ("plain", format!("http = \"{}:{}\"", Ipv4Addr::LOCALHOST, self.port)),
        };
        format!(
            "name = \"{}\"\nmap = \"../cluster.toml\"\nroot = \"root\"\nsecret_file = \"../secret\"\n\
             front = \"{front}\"\n\n[listen]\n{listen}\n\n\
             [write]\nallow = [\"127.0.0.0/8\"]\nreserve = \"0\"\n",
            self.name
        )
    }

    async fn wait_until_ready(&self, client: &Client) -> Result<(), ClusterError> {
        let url = format!("{}{ABSENT}", self.url());
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some((program, ended)) = self.ended() {
                return Err(ClusterError::Ended { node: self.name.clone(), program, ended });
            }
            let state = match client.send(Method::GET, &url, Bytes::new()).await {
                // Only a node that has found its peers can say that nobody has a file.
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => return Ok(()),
                Ok(answer) => format!("it answers {} where 404 is right", answer.status),
                Err(error) => crate::chain::chain(&error),
            };
            if Instant::now() > deadline {
                return Err(ClusterError::NotReady { node: self.name.clone(), state });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

impl Cluster {
    /// Chooses ports and writes every file of the cluster; starts nothing.
    ///
    /// # Errors
    /// When a file cannot be written or there is no free port.
    pub fn prepare(plan: Plan) -> Result<Self, ClusterError> {
        let ports = free_ports(plan.node_count).map_err(ClusterError::Port)?;
        let nodes: Vec<Node> = (1..)
            .zip(ports)
            .map(|(number, port)| {
                let name = format!("img{number}");
                Node { folder: plan.folder.join(&name), name, port, webdfs: None, nginx: None }
            })
            .collect();
        let cluster = Self { plan, nodes };
        cluster.write_files()?;
        Ok(cluster)
    }

    /// Starts every process.
    ///
    /// # Errors
    /// At the first that cannot be started.
    pub fn start(&mut self) -> Result<(), ClusterError> {
        for node in &mut self.nodes {
            node.start(&self.plan)
                .map_err(|source| ClusterError::Start { node: node.name.clone(), source })?;
        }
        Ok(())
    }

    /// Waits until every node can tell that a file does not exist.
    ///
    /// # Errors
    /// When a process ends, or a node takes too long.
    pub async fn wait_until_ready(&self, client: &Client) -> Result<(), ClusterError> {
        for node in &self.nodes {
            node.wait_until_ready(client).await?;
        }
        Ok(())
    }

    /// What was asked for.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The last `lines` lines of every log, for people.
    pub fn log_tails(&self, lines: usize) -> String {
        let logs = self.nodes.iter().flat_map(|node| LOGS.map(|log| node.folder.join(log)));
        logs.map(|log| (tail(&log, lines, "    "), log))
            .filter(|(text, _)| !text.is_empty())
            .map(|(text, log)| format!("  {}:\n{text}", log.display()))
            .collect()
    }

    fn write_files(&self) -> Result<(), ClusterError> {
        write(&self.plan.folder.join("secret"), 0o600, &secret().map_err(ClusterError::Chance)?)?;
        write(&self.plan.folder.join("cluster.toml"), 0o644, &self.cluster_toml())?;
        for node in &self.nodes {
            let root = node.root();
            fs::create_dir_all(&root).map_err(|source| ClusterError::File { path: root.clone(), source })?;
            write(&node.config(), 0o644, &node.node_toml(&self.plan.front))?;
            if let Front::Nginx(nginx) = &self.plan.front {
                let socket = node.socket();
                let site = Site {
                    folder: &node.folder,
                    root: &root,
                    socket: &socket,
                    port: node.port,
                    as_root: rustix::process::geteuid().is_root(),
                };
                if socket.as_os_str().len() > SOCKET_PATH_MAX {
                    return Err(ClusterError::SocketPath(socket));
                }
                for file in nginx.files(&site) {
                    write(&node.folder.join(file.name), 0o644, &file.text)?;
                }
            }
        }
        Ok(())
    }

    fn cluster_toml(&self) -> String {
        let mut text = format!(
            "epoch = 1\nreplicas = {}\nwrite_quorum = {}\nplacement = \"rush_r\"\n\n\
             [[subcluster]]\nname = \"first\"\nweight = 1.0\n",
            self.plan.replica_count,
            self.plan.write_quorum()
        );
        for node in &self.nodes {
            text += &format!(
                "\n[[subcluster.node]]\nname = \"{}\"\nurl = \"{}/_webdfs\"\n",
                node.name,
                node.url()
            );
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All at a time; each then waits for its own end.
        for process in self.nodes.iter().flat_map(Node::processes) {
            process.ask_to_end();
        }
    }
}

/// Ports on 127.0.0.1 that nobody uses at this moment, all different.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    // Held together until all are known, or else the same one could come twice.
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    held.iter().map(|listener| listener.local_addr().map(|address| address.port())).collect()
}

fn secret() -> io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes) + "\n")
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), ClusterError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| ClusterError::File { path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
