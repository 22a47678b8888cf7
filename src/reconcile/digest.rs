//! A digest of a set of keys.  Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::held::Held;
use crate::store::NameHash;

/// A digest of what is held under a set of keys, in whatever order they come: the sum of 128 bits of SHA-256 of each.
/// Equal digests are taken for equal sets only where that at worst puts a repair off; nothing is ever removed because
/// of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest(u128);

impl Digest {
    /// Adds a key. What has no checksum yet is left out, for nobody else is told of it either.
    pub fn add(&mut self, hash: NameHash, held: &Held) {
        let (kind, version, size, crc32) = match held {
            Held::Nothing => return,
            Held::Tombstone { version } => (b't', version, 0, 0),
            Held::Copy(copy) => match copy.crc32 {
                Some(crc32) => (b'c', &copy.version, copy.size, crc32),
                None => return,
            },
        };
        let mut sha256 = Sha256::new();
        sha256.update(hash.bytes());
        sha256.update([kind]);
        sha256.update(version.nanos().to_le_bytes());
        sha256.update(size.to_le_bytes());
        sha256.update(crc32.to_le_bytes());
        let digest = sha256.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        self.0 = self.0.wrapping_add(u128::from_le_bytes(half));
    }
}

/// Text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: 32 hexadecimal digits")]
pub struct DigestError;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).map_err(|_| DigestError)?;
        plain.then_some(Self(number)).ok_or(DigestError)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::CopyInfo;
    use crate::name::ObjectName;
    use crate::version::Version;

    fn hash(text: &str) -> NameHash {
        NameHash::of(&ObjectName::from_bytes(text.as_bytes()).unwrap())
    }

    fn copy(version: u64, size: u64, crc32: Option<u32>) -> Held {
        Held::Copy(CopyInfo { version: Version::from_nanos(version), size, crc32 })
    }

    fn of(keys: &[(&str, Held)]) -> Digest {
        let mut digest = Digest::default();
        keys.iter().for_each(|(name, held)| digest.add(hash(name), held));
        digest
    }

    #[test]
    fn the_order_of_keys_does_not_count_and_everything_else_does() {
        let one = of(&[("a", copy(1, 2, Some(3))), ("b", copy(1, 2, Some(3)))]);
        assert_eq!(one, of(&[("b", copy(1, 2, Some(3))), ("a", copy(1, 2, Some(3)))]));
        let tombstone = Held::Tombstone { version: Version::from_nanos(1) };
        for (what, other) in [
            ("a name", of(&[("a", copy(1, 2, Some(3))), ("c", copy(1, 2, Some(3)))])),
            ("a version", of(&[("a", copy(2, 2, Some(3))), ("b", copy(1, 2, Some(3)))])),
            ("a size", of(&[("a", copy(1, 3, Some(3))), ("b", copy(1, 2, Some(3)))])),
            ("a checksum", of(&[("a", copy(1, 2, Some(4))), ("b", copy(1, 2, Some(3)))])),
            ("a kind", of(&[("a", tombstone), ("b", copy(1, 2, Some(3)))])),
            ("a key", of(&[("a", copy(1, 2, Some(3)))])),
        ] {
            assert_ne!(one, other, "{what}");
        }
    }

    #[test]
    fn what_has_no_checksum_yet_does_not_count() {
        assert_eq!(of(&[("a", copy(1, 2, None)), ("b", Held::Nothing)]), Digest::default());
    }

    #[test]
    fn a_digest_is_text_that_reads_back() {
        let digest = of(&[("a", copy(1, 2, Some(3)))]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in ["", "0", "+0000000000000000000000000000000", "zz"] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError), "{text}");
        }
    }
}
