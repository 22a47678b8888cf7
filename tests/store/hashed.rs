//! Roots laid out as the original webDFS does with path hashing on.

use std::path::Path;
use std::sync::Arc;

use webdfs::cluster::NodeName;
use webdfs::config::Layout;
use webdfs::held::{CopyInfo, Held};
use webdfs::php::PhpVersion;
use webdfs::store::{Outcome, Store, StoreError, StoreSettings, layout};
use webdfs::version::Version;

use crate::store_support::*;

const HASHED: Layout = Layout::WebdfsHashed(PhpVersion::V5_2);

/// Two names of one path, and that path.
const TWINS: [&str; 2] = ["a/b/c.jpg", "ab/c.jpg"];
const PLACE: &str = "16/23/c.jpg";

fn open_as(root: &Path, layout: Layout) -> Arc<Store> {
    Arc::new(Store::open(StoreSettings { layout, ..settings(root) }).unwrap())
}

fn open_hashed(root: &Path) -> Arc<Store> {
    open_as(root, HASHED)
}

/// Puts a file there as the original did: without any attribute.
fn left_by_the_original(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::open(&path).unwrap().set_modified(at(0).time()).unwrap();
}

fn escaped(store: &Store, text: &str) -> bool {
    store.open_replica(&name(text)).unwrap().expect("there is a replica").is_escaped()
}

#[test]
fn a_replica_lies_in_its_hashed_folder_and_leaves_nothing_when_it_is_deleted() {
    let root = new_root();
    let store = open_hashed(root.path());
    put(&store, &name("a/b/c.jpg"), at(1), b"first").unwrap();
    assert_eq!(files(root.path()), [Path::new(PLACE)]);
    assert_eq!(put(&store, &name("a/b/c.jpg"), at(2), b"second").unwrap(), Outcome::Done);
    assert_eq!(read(&store, &name("a/b/c.jpg")), Some((b"second".to_vec(), at(2))));
    let replica = store.open_replica(&name("a/b/c.jpg")).unwrap().unwrap();
    assert!(!replica.is_escaped(), "{}", replica.path.display());
    assert_eq!(store.checksum_of(&replica).unwrap(), Some(crc32(b"second")));
    assert_eq!(store.delete(&name("a/b/c.jpg"), at(3)).unwrap(), Outcome::Done);
    assert_eq!(read(&store, &name("a/b/c.jpg")), None);
    assert!(!root.path().join("16").exists());
}

#[test]
fn of_two_names_of_one_path_neither_shows_overwrites_or_deletes_the_other() {
    for [first, second] in [TWINS, [TWINS[1], TWINS[0]]] {
        let root = new_root();
        let store = open_hashed(root.path());
        put(&store, &name(first), at(1), b"first").unwrap();
        assert_eq!(store.held(&name(second)).unwrap(), Held::Nothing);
        assert_eq!(read(&store, &name(second)), None);
        // Nor does a deletion of what is not there.
        store.delete(&name(second), at(2)).unwrap();
        assert_eq!(put(&store, &name(second), at(3), b"second").unwrap(), Outcome::Done);
        assert_eq!(read(&store, &name(first)), Some((b"first".to_vec(), at(1))));
        assert_eq!(read(&store, &name(second)), Some((b"second".to_vec(), at(3))));
        assert!(!escaped(&store, first) && escaped(&store, second));
        store.recover().unwrap();

        assert_eq!(put(&store, &name(second), at(4), b"replaced").unwrap(), Outcome::Done);
        store.delete(&name(first), at(5)).unwrap();
        assert_eq!(read(&store, &name(first)), None);
        assert_eq!(read(&store, &name(second)), Some((b"replaced".to_vec(), at(4))));

        // The path is free now.
        assert_eq!(put(&store, &name(second), at(6), b"in place").unwrap(), Outcome::Done);
        assert!(!escaped(&store, second));
        assert!(private_files(root.path(), "escape").is_empty());
        store.recover().unwrap();
        assert_eq!(read(&store, &name(second)), Some((b"in place".to_vec(), at(6))));
        assert_eq!(read(&store, &name(first)), None);
    }
}

#[test]
fn both_of_two_names_of_one_path_are_kept_when_they_are_written_at_the_same_time() {
    for round in 0..20 {
        let root = new_root_in_memory();
        let store = open_hashed(root.path());
        std::thread::scope(|scope| {
            for text in TWINS {
                let store = &store;
                scope.spawn(move || put(store, &name(text), at(round), text.as_bytes()).unwrap());
            }
        });
        for text in TWINS {
            assert_eq!(read(&store, &name(text)), Some((text.as_bytes().to_vec(), at(round))));
        }
    }
}

#[test]
fn a_file_of_the_original_is_that_of_every_name_of_its_path_until_one_of_them_is_written() {
    let root = new_root();
    left_by_the_original(root.path(), PLACE, b"original");
    let store = open_hashed(root.path());
    for text in TWINS {
        assert_eq!(read(&store, &name(text)), Some((b"original".to_vec(), at(0))));
        assert_eq!(store.held(&name(text)).unwrap().copy().unwrap().crc32, None);
    }
    assert_eq!(put(&store, &name(TWINS[1]), at(1), b"mine").unwrap(), Outcome::Done);
    assert_eq!(std::fs::read(root.path().join(PLACE)).unwrap(), b"mine");
    assert_eq!(read(&store, &name(TWINS[1])), Some((b"mine".to_vec(), at(1))));
    assert_eq!(read(&store, &name(TWINS[0])), None);
}

#[test]
fn a_file_of_the_original_can_be_deleted() {
    let root = new_root();
    left_by_the_original(root.path(), PLACE, b"original");
    let store = open_hashed(root.path());
    assert_eq!(store.delete(&name(TWINS[0]), at(1)).unwrap(), Outcome::Done);
    assert!(TWINS.iter().all(|text| read(&store, &name(text)).is_none()));
    assert!(!root.path().join("16").exists());
}

#[test]
fn a_file_name_that_is_too_long_and_a_folder_in_the_way_lead_to_the_escape_area() {
    let root = new_root();
    let store = open_hashed(root.path());
    std::fs::create_dir_all(root.path().join(PLACE)).unwrap();
    let long = format!("a/{}", "x".repeat(256));
    for text in [TWINS[0], &long] {
        assert_eq!(put(&store, &name(text), at(1), text.as_bytes()).unwrap(), Outcome::Done);
        assert!(escaped(&store, text), "{text}");
        assert_eq!(read(&store, &name(text)).unwrap().0, text.as_bytes());
    }
    // A long folder is no part of the path.
    let deep = format!("{}/c.jpg", "x".repeat(300));
    put(&store, &name(&deep), at(1), b"deep").unwrap();
    assert!(!escaped(&store, &deep));
}

#[test]
fn a_file_where_a_hashed_folder_should_be_costs_no_write() {
    for obstacle in ["16", "16/23"] {
        let root = new_root();
        let store = open_hashed(root.path());
        left_by_the_original(root.path(), obstacle, b"in the way");
        for text in TWINS {
            assert_eq!(read(&store, &name(text)), None);
            assert_eq!(put(&store, &name(text), at(1), text.as_bytes()).unwrap(), Outcome::Done);
        }
        for text in TWINS {
            assert_eq!(read(&store, &name(text)).unwrap().0, text.as_bytes());
        }
        assert_eq!(std::fs::read(root.path().join(obstacle)).unwrap(), b"in the way");
    }
}

#[test]
fn a_root_of_one_layout_is_refused_under_another() {
    let node: NodeName = "img1".parse().unwrap();
    let php71 = Layout::WebdfsHashed(PhpVersion::V7_1);
    for (made, opened) in [(Layout::Path, HASHED), (HASHED, Layout::Path), (HASHED, php71)] {
        let root = new_root();
        open_as(root.path(), made).identify(&node).unwrap();
        let error = open_as(root.path(), opened).identify(&node).unwrap_err();
        assert!(matches!(error, StoreError::OtherLayout { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&made.to_string()) && text.contains(&opened.to_string()), "{text}");
        assert!(complete(&open_as(root.path(), opened), &node).is_err());
        complete(&open_as(root.path(), made), &node).unwrap();
        assert!(open_as(root.path(), made).identify(&node).unwrap().complete);
    }
}

#[test]
fn a_root_that_says_nothing_of_its_layout_holds_files_under_their_own_names() {
    let root = new_root();
    let store = open(root.path());
    let text = "name = \"img1\"\nformat = 1\ncomplete = true\n";
    std::fs::write(root.path().join(".webdfs/node.toml"), text).unwrap();
    assert!(store.identify(&"img1".parse().unwrap()).unwrap().complete);
    assert!(open_hashed(root.path()).identify(&"img1".parse().unwrap()).is_err());
}

/// Writes a file anew as editors do, and restores without attributes: what replaces it bears no name.
fn replaced_by_hand(root: &Path, path: &str, bytes: &[u8], version: Version) {
    let path = root.join(path);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::open(&path).unwrap().set_modified(version.time()).unwrap();
}

#[test]
fn a_file_that_lost_its_name_is_not_taken_for_a_name_that_has_a_copy_of_its_own() {
    // Older and newer than that copy.
    for edited in [at(1), at(9)] {
        let root = new_root();
        let store = open_hashed(root.path());
        let [first, second] = TWINS.map(name);
        put(&store, &first, at(1), b"first").unwrap();
        put(&store, &second, at(2), b"second").unwrap();
        replaced_by_hand(root.path(), PLACE, b"edited", edited);

        assert_eq!(read(&store, &second), Some((b"second".to_vec(), at(2))));
        assert_eq!(store.held(&second).unwrap().copy().unwrap().version, at(2));
        store.recover().unwrap();
        assert_eq!(read(&store, &second), Some((b"second".to_vec(), at(2))), "after recovery");
        assert_eq!(read(&store, &first), Some((b"edited".to_vec(), edited)), "after recovery");
        assert_eq!(put(&store, &second, at(10), b"again").unwrap(), Outcome::Done);
        assert_eq!(read(&store, &first), Some((b"edited".to_vec(), edited)), "after a write of the other");
        assert_eq!(store.delete(&second, at(11)).unwrap(), Outcome::Done);
        assert_eq!(std::fs::read(root.path().join(PLACE)).unwrap(), b"edited");
        assert_eq!(read(&store, &first), Some((b"edited".to_vec(), edited)), "after a deletion of the other");
        assert_eq!(read(&store, &second), None);
    }
}

/// Names of one path: what the original leaves out of a name differs, and with it the name.
const FAMILY: [&str; 6] =
    ["a/b/c.jpg", "ab/c.jpg", "a:b/c.jpg", "a\\b/c.jpg", "a%b<>/c.jpg", "\"|/a?b*/c.jpg"];

#[test]
fn names_of_one_path_live_and_die_by_themselves_in_whatever_order_they_are_written_and_deleted() {
    for text in FAMILY {
        assert_eq!(layout::path(HASHED, &name(text)).as_deref(), Some(Path::new(PLACE)), "{text}");
    }
    let mut random = fastrand::Rng::with_seed(17);
    for round in 0..60 {
        let root = new_root_in_memory();
        let mut store = open_hashed(root.path());
        let mut model = vec![(Held::Nothing, Vec::new()); FAMILY.len()];
        let mut said = Vec::new();
        for step in 0..40 {
            let family = random.usize(..if round % 2 == 0 { 2 } else { FAMILY.len() });
            let (own, version) = (name(FAMILY[family]), at(random.u64(..30)));
            let bytes = format!("{round} {step} {family}").into_bytes();
            let does = random.u8(..10);
            said.push((step, does, FAMILY[family], version));
            let new = match does {
                0 => {
                    store.recover().unwrap();
                    continue;
                }
                1 => {
                    store = open_hashed(root.path());
                    continue;
                }
                2..5 => {
                    store.delete(&own, version).unwrap();
                    Held::Tombstone { version }
                }
                _ => {
                    put(&store, &own, version, &bytes).unwrap();
                    let (size, crc32) = (bytes.len() as u64, Some(crc32(&bytes)));
                    Held::Copy(CopyInfo { version, size, crc32 })
                }
            };
            if new.supersedes(&model[family].0).is_gt() {
                model[family] = (new, bytes);
            }
            for (text, (held, bytes)) in FAMILY.iter().zip(&model) {
                assert_eq!(store.held(&name(text)).unwrap(), *held, "{text} after {said:?}");
                let served = held.copy().map(|copy| (bytes.clone(), copy.version));
                assert_eq!(read(&store, &name(text)), served, "{text} after {said:?}");
            }
        }
        store.recover().unwrap();
        let copies = model.iter().filter(|(held, _)| held.copy().is_some()).count();
        let escaped = private_files(root.path(), "escape").len();
        assert_eq!(files(root.path()).len() + escaped, copies, "{said:?}");
        assert!(private_files(root.path(), "quarantine").is_empty(), "{said:?}");
    }
}

#[test]
fn a_reader_never_meets_another_name_of_the_path_whatever_several_processes_do_meanwhile() {
    for _ in 0..10 {
        readers_and_writers_of_one_path();
    }
}

fn readers_and_writers_of_one_path() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    const STEPS: u64 = 30;
    let root = new_root_in_memory();
    let done = &AtomicUsize::new(0);
    // Its path is another's. Later that becomes free, and it moves there.
    let stays = FAMILY[0];
    put(&open_hashed(root.path()), &name(FAMILY[1]), at(0), FAMILY[1].as_bytes()).unwrap();
    put(&open_hashed(root.path()), &name(stays), at(0), stays.as_bytes()).unwrap();
    std::thread::scope(|scope| {
        for text in &FAMILY[..4] {
            // A store of its own, as another process has.
            let store = open_hashed(root.path());
            scope.spawn(move || {
                for step in 1..=STEPS {
                    put(&store, &name(text), at(2 * step), text.as_bytes()).unwrap();
                    if *text != stays {
                        store.delete(&name(text), at(2 * step + 1)).unwrap();
                    }
                }
                done.fetch_add(1, SeqCst);
            });
        }
        let store = open_hashed(root.path());
        while done.load(SeqCst) < 4 {
            for text in &FAMILY[..4] {
                let served = read(&store, &name(text)).map(|(bytes, _)| bytes);
                assert!(served.as_ref().is_none_or(|bytes| bytes == text.as_bytes()), "{text}: {served:?}");
                assert!(served.is_some() || *text != stays, "{text} is missed");
            }
            let held = store.held(&name(stays)).unwrap();
            assert!(held.copy().is_some(), "{stays} is held as {held:?}");
        }
    });
    let store = open_hashed(root.path());
    assert_eq!(read(&store, &name(stays)).unwrap().1, at(2 * STEPS));
    assert!(FAMILY[1..].iter().all(|text| read(&store, &name(text)).is_none()));
    assert_eq!(files(root.path()).len() + private_files(root.path(), "escape").len(), 1);
}

#[test]
fn names_of_any_bytes_are_kept_apart_and_found_again() {
    let root = new_root();
    let store = open_hashed(root.path());
    let long = [b"a/".to_vec(), b"x".repeat(255)].concat();
    let longest = [b"d/".repeat(400), b"y".repeat(200)].concat();
    let names: [&[u8]; 13] = [
        b"\xff\xfe/\x80.jpg",
        b"\xff\xfe/\x81.jpg",
        b"it's \"quoted\".jpg",
        b"100%.jpg",
        b"100%25.jpg",
        b"what?.jpg",
        b"back\\slash.jpg",
        b".leading",
        b"..two",
        b"%",
        b"?:*\\|<>\"%",
        &long,
        &longest,
    ];
    for (number, text) in names.iter().enumerate() {
        put(&store, &name(text), at(1), number.to_string().as_bytes()).unwrap();
    }
    for (number, text) in names.iter().enumerate() {
        assert_eq!(read(&store, &name(text)).unwrap().0, number.to_string().as_bytes(), "{}", name(text));
        assert!(!store.open_replica(&name(text)).unwrap().unwrap().is_escaped(), "{}", name(text));
    }
    store.recover().unwrap();
    for text in names {
        store.delete(&name(text), at(2)).unwrap();
        assert_eq!(read(&store, &name(text)), None, "{}", name(text));
    }
    assert!(files(root.path()).is_empty());
}

#[test]
fn a_release_that_knows_no_layouts_refuses_a_hashed_root_and_reads_others_as_before() {
    let node: NodeName = "img1".parse().unwrap();
    let identity = |layout| {
        let root = new_root();
        open_as(root.path(), layout).identify(&node).unwrap();
        let text = std::fs::read_to_string(root.path().join(".webdfs/node.toml")).unwrap();
        let (known, stamp) = text.split_once("stamp = \"1-").expect("a stamp comes last");
        assert_eq!(stamp.lines().count(), 1, "{stamp}");
        known.to_owned()
    };
    assert_eq!(identity(Layout::Path), "name = \"img1\"\nformat = 1\ncomplete = false\n");
    // Such a release takes format 1 alone, and passes over lines it does not know.
    let hashed = "name = \"img1\"\nformat = 2\nlayout = \"webdfs_hashed (PHP 5.2)\"\ncomplete = false\n";
    assert_eq!(identity(HASHED), hashed);

    let root = new_root();
    let store = open_hashed(root.path());
    let later = hashed.replace("format = 2", "format = 3");
    std::fs::write(root.path().join(".webdfs/node.toml"), later).unwrap();
    let error = store.identify(&node).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains("format 3"), "{error}");
}
