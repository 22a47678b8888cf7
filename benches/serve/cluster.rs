//! Three nodes on loopback, each a webdfs of its own behind an nginx of its own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;
use crate::check::Connection;
use crate::processes::{Process, User, run, written};
use crate::servers::nginx::{self, Server};
use crate::servers::{Asks, Start, WebServer};

/// The cluster secret.
pub const SECRET: &str = "the secret of a cluster for benchmarks";

/// How many nodes there are.
pub const NODES: usize = 3;
/// Where an nginx writes the paths of its requests.
const ACCESS_LOG: &str = "access.log";
/// How long a new cluster may take until it stores the first object.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where nodes reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// At the embedded front.
    Embedded,
    /// At the nginx in front.
    Nginx,
    /// There, and each request is in its log.
    CountingNginx,
}

/// What is different between clusters.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    pub replicas: u32,
    pub durability: &'static str,
    pub peers: Peers,
    /// As whom the responders run.
    pub user: Option<User>,
}

/// How a responder delivers.
#[derive(Debug, Clone, Copy)]
pub struct Deliver {
    /// As in node.toml.
    pub front: &'static str,
    /// As in node.toml.
    pub map_max: &'static str,
    /// As in node.toml.
    pub remote: &'static str,
}

/// The settings that are shipped.
pub const SHIPPED: Deliver = Deliver { front: "nginx", map_max: "256KiB", remote: "internal" };

/// A responder and its FastCGI socket.
pub struct Responder {
    pub process: Process,
    pub socket: PathBuf,
}

impl Responder {
    /// Waits until the socket answers.
    pub fn ready(mut process: Process, socket: PathBuf) -> Result<Self> {
        process.wait_until("listening", || UnixStream::connect(&socket).is_ok())?;
        Ok(Self { process, socket })
    }

    /// How many bytes it has written so far, to whatever.
    pub fn written(&self) -> Result<u64> {
        written(self.process.id())
    }
}

/// What the responder that is started as shipped is called.
const SHIPPED_NAME: &str = "node";

/// One node.
pub struct Node {
    /// Its storage root.
    pub root: PathBuf,
    /// Its responder, as shipped.
    pub responder: Responder,
    /// Where its nginx answers, static-first as shipped.
    pub address: String,
    folder: PathBuf,
    /// node.toml up to the sections.
    settings: String,
    /// Where the other nodes reach it.
    embedded: String,
    user: Option<User>,
    _nginx: WebServer,
}

impl Node {
    /// Its node.toml.
    pub fn config(&self) -> PathBuf {
        self.folder.join(format!("{SHIPPED_NAME}.toml"))
    }

    /// Ends its responder, and removes all that it has stored.
    pub fn lose_disk(&mut self) -> Result<()> {
        self.responder.process.end();
        fs::remove_dir_all(&self.root)?;
        fs::create_dir(&self.root)?;
        // Or the next turn would pay for it.
        run(&mut Command::new("sync"))?;
        Ok(())
    }

    /// Starts its responder again.
    pub fn start_again(&mut self) -> Result<()> {
        self.responder = start_responder(
            &self.folder,
            SHIPPED_NAME,
            &self.settings,
            SHIPPED,
            Some(&self.embedded),
            self.user,
        )?;
        Ok(())
    }

    /// Waits until it lacks nothing that it should have.
    pub fn wait_until_complete(&mut self) -> Result<()> {
        let identity = self.root.join(".webdfs/node.toml");
        let is_complete = || {
            fs::read_to_string(&identity).is_ok_and(|text| text.lines().any(|line| line == "complete = true"))
        };
        self.responder.process.wait_until("complete", is_complete)
    }

    /// Starts one more responder on this node's root.
    pub fn extra_responder(&self, name: &str, deliver: Deliver) -> Result<Responder> {
        start_responder(&self.folder, name, &self.settings, deliver, None, self.user)
    }

    /// How many requests have come so far whose path begins so; only with [`Peers::CountingNginx`].
    pub fn requests(&self, path: &str) -> Result<usize> {
        let log = fs::read_to_string(self.folder.join(ACCESS_LOG))?;
        Ok(log.lines().filter(|line| line.starts_with(path)).count())
    }

    /// What a web server has to start for one more responder on this node's root.
    pub fn start(&self, name: &str, deliver: Deliver) -> Result<Start> {
        let config = configure(&self.folder, name, &self.settings, deliver, "")?;
        if let Some(user) = self.user {
            user.own(&config)?;
        }
        Ok(Start {
            command: format!(
                "{} serve --config {} --die-with-parent",
                env!("CARGO_BIN_EXE_webdfs"),
                config.display()
            ),
            environment: vec![("RUST_LOG", "warn".to_owned())],
        })
    }
}

/// Three nodes.
pub struct Cluster {
    pub nodes: Vec<Node>,
    /// Their cluster.toml.
    pub map: PathBuf,
}

impl Cluster {
    /// Starts them, and waits until they store an object.
    pub fn start(scratch: &Path, name: &str, spec: Spec) -> Result<Self> {
        let folder = scratch.join(name);
        fs::create_dir_all(&folder)?;
        let map = folder.join("cluster.toml");
        // An address for each node: connections that nginx closes linger for a minute, at so many for each address.
        let addresses: Vec<_> = (0..NODES)
            .map(|number| Ok((free_address(number)?, free_address(number)?)))
            .collect::<Result<_>>()?;
        fs::write(&map, map_text(spec, &addresses))?;
        let secret = folder.join("secret");
        fs::write(&secret, format!("{SECRET}\n"))?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        if let Some(user) = spec.user {
            user.own(&folder)?;
        }
        let nodes = addresses.into_iter().enumerate();
        let nodes = nodes.map(|(number, (web, embedded))| {
            let folder = folder.join(format!("n{number}"));
            let root = folder.join("root");
            fs::create_dir_all(&root)?;
            if let Some(user) = spec.user {
                user.own(&folder)?;
            }
            let settings = format!(
                "name = \"n{number}\"\nmap = \"../cluster.toml\"\nroot = \"root\"\nsecret_file = \"../secret\"\n\
                 durability = \"{}\"\n",
                spec.durability
            );
            let responder = start_responder(&folder, SHIPPED_NAME, &settings, SHIPPED, Some(&embedded), spec.user)?;
            let mut server = Server::shipped(&web, &root, Asks::WhatIsMissing)?;
            if spec.peers == Peers::CountingNginx {
                server = server.logged(&folder.join(ACCESS_LOG));
            }
            let nginx = nginx::start("nginx", &folder, Some(&responder.socket), &[server])?;
            Ok(Node { root, responder, address: web, folder, settings, embedded, user: spec.user, _nginx: nginx })
        });
        let cluster = Self { nodes: nodes.collect::<Result<_>>()?, map };
        cluster.wait_until_it_stores()?;
        Ok(cluster)
    }

    /// Waits until no node lacks anything.
    pub fn wait_until_complete(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Node::wait_until_complete)
    }

    fn wait_until_it_stores(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for node in &self.nodes {
            loop {
                let (status, _) = Connection::open(&node.address)?.ask("PUT", "/ready.jpg", b"ready")?;
                match status {
                    201 | 204 => break,
                    503 if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
                    status => return Err(format!("a new cluster refuses an object: status {status}").into()),
                }
            }
        }
        Ok(())
    }
}

fn map_text(spec: Spec, addresses: &[(String, String)]) -> String {
    let mut text = format!(
        "epoch = 1\nreplicas = {}\nwrite_quorum = 2\nplacement = \"rush_r\"\n\
         [[subcluster]]\nname = \"first\"\nweight = 1.0\n",
        spec.replicas
    );
    for (number, (web, embedded)) in addresses.iter().enumerate() {
        let address = if spec.peers == Peers::Embedded { embedded } else { web };
        text += &format!("[[subcluster.node]]\nname = \"n{number}\"\nurl = \"http://{address}/_webdfs\"\n");
    }
    text
}

fn start_responder(
    folder: &Path,
    name: &str,
    settings: &str,
    deliver: Deliver,
    embedded: Option<&str>,
    user: Option<User>,
) -> Result<Responder> {
    let socket = folder.join(format!("{name}.sock"));
    let http = embedded.map(|address| format!("http = \"{address}\"\n")).unwrap_or_default();
    let listen = format!("fcgi = \"unix:{name}.sock\"\n{http}");
    let config = configure(folder, name, settings, deliver, &listen)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    command.arg("serve").arg("--config").arg(&config);
    if std::env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", "warn");
    }
    if let Some(user) = user {
        user.own(&config)?;
        command.uid(user.id).gid(user.group);
    }
    Responder::ready(Process::start(name, folder, &mut command)?, socket)
}

/// Writes a node.toml; `listen` is what stands in the section of that name.
fn configure(folder: &Path, name: &str, settings: &str, deliver: Deliver, listen: &str) -> Result<PathBuf> {
    let text = format!(
        "front = \"{}\"\n{settings}[listen]\n{listen}\
         [deliver]\nmap_max = \"{}\"\nremote = \"{}\"\n[write]\nallow = [\"127.0.0.0/8\"]\n",
        deliver.front, deliver.map_max, deliver.remote
    );
    let config = folder.join(format!("{name}.toml"));
    fs::write(&config, text)?;
    Ok(config)
}

/// An address of loopback that is free at the moment; every node has an IP address of its own.
pub fn free_address(node: usize) -> Result<String> {
    let listener = TcpListener::bind((format!("127.0.0.{}", node + 1), 0))?;
    Ok(listener.local_addr()?.to_string())
}
