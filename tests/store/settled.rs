use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use webdfs::clock;
use webdfs::config::Layout;
use webdfs::held::{CopyInfo, Held};
use webdfs::name::Exclude;
use webdfs::php::PhpVersion;
use webdfs::store::{Commit, Outcome, REST, Settled, Store, StoreError};
use webdfs::version::Version;

use super::processes;
use crate::store_support::*;

/// A moment at which whatever was just written has rested.
fn rested() -> Version {
    Version::from_time(clock::now().time() + REST + Duration::from_secs(1))
}

fn settle(store: &Store, text: &str) -> Settled {
    store.settle_by_hand(&name(text), rested(), &mut |_| Ok(())).unwrap()
}

fn write_by_hand(path: &Path, version: Version, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    File::open(path).unwrap().set_modified(version.time()).unwrap();
}

fn copy(version: Version, bytes: &[u8]) -> CopyInfo {
    CopyInfo { version, size: bytes.len() as u64, crc32: Some(crc32(bytes)) }
}

fn quarantined(root: &Path) -> Vec<Vec<u8>> {
    let folder = root.join(".webdfs/quarantine");
    private_files(root, "quarantine").iter().map(|path| fs::read(folder.join(path)).unwrap()).collect()
}

#[test]
fn a_file_put_there_by_hand_is_adopted_in_place_under_its_mtime_once_it_has_rested() {
    use std::os::unix::fs::MetadataExt;
    let root = new_root();
    let store = open(root.path());
    let path = root.path().join("x");
    write_by_hand(&path, at(5), b"by hand");
    let inode = fs::metadata(&path).unwrap().ino();

    let now = store.settle_by_hand(&name("x"), clock::now(), &mut |_| Ok(())).unwrap();
    assert_eq!(now, Settled::Restless);
    assert_eq!(store.held(&name("x")).unwrap().copy().unwrap().crc32, None);

    assert_eq!(settle(&store, "x"), Settled::Adopted(copy(at(5), b"by hand")));
    assert_eq!(store.held(&name("x")).unwrap(), Held::Copy(copy(at(5), b"by hand")));
    assert_eq!(read(&store, &name("x")), Some((b"by hand".to_vec(), at(5))));
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(settle(&store, "x"), Settled::Nothing);
    assert_eq!(settle(&store, "missing"), Settled::Nothing);
}

#[test]
fn a_file_from_the_future_is_adopted_under_the_present() {
    let root = new_root();
    let store = open(root.path());
    let (now, year) = (rested(), Duration::from_secs(365 * 24 * 3600));
    write_by_hand(&root.path().join("x"), Version::from_time(now.time() + year), b"by hand");
    let settled = store.settle_by_hand(&name("x"), now, &mut |_| Ok(())).unwrap();
    assert_eq!(settled, Settled::Adopted(copy(now, b"by hand")));
    assert_eq!(store.held(&name("x")).unwrap().version(), Some(now));
}

#[test]
fn a_file_edited_by_hand_becomes_a_version_above_the_one_it_was() {
    // Edited later, and replaced by one with an older mtime, as `cp -p` does.
    for (mtime, version) in [(at(50), at(50)), (at(3), at(11))] {
        let root = new_root();
        let store = open(root.path());
        put(&store, &name("x"), at(10), b"before").unwrap();
        write_by_hand(&root.path().join("x"), mtime, b"after");
        assert_eq!(settle(&store, "x"), Settled::Adopted(copy(version, b"after")));
        assert_eq!(read(&store, &name("x")), Some((b"after".to_vec(), version)));
    }
}

#[test]
fn a_file_that_was_only_touched_gets_its_mtime_back() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("x"), at(10), b"same").unwrap();
    let file = File::open(root.path().join("x")).unwrap();
    for mtime in [at(3), at(50)] {
        file.set_modified(mtime.time()).unwrap();
        assert_eq!(settle(&store, "x"), Settled::Restored(copy(at(10), b"same")));
        assert_eq!(store.held(&name("x")).unwrap(), Held::Copy(copy(at(10), b"same")));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_left_for_later() {
    let changes: [&dyn Fn(&Path); 4] = [
        &|path| fs::write(path, b"edited!").unwrap(),
        &|path| File::open(path).unwrap().set_modified(at(6).time()).unwrap(),
        &|path| fs::remove_file(path).unwrap(),
        &|path| {
            write_by_hand(&path.with_extension("new"), at(5), b"by hand");
            fs::rename(path.with_extension("new"), path).unwrap();
        },
    ];
    for change in changes {
        let root = new_root();
        let store = open(root.path());
        let path = root.path().join("x");
        write_by_hand(&path, at(5), b"by hand");
        let mut changed = false;
        let settled = store.settle_by_hand(&name("x"), rested(), &mut |_| {
            if !std::mem::replace(&mut changed, true) {
                change(&path);
            }
            Ok(())
        });
        assert_eq!(settled.unwrap(), Settled::Restless);
        assert!(store.held(&name("x")).unwrap().copy().is_none_or(|copy| copy.crc32.is_none()));
    }
}

#[test]
fn a_file_put_there_by_hand_that_loses_goes_to_quarantine() {
    let root = new_root();
    let store = open(root.path());
    store.delete(&name("x"), at(9)).unwrap();
    write_by_hand(&root.path().join("x"), at(5), b"by hand");
    assert_eq!(settle(&store, "x"), Settled::Quarantined);
    assert!(!root.path().join("x").exists());
    assert_eq!(quarantined(root.path()), [b"by hand"]);
    assert_eq!(store.held(&name("x")).unwrap(), Held::Tombstone { version: at(9) });

    write_by_hand(&root.path().join("x"), at(10), b"newer");
    assert_eq!(settle(&store, "x"), Settled::Adopted(copy(at(10), b"newer")));
    assert!(private_files(root.path(), "tombstones").is_empty());
}

#[test]
fn what_other_nodes_send_never_destroys_a_file_put_there_by_hand() {
    let root = new_root();
    let store = open(root.path());
    for text in ["a/copied", "a/deleted", "a/of-a-batch"] {
        fs::create_dir_all(root.path().join("a")).unwrap();
        write_by_hand(&root.path().join(text), at(5), text.as_bytes());
    }
    let (id, crc32) = prepare(&store, &name("a/copied"), b"from elsewhere").unwrap();
    let (length, version) = (14, at(7));
    let commit = Commit { id, name: &name("a/copied"), version, crc32, length, for_client: false };
    assert_eq!(store.commit(&commit).unwrap(), Outcome::Done);
    store.delete(&name("a/deleted"), at(7)).unwrap();
    put_together(&store, &[(name("a/of-a-batch"), at(7), b"from elsewhere".to_vec())]).unwrap();
    assert_eq!(read(&store, &name("a/copied")), Some((b"from elsewhere".to_vec(), at(7))));
    assert_eq!(read(&store, &name("a/deleted")), None);
    let mut found = quarantined(root.path());
    found.sort();
    assert_eq!(found, [&b"a/copied"[..], b"a/deleted", b"a/of-a-batch"]);
}

#[test]
fn a_file_that_the_original_filed_under_the_path_of_many_names_is_left_alone() {
    with_layout(Layout::WebdfsHashed(PhpVersion::V5_2), || {
        let root = new_root();
        let store = open(root.path());
        fs::create_dir_all(root.path().join("16/23")).unwrap();
        write_by_hand(&root.path().join("16/23/c.jpg"), at(5), b"by the original");
        assert!(store.held(&name("a/b/c.jpg")).unwrap().copy().is_some());
        assert_eq!(settle(&store, "a/b/c.jpg"), Settled::Nothing);
    });
}

/// What a process does that is not allowed to write to any of the files.
pub fn play_nobody(root: &Path) {
    let store = open(root);
    let settle = |text: &str| store.settle_by_hand(&name(text), rested(), &mut |_| Ok(()));
    let is_refused = |settled: Result<Settled, StoreError>| matches!(settled, Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied);
    // The attribute takes the right to write; a time takes being the owner.
    assert!(is_refused(settle("read-only")));
    assert!(matches!(settle("writable"), Ok(Settled::Adopted(_))));
    for _ in 0..2 {
        assert!(is_refused(settle("future")));
    }
    for text in ["read-only", "writable", "future"] {
        assert_eq!(read(&store, &name(text)).unwrap().0, text.as_bytes());
    }
    let foreign = store.foreign_file(&Exclude::default()).unwrap().unwrap();
    assert_eq!((foreign.path.as_path(), foreign.uid), (Path::new("read-only"), 0));
}

#[test]
fn a_file_of_another_user_is_served_and_stays_as_it_is_unless_webdfs_may_write_to_it() {
    let root = new_root();
    let future = Version::from_time(rested().time() + Duration::from_secs(3600));
    for (text, mode, version) in
        [("read-only", 0o644, at(5)), ("writable", 0o666, at(5)), ("future", 0o666, future)]
    {
        write_by_hand(&root.path().join(text), version, text.as_bytes());
        fs::set_permissions(root.path().join(text), fs::Permissions::from_mode(mode)).unwrap();
    }
    chown(root.path(), Some(65534), Some(65534)).unwrap();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    assert!(processes::role("nobody", root.path(), &nobody).status().unwrap().success());
}
