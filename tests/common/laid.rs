//! Replicas that lie in a root before its node starts, as if they had been written there.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{XattrFlags, fsetxattr};
use webdfs::store::attribute::{ATTRIBUTE, Attribute};
use webdfs::version::Version;

/// Writes a replica. All of them have one version: each node that holds a name holds the same.
pub fn lay_down(root: &Path, name: &str, bytes: &[u8]) {
    const WRITTEN: Duration = Duration::from_secs(1_700_000_000);
    let path = root.join(name);
    let mut file = File::create(&path).unwrap_or_else(|_| {
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        File::create(&path).expect("a new file")
    });
    file.write_all(bytes).expect("the file is written");
    let version = Version::from_nanos(WRITTEN.as_nanos() as u64);
    let attribute = Attribute::Replica { version, crc32: crc32fast::hash(bytes) };
    fsetxattr(&file, ATTRIBUTE, &attribute.encode(), XattrFlags::empty()).expect("user attributes");
    file.set_modified(SystemTime::UNIX_EPOCH + WRITTEN).expect("an mtime");
}

/// As if a node had finished its pass and its scrub just before it starts.
pub fn not_due(root: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let private = root.join(".webdfs");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&private).expect("a folder");
    fs::write(private.join("agent.toml"), format!("reconciled = {now}\nscrubbed = {now}\n")).expect("a file");
}
