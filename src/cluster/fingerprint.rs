//! A hash over what a map means, so that two nodes can tell whether they hold the same one (design, section 9).
//!
//! It is taken over the values and not the text: comments, the order of keys and the spelling of a number or
//! address do not count. Frozen once nodes exchange it: a new field is appended, and only where it is not at its
//! default, so that older maps keep their fingerprint.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::crush::{Order, Step, StrawCalculation};
use super::{Algorithm, ClusterMap, CrushTable, NodeState};

/// Bytes of a fingerprint.
const FINGERPRINT_BYTES: usize = 16;

/// Opens the hashed bytes, so that they cannot be those of anything else.
const TAG: &[u8] = b"webdfs cluster map, encoding 1";

/// The fingerprint of a map, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; FINGERPRINT_BYTES]);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint; it is 32 hexadecimal digits")]
pub struct FingerprintError;

impl Fingerprint {
    /// The first half of SHA-256 over the canonical encoding of `map`'s values.
    pub(super) fn of(map: &ClusterMap) -> Self {
        let mut values = Encoder(Sha256::new());
        values.bytes(TAG);
        values.number(map.epoch().get());
        values.number(map.replicas() as u64);
        values.number(map.write_quorum() as u64);
        values.bytes(map.placement().as_str().as_bytes());
        values.number(map.subclusters().len() as u64);
        for subcluster in map.subclusters() {
            values.bytes(subcluster.name().as_str().as_bytes());
            // -0.0 became 0.0 when the map was built, and NaN was refused, so equal weights have equal bits.
            values.number(subcluster.weight().to_bits());
            values.number(subcluster.node_count() as u64);
            for node in map.nodes_of(subcluster) {
                values.bytes(node.name().as_str().as_bytes());
                values.bytes(node.url().to_string().as_bytes());
                values.bytes(node.public_url().map(ToString::to_string).unwrap_or_default().as_bytes());
                values.number(match node.state() {
                    NodeState::In => 0,
                    NodeState::Out => 1,
                    NodeState::Lost => 2,
                });
            }
        }
        match map.algorithm() {
            Algorithm::Crush(table) => values.crush(map, table),
            Algorithm::Webdfs(table) => values.bytes(table.php().as_str().as_bytes()),
            Algorithm::RushP(_) | Algorithm::RushR | Algorithm::RushT(_) => {}
        }
        let digest = values.0.finalize();
        let mut fingerprint = Self::default();
        fingerprint.0.copy_from_slice(&digest[..FINGERPRINT_BYTES]);
        fingerprint
    }

    /// That of several maps, whatever their order; all zeros for none.
    pub fn of_all(mut fingerprints: Vec<Fingerprint>) -> Self {
        let mut all = Self::default();
        if !fingerprints.is_empty() {
            fingerprints.sort_unstable();
            let mut values = Sha256::new();
            fingerprints.iter().for_each(|fingerprint| values.update(fingerprint.0));
            all.0.copy_from_slice(&values.finalize()[..FINGERPRINT_BYTES]);
        }
        all
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Writes values so that no two lists of values give the same bytes: numbers have a fixed width, and a length goes
/// before every text and every list.
struct Encoder(Sha256);

impl Encoder {
    fn number(&mut self, value: u64) {
        self.0.update(value.to_be_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.0.update(value);
    }

    fn signed(&mut self, value: i32) {
        self.number(i64::from(value) as u64);
    }

    /// What CRUSH goes by: the nodes' locations and the failure domain, or the map and the rule.
    fn crush(&mut self, map: &ClusterMap, table: &CrushTable) {
        let Some(domain) = table.made_from() else {
            self.number(1);
            return self.crush_map(table);
        };
        self.number(0);
        self.bytes(domain.as_str().as_bytes());
        for node in map.nodes() {
            let places = node.location().places();
            self.number(places.len() as u64);
            for (level, name) in places {
                self.bytes(level.as_str().as_bytes());
                self.bytes(name.as_str().as_bytes());
            }
        }
    }

    /// All but what no lookup looks at: the other rules, and the kinds of buckets that may be created.
    fn crush_map(&mut self, table: &CrushTable) {
        let map = table.map();
        let tunables = map.tunables();
        self.number(tunables.choose_local_tries.into());
        self.number(tunables.choose_local_fallback_tries.into());
        self.number(tunables.choose_total_tries.into());
        self.number(tunables.chooseleaf_descend_once.into());
        self.number(tunables.chooseleaf_vary_r.into());
        self.number(tunables.chooseleaf_stable.into());
        self.number(match tunables.straw_calc_version {
            StrawCalculation::Original => 0,
            StrawCalculation::Corrected => 1,
        });
        self.number(map.types().len() as u64);
        for one in map.types() {
            self.number(one.id.into());
            self.bytes(one.name.as_bytes());
        }
        self.number(map.devices().len() as u64);
        for device in map.devices() {
            self.signed(device.id());
            self.bytes(device.name().as_bytes());
            self.bytes(device.class().unwrap_or_default().as_bytes());
        }
        let mut buckets: Vec<_> = map.buckets().collect();
        buckets.sort_unstable_by_key(|bucket| bucket.id());
        self.number(buckets.len() as u64);
        for bucket in buckets {
            self.signed(bucket.id());
            self.bytes(bucket.name().as_bytes());
            self.number(bucket.type_id().into());
            self.bytes(bucket.kind().as_str().as_bytes());
            self.bytes(bucket.shadow_class().unwrap_or_default().as_bytes());
            self.number(bucket.size().into());
            for (item, weight) in bucket.items().iter().zip(bucket.weights()) {
                self.signed(*item);
                self.number((*weight).into());
            }
        }
        self.bytes(table.rule().name().as_bytes());
        self.number(table.rule().steps().len() as u64);
        table.rule().steps().iter().for_each(|step| self.step(*step));
    }

    fn step(&mut self, step: Step) {
        let (kind, value) = match step {
            Step::Take(item) => (0, i64::from(item)),
            Step::Choose(choice) => (1, i64::from(choice.count)),
            Step::Emit => (2, 0),
            Step::SetChooseTries(value) => (3, value.into()),
            Step::SetChooseleafTries(value) => (4, value.into()),
            Step::SetChooseLocalTries(value) => (5, value.into()),
            Step::SetChooseLocalFallbackTries(value) => (6, value.into()),
            Step::SetChooseleafVaryR(value) => (7, value.into()),
            Step::SetChooseleafStable(value) => (8, value.into()),
        };
        self.number(kind);
        self.number(value as u64);
        if let Step::Choose(choice) = step {
            self.number(choice.leaf.into());
            self.number(match choice.order {
                Order::Firstn => 0,
                Order::Indep => 1,
            });
            self.number(choice.type_id.into());
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fingerprint = Self::default();
        hex::decode_to_slice(text, &mut fingerprint.0).map_err(|_| FingerprintError)?;
        Ok(fingerprint)
    }
}
