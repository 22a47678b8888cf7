//! What the placement tests share: map builders, the slow and obvious implementations that the real one must agree
//! with, and the reference's generator.

// Each test binary uses a part of this.
#![allow(dead_code)]

pub mod crush;
pub mod naive;
pub mod naive_family;
pub mod php;
pub mod reference;

use std::io::Read;
use std::path::{Path, PathBuf};

use proptest::prelude::{ProptestConfig, TestCaseError, prop_assert, prop_assert_eq};
use proptest::test_runner::FileFailurePersistence;
use webdfs::cluster::{
    ClusterMap, CrushSource, FailureDomain, MapError, MapSpec, NodeSpec, NodeState, PlacementSpec, SlotGroup,
    SubClusterSpec,
};
use webdfs::placement::{ObjectKey, Replicas, locate};

/// Sub-clusters as servers and weight of each, oldest first, the replicas, the nodes marked out, and the algorithm.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub groups: Vec<(u32, f64)>,
    pub replicas: usize,
    pub out: Vec<usize>,
    pub placement: PlacementSpec,
}

impl Layout {
    pub fn new(groups: &[(u32, f64)], replicas: usize) -> Self {
        Self { groups: groups.to_vec(), replicas, out: Vec::new(), placement: PlacementSpec::RushR }
    }

    /// `count` sub-clusters of `servers` servers of weight 1.
    pub fn equal(count: usize, servers: u32, replicas: usize) -> Self {
        Self::new(&vec![(servers, 1.0); count], replicas)
    }

    pub fn with_out(mut self, out: &[usize]) -> Self {
        self.out = out.to_vec();
        self
    }

    pub fn placed_by(mut self, placement: &PlacementSpec) -> Self {
        self.placement = placement.clone();
        self
    }

    pub fn with_group(mut self, servers: u32, weight: f64) -> Self {
        self.groups.push((servers, weight));
        self
    }

    pub fn servers(&self) -> usize {
        self.groups.iter().map(|group| group.0 as usize).sum()
    }

    /// The weight of each server.
    pub fn weights(&self) -> Vec<f64> {
        self.groups.iter().flat_map(|&(servers, weight)| vec![weight; servers as usize]).collect()
    }

    pub fn slot_groups(&self) -> Vec<SlotGroup> {
        self.groups.iter().map(|&(servers, weight)| SlotGroup { servers, weight }).collect()
    }

    pub fn map(&self) -> ClusterMap {
        self.try_map().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    pub fn try_map(&self) -> Result<ClusterMap, MapError> {
        ClusterMap::new(self.spec(self.placement.clone()))
    }

    /// What a map of that placement is made from. Where it keeps racks or the like apart, each sub-cluster is one.
    pub fn spec(&self, placement: PlacementSpec) -> MapSpec {
        let level = match &placement {
            PlacementSpec::Crush(CrushSource::Locations(FailureDomain::Level(level))) => Some(*level),
            _ => None,
        };
        let mut number = 0;
        let mut node = |subcluster: usize| {
            let node = NodeSpec {
                name: format!("n{number}"),
                url: format!("http://n{number}"),
                public_url: None,
                state: if self.out.contains(&number) { NodeState::Out } else { NodeState::In },
                location: level
                    .map(|level| (level.to_string(), format!("p{subcluster}")))
                    .into_iter()
                    .collect(),
            };
            number += 1;
            node
        };
        let subclusters = self
            .groups
            .iter()
            .enumerate()
            .map(|(j, &(servers, weight))| SubClusterSpec {
                name: format!("s{j}"),
                weight,
                nodes: (0..servers).map(|_| node(j)).collect(),
            })
            .collect();
        MapSpec { epoch: 1, replicas: self.replicas, write_quorum: 1, placement, subclusters }
    }
}

/// So many cases of a property; those that fail are remembered beside the test.
pub fn cases(cases: u32) -> ProptestConfig {
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as _);
    ProptestConfig { cases, failure_persistence, ..ProptestConfig::default() }
}

/// Owners as plain numbers.
pub fn owners(map: &ClusterMap, key: u32) -> Vec<usize> {
    let owners = locate(map, ObjectKey::from_number(key));
    owners.iter().map(|owner| owner.get()).collect()
}

/// The spread of counts around shares by weight, as a multiple of what pure chance leaves (1.0).
pub fn spread(counts: &[usize], weights: &[f64]) -> f64 {
    let (total, weight_total) = (counts.iter().sum::<usize>() as f64, weights.iter().sum::<f64>());
    let mut chi_squared = 0.0;
    for (count, weight) in counts.iter().zip(weights) {
        let expected = total * weight / weight_total;
        if expected > 0.0 {
            chi_squared += (*count as f64 - expected).powi(2) / expected;
        } else {
            assert_eq!(*count, 0, "something fell where nothing was expected");
        }
    }
    let degrees = weights.iter().filter(|weight| **weight > 0.0).count() - 1;
    (chi_squared / degrees as f64).sqrt()
}

/// Distinct nodes in service of weight above 0, as many as replicas, and the same when asked again: what every
/// placement owes every key. Gives them.
pub fn check_owners(map: &ClusterMap, key: u32) -> Result<Replicas, TestCaseError> {
    let key = ObjectKey::from_number(key);
    let found = locate(map, key);
    prop_assert_eq!(found.len(), map.replicas());
    for (rank, owner) in found.iter().enumerate() {
        prop_assert_eq!(map.node(*owner).state(), NodeState::In);
        prop_assert!(map.weight_of(*owner) > 0.0, "{} has no weight", map.node(*owner).name());
        prop_assert_eq!(found.rank_of(*owner), Some(rank), "{:?}", found);
    }
    prop_assert_eq!(locate(map, key), found);
    Ok(found)
}

/// The keys of made-up image names.
pub fn image_keys(count: usize) -> impl Iterator<Item = u32> {
    (0..count).map(|i| ObjectKey::of(format!("/img/{i}.jpg").as_bytes()).number())
}

/// `servers:weight` pairs separated by spaces.
pub fn parse_groups(text: &str) -> Vec<(u32, f64)> {
    let pair = |pair: &str| {
        let (servers, weight) = pair.split_once(':')?;
        Some((servers.parse().ok()?, weight.parse().ok()?))
    };
    text.split_whitespace()
        .map(|text| pair(text).unwrap_or_else(|| panic!("{text:?} is not servers:weight")))
        .collect()
}

/// Numbers separated by spaces.
pub fn parse_numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split_whitespace().map(number).collect()
}

/// A number, which may be one of a kind only: a smaller type bounds it.
pub fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number of the right kind"))
}

/// The rows of a CSV text after its header, which must be `header`. No field here is quoted.
pub fn csv_rows<'a>(path: &Path, text: &'a str, header: &str) -> Vec<Vec<&'a str>> {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(header), "{}: the header", path.display());
    let fields = header.split(',').count();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row.len(), fields, "{}: line {} has the wrong number of fields", path.display(), i + 2);
    }
    rows
}

/// Says what was compared, and fails if that was nothing.
pub fn report(path: &Path, compared: usize) {
    println!("{}: compared {compared} rows", path.display());
    assert!(compared > 0, "{}: no row was compared", path.display());
}

/// A path below the project's `tests` folder.
pub fn tests_folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(below)
}

/// A file of vectors, unpacked, and where it lies: below the folder that `WEBDFS_VECTORS` names, or `tests/vectors`.
pub fn read_vectors(folder: &str, name: &str) -> (PathBuf, String) {
    let vectors = std::env::var_os("WEBDFS_VECTORS").map_or_else(|| tests_folder("vectors"), PathBuf::from);
    let path = vectors.join(folder).join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    let result = if name.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)
    } else {
        bytes.as_slice().read_to_string(&mut text)
    };
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text)
}
