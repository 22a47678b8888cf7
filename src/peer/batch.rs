//! Many copies in one message: a list of them, and then their bytes. The path of the message, which is signed, names the
//! digest of the list; the list names the checksums of the bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::{BATCH_FILES_MAX, BatchCopy, Outcome};

/// Bytes of all copies of a batch at most.
pub const BATCH_BYTES_MAX: u64 = 16 << 20;
/// No copy of a batch is larger, in bytes: larger ones travel by themselves.
pub const BATCH_FILE_BYTES_MAX: u64 = 1 << 20;
/// No list is longer, in bytes: each entry is a name in URL form and a hundred bytes.
const LIST_BYTES_MAX: usize = BATCH_FILES_MAX * (3 * crate::name::NAME_BYTES_MAX + 128);
/// Bytes of the length of the list, which comes first.
pub const HEAD_BYTES: usize = 4;

/// The digest of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListDigest([u8; 32]);

impl fmt::Display for ListDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Text that is no digest of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the digest of a list: 64 hexadecimal digits")]
pub struct ListDigestError;

impl FromStr for ListDigest {
    type Err = ListDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| ListDigestError)?;
        Ok(Self(digest))
    }
}

/// Why a batch is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The list is not the one whose digest is signed.
    #[error("the list of the batch is not the one that was signed")]
    Other,
    /// The list makes no sense.
    #[error("the list of the batch makes no sense: {0}")]
    Damaged(String),
    /// More than a batch may hold.
    #[error(
        "a batch has at most {BATCH_FILES_MAX} copies of {BATCH_FILE_BYTES_MAX} bytes each, {BATCH_BYTES_MAX} in all"
    )]
    TooLarge,
}

/// How many bytes the list has, from the first bytes of a message.
///
/// # Errors
/// [`ListError::TooLarge`].
pub fn list_length(head: [u8; HEAD_BYTES]) -> Result<usize, ListError> {
    let length = usize::try_from(u32::from_be_bytes(head)).map_err(|_| ListError::TooLarge)?;
    if length <= LIST_BYTES_MAX { Ok(length) } else { Err(ListError::TooLarge) }
}

/// The first bytes of a message with these copies, up to where their bytes begin; and the digest of the list.
///
/// # Panics
/// There are more copies than a batch may have.
pub fn head(copies: &[BatchCopy]) -> (Vec<u8>, ListDigest) {
    assert!(within_bounds(copies), "a batch is bounded");
    let list = serde_json::to_vec(copies).expect("our own messages are always JSON");
    let digest = ListDigest(Sha256::digest(&list).into());
    let length = u32::try_from(list.len()).expect("a list is bounded");
    let mut head = length.to_be_bytes().to_vec();
    head.extend_from_slice(&list);
    (head, digest)
}

/// The copies of a list.
///
/// # Errors
/// When it is not the list of that digest, or names more than a batch may hold.
pub fn parse_list(list: &[u8], digest: ListDigest) -> Result<Vec<BatchCopy>, ListError> {
    if ListDigest(Sha256::digest(list).into()) != digest {
        return Err(ListError::Other);
    }
    let copies: Vec<BatchCopy> =
        serde_json::from_slice(list).map_err(|error| ListError::Damaged(error.to_string()))?;
    if within_bounds(&copies) { Ok(copies) } else { Err(ListError::TooLarge) }
}

fn within_bounds(copies: &[BatchCopy]) -> bool {
    let small = copies.iter().all(|copy| copy.size <= BATCH_FILE_BYTES_MAX);
    let sum = copies.iter().fold(0u64, |sum, copy| sum.saturating_add(copy.size));
    copies.len() <= BATCH_FILES_MAX && small && sum <= BATCH_BYTES_MAX
}

/// What became of the copies of a batch, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// One for each.
    pub outcomes: Vec<CopyOutcome>,
}

/// What became of one copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyOutcome {
    /// It is held, or something newer is.
    Held(Outcome),
    /// It was not taken, for this reason.
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ObjectName;
    use crate::version::Version;

    fn copies(count: usize, size: u64) -> Vec<BatchCopy> {
        let copy = |number: usize| BatchCopy {
            name: ObjectName::from_bytes(format!("ü {number}%.jpg").as_bytes()).unwrap(),
            version: Version::from_nanos(number as u64),
            crc32: 7,
            size,
        };
        (0..count).map(copy).collect()
    }

    #[test]
    fn a_list_reads_back_under_its_own_digest_alone() {
        let copies = copies(3, 9);
        let (head, digest) = head(&copies);
        let (length, list) = head.split_first_chunk::<HEAD_BYTES>().unwrap();
        assert_eq!(list_length(*length), Ok(list.len()));
        assert_eq!(parse_list(list, digest.to_string().parse().unwrap()), Ok(copies));
        let mut other = list.to_vec();
        other[3] ^= 1;
        assert_eq!(parse_list(&other, digest), Err(ListError::Other));
        assert_eq!("12".parse::<ListDigest>(), Err(ListDigestError));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let listed = |copies: &[BatchCopy]| {
            let list = serde_json::to_vec(copies).unwrap();
            parse_list(&list, ListDigest(Sha256::digest(&list).into()))
        };
        assert_eq!(listed(&copies(BATCH_FILES_MAX + 1, 0)), Err(ListError::TooLarge));
        assert_eq!(listed(&copies(1, BATCH_FILE_BYTES_MAX + 1)), Err(ListError::TooLarge));
        assert_eq!(listed(&copies(17, BATCH_FILE_BYTES_MAX)), Err(ListError::TooLarge));
        assert!(listed(&copies(16, BATCH_FILE_BYTES_MAX)).is_ok());
        assert_eq!(list_length(u32::MAX.to_be_bytes()), Err(ListError::TooLarge));
        let strange = b"[{}]";
        let digest = ListDigest(Sha256::digest(strange).into());
        assert!(matches!(parse_list(strange, digest), Err(ListError::Damaged(_))));
    }

    #[test]
    fn the_longest_names_fit_into_a_list() {
        let name = ObjectName::from_bytes(&[0xff; 1024]).unwrap();
        let (version, crc32, size) = (Version::from_nanos(u64::MAX), u32::MAX, 65_536);
        let copies = vec![BatchCopy { name, version, crc32, size }; BATCH_FILES_MAX];
        let (head, _) = head(&copies);
        assert!(list_length(*head.first_chunk().unwrap()).is_ok());
    }
}
