use std::path::Path;

use webdfs::store::Outcome;

use crate::store_support::*;

/// Whether a name is served from the escape area.
fn escaped(store: &webdfs::store::Store, name: &webdfs::name::ObjectName) -> bool {
    store.open_replica(name).unwrap().expect("there is a replica").is_escaped()
}

#[test]
fn an_object_and_one_below_it_live_side_by_side_whichever_came_first() {
    for (first, second) in [("a", "a/b"), ("a/b", "a")] {
        let root = new_root();
        let store = open(root.path());
        let (first, second) = (name(first), name(second));
        put(&store, &first, at(1), b"first").unwrap();
        put(&store, &second, at(1), b"second").unwrap();
        assert_eq!(read(&store, &first).unwrap().0, b"first");
        assert_eq!(read(&store, &second).unwrap().0, b"second");
        assert!(!escaped(&store, &first) && escaped(&store, &second));

        put(&store, &second, at(2), b"replaced").unwrap();
        assert_eq!(read(&store, &second), Some((b"replaced".to_vec(), at(2))));
        assert!(escaped(&store, &second));
        assert_eq!(put(&store, &second, at(1), b"late").unwrap(), Outcome::HoldsNewer);

        store.delete(&second, at(3)).unwrap();
        assert_eq!(read(&store, &second), None);
        assert_eq!(read(&store, &first).unwrap().0, b"first");
        assert!(private_files(root.path(), "escape").is_empty());
    }
}

#[test]
fn an_escaped_object_moves_to_its_path_when_it_is_next_written_and_the_path_is_free() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("a"), at(1), b"file").unwrap();
    put(&store, &name("a/b"), at(2), b"below").unwrap();
    store.delete(&name("a"), at(3)).unwrap();
    assert_eq!(read(&store, &name("a/b")).unwrap().0, b"below");

    put(&store, &name("a/b"), at(4), b"in place").unwrap();
    assert_eq!(read(&store, &name("a/b")), Some((b"in place".to_vec(), at(4))));
    assert!(!escaped(&store, &name("a/b")));
    assert_eq!(std::fs::read(root.path().join("a/b")).unwrap(), b"in place");
    assert!(private_files(root.path(), "escape").is_empty());
}

#[test]
fn a_segment_too_long_for_a_file_name_is_stored_replaced_and_deleted_like_any_other() {
    let root = new_root();
    let store = open(root.path());
    for text in ["x".repeat(300), format!("a/{}/b", "y".repeat(256)), format!("{}/b", "z".repeat(1000))] {
        let long = name(&text);
        assert_eq!(put(&store, &long, at(1), b"long").unwrap(), Outcome::Done);
        assert_eq!(put(&store, &long, at(2), b"longer").unwrap(), Outcome::Done);
        assert_eq!(read(&store, &long), Some((b"longer".to_vec(), at(2))));
        assert_eq!(store.delete(&long, at(3)).unwrap(), Outcome::Done);
        assert_eq!(read(&store, &long), None);
    }
    assert!(private_files(root.path(), "escape").is_empty());
    assert!(!root.path().join("a").exists(), "a folder was made for nothing");
}

#[test]
fn a_segment_of_255_bytes_and_names_that_are_no_text_are_paths() {
    let root = new_root();
    let store = open(root.path());
    for bytes in [&[b'x'; 255][..], b"a\xff\xfe/b\nc", b"lost+found/x", b"A", b"a\xcc\x88"] {
        put(&store, &name(bytes), at(1), bytes).unwrap();
        assert_eq!(read(&store, &name(bytes)).unwrap().0, bytes);
        assert!(!escaped(&store, &name(bytes)));
    }
}

#[test]
fn of_a_path_and_an_escaped_copy_the_newer_stays_and_what_was_put_there_by_hand_is_not_lost() {
    for by_hand in [1, 9] {
        let root = new_root();
        let store = open(root.path());
        put(&store, &name("a"), at(1), b"file").unwrap();
        put(&store, &name("a/b"), at(5), b"escaped").unwrap();
        store.delete(&name("a"), at(6)).unwrap();
        std::fs::create_dir(root.path().join("a")).unwrap();
        let path = root.path().join("a/b");
        std::fs::write(&path, b"by hand").unwrap();
        std::fs::File::open(&path).unwrap().set_modified(at(by_hand).time()).unwrap();

        let newest = at(by_hand.max(5));
        assert_eq!(store.held(&name("a/b")).unwrap().version(), Some(newest));
        store.recover().unwrap();
        assert_eq!(store.held(&name("a/b")).unwrap().version(), Some(newest));
        let expected: &[u8] = if by_hand > 5 { b"by hand" } else { b"escaped" };
        assert_eq!(read(&store, &name("a/b")), Some((expected.to_vec(), newest)));
        let quarantined = private_files(root.path(), "quarantine");
        assert_eq!(quarantined.len(), usize::from(by_hand < 5), "{quarantined:?}");
        for file in quarantined {
            let file = root.path().join(".webdfs/quarantine").join(file);
            assert_eq!(std::fs::read(file).unwrap(), b"by hand");
        }
    }
}

#[test]
fn folders_that_become_empty_are_removed_and_others_are_not() {
    let root = new_root();
    let store = open(root.path());
    put(&store, &name("a/b/c/d"), at(1), b"deep").unwrap();
    put(&store, &name("a/x"), at(1), b"beside").unwrap();
    store.delete(&name("a/b/c/d"), at(2)).unwrap();
    assert!(!root.path().join("a/b").exists());
    assert_eq!(files(root.path()), [Path::new("a/x")]);
    store.delete(&name("a/x"), at(2)).unwrap();
    assert!(!root.path().join("a").exists());
    put(&store, &name("a"), at(3), b"now a file").unwrap();
    assert_eq!(std::fs::read(root.path().join("a")).unwrap(), b"now a file");
}
