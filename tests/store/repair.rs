use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use webdfs::held::Held;
use webdfs::store::{Store, Verdict};
use webdfs::version::Version;

use crate::store_support::*;

/// Changes a byte of a file as a rotting disk does: nothing else about it changes.
fn rot(path: &Path) {
    let mtime = fs::metadata(path).unwrap().modified().unwrap();
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 1).unwrap();
    file.set_modified(mtime).unwrap();
}

fn verify(store: &Store, text: &str) -> Verdict {
    store.verify(&name(text), &mut |_| Ok(())).unwrap()
}

#[test]
fn a_rotten_replica_goes_to_quarantine_and_a_sound_one_stays() {
    let long = format!("a/{}", "x".repeat(300));
    let root = new_root();
    let store = open(root.path());
    for text in ["a/x", "a/y", long.as_str()] {
        put(&store, &name(text), at(1), text.as_bytes()).unwrap();
        assert_eq!(verify(&store, text), Verdict::Sound);
    }
    assert_eq!(verify(&store, "missing"), Verdict::Nothing);
    let escaped = private_files(root.path(), "escape");
    for (text, path) in
        [("a/x", root.path().join("a/x")), (&long, root.path().join(".webdfs/escape").join(&escaped[0]))]
    {
        rot(&path);
        assert_eq!(verify(&store, text), Verdict::Rotten);
        assert!(!path.exists());
        assert_eq!(store.held(&name(text)).unwrap(), Held::Nothing);
        assert_eq!(store.quarantined(&name(text)).unwrap(), Some(at(1)));
    }
    assert_eq!(verify(&store, "a/y"), Verdict::Sound);
    assert_eq!((store.quarantined_keys().unwrap(), private_files(root.path(), "quarantine").len()), (2, 2));
}

#[test]
fn what_was_edited_or_replaced_is_no_rot() {
    let root = new_root();
    let store = open(root.path());
    let path = root.path().join("x");
    put(&store, &name("x"), at(1), b"before").unwrap();
    fs::write(&path, b"edited").unwrap();
    assert_eq!(verify(&store, "x"), Verdict::Unknown);

    put(&store, &name("y"), at(1), b"before").unwrap();
    rot(&root.path().join("y"));
    let mut replaced = false;
    let verdict = store.verify(&name("y"), &mut |_| {
        if !std::mem::replace(&mut replaced, true) {
            put(&store, &name("y"), at(2), b"after").unwrap();
        }
        Ok(())
    });
    assert_eq!(verdict.unwrap(), Verdict::Changed);
    assert_eq!(read(&store, &name("y")), Some((b"after".to_vec(), at(2))));
    assert!(private_files(root.path(), "quarantine").is_empty());
}

#[test]
fn an_answer_about_a_key_counts_unless_something_newer_of_it_lies_in_quarantine() {
    let root = new_root();
    let store = open(root.path());
    let x = name("x");
    let counts = || store.answer_counts(&x, &store.held(&x).unwrap()).unwrap();
    assert!(counts());
    put(&store, &x, at(5), b"bytes").unwrap();
    rot(&root.path().join("x"));
    assert!(counts());
    assert_eq!(verify(&store, "x"), Verdict::Rotten);
    assert!(!counts());
    put(&store, &x, at(4), b"older").unwrap();
    assert!(!counts());
    put(&store, &x, at(5), b"bytes").unwrap();
    assert!(counts(), "it has healed");
    rot(&root.path().join("x"));
    verify(&store, "x");
    assert!(!counts());
    // A person has judged it.
    let folder = root.path().join(".webdfs/quarantine");
    private_files(root.path(), "quarantine")
        .iter()
        .for_each(|path| fs::remove_file(folder.join(path)).unwrap());
    assert!(counts());
}

#[test]
fn once_a_deletion_is_forgotten_nobody_misses_what_lies_in_quarantine_and_it_still_lies_there() {
    let root = new_root();
    let store = open(root.path());
    let x = name("x");
    let counts = || store.answer_counts(&x, &store.held(&x).unwrap()).unwrap();
    for version in [at(9), at(5)] {
        put(&store, &x, version, b"bytes").unwrap();
        rot(&root.path().join("x"));
        assert_eq!(verify(&store, "x"), Verdict::Rotten);
    }
    store.delete(&x, at(8)).unwrap();
    assert!(!counts() && store.tombstone_agreed_for(&x, at(8), at(100)).unwrap().is_none());
    store.forget_tombstone(&x, at(8)).unwrap();
    assert_eq!((counts(), store.quarantined(&x).unwrap()), (false, Some(at(9))), "only what is not newer");
    store.delete(&x, at(9)).unwrap();
    assert!(counts());
    assert!(store.forget_tombstone(&x, at(9)).unwrap());
    assert_eq!((counts(), store.quarantined(&x).unwrap()), (true, None));
    assert_eq!(private_files(root.path(), "quarantine").len(), 2);
    assert_eq!(store.count_quarantined().unwrap(), 2);
    // What comes later is missed again.
    put(&store, &x, at(20), b"bytes").unwrap();
    rot(&root.path().join("x"));
    verify(&store, "x");
    assert_eq!((counts(), store.quarantined(&x).unwrap()), (false, Some(at(20))));
}

#[test]
fn what_a_tombstone_has_hidden_goes_before_it_is_forgotten() {
    let long = format!("a/{}", "x".repeat(300));
    for text in ["a/x", long.as_str()] {
        let root = new_root();
        let store = open(root.path());
        let x = name(text);
        put(&store, &x, at(1), b"deleted").unwrap();
        // Whoever deleted it died before it was unlinked.
        let file = store.open_replica(&x).unwrap().unwrap().path;
        let aside = root.path().join("aside");
        fs::hard_link(root.path().join(&file), &aside).unwrap();
        store.delete(&x, at(2)).unwrap();
        fs::create_dir_all(root.path().join(&file).parent().unwrap()).unwrap();
        fs::rename(&aside, root.path().join(&file)).unwrap();
        assert_eq!(store.held(&x).unwrap(), Held::Tombstone { version: at(2) });
        assert!(store.forget_tombstone(&x, at(2)).unwrap());
        assert_eq!(store.held(&x).unwrap(), Held::Nothing);
        assert!(!root.path().join(&file).exists());
    }
}

#[test]
fn a_root_says_for_how_long_it_has_known_that_every_owner_has_exactly_this_tombstone() {
    let root = new_root();
    let store = open(root.path());
    let x = name("x");
    let agreed_for =
        |version, now| store.tombstone_agreed_for(&x, version, now).unwrap().map(|time| time.as_secs());
    assert_eq!(agreed_for(at(1), at(100)), None);
    store.delete(&x, at(1)).unwrap();
    assert_eq!((agreed_for(at(1), at(100)), agreed_for(at(2), at(100))), (Some(0), None));
    store.set_tombstone_agreed(&x, at(1), at(100)).unwrap();
    assert_eq!((agreed_for(at(1), at(130)), agreed_for(at(1), at(50))), (Some(30), Some(0)));
    // The clock was ahead when that was noted, or is behind now.
    store.set_tombstone_agreed(&x, at(1), at(50)).unwrap();
    assert_eq!(agreed_for(at(1), at(130)), Some(80));
    put(&store, &x, at(200), b"bytes").unwrap();
    assert_eq!((agreed_for(at(1), at(300)), agreed_for(at(200), at(300))), (None, None));
}

#[test]
fn a_tombstone_knows_since_when_every_owner_has_it_and_its_successor_does_not() {
    let root = new_root();
    let store = open(root.path());
    let x = name("x");
    let seconds = |version: Version| Version::from_mtime(version.seconds().cast_signed(), 0);
    store.set_tombstone_agreed(&x, at(1), at(100)).unwrap();
    assert_eq!(store.tombstone_agreed(&x, at(1)).unwrap(), None);
    store.delete(&x, at(1)).unwrap();
    assert_eq!(store.tombstone_agreed(&x, at(1)).unwrap(), None);
    store.set_tombstone_agreed(&x, at(2), at(100)).unwrap();
    assert_eq!(store.tombstone_agreed(&x, at(1)).unwrap(), None);
    for now in [at(100), at(200)] {
        store.set_tombstone_agreed(&x, at(1), now).unwrap();
        assert_eq!(store.tombstone_agreed(&x, at(1)).unwrap(), Some(seconds(at(100))), "the first counts");
    }
    assert_eq!(store.held(&x).unwrap(), Held::Tombstone { version: at(1) });
    store.delete(&x, at(2)).unwrap();
    assert_eq!(
        (store.tombstone_agreed(&x, at(1)).unwrap(), store.tombstone_agreed(&x, at(2)).unwrap()),
        (None, None)
    );
}

#[test]
fn only_a_tombstone_of_exactly_that_version_is_forgotten() {
    let root = new_root();
    let store = open(root.path());
    let x = name("x");
    store.delete(&x, at(5)).unwrap();
    for other in [at(4), at(6)] {
        store.forget_tombstone(&x, other).unwrap();
        assert_eq!(store.held(&x).unwrap(), Held::Tombstone { version: at(5) });
    }
    store.forget_tombstone(&x, at(5)).unwrap();
    assert_eq!(store.held(&x).unwrap(), Held::Nothing);
    put(&store, &x, at(7), b"bytes").unwrap();
    store.forget_tombstone(&x, at(7)).unwrap();
    assert_eq!(read(&store, &x), Some((b"bytes".to_vec(), at(7))));
}

#[test]
fn only_the_copy_that_others_confirmed_is_unlinked() {
    let root = new_root();
    let store = open(root.path());
    let x = name("a/x");
    put(&store, &x, at(5), b"bytes").unwrap();
    let confirmed = store.held(&x).unwrap();
    put(&store, &x, at(6), b"newer").unwrap();
    assert!(!store.unlink_confirmed(&x, &confirmed).unwrap());
    assert!(!store.unlink_confirmed(&x, &Held::Tombstone { version: at(6) }).unwrap());
    assert_eq!(read(&store, &x), Some((b"newer".to_vec(), at(6))));
    assert!(store.unlink_confirmed(&x, &store.held(&x).unwrap()).unwrap());
    assert_eq!(store.held(&x).unwrap(), Held::Nothing);
    assert!(!root.path().join("a").exists());

    fs::write(root.path().join("y"), b"by hand").unwrap();
    assert!(!store.unlink_confirmed(&name("y"), &store.held(&name("y")).unwrap()).unwrap());
    assert!(root.path().join("y").exists());
}
