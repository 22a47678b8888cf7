//! `.webdfs/agent.toml`: what the agent remembers from one time to the next. A hint: if it is lost, work is done once more
//! than it had to be, a status says less for a while, and work that was paused goes on.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, layout};
use crate::clock;
use crate::config::Rate;

/// What the agent remembers. Times are in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentRecord {
    /// When a full pass last reached its end.
    pub reconciled: Option<u64>,
    /// The epoch under which this node has tried to bring the others all that it gives up; 0: under none.
    pub moved: u64,
    /// When a scrub last reached its end.
    pub scrubbed: Option<u64>,
    /// What the last walk over the root has counted.
    pub counted: Option<Counted>,
    /// How far a scrub was that has not reached its end.
    pub scrubbing: Option<Scrubbing>,
    /// What an operator has ordered.
    pub orders: Orders,
}

/// What an operator has ordered of the background work. It holds until another order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Orders {
    /// Whether passes, offers and scrubs rest.
    pub paused: bool,
    /// The rate in place of the configured one.
    pub rate: Option<Rate>,
}

/// How far a scrub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scrubbing {
    /// The buckets of an inventory below this one are done. Which keys are in a bucket depends on their names alone, so
    /// this holds for every later inventory, too.
    pub bucket: usize,
    /// Replicas that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was so far.
    pub at: u64,
}

/// What a walk over the root has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When it ended.
    pub at: u64,
    /// Replicas.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that an original webDFS left in hashed folders, and whose names nobody knows.
    #[serde(default)]
    pub nameless: u64,
}

impl Store {
    /// What the agent remembers; nothing if that cannot be read.
    pub fn agent_record(&self) -> AgentRecord {
        let path = Path::new(layout::AGENT_RECORD);
        let mut text = String::new();
        let read = match self.open_file(path, false) {
            Ok(None) => return AgentRecord::default(),
            Ok(Some((mut file, _))) => file.read_to_string(&mut text),
            Err(error) => Err(error),
        };
        let problem = match read.map(|_| toml::from_str(&text)) {
            Ok(Ok(record)) => return record,
            Ok(Err(error)) => error.message().to_owned(),
            Err(error) => error.to_string(),
        };
        log::warn!("{} is of no use, and is written anew: {problem}", self.root().join(path).display());
        AgentRecord::default()
    }

    /// Changes what the agent remembers.
    ///
    /// # Errors
    /// When the disk fails or is full; then it is as before.
    pub fn remember(&self, change: impl FnOnce(&mut AgentRecord)) -> Result<(), StoreError> {
        let _lock = self.lock_record()?;
        let mut record = self.agent_record();
        change(&mut record);
        let text = toml::to_string(&record).expect("numbers are always TOML");
        self.replace(Path::new(layout::AGENT_RECORD), text.as_bytes(), None)
    }

    /// Remembers what a walk that ends now has counted.
    ///
    /// # Errors
    /// As [`Store::remember`].
    pub fn remember_counted(&self, objects: u64, bytes: u64, nameless: u64) -> Result<(), StoreError> {
        self.remember(|record| {
            record.counted = Some(Counted { at: clock::seconds(), objects, bytes, nameless });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    #[test]
    fn what_is_remembered_outlives_the_process_and_is_no_matter_when_damaged() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        assert_eq!(store.agent_record(), AgentRecord::default());
        store.remember(|record| record.reconciled = Some(7)).unwrap();
        store.remember_counted(3, 4000, 0).unwrap();
        let scrubbing = Scrubbing { bucket: 5, objects: 6, bytes: 7, at: 8 };
        store.remember(|record| record.scrubbing = Some(scrubbing)).unwrap();
        let orders = Orders { paused: true, rate: Some("5MiB".parse().unwrap()) };
        store.remember(|record| record.orders = orders).unwrap();
        let record = open(root.path()).agent_record();
        assert_eq!(record.orders, orders);
        assert_eq!((record.reconciled, record.scrubbed), (Some(7), None));
        assert_eq!(record.scrubbing, Some(scrubbing));
        assert_eq!(record.counted.map(|counted| (counted.objects, counted.bytes)), Some((3, 4000)));
        let file = root.path().join(layout::AGENT_RECORD);
        std::fs::write(&file, "reconciled = 9\nof_a_later_release = 1\n").unwrap();
        assert_eq!(store.agent_record().reconciled, Some(9));
        for damaged in
            [&b"reconciled = -"[..], b"\xff\xff", b"reconciled = \"x\"", b"[orders]\nrate = \"3B\""]
        {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(store.agent_record(), AgentRecord::default());
        }
        store.remember(|record| record.scrubbed = Some(1)).unwrap();
        assert_eq!(store.agent_record().scrubbed, Some(1));
    }
}
