//! Reading an inventory, one bucket at a time. What cannot be an inventory is an error and no panic: nothing in it was
//! synced, and a loss of power may have left anything.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{BLOCK_BYTES, BUCKETS, Entry, Totals, record};
use crate::store::layout::{self, NameHash};
use crate::store::{Store, StoreError};

/// The last bytes of an inventory: what it is, and its format.
pub(super) const MAGIC: &[u8; 8] = b"webdfs-1";
/// Offset of the bucket's unfilled block (8), its length (4), number of full blocks (4).
pub(super) const DIRECTORY_ENTRY_BYTES: usize = 16;
/// Where the directory begins, three totals, the directory's checksum, [`MAGIC`].
const TRAILER_BYTES: usize = 4 * 8 + 4 + 8;

/// A finished inventory. It stays what it is, should another take its place.
#[derive(Debug)]
pub struct Inventory {
    file: File,
    /// Where the directory begins: above everything else.
    directory: u64,
    totals: Totals,
}

impl Store {
    /// The last inventory; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is none; others when the disk fails.
    pub fn inventory(&self) -> Result<Option<Inventory>, StoreError> {
        let path = Path::new(layout::INVENTORY);
        let fail = |source| self.io("read", path, source);
        let Some((file, stat)) = self.open_file(path, false).map_err(fail)? else { return Ok(None) };
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        let opened = Inventory::open(file, length).map_err(fail)?;
        opened.map(Some).ok_or_else(|| self.damaged_inventory())
    }

    /// Forgets the last inventory: something may have died before it was on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn forget_inventory(&self) -> Result<(), StoreError> {
        let path = Path::new(layout::INVENTORY);
        match self.calls.unlink(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.io("remove", path, error)),
            _ => Ok(()),
        }
    }

    fn damaged_inventory(&self) -> StoreError {
        let path = self.settings.root.join(layout::INVENTORY);
        StoreError::Damaged { path, problem: "no inventory; the next one takes its place".into() }
    }

    /// The keys of a bucket, below [`BUCKETS`], in the order of their hashes, each once.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the inventory is; others when the disk fails.
    pub fn bucket(&self, inventory: &Inventory, number: usize) -> Result<Vec<Entry>, StoreError> {
        let bytes = inventory.bytes(number);
        let bytes = bytes.map_err(|source| self.io("read", Path::new(layout::INVENTORY), source))?;
        bytes.and_then(|bytes| entries(&bytes)).ok_or_else(|| self.damaged_inventory())
    }
}

impl Inventory {
    fn open(file: File, length: u64) -> std::io::Result<Option<Self>> {
        let mut trailer = [0; TRAILER_BYTES];
        let Some(start) = length.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        file.read_exact_at(&mut trailer, start)?;
        let number = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&trailer[8 * index..8 * index + 8]);
            u64::from_le_bytes(bytes)
        };
        let (directory, totals) =
            (number(0), Totals { objects: number(1), bytes: number(2), tombstones: number(3) });
        let (crc32, magic) = trailer[32..].split_at(4);
        let directory_bytes = BUCKETS * DIRECTORY_ENTRY_BYTES;
        if magic != MAGIC || directory.checked_add(directory_bytes as u64) != Some(start) {
            return Ok(None);
        }
        let mut whole = vec![0; directory_bytes];
        file.read_exact_at(&mut whole, directory)?;
        let sound = crc32fast::hash(&whole).to_le_bytes() == crc32;
        Ok(sound.then_some(Self { file, directory, totals }))
    }

    /// What it adds up to. A key met twice counts twice.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The records of a bucket; `None` if the directory makes no sense.
    fn bytes(&self, number: usize) -> std::io::Result<Option<Vec<u8>>> {
        let mut entry = [0; DIRECTORY_ENTRY_BYTES];
        self.file.read_exact_at(&mut entry, self.directory + (number * DIRECTORY_ENTRY_BYTES) as u64)?;
        let (offset, rest) = entry.split_at(8);
        let (length, blocks) = rest.split_at(4);
        let small = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        let offset = offset.try_into().map_or(u64::MAX, u64::from_le_bytes);
        let (length, blocks) = (small(length) as usize, small(blocks) as usize);
        let end_bytes = length + 4 * blocks;
        // Bounds what is asked of the memory by what lies in the file.
        let known = (blocks as u64).checked_mul(BLOCK_BYTES as u64).filter(|bytes| *bytes <= self.directory);
        if known.is_none() || offset.checked_add(end_bytes as u64).is_none_or(|end| end > self.directory) {
            return Ok(None);
        }
        let mut end = vec![0; end_bytes];
        self.file.read_exact_at(&mut end, offset)?;
        let (rest, numbers) = end.split_at(length);
        let mut bytes = vec![0; blocks * BLOCK_BYTES];
        for (block, number) in bytes.chunks_exact_mut(BLOCK_BYTES).zip(numbers.chunks_exact(4)) {
            self.file.read_exact_at(block, u64::from(small(number)) * BLOCK_BYTES as u64)?;
        }
        bytes.extend_from_slice(rest);
        Ok(Some(bytes))
    }
}

/// The keys of a bucket's records; `None` if they are none.
fn entries(mut bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (name, held) = record::decode(&mut bytes)?;
        entries.push(Entry { hash: NameHash::of(&name), name, held });
    }
    // Of one name the newest first, so that it is the one that stays.
    entries.sort_unstable_by(|a, b| a.hash.cmp(&b.hash).then_with(|| b.held.supersedes(&a.held)));
    entries.dedup_by(|later, first| later.name == first.name);
    Some(entries)
}
