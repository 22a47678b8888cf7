use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use webdfs::store::{Store, StoreError};

use super::processes;
use crate::store_support::*;

fn mount(kind: &str, options: &str, root: &Path) {
    let done = Command::new("mount").args(["-t", kind, "-o", options, "none"]).arg(root).status().unwrap();
    assert!(done.success(), "{kind} cannot be mounted here");
}

/// What a process in a name space of its own does, where it may mount.
pub fn play(role: &str, root: &Path) {
    match role {
        "mount:small" => {
            mount("tmpfs", "size=1m", root);
            small_disk(root);
        }
        "mount:no-attributes" => {
            mount("ramfs", "mode=755", root);
            let error = Store::open(settings(root)).unwrap_err();
            assert!(matches!(error, StoreError::NoAttributes { .. }), "{error}");
        }
        _ => unreachable!("no such role"),
    }
}

fn small_disk(root: &Path) {
    let store = open(root);
    put(&store, &name("old"), at(1), &[1; 500_000]).unwrap();
    let refused = put(&store, &name("old"), at(2), &[2; 700_000]);
    assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
    assert_eq!(read(&store, &name("old")), Some((vec![1; 500_000], at(1))));
    assert!(private_files(root, "tmp").is_empty());
    let wanted: Vec<_> = ["a", "b", "c"].map(|text| (name(text), at(1), vec![3; 300_000])).into();
    let refused = put_together(&store, &wanted);
    assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
    assert!(private_files(root, "tmp").is_empty() && !store.sync_has_failed());
    assert_eq!(read(&store, &name("a")), None);
    assert_eq!(put_together(&store, &wanted[..1]).unwrap().len(), 1, "for this one there is room");
    store.delete(&name("a"), at(2)).unwrap();
    // Fill it to the last byte.
    let mut fill = std::fs::File::create(root.join("fill")).unwrap();
    while std::io::Write::write_all(&mut fill, &[0; 4096]).is_ok() {}
    let store = Arc::new(Store::open(settings(root)).expect("a full root opens"));
    assert_eq!(read(&store, &name("old")).unwrap().1, at(1));
    let refused = store.delete(&name("old"), at(3));
    assert!(
        matches!(refused, Err(StoreError::Full { .. })),
        "there is no ballast on so small a disk: {refused:?}"
    );
    drop(fill);
    std::fs::remove_file(root.join("fill")).unwrap();
    store.delete(&name("old"), at(3)).unwrap();
    put(&store, &name("old"), at(4), &[4; 700_000]).unwrap();
}

#[test]
#[ignore = "mounts file systems: run it where unshare(1) may do that"]
fn real_file_systems_that_are_full_or_keep_no_attributes_are_met_with_the_right_error() {
    for role in ["mount:small", "mount:no-attributes"] {
        let root = new_root();
        let done = processes::role(role, root.path(), &["unshare", "--map-root-user", "--mount"]).status();
        assert!(done.unwrap().success(), "{role}");
    }
}
