//! The maps that a command is about: the newest one of a node, for those that change it; and those that a file is
//! explained under, which are the current one, and older ones that were named or that the storage root remembers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chain::chain;
use crate::cluster::{ClusterMap, Epoch, Fingerprint, NotAMember};
use crate::config::{ConfigError, Naming, load_map};
use crate::store;

/// A map, and the file it was read from.
#[derive(Debug)]
pub(super) struct FromFile {
    pub(super) file: PathBuf,
    pub(super) map: Arc<ClusterMap>,
}

impl FromFile {
    pub(super) fn load(file: &Path) -> Result<Self, ConfigError> {
        Ok(Self { map: Arc::new(load_map(file)?), file: file.to_owned() })
    }

    /// A map that a root remembers: whatever it calls its CRUSH map, that lies beside it under its own name.
    fn remembered(file: PathBuf) -> Result<Self, ConfigError> {
        let text = store::read_remembered_map(&file);
        let text = text.map_err(|source| ConfigError::Read { file: file.clone(), source })?;
        Ok(Self { map: Arc::new(text.parse(&file)?), file })
    }
}

/// Why the maps that were named do not go together, or the newest is not known.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// One of them is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node that asks is in none of them.
    #[error(transparent)]
    NotAMember(#[from] NotAMember),
    /// The folder in which a root remembers maps cannot be read.
    #[error("the maps that {} remembers cannot be read", root.display())]
    Remembered {
        /// The root.
        root: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was given as an older map is not older.
    #[error("{}: epoch {epoch} is not older than epoch {current} of {}", file.display(), current_file.display())]
    NotOlder {
        /// The map.
        file: PathBuf,
        /// Its epoch.
        epoch: Epoch,
        /// The epoch of the current map.
        current: Epoch,
        /// The current map.
        current_file: PathBuf,
    },
    /// Two different maps have one epoch.
    #[error("{} and {} are different maps of epoch {epoch} ({fingerprint}, {other_fingerprint})", file.display(), other.display())]
    SameEpoch {
        /// One of them.
        file: PathBuf,
        /// Its fingerprint.
        fingerprint: Fingerprint,
        /// The other.
        other: PathBuf,
        /// The fingerprint of the other.
        other_fingerprint: Fingerprint,
        /// The epoch of both.
        epoch: Epoch,
    },
}

/// The map in force at a node: the newest that its root remembers, or that of node.toml if there is none (design,
/// section 9).
///
/// # Errors
/// When a map cannot be read, or the root remembers two of the highest epoch: which one is in force is not known then.
pub(super) fn newest(naming: &Naming) -> Result<FromFile, MapsError> {
    let remembered = match &naming.root {
        Some(root) => store::remembered_maps(root)
            .map_err(|source| MapsError::Remembered { root: root.clone(), source })?,
        None => Vec::new(),
    };
    let mut newest: Option<FromFile> = None;
    for file in remembered {
        let from = FromFile::remembered(file)?;
        match &newest {
            Some(known) if known.map.epoch() == from.map.epoch() => same(known, from)?,
            Some(known) if known.map.epoch() > from.map.epoch() => {}
            _ => newest = Some(from),
        }
    }
    match newest {
        Some(newest) => Ok(newest),
        None => Ok(FromFile::load(&naming.map)?),
    }
}

/// The current map first, then the older ones, newest first; and what there is to say about maps that the root
/// remembers and that are left out.
///
/// # Errors
/// When a map that was named is refused, or is not older than the current one. What is wrong with a remembered one is
/// only noted.
pub(super) fn gather(naming: &Naming, older: &[PathBuf]) -> Result<(Vec<FromFile>, Vec<String>), MapsError> {
    let mut notes = Vec::new();
    let mut known = Vec::new();
    for file in naming.root.iter().flat_map(|root| remembered(root, &mut notes)).collect::<Vec<_>>() {
        match FromFile::remembered(file) {
            Ok(from) => known.push(from),
            Err(error) => notes.push(format!("left out: {}", chain(&error))),
        }
    }
    // The newest that the root remembers is in force; the file is read only where it remembers none.
    known.sort_by_key(|from| std::cmp::Reverse(from.map.epoch()));
    let mut known = known.into_iter();
    let mut maps = vec![match known.next() {
        Some(current) => {
            notes.extend(not_in_force(&naming.map, &current));
            current
        }
        None => FromFile::load(&naming.map)?,
    }];
    for file in older {
        add(&mut maps, FromFile::load(file)?)?;
    }
    for from in known {
        let added = add(&mut maps, from);
        notes.extend(added.err().map(|error| format!("left out: {}", chain(&error))));
    }
    if let Some(older) = maps.get_mut(1..) {
        older.sort_by_key(|older| std::cmp::Reverse(older.map.epoch()));
    }
    Ok((maps, notes))
}

/// What there is to say of a map that a person has deployed and that is not in force.
fn not_in_force(file: &Path, current: &FromFile) -> Option<String> {
    let deployed = FromFile::load(file).ok()?;
    let is_older = deployed.map.epoch() < current.map.epoch();
    let differs = deployed.map.fingerprint() != current.map.fingerprint() && !is_older;
    let about = |map: &ClusterMap| format!("map {} of epoch {}", map.fingerprint(), map.epoch());
    let (file, other, current) = (file.display(), about(&deployed.map), about(&current.map));
    differs.then(|| format!("{file} is {other}, and {current}, which the root remembers, is in force"))
}

/// The files of the maps that the root remembers, or a note why that is not known.
fn remembered(root: &Path, notes: &mut Vec<String>) -> Vec<PathBuf> {
    let listed = store::remembered_maps(root);
    let mut files = listed.unwrap_or_else(|error| {
        notes.push(format!("the maps that {} remembers cannot be read: {error}", root.display()));
        Vec::new()
    });
    files.sort();
    files
}

/// Adds an older map, unless it is there already.
fn add(maps: &mut Vec<FromFile>, from: FromFile) -> Result<(), MapsError> {
    let (epoch, current) = (from.map.epoch(), &maps[0]);
    if epoch >= current.map.epoch() {
        let (current, current_file) = (current.map.epoch(), current.file.clone());
        return Err(MapsError::NotOlder { file: from.file, epoch, current, current_file });
    }
    match maps.iter().find(|other| other.map.epoch() == epoch) {
        Some(other) => same(other, from),
        None => {
            maps.push(from);
            Ok(())
        }
    }
}

/// Refuses a map that differs from another of its epoch.
fn same(other: &FromFile, from: FromFile) -> Result<(), MapsError> {
    if other.map.fingerprint() == from.map.fingerprint() {
        return Ok(());
    }
    Err(different(other, &from.map, from.file))
}

fn different(other: &FromFile, map: &ClusterMap, file: PathBuf) -> MapsError {
    MapsError::SameEpoch {
        file,
        fingerprint: map.fingerprint(),
        other: other.file.clone(),
        other_fingerprint: other.map.fingerprint(),
        epoch: map.epoch(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with maps of these names, epochs and numbers of nodes, and a root that remembers `remembered`.
    fn folder(maps: &[(&str, u64, usize)], remembered: &[(&str, u64, usize)]) -> (tempfile::TempDir, Naming) {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("root/.webdfs/maps");
        fs::create_dir_all(&below).unwrap();
        let write = |folder: &Path, &(name, epoch, nodes): &(&str, u64, usize)| {
            let nodes = (1..=nodes).map(|n| format!("{{ name = \"n{n}\", url = \"http://n{n}/_webdfs\" }},"));
            let nodes: String = nodes.collect();
            let text = format!(
                "epoch = {epoch}\nreplicas = 1\nwrite_quorum = 1\n[[subcluster]]\nname = \"s\"\nnode = [{nodes}]"
            );
            fs::write(folder.join(name), text).unwrap();
        };
        maps.iter().for_each(|map| write(folder.path(), map));
        remembered.iter().for_each(|map| write(&below, map));
        let root = Some(folder.path().join("root"));
        let naming = Naming { root, ..Naming::with_defaults(folder.path().join("cluster.toml")) };
        (folder, naming)
    }

    #[test]
    fn the_newest_map_is_that_of_the_root_and_that_of_node_toml_where_it_has_none() {
        let (_folder, naming) = folder(&[("cluster.toml", 9, 1)], &[]);
        assert_eq!(newest(&naming).unwrap().map.epoch().get(), 9);
        let remembered = [("2.toml", 2, 1), ("10.toml", 10, 2), ("9.toml", 9, 3), ("10-b.toml", 10, 2)];
        let (_folder, naming) = folder(&[("cluster.toml", 20, 1)], &remembered);
        let found = newest(&naming).unwrap();
        assert_eq!((found.map.epoch().get(), found.map.nodes().len()), (10, 2));
        let naming = Naming { root: None, ..naming };
        assert_eq!(newest(&naming).unwrap().map.epoch().get(), 20);
    }

    #[test]
    fn which_of_two_maps_of_one_epoch_is_in_force_is_not_guessed() {
        let (folder, naming) = folder(&[("cluster.toml", 1, 1)], &[("2.toml", 2, 1), ("2-b.toml", 2, 2)]);
        let error = newest(&naming).unwrap_err().to_string();
        assert!(error.contains("are different maps of epoch 2 ("), "{error}");
        fs::write(folder.path().join("root/.webdfs/maps/3.toml"), "epoch = 3").unwrap();
        fs::remove_file(folder.path().join("root/.webdfs/maps/2.toml")).unwrap();
        assert!(
            matches!(newest(&naming), Err(MapsError::Config(_))),
            "one that cannot be read may be the newest"
        );
    }

    fn epochs(maps: &[FromFile]) -> Vec<u64> {
        maps.iter().map(|from| from.map.epoch().get()).collect()
    }

    #[test]
    fn named_and_remembered_maps_follow_the_current_one_newest_first() {
        let remembered = [("3.toml", 3, 3), ("5.toml", 5, 5), ("4.toml", 4, 4), ("9.toml", 9, 9)];
        let (folder, naming) =
            folder(&[("cluster.toml", 5, 5), ("a.toml", 2, 2), ("b.toml", 4, 4)], &remembered);
        let named = [folder.path().join("a.toml"), folder.path().join("b.toml")];
        let (maps, notes) = gather(&naming, &named).unwrap();
        assert_eq!(epochs(&maps), [9, 5, 4, 3, 2], "the newest that the root remembers is in force");
        assert_eq!(maps[2].file, named[1], "each map once");
        assert!(notes.is_empty(), "an older file is what is left of the first map: {notes:?}");
    }

    #[test]
    fn what_is_wrong_with_a_named_map_is_an_error_and_with_a_remembered_one_a_note() {
        let maps = [("cluster.toml", 5, 5), ("same.toml", 5, 5), ("a.toml", 4, 4), ("b.toml", 4, 3)];
        let (folder, naming) = folder(&maps, &[("4.toml", 4, 2), ("5.toml", 5, 2)]);
        fs::write(folder.path().join("root/.webdfs/maps/1.toml"), "epoch = 0").unwrap();
        let named = |names: &[&str]| names.iter().map(|name| folder.path().join(name)).collect::<Vec<_>>();
        let error = gather(&naming, &named(&["same.toml"])).unwrap_err();
        assert!(matches!(error, MapsError::NotOlder { .. }), "{error}");
        let error = gather(&naming, &named(&["a.toml", "b.toml"])).unwrap_err();
        assert!(matches!(error, MapsError::SameEpoch { .. }), "{error}");
        let error = gather(&naming, &named(&["none.toml"])).unwrap_err();
        assert!(matches!(error, MapsError::Config(_)), "{error}");
        let (maps, notes) = gather(&naming, &named(&["a.toml"])).unwrap();
        assert_eq!(epochs(&maps), [5, 4]);
        let about: Vec<_> = ["1.toml", "cluster.toml", "4.toml"].into_iter().zip(&notes).collect();
        assert!(about.iter().all(|(file, note)| note.contains(file)) && notes.len() == 3, "{notes:?}");
    }

    #[test]
    fn a_root_that_cannot_be_read_is_a_note() {
        let (folder, naming) = folder(&[("cluster.toml", 1, 1)], &[]);
        let naming = Naming { root: Some(folder.path().join("cluster.toml")), ..naming };
        let (maps, notes) = gather(&naming, &[]).unwrap();
        assert_eq!((maps.len(), notes.len()), (1, 1), "{notes:?}");
        assert!(notes[0].contains("cannot be read"), "{notes:?}");
    }
}
