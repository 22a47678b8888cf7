//! Writing an inventory, in memory that does not grow with the number of keys but for 4 bytes a block.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::read::{DIRECTORY_ENTRY_BYTES, MAGIC};
use super::{BLOCK_BYTES, BUCKETS, Totals, record};
use crate::held::Held;
use crate::name::ObjectName;
use crate::store::layout::{self, NameHash};
use crate::store::spool::SpoolId;
use crate::store::{Store, StoreError};

/// An inventory that is being written. Dropped before [`InventoryWriter::finish`], it is removed.
#[derive(Debug)]
pub struct InventoryWriter<'a> {
    store: &'a Store,
    path: PathBuf,
    file: File,
    buckets: Vec<Bucket>,
    /// Blocks written.
    blocks: u32,
    totals: Totals,
    finished: bool,
}

#[derive(Debug, Default)]
struct Bucket {
    /// The blocks that are full, by their numbers in the file.
    blocks: Vec<u32>,
    /// The rest: less than a block.
    rest: Vec<u8>,
}

impl Store {
    /// Begins an inventory. It takes the place of the last one once it is finished.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub fn new_inventory(&self) -> Result<InventoryWriter<'_>, StoreError> {
        let path = Path::new(layout::TMP).join(format!("{}-inventory", SpoolId::random()));
        let file = self.create_temporary(&path, 0o600)?;
        let buckets = std::iter::repeat_with(Bucket::default).take(BUCKETS).collect();
        let totals = Totals::default();
        Ok(InventoryWriter { store: self, path, file, buckets, blocks: 0, totals, finished: false })
    }
}

impl InventoryWriter<'_> {
    /// Adds a key. One may be added more than once: the newest counts.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub fn add(&mut self, name: &ObjectName, held: &Held) -> Result<(), StoreError> {
        match held {
            Held::Nothing => return Ok(()),
            Held::Copy(copy) => {
                self.totals.objects += 1;
                self.totals.bytes += copy.size;
            }
            Held::Tombstone { .. } => self.totals.tombstones += 1,
        }
        let number = NameHash::of(name).bucket();
        record::encode(name, held, &mut self.buckets[number].rest);
        while self.buckets[number].rest.len() >= BLOCK_BYTES {
            let rest = self.buckets[number].rest.split_off(BLOCK_BYTES);
            let full = std::mem::replace(&mut self.buckets[number].rest, rest);
            self.write(&full)?;
            self.buckets[number].blocks.push(self.blocks);
            self.blocks += 1;
        }
        Ok(())
    }

    /// How many keys were added.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Puts it in the place of the last one.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub fn finish(mut self) -> Result<Totals, StoreError> {
        let buckets = std::mem::take(&mut self.buckets);
        let mut offset = u64::from(self.blocks) * BLOCK_BYTES as u64;
        let mut directory = Vec::with_capacity(BUCKETS * DIRECTORY_ENTRY_BYTES);
        for bucket in &buckets {
            // The rest, and then the numbers of the full blocks.
            let mut end = bucket.rest.clone();
            bucket.blocks.iter().for_each(|block| end.extend_from_slice(&block.to_le_bytes()));
            self.write(&end)?;
            directory.extend_from_slice(&offset.to_le_bytes());
            directory.extend_from_slice(&(bucket.rest.len() as u32).to_le_bytes());
            directory.extend_from_slice(&(bucket.blocks.len() as u32).to_le_bytes());
            offset += end.len() as u64;
        }
        let Totals { objects, bytes, tombstones } = self.totals;
        let mut trailer = Vec::new();
        [offset, objects, bytes, tombstones].iter().for_each(|number| trailer.extend(number.to_le_bytes()));
        trailer.extend_from_slice(&crc32fast::hash(&directory).to_le_bytes());
        trailer.extend_from_slice(MAGIC);
        self.write(&directory)?;
        self.write(&trailer)?;
        let place = Path::new(layout::INVENTORY);
        self.store
            .calls
            .rename(&self.path, place)
            .map_err(|source| self.store.io("rename an inventory to", place, source))?;
        self.finished = true;
        Ok(self.totals)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.store.calls.write(&self.file, &self.path, bytes);
        written.map_err(|source| self.store.io("write", &self.path, source))
    }
}

impl Drop for InventoryWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.store.calls.unlink(&self.path);
        }
    }
}
