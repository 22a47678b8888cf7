//! (d) Storing objects on three nodes, through the nginx in front of one of them: against nginx's own DAV module, which
//! stores one copy and syncs nothing; synced, against the calls alone that three copies cost.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::EVERYWHERE;
use crate::Result;
use crate::build::Tools;
use crate::cluster::{Cluster, Spec, free_address};
use crate::contest::{Plan, Side, contest};
use crate::objects::bytes_of;
use crate::processes::run;
use crate::servers::WebServer;
use crate::servers::nginx::{self, Server};
use crate::wrk::Load;

/// The size of the objects, in bytes.
const SIZE: usize = 32 << 10;
/// Connections that store at the same time, and threads of the program in C.
const STORING: usize = 16;
/// Unsynced, against the DAV module.
const LIMIT_NONE: f64 = 0.2;
/// Synced, against the program in C.
const LIMIT_SYNC: f64 = 0.5;
/// Copies that are looked at after each turn: the first stored, long acknowledged.
const LOOKED_AT: usize = 32;

pub fn row(plan: &Plan, scratch: &Path, tools: &Tools) -> Result<()> {
    let folder = scratch.join("d");
    fs::create_dir_all(&folder)?;
    let body = folder.join("body");
    fs::write(&body, bytes_of("body", SIZE))?;
    unsynced(plan, &folder, tools, &body)?;
    synced(plan, &folder, tools, &body)
}

fn unsynced(plan: &Plan, folder: &Path, tools: &Tools, body: &Path) -> Result<()> {
    let cluster = Cluster::start(folder, "none", Spec { durability: "none", ..EVERYWHERE })?;
    let ours = Target::cluster(&cluster, plan, tools, body);
    let dav = Dav::start(folder, "dav-none")?;
    let theirs = Target::dav(&dav, plan, tools, body);
    contest(
        "d",
        plan,
        vec![Side::new("PUT, 3 copies, unsynced", || Ok(ours.turn()?.rate))],
        vec![Side::new("nginx DAV, 1 copy, unsynced", || Ok(theirs.turn()?.rate)).limit(LIMIT_NONE)],
    )
}

fn synced(plan: &Plan, folder: &Path, tools: &Tools, body: &Path) -> Result<()> {
    let cluster = Cluster::start(folder, "sync", Spec { durability: "sync", ..EVERYWHERE })?;
    let ours = Target::cluster(&cluster, plan, tools, body);
    let dav = Dav::start(folder, "dav-sync")?;
    let theirs = Target::dav(&dav, plan, tools, body);
    let copies = ThreeCopies::new(folder, tools)?;
    let stored = Cell::new(0);
    let our_turn = || {
        let counted = ours.turn()?;
        stored.set(counted.requests);
        Ok(counted.rate)
    };
    contest(
        "d",
        plan,
        vec![Side::new("PUT, 3 copies, synced", our_turn)],
        vec![
            Side::new("C, the calls of 3 copies, synced", || copies.turn(stored.get())).limit(LIMIT_SYNC),
            Side::new("nginx DAV, 1 copy, unsynced", || Ok(theirs.turn()?.rate)),
        ],
    )
}

/// Where objects are stored over HTTP, and the roots in which each must then be.
struct Target<'a> {
    address: &'a str,
    roots: Vec<&'a Path>,
    plan: &'a Plan,
    tools: &'a Tools,
    body: &'a Path,
    turns: Cell<usize>,
}

impl<'a> Target<'a> {
    fn cluster(cluster: &'a Cluster, plan: &'a Plan, tools: &'a Tools, body: &'a Path) -> Self {
        let roots = cluster.nodes.iter().map(|node| node.root.as_path()).collect();
        Self { address: &cluster.nodes[0].address, roots, plan, tools, body, turns: Cell::new(0) }
    }

    fn dav(dav: &'a Dav, plan: &'a Plan, tools: &'a Tools, body: &'a Path) -> Self {
        Self { address: &dav.address, roots: vec![&dav.root], plan, tools, body, turns: Cell::new(0) }
    }

    /// Stores objects for a while, looks at the copies, and removes them.
    fn turn(&self) -> Result<crate::wrk::Counted> {
        let run = format!("run{}", self.turns.replace(self.turns.get() + 1));
        settle(self.roots[0])?;
        let load = Load { address: self.address, seconds: self.plan.seconds, connections: STORING };
        let counted = load.put(&self.tools.put_script, &format!("/{run}"), self.body)?;
        let bytes = fs::read(self.body)?;
        for root in &self.roots {
            // Number 0 is not among them: `wrk` makes one request to look at its form, and never sends it.
            for number in 1..=LOOKED_AT.min(usize::try_from(counted.requests)?.saturating_sub(STORING)) {
                let copy = root.join(&run).join(format!("{:02}/{number:06}.jpg", number % 16));
                if fs::read(&copy).map_err(|error| format!("{}: {error}", copy.display()))? != bytes {
                    return Err(format!("{} holds other bytes than were stored", copy.display()).into());
                }
            }
            remove(&root.join(&run))?;
        }
        Ok(counted)
    }
}

/// nginx with its DAV module.
struct Dav {
    address: String,
    root: PathBuf,
    _nginx: WebServer,
}

impl Dav {
    fn start(folder: &Path, name: &str) -> Result<Self> {
        let (address, root) = (free_address(0)?, folder.join(format!("{name}-root")));
        fs::create_dir_all(&root)?;
        let nginx = nginx::start(name, folder, None, &[Server::dav(&address, &root)])?;
        Ok(Self { address, root, _nginx: nginx })
    }
}

/// The program in C.
struct ThreeCopies<'a> {
    roots: Vec<PathBuf>,
    tools: &'a Tools,
    turns: Cell<usize>,
}

impl<'a> ThreeCopies<'a> {
    fn new(folder: &Path, tools: &'a Tools) -> Result<Self> {
        let roots: Vec<_> = (0..3).map(|number| folder.join(format!("copies{number}"))).collect();
        roots.iter().try_for_each(fs::create_dir_all)?;
        Ok(Self { roots, tools, turns: Cell::new(0) })
    }

    /// Stores as many objects as ours just did; how many each second.
    fn turn(&self, count: u64) -> Result<f64> {
        let name = format!("run{}", self.turns.replace(self.turns.get() + 1));
        settle(&self.roots[0])?;
        let mut command = Command::new(&self.tools.three_copies);
        command.args(&self.roots).arg(&name);
        command.arg(count.to_string()).arg(STORING.to_string()).arg(SIZE.to_string());
        let rate = run(&mut command)?.trim().parse()?;
        for root in &self.roots {
            let last = root.join(&name).join(format!("{:02}/{:06}.jpg", (count - 1) % 16, count - 1));
            if fs::metadata(&last)?.len() != SIZE as u64 {
                return Err(format!("{} is not whole", last.display()).into());
            }
            remove(&root.join(&name))?;
        }
        Ok(rate)
    }
}

/// Waits until the disk has nothing left to do from earlier turns.
fn settle(folder: &Path) -> Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(folder)?)?)
}

/// Removes a folder into which the last uploads, those that `wrk` broke off, may still be on their way.
fn remove(folder: &Path) -> Result<()> {
    for _ in 0..100 {
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(format!("{}: {error}", folder.display()).into()),
        }
    }
    Err(format!("{} is never empty", folder.display()).into())
}
