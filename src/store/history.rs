//! `.webdfs/history`: the maps that a root has worked by, a line of JSON for each, oldest first. The maps themselves are
//! forgotten once they are settled. For people alone: nothing depends on it, and what is damaged in it is left out.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, layout};
use crate::cluster::Fingerprint;

/// Of more maps the oldest are forgotten here, too.
const ENTRIES_MAX: usize = 1000;
/// What a change is said to be is cut to so many characters: it may name every node of a cluster.
const CHANGE_CHARS_MAX: usize = 400;

/// A map that a root has worked by. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Its epoch.
    pub epoch: u64,
    /// Its fingerprint.
    pub map: Fingerprint,
    /// When it came into force here.
    pub adopted: u64,
    /// When this node forgot the older ones; none: not yet, or another came before that.
    pub settled: Option<u64>,
    /// What it changed.
    pub change: String,
}

/// The maps that the storage root at `root` has worked by, oldest first. The root need not be open.
///
/// # Errors
/// When that cannot be read, as by someone else than the user that webdfs runs as.
pub fn map_history(root: &Path) -> io::Result<Vec<HistoryEntry>> {
    let text = match fs::read(root.join(layout::HISTORY)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

impl Store {
    /// Remembers that a map came into force. Of an epoch that is there already it is known.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn note_map(&self, mut entry: HistoryEntry) -> Result<(), StoreError> {
        entry.change = entry.change.chars().take(CHANGE_CHARS_MAX).collect();
        self.change_history(|entries| {
            let is_new = entries.last().is_none_or(|last| last.epoch < entry.epoch);
            entries.extend(is_new.then_some(entry));
            is_new
        })
    }

    /// Remembers that the map of an epoch is settled.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn note_settled(&self, epoch: u64, at: u64) -> Result<(), StoreError> {
        self.change_history(|entries| {
            let open = entries.iter_mut().find(|entry| entry.epoch == epoch && entry.settled.is_none());
            open.map(|entry| entry.settled = Some(at)).is_some()
        })
    }

    /// Changes it while no other process of this root does, if `change` says that it has.
    fn change_history(&self, change: impl FnOnce(&mut Vec<HistoryEntry>) -> bool) -> Result<(), StoreError> {
        let path = Path::new(layout::HISTORY);
        let _lock = self.lock_record()?;
        let mut entries = map_history(self.root()).map_err(|source| self.io("read", path, source))?;
        if !change(&mut entries) {
            return Ok(());
        }
        let surplus = entries.len().saturating_sub(ENTRIES_MAX);
        let mut text = String::new();
        for entry in &entries[surplus..] {
            text += &serde_json::to_string(entry).expect("our own records are always JSON");
            text.push('\n');
        }
        self.replace(path, text.as_bytes(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    fn entry(epoch: u64) -> HistoryEntry {
        let change = "c".repeat(epoch as usize);
        HistoryEntry { epoch, map: Fingerprint::default(), adopted: 10 * epoch, settled: None, change }
    }

    #[test]
    fn each_map_is_a_line_that_learns_when_it_is_settled() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        assert_eq!(map_history(root.path()).unwrap(), []);
        for epoch in [1, 2, 2, 1, 4] {
            store.note_map(entry(epoch)).unwrap();
        }
        store.note_settled(2, 77).unwrap();
        store.note_settled(2, 78).unwrap();
        store.note_settled(3, 79).unwrap();
        let second = HistoryEntry { settled: Some(77), ..entry(2) };
        assert_eq!(map_history(root.path()).unwrap(), [entry(1), second, entry(4)]);
    }

    #[test]
    fn a_damaged_line_is_left_out_and_there_are_never_more_than_so_many() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        store.note_map(entry(1)).unwrap();
        let file = root.path().join(layout::HISTORY);
        let text = fs::read_to_string(&file).unwrap();
        let lines: String =
            (2..=1500).map(|epoch| text.replace("\"epoch\":1,", &format!("\"epoch\":{epoch},"))).collect();
        fs::write(&file, format!("{text}{{\"epoch\":\nnot a line\n{lines}")).unwrap();
        store.note_map(entry(2000)).unwrap();
        let entries = map_history(root.path()).unwrap();
        assert_eq!((entries.len(), entries[0].epoch, entries[999].epoch), (ENTRIES_MAX, 502, 2000));
        assert_eq!(entries[999].change.len(), CHANGE_CHARS_MAX);
    }
}
