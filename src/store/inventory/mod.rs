//! `.webdfs/inventory`: what a walk over the root has found, sorted into buckets by the hash of the names.
//!
//! It is made for one pass of reconcile (design section 8) and worth nothing afterwards: a root without one, or with a
//! damaged one, only walks once more. It lies on the disk and not in memory because the number of objects has no bound,
//! and in a file of the root because any process of the root may have to answer for it.
//!
//! Format: records in blocks of [`BLOCK_BYTES`], each block of one bucket; then the unfilled last blocks of all buckets;
//! then where the blocks of each bucket are; then a directory of [`BUCKETS`] entries; then a trailer.

mod read;
mod record;
mod write;

pub use read::Inventory;
pub use write::InventoryWriter;

use super::layout::NameHash;
use crate::held::Held;
use crate::name::ObjectName;

/// Buckets of an inventory: as many as there are values of the first 12 bits of a name's hash.
pub const BUCKETS: usize = 4096;
/// Bytes of a block. All buckets have one in memory while an inventory is written: 8 MiB.
const BLOCK_BYTES: usize = 2048;

/// A key in an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub name: ObjectName,
    /// Its hash.
    pub hash: NameHash,
    /// What the walk found under it; never nothing.
    pub held: Held,
}

/// What an inventory adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Replicas.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Tombstones.
    pub tombstones: u64,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::held::CopyInfo;
    use crate::store::testing::open;
    use crate::version::Version;

    fn name(number: u64) -> ObjectName {
        ObjectName::from_bytes(format!("folder/{number}.jpg").as_bytes()).unwrap()
    }

    fn copy(version: u64) -> Held {
        Held::Copy(CopyInfo { version: Version::from_nanos(version), size: 7, crc32: Some(9) })
    }

    #[test]
    fn an_inventory_gives_back_every_key_in_the_bucket_of_its_hash_and_in_the_order_of_hashes() {
        const KEYS: u64 = 300_000;
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let mut writer = store.new_inventory().unwrap();
        let held = |number| {
            if number % 3 == 0 {
                Held::Tombstone { version: Version::from_nanos(number) }
            } else {
                copy(number)
            }
        };
        (0..KEYS).for_each(|number| writer.add(&name(number), &held(number)).unwrap());
        writer.finish().unwrap();

        let inventory = store.inventory().unwrap().unwrap();
        let expected =
            Totals { objects: KEYS - KEYS / 3, bytes: 7 * (KEYS - KEYS / 3), tombstones: KEYS / 3 };
        assert_eq!(inventory.totals(), expected);
        let mut left: HashMap<_, _> = (0..KEYS).map(|number| (name(number), held(number))).collect();
        for bucket in 0..BUCKETS {
            let entries = store.bucket(&inventory, bucket).unwrap();
            assert!(entries.is_sorted_by_key(|entry| entry.hash));
            for entry in entries {
                assert_eq!((entry.hash, entry.hash.bucket()), (NameHash::of(&entry.name), bucket));
                assert_eq!(left.remove(&entry.name), Some(entry.held), "{}", entry.name);
            }
        }
        assert!(left.is_empty());
    }

    #[test]
    fn of_a_key_met_twice_the_newer_finding_counts() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let mut writer = store.new_inventory().unwrap();
        for version in [2, 3, 1] {
            writer.add(&name(0), &copy(version)).unwrap();
        }
        writer.finish().unwrap();
        let inventory = store.inventory().unwrap().unwrap();
        let entries = store.bucket(&inventory, NameHash::of(&name(0)).bucket()).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.held).collect::<Vec<_>>(), [copy(3)]);
    }

    #[test]
    fn an_unfinished_inventory_leaves_the_last_one_and_no_file() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        assert!(store.inventory().unwrap().is_none());
        let mut writer = store.new_inventory().unwrap();
        writer.add(&name(0), &copy(1)).unwrap();
        writer.finish().unwrap();
        let mut unfinished = store.new_inventory().unwrap();
        unfinished.add(&name(1), &copy(1)).unwrap();
        drop(unfinished);
        assert_eq!(store.inventory().unwrap().unwrap().totals().objects, 1);
        assert_eq!(std::fs::read_dir(root.path().join(".webdfs/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn an_inventory_with_any_byte_changed_or_missing_is_an_error_or_other_keys_and_never_a_panic() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let mut writer = store.new_inventory().unwrap();
        (0..40).for_each(|number| writer.add(&name(number), &copy(number + 1)).unwrap());
        writer.finish().unwrap();
        let file = root.path().join(".webdfs/inventory");
        let whole = std::fs::read(&file).unwrap();
        let used: Vec<usize> = (0..40).map(|number| NameHash::of(&name(number)).bucket()).collect();
        let read_all = || {
            let Ok(Some(inventory)) = store.inventory() else { return 0 };
            used.iter()
                .filter_map(|bucket| store.bucket(&inventory, *bucket).ok())
                .map(|entries| entries.len())
                .sum()
        };
        assert!(read_all() >= 40);
        for length in (0..whole.len()).rev().step_by(97) {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(read_all(), 0, "cut to {length}");
        }
        let near_the_ends = (0..4096).chain(whole.len() - 200..whole.len());
        for position in near_the_ends {
            let mut changed = whole.clone();
            changed[position] ^= 0xff;
            std::fs::write(&file, &changed).unwrap();
            read_all();
        }
    }
}
