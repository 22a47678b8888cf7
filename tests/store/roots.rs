use std::sync::Arc;

use rustix::io::Errno;
use webdfs::store::{Store, StoreError, StoreSettings};

use crate::store_support::*;

fn node(text: &str) -> webdfs::cluster::NodeName {
    text.parse().unwrap()
}

#[test]
fn a_new_root_is_incomplete_until_it_is_marked_and_stays_complete() {
    let root = new_root();
    let store = open(root.path());
    assert!(!store.identify(&node("img1")).unwrap().complete);
    complete(&store, &node("img1")).unwrap();
    assert!(store.identify(&node("img1")).unwrap().complete);
    assert!(open(root.path()).identify(&node("img1")).unwrap().complete);
}

#[test]
fn the_root_of_another_node_is_refused() {
    let root = new_root();
    open(root.path()).identify(&node("img1")).unwrap();
    let error = open(root.path()).identify(&node("img2")).unwrap_err();
    assert!(
        matches!(&error, StoreError::OtherNode { found, expected, .. } if found == "img1" && expected == "img2"),
        "{error}"
    );
    assert!(matches!(complete(&open(root.path()), &node("img2")), Err(StoreError::OtherNode { .. })));
}

#[test]
fn an_identity_that_is_damaged_or_of_another_release_is_refused() {
    for text in ["", "name = 5", "name = \"img1\"\nformat = 2\ncomplete = true\n", "\0"] {
        let root = new_root();
        let store = open(root.path());
        std::fs::write(root.path().join(".webdfs/node.toml"), text).unwrap();
        let error = store.identify(&node("img1")).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{text:?}: {error}");
    }
}

#[test]
fn a_root_that_is_missing_or_no_folder_is_refused() {
    let root = new_root();
    std::fs::write(root.path().join("file"), b"").unwrap();
    for path in ["missing", "file"] {
        let error = Store::open(settings(&root.path().join(path))).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }) && error.to_string().contains(path), "{error}");
    }
}

#[test]
fn a_root_that_should_be_a_mount_is_refused_if_it_is_none() {
    let root = new_root();
    let mounted = |path: &std::path::Path| {
        let settings = StoreSettings { root_is_mount: true, ..settings(path) };
        !matches!(Store::open(settings), Err(StoreError::NotMounted { .. }))
    };
    assert!(!mounted(root.path()));
    assert!(!root.path().join(".webdfs").exists(), "something was written to the wrong disk");
    // Nothing can be stored there either, but it is a mount wherever this runs.
    assert!(mounted("/proc".as_ref()));
    let link = root.path().join("link");
    std::os::unix::fs::symlink("/proc", &link).unwrap();
    assert!(mounted(&link));
}

/// Lets calls of one kind fail or do nothing.
struct Lacking(fn(&Op) -> Verdict);

impl Watch for Lacking {
    fn before(&self, op: &Op) -> Verdict {
        (self.0)(op)
    }
}

#[test]
fn a_file_system_without_user_attributes_or_nanoseconds_is_refused_by_name() {
    let root = new_root();
    let open = |judge| open_watched(settings(root.path()), Arc::new(Lacking(judge)));
    let no_attributes = open(|op| match op {
        Op::SetAttribute(..) => Verdict::Fail(Errno::OPNOTSUPP),
        _ => Verdict::Do,
    });
    assert!(matches!(no_attributes, Err(StoreError::NoAttributes { .. })), "{no_attributes:?}");
    let no_mtimes = open(|op| if matches!(op, Op::SetMtime(..)) { Verdict::Skip } else { Verdict::Do });
    assert!(matches!(no_mtimes, Err(StoreError::NoNanoseconds { .. })), "{no_mtimes:?}");
    assert!(private_files(root.path(), "tmp").is_empty());
    assert!(open(|_| Verdict::Do).is_ok());
}

#[test]
fn stray_files_among_our_own_stop_nothing() {
    let root = new_root();
    let store = open(root.path());
    store.delete(&name("x"), at(1)).unwrap();
    let private = root.path().join(".webdfs");
    for folder in ["tombstones", "escape", "tmp", "quarantine", "dirty"] {
        std::fs::write(private.join(folder).join("README"), b"stray").unwrap();
        std::fs::create_dir(private.join(folder).join("00")).ok();
        std::fs::write(private.join(folder).join("00/README"), b"stray").unwrap();
    }
    store.recover().unwrap();
    store.sweep_spools(std::time::Duration::ZERO).unwrap();
    assert_eq!(read(&store, &name("x")), None);
}

#[test]
fn after_a_failed_sync_nothing_more_is_written_until_the_root_is_opened_anew() {
    let root = new_root();
    put(&open(root.path()), &name("x"), at(1), b"before").unwrap();
    let failing = Lacking(|op| match op {
        Op::SyncFolder(_) => Verdict::Fail(Errno::IO),
        _ => Verdict::Do,
    });
    let store = open_watched(settings(root.path()), Arc::new(failing)).unwrap();
    assert!(matches!(put(&store, &name("y"), at(2), b"y"), Err(StoreError::Io { .. })));
    assert!(store.sync_has_failed());
    assert!(matches!(put(&store, &name("y"), at(3), b"y"), Err(StoreError::SyncFailed { .. })));
    assert!(matches!(store.delete(&name("x"), at(3)), Err(StoreError::SyncFailed { .. })));
    assert_eq!(read(&store, &name("x")).unwrap().0, b"before", "reading goes on");
    put(&open(root.path()), &name("y"), at(4), b"after").unwrap();
}
