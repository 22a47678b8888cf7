//! Which nodes are down, as far as the process that does the background work knows: told to all processes of the root.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use super::layout;
use super::{Store, StoreError};
use crate::cluster::NodeName;

/// No more of the file is read, in bytes: far more names than a cluster has nodes.
const FILE_BYTES_MAX: u64 = 8 << 20;

impl Store {
    /// The nodes that are known to be down; none if nobody has said so. Lines that are no names are left out.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn nodes_down(&self) -> Result<BTreeSet<NodeName>, StoreError> {
        let path = Path::new(layout::DOWN);
        let failed = |source| self.io("read", path, source);
        let Some((file, _)) = self.open_file(path, false).map_err(failed)? else {
            return Ok(BTreeSet::new());
        };
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
        Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Lets all processes of the root know that these nodes are down, and no others.
    ///
    /// # Errors
    /// When the disk fails or is full; then it is as before.
    pub fn tell_nodes_down(&self, names: &BTreeSet<NodeName>) -> Result<(), StoreError> {
        if self.nodes_down()? == *names {
            return Ok(());
        }
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        self.replace(Path::new(layout::DOWN), text.as_bytes(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    #[test]
    fn what_one_process_says_another_reads_and_what_means_nothing_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let (one, another) = (open(root.path()), open(root.path()));
        assert_eq!(another.nodes_down().unwrap(), BTreeSet::new());
        let names: BTreeSet<NodeName> = ["img2", "img7"].map(|name| name.parse().unwrap()).into();
        one.tell_nodes_down(&names).unwrap();
        assert_eq!(another.nodes_down().unwrap(), names);
        let file = root.path().join(layout::DOWN);
        std::fs::write(&file, b"../x\nimg2\n\n\xff\xfe\nimg7").unwrap();
        assert_eq!(another.nodes_down().unwrap(), names);
        one.tell_nodes_down(&BTreeSet::new()).unwrap();
        assert_eq!(another.nodes_down().unwrap(), BTreeSet::new());
    }
}
