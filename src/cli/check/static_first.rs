//! Whether the web server in front serves files itself. It is asked for one that only it can find: no object has so long a
//! name, so webdfs answers 400.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::name::{NAME_BYTES_MAX, ObjectName, Prefix};

/// Bytes of each folder's name: file systems take up to 255.
const FOLDER_BYTES: usize = 200;

/// A file under a name that is too long, with folders of its own; gone when dropped.
#[derive(Debug)]
pub(super) struct Probe {
    top: PathBuf,
    name: ObjectName,
    below: String,
    /// Folders above it that were made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl Probe {
    /// Lays it into a folder of the root, for the web server to read like any replica. `folder` is empty, or ends in a slash.
    pub(super) fn lay(settings: &Settings, folder: &[u8]) -> io::Result<Self> {
        let name = format!("webdfs-check-{:016x}", fastrand::u64(..));
        let name = [folder, name.as_bytes()].concat();
        let folders = vec!["x".repeat(FOLDER_BYTES); NAME_BYTES_MAX / FOLDER_BYTES + 1];
        let below = format!("{}/file", folders.join("/"));
        let mut probe = Self {
            top: settings.root.join(OsStr::from_bytes(&name)),
            name: ObjectName::from_bytes(&name).map_err(io::Error::other)?,
            below,
            made: Vec::new(),
        };
        let parents = probe.top.ancestors().skip(1).take_while(|folder| !folder.exists());
        probe.made = parents.map(Path::to_owned).collect();
        let file = probe.top.join(&probe.below);
        fs::create_dir_all(file.parent().unwrap_or(&probe.top))?;
        fs::write(&file, "not an object\n")?;
        fs::set_permissions(&file, Permissions::from_mode(settings.file_mode))?;
        // Those that were there are as they were.
        let folders = file.ancestors().skip(1).take_while(|folder| folder.starts_with(&probe.top));
        folders.chain(probe.made.iter().map(PathBuf::as_path)).try_for_each(|folder: &Path| {
            fs::set_permissions(folder, Permissions::from_mode(settings.folder_mode))
        })?;
        Ok(probe)
    }

    /// Its URL path.
    pub(super) fn url_path(&self, prefix: &Prefix) -> String {
        format!("{}/{}", prefix.url_path(&self.name), self.below)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.top) {
            log::warn!("{} is left behind: {error}", self.top.display());
        }
        for folder in &self.made {
            // Unless somebody has put something there meanwhile.
            let _ = fs::remove_dir(folder);
        }
    }
}
