//! The maps in force at one node, shared by all parts of a process and kept alike by all processes of the root (design
//! section 9): they lie in the root, and whoever changes them there changes them for all.
//!
//! A view is looked at afresh for every request that depends on it, which costs one system call: so no message of a higher
//! epoch is answered by one process while another still works under a lower one.

mod error;
mod history;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use error::MapsError;

use crate::chain::chain;
use crate::cluster::{ClusterMap, Epoch, Fingerprint, NodeName, NodeState, View};
use crate::config::MapText;
use crate::store::{self, MapsChange, Store, StoreError, StoredMap};

/// After the maps of the root could not be read, they are read again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// The maps of one root, as one process knows them.
#[derive(Debug)]
pub struct Maps {
    name: NodeName,
    store: Arc<Store>,
    /// The state of the root that `current` shows.
    serial: AtomicU64,
    /// Held while that is read anew.
    reading: Mutex<()>,
    current: watch::Sender<Arc<View>>,
    since: Mutex<Instant>,
    /// When they could not be read the last time; none: they could.
    failed: Mutex<Option<Instant>>,
}

/// A map among those of the root that was understood.
struct Known {
    stem: String,
    map: Arc<ClusterMap>,
}

impl Maps {
    /// The maps of a root. Where it has none, the map in `file` is the first one, if its epoch is 1, and else a proposal.
    ///
    /// # Errors
    /// When a map cannot be read, or the node is in none of them.
    pub fn open(name: &NodeName, store: Arc<Store>, file: &Path) -> Result<Self, MapsError> {
        if store.stored_maps()?.is_empty() {
            let (text, map) = MapText::load(file)?;
            if map.index_of(name).is_none() {
                return Err(MapsError::NotInFile { name: name.clone(), file: file.to_owned() });
            }
            if map.epoch() > Epoch::FIRST {
                let view = View::proposed(name, Arc::new(map))?;
                return Ok(Self::new(name, store, 0, view));
            }
            let first = StoredMap { stem: Epoch::FIRST.to_string(), text };
            store.change_maps(|stored| {
                let add = if stored.is_empty() { vec![first] } else { Vec::new() };
                Ok::<_, MapsError>(MapsChange { add, ..MapsChange::default() })
            })?;
        }
        let (serial, view) = read(name, &store)?;
        let view = match view {
            // Stopped while it joined, before it had the map that it is in.
            Err(error @ MapsError::NotAMember(_)) => proposal(name, file).map_err(|_| error)?,
            view => view?,
        };
        let maps = Self::new(name, store, serial, view);
        maps.note_first();
        Ok(maps)
    }

    /// Says so if a file that a person has deployed is not the map in force: it is read only where the root has none.
    pub fn compare_with(&self, file: &Path) {
        if let Some(difference) = difference(&self.view(), file) {
            log::warn!("{difference}");
        }
    }

    fn new(name: &NodeName, store: Arc<Store>, serial: u64, view: View) -> Self {
        Self {
            name: name.clone(),
            store,
            serial: AtomicU64::new(serial),
            reading: Mutex::new(()),
            current: watch::Sender::new(Arc::new(view)),
            since: Mutex::new(Instant::now()),
            failed: Mutex::default(),
        }
    }

    /// The maps in force now.
    pub fn view(&self) -> Arc<View> {
        match self.store.maps_serial() {
            Ok(serial) if serial == self.serial.load(Ordering::Acquire) => {}
            Ok(_) => self.try_to_read_anew(),
            Err(error) => log::error!("whether the maps have changed is not known: {error}"),
        }
        Arc::clone(&self.current.borrow())
    }

    /// Whether this node has a map of which nobody has said that it is in force.
    pub fn is_joining(&self) -> bool {
        let joins = self.current.borrow().is_proposal();
        joins && self.view().is_proposal()
    }

    /// Whether the map of this epoch is the one in force, beyond doubt: not if the maps of the root cannot be read.
    pub fn is_in_force(&self, epoch: u64) -> bool {
        let view = self.view();
        let serial = self.store.maps_serial();
        view.epoch_in_force() == epoch
            && serial.is_ok_and(|serial| serial == self.serial.load(Ordering::Acquire))
    }

    /// Is told of every change that this process has taken notice of.
    pub fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.current.subscribe()
    }

    /// When this process took notice of the last change.
    pub fn since(&self) -> Instant {
        *self.since.lock().expect("no holder panics")
    }

    /// The maps in force as they are sent to other nodes: the current one and those that are not settled.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn texts(&self) -> Result<Vec<MapText>, MapsError> {
        Ok(self.store.stored_maps()?.into_iter().map(|stored| stored.text).collect())
    }

    /// Takes over maps that another node sent, or a person gave: all that it regards as in force or not settled. Whether
    /// the current map is another now.
    ///
    /// # Errors
    /// When one of them is refused, the newest is another one of the current epoch, this node would be in none of them,
    /// or the disk fails. Then nothing changes.
    pub fn adopt(&self, offered: Vec<MapText>, from: &str) -> Result<bool, MapsError> {
        let label = PathBuf::from(format!("a map from {from}"));
        let offered: Vec<(MapText, Arc<ClusterMap>)> = offered
            .into_iter()
            .map(|text| {
                let map = Arc::new(text.parse(&label)?);
                Ok((text, map))
            })
            .collect::<Result<_, MapsError>>()?;
        let Some((_, newest)) = offered.iter().max_by_key(|(_, map)| map.epoch()) else { return Ok(false) };
        let newest = Arc::clone(newest);
        let before = self.view();
        self.store.change_maps(|stored| {
            let stored = understood(&self.store, stored)?;
            let was_given_up = self.was_given_up(&stored, &offered);
            let change = self.merged(stored, offered, &newest)?;
            if was_given_up && !change.add.is_empty() {
                // Before it works by a map that may have taken it back since.
                self.store.begin_return_of_lost(&self.name)?;
            }
            Ok::<_, MapsError>(change)
        })?;
        let is_next = self.view().epoch_in_force() > before.epoch_in_force();
        if is_next {
            self.note_next(&before);
        }
        Ok(is_next)
    }

    /// Whether the others have given this node up since the maps that it knows: they say so, or have settled maps without it.
    /// The next map after those that it knows cannot have been settled without it, unless it lists it as lost or not at all:
    /// whoever sends that alone only knows no more.
    fn was_given_up(&self, stored: &[Known], offered: &[(MapText, Arc<ClusterMap>)]) -> bool {
        let Some(newest) = stored.iter().map(|known| known.map.epoch()).max() else { return false };
        let is_lost = |map: &ClusterMap| {
            map.index_of(&self.name).is_some_and(|own| map.node(own).state() == NodeState::Lost)
        };
        let lists_it = |map: &ClusterMap| map.index_of(&self.name).is_some();
        let is_member = stored.iter().any(|known| lists_it(&known.map));
        let is_next = |map: &ClusterMap| map.epoch().get() == newest.get() + 1;
        let lowest = offered.iter().map(|(_, map)| map).min_by_key(|map| map.epoch());
        is_member
            && (offered.iter().any(|(_, map)| map.epoch() > newest && is_lost(map))
                || lowest.is_some_and(|map| map.epoch() > newest && !(is_next(map) && lists_it(map))))
    }

    /// What is to be added to the maps of the root.
    fn merged(
        &self,
        stored: Vec<Known>,
        offered: Vec<(MapText, Arc<ClusterMap>)>,
        newest: &Arc<ClusterMap>,
    ) -> Result<MapsChange, MapsError> {
        let current = stored.iter().map(|known| &known.map).max_by_key(|map| map.epoch());
        // Whatever is older than all that this root remembers is settled.
        let lowest = stored.iter().map(|known| known.map.epoch()).min();
        if let Some(current) = current {
            let (epoch, own, theirs) = (newest.epoch(), current.fingerprint(), newest.fingerprint());
            if epoch == current.epoch() && own != theirs {
                return Err(MapsError::SameEpoch { epoch, own, theirs });
            }
            if epoch < current.epoch() {
                return Ok(self.told_anew(current));
            }
        }
        let mut stems: BTreeMap<String, Fingerprint> =
            stored.iter().map(|known| (known.stem.clone(), known.map.fingerprint())).collect();
        let mut add = Vec::new();
        for (text, map) in &offered {
            if stems.values().any(|known| *known == map.fingerprint()) || lowest > Some(map.epoch()) {
                continue;
            }
            let mut stem = map.epoch().to_string();
            if stems.contains_key(&stem) {
                stem = format!("{stem}-{}", map.fingerprint());
            }
            stems.insert(stem.clone(), map.fingerprint());
            add.push((map.epoch(), StoredMap { stem, text: text.clone() }));
        }
        if let Some(current) = current.filter(|_| add.is_empty()) {
            return Ok(self.told_anew(current));
        }
        // The newest last: what was interrupted is taken over the next time.
        add.sort_by_key(|(epoch, _)| *epoch);
        let add = add.into_iter().map(|(_, stored)| stored).collect();
        let maps = stored.into_iter().map(|known| known.map).chain(offered.into_iter().map(|(_, map)| map));
        let older = maps.filter(|map| map.fingerprint() != newest.fingerprint()).collect();
        View::new(&self.name, Arc::clone(newest), older)?;
        Ok(MapsChange { add, ..MapsChange::default() })
    }

    /// No change, unless a process died when it had made one and had not said so.
    fn told_anew(&self, current: &ClusterMap) -> MapsChange {
        let is_known = self.current.borrow().epoch_in_force() == current.epoch().get();
        MapsChange { touch: !is_known, ..MapsChange::default() }
    }

    /// Forgets the older maps, unless the current one is not that of this epoch any more: it is settled. A node that is not
    /// in it keeps them, for they are all that says who it is. Whether there were any to forget.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn settle(&self, epoch: Epoch) -> Result<bool, MapsError> {
        let mut forgets = false;
        self.store.change_maps(|stored| {
            let known = understood(&self.store, stored)?;
            let current = known.iter().map(|known| &known.map).max_by_key(|map| map.epoch());
            let is_settled =
                current.is_some_and(|map| map.epoch() == epoch && map.index_of(&self.name).is_some());
            let older = known.iter().filter(|known| known.map.epoch() < epoch);
            let remove: Vec<_> = older.filter(|_| is_settled).map(|known| known.stem.clone()).collect();
            forgets = !remove.is_empty();
            Ok::<_, MapsError>(MapsChange { remove, touch: is_settled, ..MapsChange::default() })
        })?;
        self.view();
        if forgets {
            self.note_settled(epoch.get());
        }
        Ok(forgets)
    }

    /// Reads the maps of the root; if they are refused, not again before a while is over, since every request asks for them.
    fn try_to_read_anew(&self) {
        let is_due = |failed: Option<Instant>| failed.is_none_or(|at| at.elapsed() >= AGAIN);
        if !is_due(*self.failed.lock().expect("no holder panics")) {
            return;
        }
        let result = self.read_anew();
        let failed = result.as_ref().is_err().then(Instant::now);
        *self.failed.lock().expect("no holder panics") = failed;
        if let Err(error) = result {
            log::error!("the maps in force stay, since those in the root are refused: {}", chain(&error));
        }
    }

    fn read_anew(&self) -> Result<(), MapsError> {
        let _reading = self.reading.lock().expect("no holder panics");
        let (serial, view) = read(&self.name, &self.store)?;
        if serial == self.serial.load(Ordering::Acquire) {
            return Ok(());
        }
        let view = view?;
        let before = Arc::clone(&self.current.borrow());
        if before.epoch_in_force() != view.epoch_in_force() {
            *self.since.lock().expect("no holder panics") = Instant::now();
            log::info!("map {} of epoch {} is in force", view.fingerprint(), view.epoch());
        }
        self.current.send_replace(Arc::new(view));
        self.serial.store(serial, Ordering::Release);
        Ok(())
    }
}

/// What there is to say of a map that a person has deployed, where another is in force: the file is read only where a root has
/// no map. None, if it is that one, or an older one.
pub fn difference(view: &View, file: &Path) -> Option<String> {
    let name = file.display();
    let map = match MapText::load(file) {
        Ok((_, map)) => map,
        Err(error) => {
            return Some(format!("the map that the root remembers stays in force: {}", chain(&error)));
        }
    };
    let (epoch, in_force) = (map.epoch(), view.epoch());
    if map.fingerprint() == view.fingerprint() || epoch < in_force {
        return None;
    }
    Some(if epoch == in_force {
        let next = epoch.get().saturating_add(1);
        format!(
            "{name} is not the map of epoch {epoch} that is in force: give it the epoch {next}, and then `webdfs map apply {name}`"
        )
    } else {
        format!(
            "{name} has epoch {epoch}, and epoch {in_force} is in force: `webdfs map apply {name}` makes it the next"
        )
    })
}

/// The texts of the maps that a root at rest remembers; none if it is new.
///
/// # Errors
/// When they cannot be read.
pub fn remembered_texts(root: &Path) -> Result<Vec<MapText>, MapsError> {
    remembered_files(root)?.iter().map(|file| read_remembered(file)).collect()
}

/// The view of maps that somebody else, whom `label` names, says are in force: that of the node `name`, or of one of theirs
/// if it is in none of them.
///
/// # Errors
/// When there is none, or one of them is refused.
pub fn view_of(name: &NodeName, texts: &[MapText], label: &str) -> Result<View, MapsError> {
    let label = PathBuf::from(format!("a map from {label}"));
    let maps = texts.iter().map(|text| Ok(Arc::new(text.parse(&label)?)));
    let maps: Vec<Arc<ClusterMap>> = maps.collect::<Result<_, MapsError>>()?;
    let is_member = maps.iter().any(|map| map.index_of(name).is_some());
    let first = maps.first().and_then(|map| map.nodes().first()).ok_or(MapsError::None)?.name().clone();
    newest_first(if is_member { name } else { &first }, maps)
}

fn remembered_files(root: &Path) -> Result<Vec<PathBuf>, MapsError> {
    let files = store::remembered_maps(root);
    Ok(files.map_err(|source| StoreError::io("read the maps of", root, source))?)
}

fn read_remembered(file: &Path) -> Result<MapText, MapsError> {
    let text = store::read_remembered_map(file);
    Ok(text.map_err(|source| StoreError::io("read the map", file, source))?)
}

/// The view of the node `name` from its root at rest: of the maps that the root remembers, or else of the one in `file`.
/// For commands; the root need not be open, and nothing in it changes.
///
/// # Errors
/// When the maps cannot be read or are refused, or the node is in none of them.
pub fn view_at_rest(name: &NodeName, root: &Path, file: &Path) -> Result<View, MapsError> {
    let mut maps = Vec::new();
    for file in remembered_files(root)? {
        maps.push(Arc::new(read_remembered(&file)?.parse(&file)?));
    }
    if maps.is_empty() {
        let (_, map) = MapText::load(file)?;
        if map.index_of(name).is_none() {
            return Err(MapsError::NotInFile { name: name.clone(), file: file.to_owned() });
        }
        maps.push(Arc::new(map));
    }
    newest_first(name, maps)
}

fn newest_first(name: &NodeName, mut maps: Vec<Arc<ClusterMap>>) -> Result<View, MapsError> {
    maps.sort_by_key(|map| map.epoch());
    let current = maps.pop().ok_or(MapsError::None)?;
    Ok(View::new(name, current, maps)?)
}

/// The maps of a root as they are at one moment, and the number that they have then.
fn read(name: &NodeName, store: &Store) -> Result<(u64, Result<View, MapsError>), MapsError> {
    let _these = store.hold_maps()?;
    let known = understood(store, store.stored_maps()?)?;
    Ok((store.maps_serial()?, newest_first(name, known.into_iter().map(|known| known.map).collect())))
}

fn proposal(name: &NodeName, file: &Path) -> Result<View, MapsError> {
    let (_, map) = MapText::load(file)?;
    Ok(View::proposed(name, Arc::new(map))?)
}

fn understood(store: &Store, stored: Vec<StoredMap>) -> Result<Vec<Known>, MapsError> {
    let known = stored.into_iter().map(|StoredMap { stem, text }| {
        let file = store.root().join(crate::store::layout::MAPS).join(format!("{stem}.toml"));
        let map = Arc::new(text.parse(&file)?);
        Ok(Known { stem, map })
    });
    known.collect()
}

impl From<StoreError> for MapsError {
    fn from(error: StoreError) -> Self {
        MapsError::Store(error)
    }
}
