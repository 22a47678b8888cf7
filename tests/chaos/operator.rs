//! The one who changes the map, with the commands that people have: each next map is made of the last one that was given, by
//! a node that knows it, and given to any node; whatever fails is done again.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::common::{Cluster, PATIENCE};

use super::course::{Change, SUBCLUSTERS};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// Attempts while things go wrong; afterwards it is tried until it succeeds.
const ATTEMPTS: usize = 4;

/// What is still to be done, and what was.
#[derive(Debug)]
pub struct Operator {
    /// The epoch of the last map that was given.
    epoch: u64,
    pending: VecDeque<Change>,
    /// The file of the first pending change, once it is made.
    made: Option<PathBuf>,
    rng: Rng,
    /// Maps that were given, and those of them that came before the last one had settled.
    pub given: u64,
    pub in_a_row: u64,
    /// Attempts that failed.
    pub failed: u64,
}

impl Operator {
    pub fn new(seed: u64) -> Self {
        let rng = Rng::with_seed(seed);
        Self { epoch: 1, pending: VecDeque::new(), made: None, rng, given: 0, in_a_row: 0, failed: 0 }
    }

    /// The epoch that all nodes should work by in the end.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A change that is to be made after all others.
    pub fn order(&mut self, change: &Change) {
        self.pending.push_back(change.clone());
    }

    /// Makes what is pending, through any of `nodes`, as far as some attempts get it.
    pub fn try_to_work(&mut self, cluster: &Cluster, nodes: &[usize]) {
        for _ in 0..ATTEMPTS {
            if self.pending.is_empty() {
                return;
            }
            self.attempt(cluster, nodes);
        }
    }

    /// Makes all that is pending. Nothing is wrong any more.
    ///
    /// # Panics
    /// When it cannot be done.
    pub fn finish(&mut self, cluster: &Cluster, nodes: &[usize]) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(change) = self.pending.front().cloned() {
            if let Some(said) = self.attempt(cluster, nodes) {
                assert!(Instant::now() < deadline, "{change:?} cannot be made: {said}");
            }
        }
    }

    /// One attempt at the next change; what was said if it failed.
    fn attempt(&mut self, cluster: &Cluster, nodes: &[usize]) -> Option<String> {
        let change = self.pending.front().cloned()?;
        let result = match self.made.clone() {
            Some(file) => Ok(file),
            None => self.make(cluster, nodes, &change),
        };
        let result = result.and_then(|file| {
            let node = nodes[self.rng.usize(0..nodes.len())];
            let is_open = is_unsettled(&cluster.root(node));
            // It is deployed to all machines, too, for those that lose their disks.
            fs::copy(&file, folder(cluster).join("cluster.toml")).expect("a copy");
            self.made = Some(file.clone());
            run(cluster, node, &["map", "apply"], &[&file.display().to_string(), "--force", "moves"])?;
            self.epoch += 1;
            self.given += 1;
            self.in_a_row += u64::from(is_open);
            self.made = None;
            self.pending.pop_front();
            Ok(())
        });
        let said = result.err()?;
        self.failed += 1;
        std::thread::sleep(PAUSE);
        Some(said)
    }

    /// Writes the next map, by a node that knows the last one: two that follow the same one would be two of one epoch, which
    /// nodes refuse, as they should.
    fn make(&mut self, cluster: &Cluster, nodes: &[usize], change: &Change) -> Result<PathBuf, String> {
        let node = nodes[self.rng.usize(0..nodes.len())];
        let epoch = self.epoch + 1;
        let file = folder(cluster).join(format!("map-{epoch}.toml"));
        write_change(cluster, node, change, &file)?;
        let text = fs::read_to_string(&file).expect("it was just written");
        if text.lines().any(|line| line == format!("epoch = {epoch}")) {
            return Ok(file);
        }
        fs::remove_file(file).expect("it is there");
        Err(format!("{} does not know the map of epoch {}", cluster.name(node), self.epoch))
    }
}

/// Writes, by a node, its map with a change.
pub fn write_change(cluster: &Cluster, node: usize, change: &Change, file: &Path) -> Result<(), String> {
    let state = |word, of: &usize| (vec!["node", word], vec![cluster.name(*of)]);
    let (words, mut more) = match change {
        Change::Out { node } => state("out", node),
        Change::In { node } => state("in", node),
        Change::Lost { node } => state("lost", node),
        Change::Weight { subcluster, tenths } => {
            let weight = f64::from(*tenths) / 10.0;
            (vec!["subcluster", "weight"], vec![SUBCLUSTERS[*subcluster].to_owned(), weight.to_string()])
        }
        Change::Add { subcluster, nodes } => {
            let mut more = vec![SUBCLUSTERS[*subcluster].to_owned()];
            for node in nodes {
                let (name, at) = (cluster.name(*node), cluster.detour_address(*node));
                more.extend(["--node".to_owned(), format!("{name}=http://{at}/_webdfs")]);
                let public = cluster.address(*node);
                more.extend(["--public-url".to_owned(), format!("{name}=http://{public}")]);
            }
            (vec!["subcluster", "add"], more)
        }
    };
    let _ = fs::remove_file(file);
    more.extend(["--output".to_owned(), file.display().to_string()]);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    run(cluster, node, &words, &more).map(|_| ())
}

/// Runs webdfs with the settings of a node: what it said, and whether it went well.
pub fn run(cluster: &Cluster, node: usize, words: &[&str], more: &[&str]) -> Result<String, String> {
    let mut webdfs = Command::new(env!("CARGO_BIN_EXE_webdfs"));
    webdfs.args(words).args(more).arg("--config").arg(cluster.config(node));
    let output = webdfs.output().expect("webdfs runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr) + &text(&output.stdout)),
    }
}

/// The epochs of the maps that a root remembers.
pub fn epochs(root: &Path) -> Vec<u64> {
    let files = webdfs::store::remembered_maps(root).unwrap_or_default();
    let epoch = |file: &PathBuf| file.file_stem()?.to_str()?.split('-').next()?.parse().ok();
    let mut epochs: Vec<u64> = files.iter().filter_map(epoch).collect();
    epochs.sort_unstable();
    epochs
}

fn is_unsettled(root: &Path) -> bool {
    epochs(root).len() > 1
}

/// The folder of the whole cluster.
pub fn folder(cluster: &Cluster) -> PathBuf {
    cluster.root(0).ancestors().nth(2).expect("a folder of the cluster").to_owned()
}
