//! `.webdfs/node.toml`: whose root this is, and whether it lacks nothing it should have.

use std::path::Path;
use std::sync::Mutex;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use super::layout;
use super::stamp::Stamp;
use super::{Store, StoreError};
use crate::cluster::NodeName;
use crate::config::Layout;

/// The format of a root where each name is its path.
const FORMAT: u32 = 1;
/// That of any other: releases that would look for each name at its path know the former alone.
const FORMAT_WITH_LAYOUT: u32 = 2;

/// Whose root it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node's name. Never changes.
    pub name: String,
    /// How webdfs keeps what it keeps here.
    pub format: u32,
    /// How names become paths; none: each name is its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Whether the root lacks nothing it should have. An incomplete node's "I lack it" counts nowhere.
    pub complete: bool,
    /// How far the root has come. None in a root that no node with stamps has used yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
    /// The stamp that others remembered when the root was found to have returned. Until it is complete again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Stamp>,
    /// Whether the files that it returned with are still where the web server finds them, some or all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returning: bool,
    /// The epoch under which the node has last finished a full pass; 0: under none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Identity {
    /// Whether this is a root that has lacked something ever since it was made, and no one remembers another under its
    /// node's name.
    pub fn is_newborn(&self) -> bool {
        !self.complete && self.returned.is_none()
    }
}

/// Whether the root is complete, as it stood in an identity that may have been replaced since.
#[derive(Debug, Default)]
pub(super) struct KnownCompleteness(Mutex<Option<(Incarnation, bool)>>);

/// What tells one identity file from the next: inode, and ctime in seconds and nanoseconds. Each is a new file, made while
/// the last one still has its inode.
type Incarnation = (u64, i64, i64);

fn incarnation(stat: &Stat) -> Incarnation {
    (stat.st_ino, stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0))
}

impl Store {
    /// The root's identity, made now if it has none: then it is incomplete.
    ///
    /// # Errors
    /// [`StoreError::OtherNode`] for another node's root, [`StoreError::OtherLayout`] for one of another layout,
    /// [`StoreError::Damaged`] for an unreadable file.
    pub fn identify(&self, name: &NodeName) -> Result<Identity, StoreError> {
        if let Some(identity) = self.identity(name)? {
            return Ok(identity);
        }
        // Several processes may start at once on a new root, and one of them may find it complete.
        let _lock = self.lock_identity()?;
        self.identify_locked(name)
    }

    /// The same; the caller holds the identity's lock.
    pub(super) fn identify_locked(&self, name: &NodeName) -> Result<Identity, StoreError> {
        if let Some(identity) = self.identity(name)? {
            return Ok(identity);
        }
        let identity = Identity {
            name: name.as_str().to_owned(),
            format: self.format(),
            layout: self.layout_entry(),
            complete: false,
            stamp: Some(Stamp::first()),
            returned: None,
            returning: false,
            passed: 0,
        };
        self.write_identity(&identity)?;
        Ok(identity)
    }

    /// The root's identity, if it has one.
    ///
    /// # Errors
    /// As [`Store::identify`].
    pub fn identity(&self, name: &NodeName) -> Result<Option<Identity>, StoreError> {
        let Some(identity) = self.read_identity()? else { return Ok(None) };
        if identity.name != name.as_str() {
            return Err(StoreError::OtherNode {
                root: self.settings.root.clone(),
                found: identity.name,
                expected: name.as_str().to_owned(),
            });
        }
        if identity.layout != self.layout_entry() {
            return Err(StoreError::OtherLayout {
                root: self.settings.root.clone(),
                found: identity.layout.unwrap_or_else(|| Layout::Path.to_string()),
                expected: self.settings.layout.to_string(),
            });
        }
        let format = self.format();
        if identity.format != format {
            let problem = format!("format {} is not {format}: written by another release", identity.format);
            return Err(StoreError::Damaged { path: self.settings.root.join(layout::IDENTITY), problem });
        }
        Ok(Some(identity))
    }

    fn format(&self) -> u32 {
        if self.settings.layout == Layout::Path { FORMAT } else { FORMAT_WITH_LAYOUT }
    }

    fn layout_entry(&self) -> Option<String> {
        let layout = self.settings.layout;
        (layout != Layout::Path).then(|| layout.to_string())
    }

    /// Records that the root is complete, unless it has returned since the caller saw its identity. Whether it is.
    ///
    /// # Errors
    /// As [`Store::identify`], and when the disk fails.
    pub fn mark_complete(&self, name: &NodeName, seen: &Identity) -> Result<bool, StoreError> {
        let identity = self.change_identity(name, |identity| {
            let is_same = !identity.returning && identity.returned == seen.returned;
            let changes = is_same && !identity.complete;
            if changes {
                identity.complete = true;
                identity.returned = None;
            }
            changes
        })?;
        Ok(identity.complete)
    }

    /// Records that the root has finished a full pass under an epoch, unless it has returned since its identity was `seen`.
    ///
    /// # Errors
    /// As [`Store::identify`], and when the disk fails.
    pub fn mark_passed(&self, name: &NodeName, seen: &Identity, epoch: u64) -> Result<(), StoreError> {
        self.change_identity(name, |identity| {
            let is_same = !identity.returning && identity.returned == seen.returned;
            let changes = is_same && identity.passed != epoch;
            if changes {
                identity.passed = epoch;
            }
            changes
        })?;
        Ok(())
    }

    /// The epoch under which the root has last finished a full pass; 0: under none.
    ///
    /// # Errors
    /// When the identity cannot be read.
    pub fn passed(&self) -> Result<u64, StoreError> {
        Ok(self.read_identity()?.map_or(0, |identity| identity.passed))
    }

    /// Whether the root is complete, whichever process found that out. Costs no reading unless the identity is a new one.
    ///
    /// # Errors
    /// When the identity cannot be read.
    pub fn is_complete(&self) -> Result<bool, StoreError> {
        let path = Path::new(layout::IDENTITY);
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((_, stat)) = opened else { return Ok(false) };
        if let Some(known) = self.known_completeness(&stat) {
            return Ok(known);
        }
        let complete = self.read_identity()?.is_some_and(|identity| identity.complete);
        // What was read may be newer than what was looked at, and then that is no longer met.
        *self.known_completeness.0.lock().expect("no holder panics") = Some((incarnation(&stat), complete));
        Ok(complete)
    }

    /// [`Store::is_complete`] if the answer can be had without waiting for the disk, else `None`.
    pub fn is_complete_cached(&self) -> Option<bool> {
        let (_, stat) = self.open_file(Path::new(layout::IDENTITY), true).ok()??;
        self.known_completeness(&stat)
    }

    fn known_completeness(&self, stat: &Stat) -> Option<bool> {
        let known = *self.known_completeness.0.lock().expect("no holder panics");
        known.filter(|(of, _)| *of == incarnation(stat)).map(|(_, complete)| complete)
    }

    /// [`Store::identify`], and what it says is durable: its writer may have died before that.
    ///
    /// # Errors
    /// As there, and when the disk fails.
    pub fn identify_durably(&self, name: &NodeName) -> Result<Identity, StoreError> {
        self.change_identity(name, |_| false)
    }

    /// Changes the identity under its lock if `change` says that it does; what it is then, durably.
    pub(super) fn change_identity(
        &self,
        name: &NodeName,
        change: impl FnOnce(&mut Identity) -> bool,
    ) -> Result<Identity, StoreError> {
        let _lock = self.lock_identity()?;
        let mut identity = self.identify_locked(name)?;
        if change(&mut identity) {
            self.write_identity(&identity)?;
        } else {
            self.check_writable()?;
            self.sync_name(Path::new(layout::IDENTITY))?;
        }
        Ok(identity)
    }

    fn read_identity(&self) -> Result<Option<Identity>, StoreError> {
        let path = Path::new(layout::IDENTITY);
        let Some(text) = self.read_own(path)? else { return Ok(None) };
        let damaged = |error: toml::de::Error| StoreError::Damaged {
            path: self.settings.root.join(path),
            problem: error.message().to_owned(),
        };
        toml::from_str(&text).map(Some).map_err(damaged)
    }

    pub(super) fn write_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let text = toml::to_string(identity).expect("strings, numbers and booleans are always TOML");
        self.replace(Path::new(layout::IDENTITY), text.as_bytes(), None)
    }
}
