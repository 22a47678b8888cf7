//! A hash over what a map means, so that two nodes can tell whether they hold the same one (design, section 9).
//!
//! It is taken over the values and not the text: comments, the order of keys and the spelling of a number or
//! address do not count. Frozen once nodes exchange it: a new field is appended, and only where it is not at its
//! default, so that older maps keep their fingerprint.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::{Algorithm, ClusterMap, NodeState};

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
                });
            }
        }
        if let Algorithm::Webdfs(table) = map.algorithm() {
            values.bytes(table.php().as_str().as_bytes());
        }
        let digest = values.0.finalize();
        let mut fingerprint = Self::default();
        fingerprint.0.copy_from_slice(&digest[..FINGERPRINT_BYTES]);
        fingerprint
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
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
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
