//! Copies on nodes that do not own them, as people leave them who restore files to the wrong machine; and a watch that
//! each stays until every owner holds it, or something newer (design, section 8).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};
use webdfs::name::ObjectName;
use webdfs::store::layout::{self, NameHash};

use super::checker::Violation;
use super::disk::{ATTRIBUTE, files};
use super::history::Key;

/// How often the copies are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A copy on a node that does not own it.
#[derive(Debug, Clone)]
struct Stray {
    key: Key,
    node: usize,
    place: PathBuf,
    mtime: i128,
}

/// All such copies.
#[derive(Debug)]
pub struct Strays {
    roots: Vec<PathBuf>,
    paths: Vec<String>,
    owners: Mutex<Vec<Vec<usize>>>,
    placed: Mutex<Vec<Stray>>,
    violations: Mutex<Vec<Violation>>,
    /// How many were put somewhere.
    pub count: AtomicU64,
    /// How many of them went while things were wrong.
    pub gone: AtomicU64,
    stop: AtomicBool,
}

impl Strays {
    /// Watches over what will be put below these roots, until [`Strays::stop`].
    pub fn watched(roots: Vec<PathBuf>, paths: &[String], owners: &[Vec<usize>]) -> Arc<Self> {
        let strays = Arc::new(Self {
            roots,
            paths: paths.to_vec(),
            owners: Mutex::new(owners.to_vec()),
            placed: Mutex::default(),
            violations: Mutex::default(),
            count: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let watching = Arc::clone(&strays);
        std::thread::spawn(move || {
            while !watching.stop.load(Ordering::SeqCst) {
                watching.look();
                std::thread::sleep(LOOK);
            }
        });
        strays
    }

    /// Puts copies of what was written last on `node`, of keys that belong neither to it nor to `unsafe_node`, whose disk
    /// may lose what it has confirmed.
    pub fn put(&self, node: usize, unsafe_node: usize, copies: usize) {
        let owned = self.owners.lock().expect("no holder panics").clone();
        let foreign = |owners: &Vec<usize>| !owners.contains(&node) && !owners.contains(&unsafe_node);
        let mut newest: Vec<_> = (0..self.paths.len())
            .filter(|key| foreign(&owned[*key]))
            .filter_map(|key| {
                let copies = owned[key].iter().map(|owner| self.plain(*owner, key));
                let (mtime, copy) = copies.filter_map(|copy| Some((mtime(&copy)?, copy))).max()?;
                Some((mtime, key, copy))
            })
            .collect();
        newest.sort_by_key(|(mtime, ..)| std::cmp::Reverse(*mtime));
        for (_, key, copy) in newest.into_iter().take(copies) {
            let place = self.plain(node, key);
            // Watched before it is there: it may be gone at once. A disk may be full, or the copy deleted meanwhile.
            let mut placed = self.placed.lock().expect("no holder panics");
            if let Ok(mtime) = restore(&copy, &place) {
                placed.retain(|stray| stray.place != place);
                placed.push(Stray { key, node, place, mtime });
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What has been removed too early, once everything has healed; nothing is watched any more.
    pub fn end_of_round(&self) -> Vec<Violation> {
        self.look();
        self.placed.lock().expect("no holder panics").clear();
        std::mem::take(&mut self.violations.lock().expect("no holder panics"))
    }

    /// The map has changed, and nothing is watched.
    pub fn set_owners(&self, owners: &[Vec<usize>]) {
        *self.owners.lock().expect("no holder panics") = owners.to_vec();
    }

    /// Ends the watch.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn look(&self) {
        let owners = self.owners.lock().expect("no holder panics").clone();
        let mut placed = self.placed.lock().expect("no holder panics");
        placed.retain(|stray| {
            if mtime(&stray.place) == Some(stray.mtime) {
                return true;
            }
            self.gone.fetch_add(1, Ordering::Relaxed);
            let lacking = || owners[stray.key].iter().copied().find(|owner| !self.has(*owner, stray));
            // Twice: an owner may have been between its copy and its tombstone. What it has it never loses.
            if let Some(owner) = lacking().and_then(|_| lacking())
                && !self.is_put_away(stray)
            {
                let Stray { key, node, .. } = *stray;
                let violation = Violation::EarlyRemoval { key, node, lacking: owner };
                self.violations.lock().expect("no holder panics").push(violation);
            }
            false
        });
    }

    /// Whether an owner holds what a stray is a copy of, or something newer.
    fn has(&self, owner: usize, stray: &Stray) -> bool {
        let name = ObjectName::from_bytes(&self.paths[stray.key].as_bytes()[1..]).expect("a good name");
        let (root, hash) = (&self.roots[owner], NameHash::of(&name));
        let places = [self.plain(owner, stray.key), root.join(hash.escape()), root.join(hash.tombstone())];
        places.iter().any(|place| mtime(place).is_some_and(|mtime| mtime >= stray.mtime))
    }

    /// Whether the stray lies where a person can judge it.
    fn is_put_away(&self, stray: &Stray) -> bool {
        let quarantine = self.roots[stray.node].join(layout::QUARANTINE);
        files(&quarantine).iter().any(|file| mtime(file) == Some(stray.mtime))
    }

    fn plain(&self, node: usize, key: Key) -> PathBuf {
        self.roots[node].join(&self.paths[key][1..])
    }
}

/// Nanoseconds; `None` if there is no such file.
fn mtime(path: &Path) -> Option<i128> {
    let metadata = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()))
}

/// Copies a file as `rsync -X` does: its bytes, mtime and attribute, under another name until all is there. Its mtime.
fn restore(from: &Path, to: &Path) -> io::Result<i128> {
    let mut source = File::open(from)?;
    let (mut bytes, mut attribute) = (Vec::new(), vec![0; 4096]);
    source.read_to_end(&mut bytes)?;
    let length = fgetxattr(&source, ATTRIBUTE, &mut attribute)?;
    let folder = to.parent().expect("below the root");
    fs::create_dir_all(folder)?;
    let aside = folder.join(".restored");
    let mut file = File::create(&aside)?;
    let done = file.write_all(&bytes).and_then(|()| {
        fsetxattr(&file, ATTRIBUTE, &attribute[..length], XattrFlags::empty())?;
        file.set_modified(source.metadata()?.modified()?)?;
        fs::rename(&aside, to)
    });
    if done.is_err() {
        let _ = fs::remove_file(&aside);
    }
    done?;
    mtime(to).ok_or_else(|| io::ErrorKind::NotFound.into())
}
