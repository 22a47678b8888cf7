//! The folder in which the original files a name when its path hashing is on.

use super::{PhpVersion, Seed, Twister, range};

/// Bytes that are left out of a name before it is hashed.
const DROPPED: &[u8] = b"/\\:*?|<>\"%";

/// Four digits ABCD, as a number below 10,000: the name is filed in the folder `AB/CD`.
pub fn path_hash(version: PhpVersion, name: &[u8]) -> u16 {
    const LAST: u32 = 9_999;
    let mut crc32 = crc32fast::Hasher::new();
    for kept in name.split(|byte| DROPPED.contains(byte)) {
        crc32.update(kept);
    }
    let seed = Seed::of_crc32(crc32.finalize());
    let mut twister = Twister::new(version, u32::from(seed.get()));
    range(version, LAST, || twister.next_output()) as u16
}
