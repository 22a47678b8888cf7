//! Object name -> path under the root (design section 5).  Pure: nothing here looks at the disk.
//!
//! A replica lies under its own name where that can be a path. Two names cannot both be paths if one is a folder of
//! the other (`/a` and `/a/b`), and a segment over [`SEGMENT_BYTES_MAX`] cannot be one at all: such a replica lies in
//! the escape area under the hash of its name, with the name inside.
//!
//! With [`Layout::WebdfsHashed`] a replica lies where the original webDFS files it: under the last segment of its
//! name, in one of 10,000 folders. Many names have the same place there, so each replica that webdfs writes has its
//! name inside, and of two names of one place the second lies in the escape area. A file without a name in it was put
//! there by the original, or by hand, and is the replica of every name of that place, as it was there, but for names that
//! have one in the escape area.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::Layout;
use crate::name::ObjectName;
use crate::php::path_hash;

/// What webdfs keeps for itself under the root.
pub const PRIVATE: &str = ".webdfs";
/// Uploads in progress.
pub const TMP: &str = ".webdfs/tmp";
/// One small file per deleted object.
pub const TOMBSTONES: &str = ".webdfs/tombstones";
/// Replicas whose name cannot be a path.
pub const ESCAPE: &str = ".webdfs/escape";
/// Names known to be incompletely replicated, a folder per node that lacks them.
pub const DIRTY: &str = ".webdfs/dirty";
/// Key locks.
pub const LOCKS: &str = ".webdfs/locks";
/// Held while the identity is written.
pub const IDENTITY_LOCK: &str = ".webdfs/locks/identity";
/// Held while another node's stamp is written.
pub const STAMPS_LOCK: &str = ".webdfs/locks/stamps";
/// Held by every process of the root to which another node has said that it knows this root.
pub const KNOWN_LOCK: &str = ".webdfs/locks/known";
/// The newest stamp seen of each other node.
pub const STAMPS: &str = ".webdfs/stamps";
/// Replicas that must not be served.
pub const QUARANTINE: &str = ".webdfs/quarantine";
/// What the root held when it was found to have returned, a folder for each time.
pub const RETURNED: &str = ".webdfs/quarantine/returned";
/// Maps received and not settled, and the current one.
pub const MAPS: &str = ".webdfs/maps";
/// Changes whenever those do.
pub const MAPS_SERIAL: &str = ".webdfs/maps-serial";
/// Held while they are changed.
pub const MAPS_LOCK: &str = ".webdfs/locks/maps";
/// Whose root this is.
pub const IDENTITY: &str = ".webdfs/node.toml";
/// Nodes that are down.
pub const DOWN: &str = ".webdfs/down";
/// Room to give up when the disk is full.
pub const BALLAST: &str = ".webdfs/ballast";
/// What the last walk over the root has found.
pub const INVENTORY: &str = ".webdfs/inventory";
/// Held by the process that does the background work.
pub const AGENT_LOCK: &str = ".webdfs/agent.lock";
/// Where that process can be talked to.
pub const AGENT_SOCKET: &str = ".webdfs/agent.sock";
/// What it remembers from one time to the next.
pub const AGENT_RECORD: &str = ".webdfs/agent.toml";
/// The maps that the root has worked by.
pub const HISTORY: &str = ".webdfs/history";
/// Held while that is written.
pub const AGENT_RECORD_LOCK: &str = ".webdfs/locks/agent-record";

/// The longest file name on Linux file systems (NAME_MAX), in bytes.
pub const SEGMENT_BYTES_MAX: usize = 255;

/// The path of a name, or `None` if it cannot be one on any file system.
pub fn path(layout: Layout, name: &ObjectName) -> Option<Cow<'_, Path>> {
    let fits = |segment: &[u8]| segment.len() <= SEGMENT_BYTES_MAX;
    match layout {
        Layout::Path => {
            let path = || Cow::Borrowed(Path::new(OsStr::from_bytes(name.as_bytes())));
            name.segments().all(fits).then(path)
        }
        Layout::WebdfsHashed(php) => {
            let last = name.segments().next_back().filter(|last| fits(last))?;
            let hash = path_hash(php, name.as_bytes());
            let folder = format!("{:02}/{:02}", hash / 100, hash % 100);
            Some(Cow::Owned(Path::new(&folder).join(OsStr::from_bytes(last))))
        }
    }
}

/// The key lock that covers a name: one of 256, enough that two keys rarely share one. Names of one path share theirs.
pub fn lock(layout: Layout, name: &ObjectName, hash: NameHash) -> PathBuf {
    let stripe = match layout {
        Layout::Path => hash.0[0],
        Layout::WebdfsHashed(php) => path_hash(php, name.as_bytes()).to_le_bytes()[0],
    };
    lock_of(stripe)
}

/// All key locks.
pub fn locks() -> impl Iterator<Item = PathBuf> {
    (0..=u8::MAX).map(lock_of)
}

fn lock_of(stripe: u8) -> PathBuf {
    Path::new(LOCKS).join(hex::encode([stripe]))
}

/// Where the newest stamp seen of a node stands.
pub fn stamp(node: &str) -> PathBuf {
    Path::new(STAMPS).join(node)
}

/// The hash under which a name is filed inside `.webdfs`: the first 16 bytes of its SHA-256. The first byte
/// chooses the folder.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct NameHash([u8; 16]);

/// Text that is no hash of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the hash of a name: 32 hexadecimal digits")]
pub struct NameHashError;

impl From<NameHash> for String {
    fn from(hash: NameHash) -> Self {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for NameHash {
    type Error = NameHashError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut hash = Self([0; 16]);
        hex::decode_to_slice(text, &mut hash.0).map_err(|_| NameHashError)?;
        Ok(hash)
    }
}

impl NameHash {
    /// The hash of a name.
    pub fn of(name: &ObjectName) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self(short)
    }

    /// The bytes themselves.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The first hash of a bucket of an inventory; `None` above the last bucket.
    pub fn first_of(bucket: usize) -> Option<Self> {
        let first = u16::try_from(bucket).ok().filter(|bucket| *bucket < 4096)? << 4;
        let mut hash = [0; 16];
        hash[..2].copy_from_slice(&first.to_be_bytes());
        Some(Self(hash))
    }

    /// Which of the 4,096 buckets of an inventory it belongs to: its first 12 bits.
    pub fn bucket(self) -> usize {
        usize::from(self.0[0]) << 4 | usize::from(self.0[1] >> 4)
    }

    /// Where its tombstone lies, if it has one.
    pub fn tombstone(self) -> PathBuf {
        self.below(TOMBSTONES)
    }

    /// Where its replica lies if its name cannot be a path.
    pub fn escape(self) -> PathBuf {
        self.below(ESCAPE)
    }

    /// The folder of the files that bear its name and must not be served.
    pub fn quarantine_folder(self) -> PathBuf {
        Path::new(QUARANTINE).join(hex::encode(self.0))
    }

    /// Where such a file goes; `distinction` tells it from others of that name.
    pub fn quarantine(self, distinction: u64) -> PathBuf {
        self.quarantine_folder().join(format!("{distinction:016x}"))
    }

    /// The file that marks it as dirty for a node.
    pub fn dirty(self, node: &str) -> PathBuf {
        Path::new(DIRTY).join(node).join(hex::encode(self.0))
    }

    fn below(self, folder: &str) -> PathBuf {
        let (first, rest) = self.0.split_at(1);
        Path::new(folder).join(hex::encode(first)).join(hex::encode(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::php::PhpVersion;

    fn name(text: &str) -> ObjectName {
        ObjectName::from_bytes(text.as_bytes()).unwrap()
    }

    const HASHED: Layout = Layout::WebdfsHashed(PhpVersion::V5_2);

    fn path_text(layout: Layout, text: &str) -> Option<String> {
        path(layout, &name(text)).map(|path| path.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_replica_lies_under_its_own_name() {
        assert_eq!(path_text(Layout::Path, "a/b/cat.jpg").as_deref(), Some("a/b/cat.jpg"));
    }

    #[test]
    fn where_the_original_hashes_paths_a_replica_lies_under_the_last_part_of_its_name_in_a_hashed_folder() {
        // From tests/vectors/webdfs_php/paths.csv.gz.
        for (text, php52, php71) in [
            ("image.jpg", "11/89/image.jpg", "23/10/image.jpg"),
            ("a/b/c.jpg", "16/23/c.jpg", "42/47/c.jpg"),
            ("dir/sub dir/file name.jpg", "74/37/file name.jpg", "82/11/file name.jpg"),
        ] {
            assert_eq!(path_text(HASHED, text).as_deref(), Some(php52));
            assert_eq!(path_text(Layout::WebdfsHashed(PhpVersion::V7_1), text).as_deref(), Some(php71));
        }
        assert_eq!(path_text(HASHED, "ab/c.jpg").as_deref(), Some("16/23/c.jpg"), "slashes do not count");
        assert!(path_text(HASHED, &format!("{}/c.jpg", "x".repeat(300))).is_some());
        assert!(path_text(HASHED, &format!("c/{}", "x".repeat(256))).is_none());
    }

    #[test]
    fn names_of_one_path_have_one_lock() {
        let lock = |layout, text| lock(layout, &name(text), NameHash::of(&name(text)));
        assert_eq!(lock(HASHED, "a/b/c.jpg"), lock(HASHED, "ab/c.jpg"));
        assert_ne!(lock(HASHED, "a/b/c.jpg"), lock(HASHED, "image.jpg"));
        let hex = hex::encode(&Sha256::digest(b"cat.jpg")[..1]);
        assert_eq!(lock(Layout::Path, "cat.jpg"), Path::new(LOCKS).join(hex));
    }

    #[test]
    fn a_segment_longer_than_a_file_name_has_no_path() {
        assert!(path_text(Layout::Path, &format!("a/{}", "x".repeat(255))).is_some());
        assert!(path_text(Layout::Path, &format!("a/{}/b", "x".repeat(256))).is_none());
    }

    #[test]
    fn a_hash_lies_between_the_first_of_its_bucket_and_the_first_of_the_next() {
        for number in 0..1000 {
            let hash = NameHash::of(&name(&format!("{number}.jpg")));
            let bucket = hash.bucket();
            assert!(
                NameHash::first_of(bucket).is_some_and(|first| first <= hash && first.bucket() == bucket)
            );
            assert!(NameHash::first_of(bucket + 1).is_none_or(|next| hash < next));
        }
        assert_eq!((NameHash::first_of(4095).is_some(), NameHash::first_of(4096)), (true, None));
    }

    #[test]
    fn the_hash_of_a_name_travels_as_text() {
        let hash = NameHash::of(&name("cat.jpg"));
        assert_eq!(NameHash::try_from(String::from(hash)), Ok(hash));
        assert_eq!(NameHash::try_from("12".to_owned()), Err(NameHashError));
    }

    #[test]
    fn the_hash_of_a_name_never_changes() {
        // printf cat.jpg | sha256sum
        let hash = NameHash::of(&name("cat.jpg"));
        let hex = hex::encode(&Sha256::digest(b"cat.jpg")[..16]);
        assert_eq!(hash.tombstone(), Path::new(TOMBSTONES).join(&hex[..2]).join(&hex[2..]));
        assert_eq!(hash.escape(), Path::new(ESCAPE).join(&hex[..2]).join(&hex[2..]));
        assert_eq!(hash.dirty("img1"), Path::new(DIRTY).join("img1").join(&hex));
    }
}
