//! One key as bytes.  Pure.
//!
//! `KIND (1) NAME_LENGTH (2) VERSION (8) SIZE (8) CRC32 (4) NAME`, numbers little-endian.

use crate::held::{CopyInfo, Held};
use crate::name::ObjectName;
use crate::version::Version;

/// Bytes before the name.
const HEAD_BYTES: usize = 1 + 2 + 8 + 8 + 4;

const KIND_COPY: u8 = 1;
const KIND_UNCHECKED: u8 = 2;
const KIND_TOMBSTONE: u8 = 3;

/// Appends a key. Nothing is appended for a key of which nothing is held.
pub(super) fn encode(name: &ObjectName, held: &Held, bytes: &mut Vec<u8>) {
    let (kind, version, size, crc32) = match held {
        Held::Nothing => return,
        Held::Copy(CopyInfo { version, size, crc32: Some(crc32) }) => (KIND_COPY, version, *size, *crc32),
        Held::Copy(CopyInfo { version, size, crc32: None }) => (KIND_UNCHECKED, version, *size, 0),
        Held::Tombstone { version } => (KIND_TOMBSTONE, version, 0, 0),
    };
    let length = u16::try_from(name.as_bytes().len()).expect("names are at most 1,024 bytes");
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&version.nanos().to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&crc32.to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
}

/// Takes the first key off; `None` if the bytes are no whole record.
pub(super) fn decode(bytes: &mut &[u8]) -> Option<(ObjectName, Held)> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let number = |from: usize| head[from..from + 8].try_into().map(u64::from_le_bytes).ok();
    let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
    let version = Version::from_nanos(number(3)?);
    let size = number(11)?;
    let crc32 = u32::from_le_bytes(head[19..].try_into().ok()?);
    let (name, rest) = rest.split_at_checked(length)?;
    let held = match head[0] {
        KIND_COPY => Held::Copy(CopyInfo { version, size, crc32: Some(crc32) }),
        KIND_UNCHECKED => Held::Copy(CopyInfo { version, size, crc32: None }),
        KIND_TOMBSTONE => Held::Tombstone { version },
        _ => return None,
    };
    *bytes = rest;
    Some((ObjectName::from_bytes(name).ok()?, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_one_after_the_other_and_parts_of_one_do_not() {
        let name = |text: &[u8]| ObjectName::from_bytes(text).unwrap();
        let version = Version::from_nanos(u64::MAX);
        let keys = [
            (name(b"a\n\xff"), Held::Copy(CopyInfo { version, size: u64::MAX, crc32: Some(u32::MAX) })),
            (name(&[b'x'; 1024]), Held::Copy(CopyInfo { version, size: 0, crc32: None })),
            (name(b"t"), Held::Tombstone { version: Version::from_nanos(0) }),
        ];
        let mut bytes = Vec::new();
        keys.iter().for_each(|(name, held)| encode(name, held, &mut bytes));
        let mut rest = &bytes[..];
        for key in &keys {
            assert_eq!(decode(&mut rest).as_ref(), Some(key));
        }
        assert!(rest.is_empty());
        let mut one = Vec::new();
        encode(&keys[0].0, &keys[0].1, &mut one);
        for length in 0..one.len() {
            assert_eq!(decode(&mut &one[..length]), None);
        }
    }
}
