//! A storage root for tests inside the crate.

use std::path::Path;

use super::{Store, StoreSettings};
use crate::config::{Durability, Layout, Reserve};

/// A store on a folder, with neither syncs nor a reserve.
pub(crate) fn open(root: &Path) -> Store {
    let settings = StoreSettings {
        root: root.to_path_buf(),
        layout: Layout::Path,
        durability: Durability::None,
        reserve: Reserve::Bytes(0),
        file_mode: 0o644,
        folder_mode: 0o755,
        follow_symlinks: false,
        root_is_mount: false,
    };
    Store::open(settings).unwrap()
}
