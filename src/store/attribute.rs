//! The extended attribute of replicas and spools, and the text of tombstones and dirty marks.  Pure.
//!
//! Plain text, so that `getfattr` and `cat` show it. A format number comes first, so that a later release can tell.

use crate::name::ObjectName;
use crate::version::Version;

/// The attribute of a replica or a spool.
pub const ATTRIBUTE: &str = "user.webdfs";
/// The attribute that holds the name of a replica in the escape area.
pub const ATTRIBUTE_NAME: &str = "user.webdfs.name";
/// The attribute of a tombstone that holds when every owner was first known to have it: seconds since 1970.
pub const ATTRIBUTE_AGREED: &str = "user.webdfs.agreed";
/// No attribute of ours is longer: a spool's, with a name of the largest size.
pub const ATTRIBUTE_BYTES_MAX: usize = crate::name::NAME_BYTES_MAX + 128;

/// What the attribute of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A replica: `1 VERSION CRC32`.
    Replica {
        /// Its version when it was written; the mtime says the same unless someone edited it.
        version: Version,
        /// Checksum of its bytes.
        crc32: u32,
    },
    /// A complete upload that waits for its commit: `spool 1 EPOCH LENGTH CRC32 NAME`.
    Spool(SpoolInfo),
}

/// A complete upload that waits for its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolInfo {
    /// The epoch under which it was prepared.
    pub epoch: u64,
    /// Bytes.
    pub length: u64,
    /// Checksum of the bytes.
    pub crc32: u32,
    /// What it will become.
    pub name: ObjectName,
}

impl Attribute {
    /// The text of the attribute.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Attribute::Replica { version, crc32 } => format!("1 {version} {crc32:08x}").into_bytes(),
            Attribute::Spool(spool) => {
                let mut text =
                    format!("spool 1 {} {} {:08x} ", spool.epoch, spool.length, spool.crc32).into_bytes();
                text.extend_from_slice(spool.name.as_bytes());
                text
            }
        }
    }

    /// The attribute from its text; `None` if the text is not ours.
    pub fn decode(text: &[u8]) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(b"spool 1 ") {
            let mut fields = rest.splitn(4, |byte| *byte == b' ');
            let epoch = number(fields.next()?)?;
            let length = number(fields.next()?)?;
            let crc32 = hex32(fields.next()?)?;
            let name = ObjectName::from_bytes(fields.next()?).ok()?;
            return Some(Attribute::Spool(SpoolInfo { epoch, length, crc32, name }));
        }
        let rest = text.strip_prefix(b"1 ")?;
        let mut fields = rest.splitn(2, |byte| *byte == b' ');
        let version = Version::from_nanos(number(fields.next()?)?);
        Some(Attribute::Replica { version, crc32: hex32(fields.next()?)? })
    }
}

/// The text of a tombstone: `webdfs-tombstone 1 VERSION`, a line feed, the name.
pub fn encode_tombstone(name: &ObjectName, version: Version) -> Vec<u8> {
    let mut text = format!("webdfs-tombstone 1 {version}\n").into_bytes();
    text.extend_from_slice(name.as_bytes());
    text
}

/// A tombstone from its text; `None` if it is damaged.
pub fn decode_tombstone(text: &[u8]) -> Option<(ObjectName, Version)> {
    let rest = text.strip_prefix(b"webdfs-tombstone 1 ")?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let version = Version::from_nanos(number(&rest[..end])?);
    Some((ObjectName::from_bytes(&rest[end + 1..]).ok()?, version))
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn hex32(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ObjectName {
        ObjectName::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn attributes_are_text_that_reads_back() {
        let replica = Attribute::Replica { version: Version::from_nanos(17), crc32: 0xabc };
        assert_eq!(replica.encode(), b"1 17 00000abc");
        let spool = Attribute::Spool(SpoolInfo { epoch: 3, length: 9, crc32: 1, name: name("a b/c d.jpg") });
        assert_eq!(spool.encode(), b"spool 1 3 9 00000001 a b/c d.jpg");
        for attribute in [replica, spool] {
            assert_eq!(Attribute::decode(&attribute.encode()), Some(attribute));
        }
    }

    #[test]
    fn text_that_is_not_ours_is_no_attribute() {
        for text in
            ["", "1", "1 2", "1 2 3", "1 x 00000000", "2 2 00000000", "spool 1 1 1 00000000", "1 2 0000000g"]
        {
            assert_eq!(Attribute::decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Attribute::decode(b"spool 1 1 1 00000000 ../x"), None);
    }

    #[test]
    fn tombstones_are_text_that_reads_back_even_with_a_line_feed_in_the_name() {
        let name = name("a\nb");
        let text = encode_tombstone(&name, Version::from_nanos(5));
        assert_eq!(decode_tombstone(&text), Some((name, Version::from_nanos(5))));
        for cut in 0..text.len() - 2 {
            assert_eq!(decode_tombstone(&text[..cut]), None);
        }
    }
}
