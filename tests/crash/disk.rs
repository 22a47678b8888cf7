//! A disk that remembers what was synced, and what it may look like after a loss of power.
//!
//! It assumes what POSIX lets a program assume, and no more: syncing a file keeps its bytes, attributes and times, and
//! not its name; syncing a folder keeps the names in it, and not what they lead to. Of what was not synced any part may
//! be kept, in any combination. Only a rename is never half done in the way that loses the file: the old name goes
//! only if the new one has come.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use webdfs::version::Version;

use crate::store_support::Op;

/// Index of a file or folder; the root is the first.
type Inode = usize;
const ROOT: Inode = 0;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    bytes: Vec<u8>,
    attributes: BTreeMap<String, Vec<u8>>,
    mtime: Option<Version>,
}

/// One change of a name in a folder, not synced yet.
#[derive(Debug, Clone)]
struct Change {
    name: OsString,
    /// What the name leads to afterwards.
    to: Option<Inode>,
    /// The rename of which it is the new or the old name.
    rename: Option<usize>,
}

#[derive(Debug, Clone)]
enum Node {
    File { now: Content, synced: Content },
    Folder { now: BTreeMap<OsString, Inode>, synced: BTreeMap<OsString, Inode>, pending: Vec<Change> },
}

impl Node {
    fn folder() -> Self {
        Node::Folder { now: BTreeMap::new(), synced: BTreeMap::new(), pending: Vec::new() }
    }
}

/// What is lost.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// Nothing: the process was killed, the machine runs on.
    Nothing,
    /// All that was not synced.
    Unsynced,
    /// The unsynced contents of files, while all names are kept.
    Contents,
    /// Any part of what was not synced, as a seed decides.
    Some(u64),
}

/// The disk of one storage root.
#[derive(Debug, Clone)]
pub struct Disk {
    nodes: Vec<Node>,
    renames: usize,
}

impl Disk {
    /// An empty root.
    pub fn new() -> Self {
        Self { nodes: vec![Node::folder()], renames: 0 }
    }

    /// Everything so far is on the disk: time has passed.
    pub fn settle(&mut self) {
        for node in &mut self.nodes {
            match node {
                Node::File { now, synced } => *synced = now.clone(),
                Node::Folder { now, synced, pending } => {
                    *synced = now.clone();
                    pending.clear();
                }
            }
        }
    }

    /// Takes part in a call that succeeded.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::MakeFolder(path) => self.add(path, Node::folder()),
            Op::Create(path) => {
                self.add(path, Node::File { now: Content::default(), synced: Content::default() });
            }
            Op::Write(path, bytes) => self.content(path).bytes.extend_from_slice(&bytes.0),
            Op::SetAttribute(path, name, value) => {
                self.content(path).attributes.insert(name.clone(), value.0.clone());
            }
            Op::SetMtime(path, version) => self.content(path).mtime = Some(*version),
            Op::SyncFile(path) => {
                let inode = self.find(path);
                let Node::File { now, synced } = &mut self.nodes[inode] else {
                    panic!("{path:?} is a folder")
                };
                *synced = now.clone();
            }
            Op::Rename(from, to) => {
                let inode = self.find(from);
                let rename = Some(self.renames);
                self.renames += 1;
                self.change(to, Some(inode), rename);
                self.change(from, None, rename);
            }
            Op::SyncFolder(path) => self.sync_folder(path),
            Op::SyncAll => self.settle(),
            Op::Unlink(path) | Op::RemoveFolder(path) => self.change(path, None, None),
        }
    }

    fn find(&self, path: &Path) -> Inode {
        path.iter().fold(ROOT, |inode, name| match &self.nodes[inode] {
            Node::Folder { now, .. } => *now.get(name).unwrap_or_else(|| panic!("there is no {path:?}")),
            Node::File { .. } => panic!("{path:?} leads through a file"),
        })
    }

    fn add(&mut self, path: &Path, node: Node) {
        self.nodes.push(node);
        self.change(path, Some(self.nodes.len() - 1), None);
    }

    fn change(&mut self, path: &Path, to: Option<Inode>, rename: Option<usize>) {
        let folder = self.find(path.parent().expect("not the root"));
        let name = path.file_name().expect("not the root").to_owned();
        let Node::Folder { now, pending, .. } = &mut self.nodes[folder] else {
            panic!("{path:?} is in a file")
        };
        set(now, &name, to);
        pending.push(Change { name, to, rename });
    }

    fn content(&mut self, path: &Path) -> &mut Content {
        let inode = self.find(path);
        match &mut self.nodes[inode] {
            Node::File { now, .. } => now,
            Node::Folder { .. } => panic!("{path:?} is a folder"),
        }
    }

    fn sync_folder(&mut self, path: &Path) {
        let folder = self.find(path);
        let Node::Folder { synced, pending, .. } = &mut self.nodes[folder] else {
            panic!("{path:?} is a file")
        };
        let mut gone = Vec::new();
        for change in pending.drain(..) {
            set(synced, &change.name, change.to);
            gone.extend(change.rename.filter(|_| change.to.is_none()));
        }
        // Where an old name is gone for good, the new one has come for good.
        for node in &mut self.nodes {
            let Node::Folder { synced, pending, .. } = node else { continue };
            while let Some(at) =
                pending.iter().position(|change| change.rename.is_some_and(|id| gone.contains(&id)))
            {
                let change = pending.remove(at);
                pending.retain({
                    let mut index = 0;
                    let name = change.name.clone();
                    move |earlier| {
                        index += 1;
                        index > at || earlier.name != name
                    }
                });
                set(synced, &change.name, change.to);
            }
        }
    }

    /// Makes the folder `target` what the root looks like after the loss.
    pub fn write_out(&self, loss: Loss, target: &Path) {
        let mut random = fastrand::Rng::with_seed(match loss {
            Loss::Some(seed) => seed,
            _ => 0,
        });
        let kept: Vec<(bool, bool)> = (0..self.renames).map(|_| (random.bool(), random.bool())).collect();
        let mut writer = Writer { disk: self, loss, random, kept, written: BTreeMap::new() };
        writer.folder(ROOT, target);
    }
}

fn set(names: &mut BTreeMap<OsString, Inode>, name: &OsString, to: Option<Inode>) {
    match to {
        Some(inode) => names.insert(name.clone(), inode),
        None => names.remove(name),
    };
}

struct Writer<'a> {
    disk: &'a Disk,
    loss: Loss,
    random: fastrand::Rng,
    /// For each rename, whether its new name came and, if so, whether its old one went.
    kept: Vec<(bool, bool)>,
    /// Files written so far: one may bear two names.
    written: BTreeMap<Inode, PathBuf>,
}

impl Writer<'_> {
    fn folder(&mut self, inode: Inode, target: &Path) {
        let Node::Folder { now, synced, pending } = &self.disk.nodes[inode] else { unreachable!("a folder") };
        let names = match self.loss {
            Loss::Nothing | Loss::Contents => now.clone(),
            Loss::Unsynced => synced.clone(),
            Loss::Some(_) => {
                let mut names = synced.clone();
                for change in pending {
                    let keep = match change.rename {
                        None => self.random.bool(),
                        Some(id) if change.to.is_some() => self.kept[id].0,
                        Some(id) => self.kept[id].0 && self.kept[id].1,
                    };
                    if keep {
                        set(&mut names, &change.name, change.to);
                    }
                }
                names
            }
        };
        for (name, inode) in names {
            let path = target.join(name);
            match &self.disk.nodes[inode] {
                Node::Folder { .. } => {
                    std::fs::create_dir(&path).expect("a new folder");
                    self.folder(inode, &path);
                }
                Node::File { now, synced } => self.file(inode, (now, synced), &path),
            }
        }
    }

    fn file(&mut self, inode: Inode, (now, synced): (&Content, &Content), path: &Path) {
        if let Some(other) = self.written.get(&inode) {
            return std::fs::hard_link(other, path).expect("a second name");
        }
        self.written.insert(inode, path.to_owned());
        let content = match self.loss {
            Loss::Nothing => now.clone(),
            Loss::Unsynced | Loss::Contents => synced.clone(),
            Loss::Some(_) => self.some_of(now, synced),
        };
        let file = std::fs::File::create_new(path).expect("a new file");
        std::io::Write::write_all(&mut &file, &content.bytes).expect("room");
        for (name, value) in &content.attributes {
            rustix::fs::fsetxattr(&file, name.as_str(), value, rustix::fs::XattrFlags::empty())
                .expect("user attributes");
        }
        if let Some(version) = content.mtime {
            file.set_modified(version.time()).expect("an mtime");
        }
    }

    fn some_of(&mut self, now: &Content, synced: &Content) -> Content {
        let mut content = synced.clone();
        if now.bytes != synced.bytes {
            content.bytes = match self.random.u8(0..4) {
                0 => synced.bytes.clone(),
                1 => now.bytes[..self.random.usize(0..now.bytes.len())].to_vec(),
                // The length is there, the blocks are not.
                2 => vec![0; now.bytes.len()],
                _ => now.bytes.clone(),
            };
        }
        if self.random.bool() {
            content.attributes.clone_from(&now.attributes);
        }
        if self.random.bool() {
            content.mtime = now.mtime;
        }
        content
    }
}
