//! `.webdfs/node.toml`: whose root this is, and whether it lacks nothing it should have.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout;
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
        if let Some(identity) = self.identity(name)? {
            return Ok(identity);
        }
        let identity = Identity {
            name: name.as_str().to_owned(),
            format: self.format(),
            layout: self.layout_entry(),
            complete: false,
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

    /// Records that the root is complete.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn mark_complete(&self, name: &NodeName) -> Result<(), StoreError> {
        let identity = self.identify(name)?;
        let _lock = self.lock_identity()?;
        self.write_identity(&Identity { complete: true, ..identity })
    }

    fn read_identity(&self) -> Result<Option<Identity>, StoreError> {
        let path = Path::new(layout::IDENTITY);
        let opened = self.open_file(path, false).map_err(|source| self.io("open", path, source))?;
        let Some((mut file, _)) = opened else { return Ok(None) };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|source| self.io("read", path, source))?;
        let damaged = |error: toml::de::Error| StoreError::Damaged {
            path: self.settings.root.join(path),
            problem: error.message().to_owned(),
        };
        toml::from_str(&text).map(Some).map_err(damaged)
    }

    fn write_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let text = toml::to_string(identity).expect("strings, numbers and booleans are always TOML");
        self.replace(Path::new(layout::IDENTITY), text.as_bytes(), None)
    }
}
