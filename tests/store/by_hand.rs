use std::os::unix::fs::symlink;

use webdfs::held::Held;
use webdfs::store::{Outcome, StoreSettings};

use crate::store_support::*;

#[test]
fn a_file_put_there_by_hand_is_served_and_has_no_checksum() {
    let root = new_root();
    let store = open(root.path());
    std::fs::create_dir(root.path().join("a")).unwrap();
    std::fs::write(root.path().join("a/dog.jpg"), b"woof").unwrap();
    assert_eq!(read(&store, &name("a/dog.jpg")).unwrap().0, b"woof");
    let held = store.held(&name("a/dog.jpg")).unwrap();
    assert_eq!((held.copy().unwrap().size, held.copy().unwrap().crc32), (4, None));
}

#[test]
fn a_file_edited_by_hand_has_no_checksum_any_more() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("x"), at(1), b"before").unwrap();
    std::fs::write(root.path().join("x"), b"after").unwrap();
    let replica = store.open_replica(&name("x")).unwrap().unwrap();
    assert!(replica.version > at(1));
    assert_eq!(store.checksum_of(&replica).unwrap(), None);
}

#[test]
fn a_file_put_there_by_hand_below_a_tombstone_is_not_served_and_not_destroyed() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("a/x"), at(1), b"stored").unwrap();
    store.delete(&name("a/x"), at(5)).unwrap();
    std::fs::create_dir(root.path().join("a")).unwrap();
    let path = root.path().join("a/x");
    std::fs::write(&path, b"by hand").unwrap();
    std::fs::File::open(&path).unwrap().set_modified(at(2).time()).unwrap();
    assert_eq!(read(&store, &name("a/x")), None);

    store.recover().unwrap();
    assert!(!path.exists(), "a web server would serve it");
    let quarantined = private_files(root.path(), "quarantine");
    assert_eq!(quarantined.len(), 1);
    let kept = root.path().join(".webdfs/quarantine").join(&quarantined[0]);
    assert_eq!(std::fs::read(kept).unwrap(), b"by hand");
    assert_eq!(store.held(&name("a/x")).unwrap(), Held::Tombstone { version: at(5) });
}

#[test]
fn links_are_not_followed_to_files_or_through_folders() {
    let outside = new_root();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("real/x"), at(1), b"inside").unwrap();
    symlink(outside.path().join("secret"), root.path().join("file")).unwrap();
    symlink(outside.path(), root.path().join("folder")).unwrap();
    symlink("real", root.path().join("near")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    for text in ["file", "folder/secret", "near/x", "dangling", "dangling/x"] {
        assert_eq!(read(&store, &name(text)), None, "{text}");
        assert_eq!(store.held(&name(text)).unwrap(), Held::Nothing, "{text}");
    }

    // Writes neither go through them nor fail because of them.
    for text in ["file", "folder/secret", "folder/new", "near/x", "dangling/x"] {
        assert_eq!(put(&store, &name(text), at(2), text.as_bytes()).unwrap(), Outcome::Done, "{text}");
        assert_eq!(read(&store, &name(text)).unwrap().0, text.as_bytes());
    }
    assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(files(outside.path()).len(), 1);
    assert_eq!(read(&store, &name("real/x")).unwrap().0, b"inside");
    for text in ["file", "folder/secret", "near/x"] {
        store.delete(&name(text), at(3)).unwrap();
    }
    assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(read(&store, &name("real/x")).unwrap().0, b"inside");
}

#[test]
fn if_configured_links_are_followed_as_long_as_they_stay_inside() {
    let outside = new_root();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    let root = new_root();
    let settings = StoreSettings { follow_symlinks: true, ..settings(root.path()) };
    let store = std::sync::Arc::new(webdfs::store::Store::open(settings).unwrap());
    put(&store, &name("real/x"), at(1), b"inside").unwrap();
    symlink("real", root.path().join("near")).unwrap();
    symlink(outside.path(), root.path().join("folder")).unwrap();
    symlink(outside.path().join("secret"), root.path().join("file")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    assert_eq!(read(&store, &name("near/x")).unwrap().0, b"inside");
    for text in ["file", "folder/secret", "dangling"] {
        assert_eq!(read(&store, &name(text)), None, "{text}");
    }
    for text in ["folder/secret", "dangling/x"] {
        assert_eq!(put(&store, &name(text), at(2), b"mine").unwrap(), Outcome::Done, "{text}");
        assert_eq!(read(&store, &name(text)).unwrap().0, b"mine");
    }
    assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn what_is_no_file_is_never_waited_for_nor_served() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let root = new_root();
    let store = open(root.path());
    mknodat(CWD, root.path().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    std::fs::create_dir(root.path().join("folder")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    for text in ["pipe", "folder", "socket", "pipe/x"] {
        assert_eq!(read(&store, &name(text)), None, "{text}");
        assert_eq!(store.held(&name(text)).unwrap(), Held::Nothing, "{text}");
        assert_eq!(put(&store, &name(text), at(1), b"now").unwrap(), Outcome::Done, "{text}");
        assert_eq!(read(&store, &name(text)).unwrap().0, b"now", "{text}");
    }
}
