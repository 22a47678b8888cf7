//! What a root must hold after a crash, in terms of what was acknowledged: the promises of the design, sections 5 and
//! 12. Nothing here knows in which order the store does things.

use std::path::Path;
use std::sync::Arc;

use webdfs::cluster::NodeName;
use webdfs::held::{CopyInfo, Held};
use webdfs::name::ObjectName;
use webdfs::store::{Store, layout};
use webdfs::version::Version;

use crate::store_support::{self as support, Blind};

/// One thing done to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Put(ObjectName, Version, Vec<u8>),
    Delete(ObjectName, Version),
    /// An upload that is prepared and never committed.
    Prepare(ObjectName, Vec<u8>),
    /// Several writes of different names at once.
    Together(Vec<(ObjectName, Version, Vec<u8>)>),
    /// The root is marked as complete.
    Complete,
}

pub fn node() -> NodeName {
    "img1".parse().expect("a good name")
}

impl Action {
    /// Does it; `Ok` is what a client would be told as done.
    pub fn run(&self, store: &Arc<Store>) -> Result<(), webdfs::store::StoreError> {
        match self {
            Action::Put(name, version, bytes) => support::put(store, name, *version, bytes).map(drop),
            Action::Delete(name, version) => store.delete(name, *version).map(drop),
            Action::Prepare(name, bytes) => support::prepare(store, name, bytes).map(drop),
            Action::Together(copies) => support::put_together(store, copies).map(drop),
            Action::Complete => support::complete(store, &node()),
        }
    }

    /// What it does to single names.
    pub fn parts(&self) -> Vec<Self> {
        match self {
            Action::Together(copies) => copies
                .iter()
                .map(|(name, version, bytes)| Action::Put(name.clone(), *version, bytes.clone()))
                .collect(),
            single => vec![single.clone()],
        }
    }

    pub fn name(&self) -> Option<&ObjectName> {
        match self {
            Action::Put(name, ..) | Action::Delete(name, _) | Action::Prepare(name, _) => Some(name),
            Action::Together(_) | Action::Complete => None,
        }
    }

    /// What is held of the name afterwards, if nothing newer is.
    fn held(&self) -> Held {
        match self {
            Action::Put(_, version, bytes) => Held::Copy(CopyInfo {
                version: *version,
                size: bytes.len() as u64,
                crc32: Some(support::crc32(bytes)),
            }),
            Action::Delete(_, version) => Held::Tombstone { version: *version },
            Action::Prepare(..) | Action::Together(_) | Action::Complete => Held::Nothing,
        }
    }
}

/// What was done before a crash.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// What was acknowledged.
    pub done: Vec<Action>,
    /// What was begun, or failed.
    pub unknown: Vec<Action>,
}

/// The states a key may be in: the newest acknowledged one, or one newer that was begun.
struct Allowed(Vec<Option<Action>>);

impl Past {
    pub fn names(&self) -> Vec<ObjectName> {
        let mut names: Vec<_> =
            self.done.iter().chain(&self.unknown).filter_map(Action::name).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    fn allowed(&self, name: &ObjectName) -> Allowed {
        let of_name = |action: &&Action| action.name() == Some(name) && action.held() != Held::Nothing;
        let newest = self.done.iter().filter(of_name).max_by(|a, b| a.held().supersedes(&b.held())).cloned();
        let held = newest.as_ref().map_or(Held::Nothing, Action::held);
        let mut allowed = vec![newest];
        allowed.extend(
            self.unknown
                .iter()
                .filter(of_name)
                .filter(|action| action.held().supersedes(&held).is_gt())
                .map(|action| Some(action.clone())),
        );
        Allowed(allowed)
    }

    fn is_complete(&self) -> bool {
        self.done.contains(&Action::Complete)
    }
}

impl Allowed {
    /// Whether a plain file of that content may lie where a web server finds it.
    fn check_plain_file(&self, name: &ObjectName, found: Option<&[u8]>) -> Result<(), String> {
        let fits = match found {
            Some(found) => {
                self.0.iter().any(|state| matches!(state, Some(Action::Put(_, _, bytes)) if bytes == found))
            }
            // It may lie in the escape area.
            None => true,
        };
        if fits {
            return Ok(());
        }
        let found = found.map(|bytes| bytes.escape_ascii().to_string());
        Err(format!("a web server would serve {found:?} as {name}, allowed are {:?}", self.0))
    }

    /// The one of these states that the store holds.
    fn check_store(&self, store: &Store, name: &ObjectName) -> Result<Option<Action>, String> {
        let held = store.held(name).map_err(|error| error.to_string())?;
        let of = |state: &Option<Action>| state.as_ref().map_or(Held::Nothing, Action::held);
        let state = self
            .0
            .iter()
            .find(|state| of(state) == held)
            .ok_or_else(|| format!("{name} is held as {held:?}, allowed are {:?}", self.0))?;
        let served = support::read(store, name);
        let expected = match state {
            Some(Action::Put(_, version, bytes)) => Some((bytes.clone(), *version)),
            _ => None,
        };
        if served != expected {
            return Err(format!("{name} is served as {served:?}, and not as {expected:?}"));
        }
        Ok(state.clone())
    }
}

/// Checks a root as a web server finds it, then as a store finds it, then as one that has recovered does, then that it
/// still works.
pub fn check(root: &Path, past: &Past) -> Result<(), String> {
    let names = past.names();
    check_plain_files(root, past, &names)?;
    let store = support::open_watched(support::settings(root), Arc::new(Blind))
        .map_err(|error| format!("the root does not open: {error}"))?;
    let identity = store.identify(&node()).map_err(|error| format!("the root is not ours: {error}"))?;
    if past.is_complete() && !identity.complete {
        return Err("the root was complete and is not".into());
    }
    for name in &names {
        past.allowed(name).check_store(&store, name)?;
    }
    store.recover().map_err(|error| format!("cannot recover: {error}"))?;
    let swept = store.sweep_spools(std::time::Duration::ZERO);
    swept.map_err(|error| format!("cannot sweep: {error}"))?;
    let mut states = Vec::new();
    for name in &names {
        states.push((name, past.allowed(name).check_store(&store, name)?));
    }
    check_tidiness(root, &store, &states)?;
    check_life_goes_on(root, &store, &names)
}

fn check_plain_files(root: &Path, past: &Past, names: &[ObjectName]) -> Result<(), String> {
    let layout = support::settings(root).layout;
    for path in &support::files(root) {
        let bytes = std::fs::read(root.join(path)).expect("readable");
        // Several names may share a path; it is the file of one of them.
        let of_path = names.iter().filter(|name| layout::path(layout, name).as_deref() == Some(path));
        let mut problem = Err(format!("{path:?} was never written"));
        for name in of_path {
            match past.allowed(name).check_plain_file(name, Some(&bytes)) {
                Ok(()) => {
                    problem = Ok(());
                    break;
                }
                wrong => problem = wrong,
            }
        }
        problem?;
    }
    Ok(())
}

/// Every key in one place, nothing else anywhere.
fn check_tidiness(
    root: &Path,
    store: &Store,
    states: &[(&ObjectName, Option<Action>)],
) -> Result<(), String> {
    let (mut plain, mut escaped, mut tombstones) = (0, 0, 0);
    for (name, state) in states {
        match state {
            Some(Action::Put(..)) if store.open_replica(name).unwrap().unwrap().is_escaped() => escaped += 1,
            Some(Action::Put(..)) => plain += 1,
            Some(Action::Delete(..)) => tombstones += 1,
            _ => {}
        }
    }
    let expected = [(support::files(root), plain), (support::private_files(root, "escape"), escaped)];
    let private = [("tombstones", tombstones), ("tmp", 0), ("quarantine", 0)];
    let private = private.map(|(folder, count)| (support::private_files(root, folder), count));
    for (found, count) in expected.into_iter().chain(private) {
        if found.len() != count {
            return Err(format!("{count} files should be left, not {found:?}: {states:?}"));
        }
    }
    Ok(())
}

/// Every key can be written, deleted and written again.
fn check_life_goes_on(root: &Path, store: &Arc<Store>, names: &[ObjectName]) -> Result<(), String> {
    let fail = |error: webdfs::store::StoreError| format!("a later write fails: {error}");
    for (index, name) in names.iter().enumerate() {
        if index % 2 == 0 {
            store.delete(name, support::at(900)).map_err(fail)?;
        }
        support::put(store, name, support::at(901), b"later").map_err(fail)?;
        if support::read(store, name) != Some((b"later".to_vec(), support::at(901))) {
            return Err(format!("{name} cannot be replaced"));
        }
    }
    for name in names {
        store.delete(name, support::at(902)).map_err(fail)?;
    }
    let left = support::files(root);
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?} cannot be deleted")) }
}
