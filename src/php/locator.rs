//! What the two locators of the original share: the list of clusters with the sums they start from, what a lookup
//! tells whoever listens, and how it can fail.

use super::{PhpVersion, Runtime, Seed, rush_p, rush_r};

/// The most replicas that are looked up.
pub const REPLICAS_MAX: usize = 16;

/// A cluster of the original's configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// How many nodes it has; it may be none.
    pub nodes: u32,
    /// The weight of each, at least 0. The original told whole numbers from others; below 2^53 that changes nothing.
    pub weight: f64,
}

/// The clusters of a configuration, oldest first, prepared for lookups of a number of replicas.
#[derive(Clone, Debug)]
pub(super) struct Clusters {
    replicas: u32,
    rows: Vec<Row>,
}

/// One of them: m nodes of weight w.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    /// Its position among the clusters, from 0.
    pub(super) cluster: u32,
    /// How many nodes it has: m.
    pub(super) nodes: u32,
    /// The weight of each: w.
    pub(super) weight: f64,
    /// The weight of all of them: m times w.
    pub(super) own: f64,
    /// How many nodes the older clusters have.
    pub(super) nodes_before: u32,
    /// The weight of all nodes of the older clusters: what is left of the total when this one and the newer ones are
    /// taken from it in turn, with the rounding that this leaves.
    pub(super) weight_before: f64,
}

impl Clusters {
    fn new(groups: &[Group], replicas: usize) -> Self {
        assert!((1..=REPLICAS_MAX).contains(&replicas), "{replicas} replicas");
        let count =
            |nodes: u32, group: &Group| nodes.checked_add(group.nodes).expect("a u32 counts the nodes");
        let mut nodes = groups.iter().fold(0, count);
        let mut weight = groups.iter().fold(0.0, |sum, group| sum + f64::from(group.nodes) * group.weight);
        let row = |(cluster, group): (usize, &Group)| {
            let own = f64::from(group.nodes) * group.weight;
            nodes -= group.nodes;
            weight -= own;
            Row {
                cluster: cluster as u32,
                nodes: group.nodes,
                weight: group.weight,
                own,
                nodes_before: nodes,
                weight_before: weight,
            }
        };
        let mut rows: Vec<Row> = groups.iter().enumerate().rev().map(row).collect();
        rows.reverse();
        Self { replicas: replicas as u32, rows }
    }

    /// How many replicas are looked up: from 1 to [`REPLICAS_MAX`].
    pub(super) fn replicas(&self) -> u32 {
        self.replicas
    }

    /// The clusters, oldest first.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Who takes what a lookup finds, and may listen to how.
pub trait Steps {
    /// Whether [`Steps::draw`] and [`Steps::take`] are wanted.
    const LISTENS: bool;

    /// A draw, of that number or for that replica, is held against the chance that it falls on a cluster. Shares
    /// of 1.
    fn draw(&mut self, cluster: u32, replica: u32, draw: f64, chance: f64, hit: bool);

    /// So many replicas fall on a cluster, some of them because the older ones cannot hold them.
    fn take(&mut self, cluster: u32, count: u32, forced: u32);

    /// The next replica is on that node, counted through all clusters in order.
    fn pick(&mut self, cluster: u32, node: u32);
}

/// Takes the nodes and does not listen.
impl Steps for Vec<u32> {
    const LISTENS: bool = false;

    fn draw(&mut self, _cluster: u32, _replica: u32, _draw: f64, _chance: f64, _hit: bool) {}

    fn take(&mut self, _cluster: u32, _count: u32, _forced: u32) {}

    fn pick(&mut self, _cluster: u32, node: u32) {
        self.push(node);
    }
}

/// How a lookup of the original ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It goes below the oldest cluster, and throws.
    #[error("finds no place for a replica in any sub-cluster")]
    Exhausted,
    /// It divides by a sum of weights that is 0 when its fraction is dropped.
    #[error("divides by a sum of weights below 1")]
    NoWeight,
    /// It draws from a range that is larger than PHP's random numbers.
    #[error("draws from a range beyond PHP's random numbers")]
    TooHeavy,
}

/// The locators of the original that data is placed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RUSHr.
    RushR,
    /// RUSHp.
    RushP,
}

/// One of them, prepared for a configuration.
#[derive(Clone, Debug)]
pub struct Locator {
    kind: Kind,
    clusters: Clusters,
    /// RUSHp's, one for each cluster.
    primes: Vec<f64>,
}

impl Locator {
    /// That for `groups`, oldest first, and lookups of `replicas`.
    ///
    /// # Errors
    /// [`Fault::TooHeavy`] if no lookup can be trusted.
    ///
    /// # Panics
    /// If `replicas` is 0 or above [`REPLICAS_MAX`], or there are more nodes than a `u32` counts.
    pub fn new(kind: Kind, groups: &[Group], replicas: usize) -> Result<Self, Fault> {
        let clusters = Clusters::new(groups, replicas);
        let primes = match kind {
            Kind::RushR => Vec::new(),
            Kind::RushP => rush_p::primes(&clusters)?,
        };
        Ok(Self { kind, clusters, primes })
    }

    /// Which one it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Looks up a key, telling `steps` each step. Names are looked up by their [`Seed`]; the original also takes any
    /// number as it is.
    ///
    /// # Errors
    /// Where the original fails.
    pub fn locate(&self, runtime: Runtime, key: i64, steps: &mut impl Steps) -> Result<(), Fault> {
        match self.kind {
            Kind::RushR => rush_r::locate(&self.clusters, key, &rush_r::Fresh(runtime.version()), steps),
            Kind::RushP => rush_p::locate(
                &self.clusters,
                &self.primes,
                (runtime, key),
                &mut rush_p::Room::default(),
                steps,
            ),
        }
    }

    /// Looks up every seed, in order, and hands the nodes of each to `visit`, until that gives up.
    ///
    /// Numbers that several lookups need are drawn once, so this takes much less than as many single lookups.
    ///
    /// # Errors
    /// What `visit` returns; it is told of lookups that fail.
    pub fn locate_all<E>(
        &self,
        version: PhpVersion,
        mut visit: impl FnMut(Seed, Result<&[u32], Fault>) -> Result<(), E>,
    ) -> Result<(), E> {
        let clusters = &self.clusters;
        let draws = (self.kind == Kind::RushR).then(|| rush_r::Drawn::new(version, clusters));
        let mut room = rush_p::Room::default();
        let mut nodes: Vec<u32> = Vec::with_capacity(clusters.replicas as usize);
        for seed in Seed::all() {
            nodes.clear();
            let key = i64::from(seed.get());
            let found = match &draws {
                Some(draws) => rush_r::locate(clusters, key, draws, &mut nodes),
                None => rush_p::locate(clusters, &self.primes, (version.into(), key), &mut room, &mut nodes),
            };
            visit(seed, found.map(|()| nodes.as_slice()))?;
        }
        Ok(())
    }
}
