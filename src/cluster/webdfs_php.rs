//! Maps whose objects lie where the original webDFS put them, by the locators in [`crate::php`].
//!
//! A name counts there with 15 bits alone, so a map has [`Seed::COUNT`] placements and no more. All of them are
//! looked up when the map is built. So a lookup is a look into a table, and a map is refused exactly if one of its
//! placements is not R distinct nodes of weight above 0: where the original repeats a node or fails, it does so for
//! some seed.

use std::sync::Arc;

use super::error::MapError;
use super::name::NodeIndex;
use super::slots::SlotGroup;
use super::spec::{NODES_MAX, PlacementKind, REPLICAS_MAX};
use crate::php::{self, Fault, Group, Kind, Locator, PhpVersion, Seed, Steps};

/// The most sub-clusters of such a map: the original asks one after the other, and so does whoever builds the table.
pub const WEBDFS_SUBCLUSTERS_MAX: usize = 1_024;

const _: () = assert!(REPLICAS_MAX == php::REPLICAS_MAX, "each of ours can be looked up there");
const _: () = assert!(NODES_MAX - 1 <= u16::MAX as usize, "a u16 tells the nodes of a map apart");

/// A locator of the original, prepared for one map.
#[derive(Clone, Debug)]
pub struct WebdfsTable {
    locator: Locator,
    php: PhpVersion,
    replicas: usize,
    /// The nodes of each seed, `replicas` of them, in rank order.
    places: Arc<[u16]>,
}

/// What is wrong with a placement of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebdfsFault {
    /// The lookup ends without an answer.
    #[error("{0}")]
    Lookup(Fault),
    /// Two replicas lie on one node.
    #[error("puts two replicas on node {} of sub-cluster {}", .node + 1, .subcluster + 1)]
    Repeat {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
        /// The position of the node in it, from 0.
        node: usize,
    },
    /// A replica lies on a node of weight 0.
    #[error("puts a replica on sub-cluster {}, whose weight is 0", .subcluster + 1)]
    Weightless {
        /// The position of the sub-cluster, from 0.
        subcluster: usize,
    },
}

impl WebdfsTable {
    /// Looks up everything that can be looked up in `groups`, oldest first.
    pub(super) fn new(
        kind: Kind,
        php: PhpVersion,
        groups: &[SlotGroup],
        replicas: usize,
    ) -> Result<Self, MapError> {
        if groups.len() > WEBDFS_SUBCLUSTERS_MAX {
            return Err(MapError::WebdfsSubClusters { placement: name(kind), count: groups.len() });
        }
        let refuse = |seed: Seed, fault: WebdfsFault| MapError::WebdfsPlacement {
            placement: name(kind),
            php,
            example: seed.example(),
            fault,
            hint: hint(kind, fault, replicas),
        };
        let clusters: Vec<Group> =
            groups.iter().map(|group| Group { nodes: group.servers, weight: group.weight }).collect();
        let locator = Locator::new(kind, &clusters, replicas)
            .map_err(|fault| refuse(Seed::of_crc32(0), WebdfsFault::Lookup(fault)))?;
        let mut places = Vec::with_capacity(Seed::COUNT * replicas);
        locator.locate_all(php, |seed, found| {
            let nodes = found.map_err(|fault| refuse(seed, WebdfsFault::Lookup(fault)))?;
            check(groups, nodes).map_err(|fault| refuse(seed, fault))?;
            places.extend(nodes.iter().map(|node| *node as u16));
            Ok(())
        })?;
        Ok(Self { locator, php, replicas, places: places.into() })
    }

    /// The algorithm.
    pub fn kind(&self) -> PlacementKind {
        name(self.locator.kind())
    }

    /// The PHP whose random numbers they are.
    pub fn php(&self) -> PhpVersion {
        self.php
    }

    /// The owners of the objects of that seed, in rank order.
    #[inline]
    pub fn owners(&self, seed: Seed) -> impl Iterator<Item = NodeIndex> {
        let start = usize::from(seed.get()) * self.replicas;
        self.places[start..][..self.replicas].iter().map(|node| NodeIndex::new(u32::from(*node)))
    }

    /// Finds the same by the original's steps, telling `steps` each.
    pub fn walk(&self, seed: Seed, steps: &mut impl Steps) {
        self.locator
            .locate(self.php.into(), i64::from(seed.get()), steps)
            .expect("every seed was looked up when the map was built");
    }
}

/// The locator's name in a map.
fn name(kind: Kind) -> PlacementKind {
    match kind {
        Kind::RushR => PlacementKind::WebdfsRushR,
        Kind::RushP => PlacementKind::WebdfsRushP,
    }
}

/// Whether these can be the owners of an object.
fn check(groups: &[SlotGroup], nodes: &[u32]) -> Result<(), WebdfsFault> {
    for (rank, node) in nodes.iter().enumerate() {
        let repeated = nodes[..rank].contains(node);
        let (mut subcluster, mut place) = (0, *node);
        while place >= groups[subcluster].servers {
            place -= groups[subcluster].servers;
            subcluster += 1;
        }
        if repeated {
            return Err(WebdfsFault::Repeat { subcluster, node: place as usize });
        }
        if groups[subcluster].weight == 0.0 {
            return Err(WebdfsFault::Weightless { subcluster });
        }
    }
    Ok(())
}

/// What would help.
fn hint(kind: Kind, fault: WebdfsFault, replicas: usize) -> String {
    match (kind, fault) {
        (_, WebdfsFault::Weightless { .. }) => {
            "give the older sub-clusters at least as many nodes of weight above 0 as there are replicas, or \
             drain it under another placement"
                .to_owned()
        }
        (_, WebdfsFault::Lookup(Fault::TooHeavy)) => {
            format!("all weights together may be at most {}", i32::MAX)
        }
        (Kind::RushP, WebdfsFault::Lookup(_)) => {
            format!(
                "the oldest sub-cluster needs at least {replicas} nodes, and a weight of at least 1 in all"
            )
        }
        (Kind::RushP, WebdfsFault::Repeat { .. }) => format!(
            "use whole weights, and no sub-cluster of fewer than {replicas} nodes whose next prime above its \
             weight is {replicas}"
        ),
        (Kind::RushR, _) => "there must be at least as many nodes as replicas".to_owned(),
    }
}
