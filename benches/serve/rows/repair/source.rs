//! Files that nodes are to have, and ways to get them there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use webdfs::cluster::{ClusterMap, NodeIndex, View};
use webdfs::config::{Secrets, load_map};
use webdfs::deliver::file;
use webdfs::name::ObjectName;
use webdfs::peer::batch::{BATCH_BYTES_MAX, CopyOutcome};
use webdfs::peer::client::PeerClient;
use webdfs::peer::sign::Signer;
use webdfs::response::FileSlice;
use webdfs::store::{BATCH_FILES_MAX, BatchCopy, Outcome};
use webdfs::version::Version;

use crate::Result;
use crate::cluster::{Cluster, SECRET};
use crate::objects::bytes_of;
use crate::processes::run;

/// The folder they lie in, on every node.
pub const FOLDER: &str = "rebuilt";
/// Folders in that one.
const FOLDERS: usize = 64;
/// Files that are compared after each turn.
const LOOKED_AT: usize = 64;

/// The files that are copied.
pub struct Source {
    folder: PathBuf,
    copies: Vec<BatchCopy>,
}

impl Source {
    /// Writes files of `size` bytes.
    pub fn write(folder: &Path, count: usize, size: usize) -> Result<Self> {
        let mut copies = Vec::new();
        for number in 0..count {
            let path = format!("{:02}/{number:06}.jpg", number % FOLDERS);
            let bytes = bytes_of(&path, size);
            let file = folder.join(FOLDER).join(&path);
            fs::create_dir_all(file.parent().ok_or("a file lies in a folder")?)?;
            fs::write(&file, &bytes)?;
            copies.push(BatchCopy {
                name: ObjectName::from_bytes(format!("{FOLDER}/{path}").as_bytes())?,
                version: Version::from_nanos(1_700_000_000_000_000_000 + number as u64),
                crc32: crc32fast::hash(&bytes),
                size: size as u64,
            });
        }
        Ok(Self { folder: folder.to_owned(), copies })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.copies.len()
    }

    fn file(&self, copy: &BatchCopy) -> PathBuf {
        self.folder.join(copy.name.to_string())
    }

    /// Checks that some of the files are the same below `root`.
    pub fn check(&self, root: &Path) -> Result<()> {
        for copy in self.copies.iter().step_by(self.copies.len().div_ceil(LOOKED_AT)) {
            let path = root.join(copy.name.to_string());
            if fs::read(&path)? != fs::read(self.file(copy))? {
                return Err(format!("{} is another file", path.display()).into());
            }
        }
        Ok(())
    }

    /// Copies them with `cp -r` and `sync`; how many in a second.
    pub fn copy_and_sync(&self, to: &Path) -> Result<f64> {
        fs::create_dir_all(to)?;
        let begun = Instant::now();
        run(Command::new("cp").arg("-r").arg(self.folder.join(FOLDER)).arg(to))?;
        run(&mut Command::new("sync"))?;
        let rate = self.count() as f64 / begun.elapsed().as_secs_f64();
        self.check(to)?;
        remove(to)?;
        Ok(rate)
    }
}

/// Removes the files from a folder, and waits until the disk knows it: the next turn would pay for it.
pub fn remove(root: &Path) -> Result<()> {
    fs::remove_dir_all(root.join(FOLDER))?;
    run(&mut Command::new("sync"))?;
    Ok(())
}

/// Sends files to nodes as another node does.
pub struct Sender {
    map: Arc<ClusterMap>,
    runtime: tokio::runtime::Runtime,
}

impl Sender {
    pub fn new(cluster: &Cluster) -> Result<Self> {
        let map = Arc::new(load_map(&cluster.map)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { map, runtime })
    }

    /// Brings all files to a node, which has none of them.
    pub fn send(&self, source: &Source, to: &str) -> Result<()> {
        let _context = self.runtime.enter();
        let map = &self.map;
        let to: NodeIndex = map.index_of(&to.parse()?).ok_or("the node is in the map")?;
        let another = map.indexed().find(|(node, _)| *node != to).ok_or("there are others")?;
        let view = View::new(another.1.name(), Arc::clone(map), Vec::new())?;
        let signer = Signer::new(&Secrets::parse(SECRET.as_bytes())?);
        let peers = PeerClient::new(another.1.name().clone(), signer, None);
        let largest = source.copies.iter().map(|copy| copy.size).max().unwrap_or(1);
        // As many as a pass would send together.
        let together = usize::try_from(BATCH_BYTES_MAX / largest)?.min(BATCH_FILES_MAX);
        for copies in source.copies.chunks(together) {
            let mut slices = Vec::new();
            for copy in copies {
                let file = fs::File::open(source.file(copy))?;
                slices.push(FileSlice { file: Arc::new(file), offset: 0, length: copy.size });
            }
            let sending = peers.batch(&view, to, copies.to_vec(), file::stream_all(slices));
            let outcomes = self.runtime.block_on(sending)?;
            if let Some(other) = outcomes.iter().find(|outcome| **outcome != CopyOutcome::Held(Outcome::Done))
            {
                return Err(format!("a copy is not taken: {other:?}").into());
            }
        }
        Ok(())
    }
}
