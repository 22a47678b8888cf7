//! The key of an object: the number that placement starts from. Frozen: files lie on disk by it.

use std::fmt;

/// The hash of an object's name: CRC-32 as in zlib, gzip and PNG (RFC 1952, section 8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(u32);

impl ObjectKey {
    /// The key of the object of that name, given as its decoded bytes.
    pub fn of(name: &[u8]) -> Self {
        Self(crc32fast::hash(name))
    }

    /// The key of that number.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_crc32_of_the_name() {
        // The check value that catalogues of CRCs give for this one.
        assert_eq!(ObjectKey::of(b"123456789").number(), 0xcbf4_3926);
        assert_eq!(ObjectKey::of(b"").number(), 0);
        assert_eq!(ObjectKey::of(b"123456789").to_string(), "cbf43926");
        assert_ne!(ObjectKey::of(b"/a.jpg"), ObjectKey::of(b"/A.jpg"));
    }
}
