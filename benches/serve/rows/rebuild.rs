//! (r) Bringing copies to a node that lost its disk, in batches, as a pass does: against `cp -r` and `sync` of the same
//! files on the same disk. Both end when everything is durable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use webdfs::cluster::{ClusterMap, NodeIndex};
use webdfs::config::{Secrets, load_map};
use webdfs::deliver::file;
use webdfs::name::ObjectName;
use webdfs::peer::batch::{BATCH_BYTES_MAX, CopyOutcome};
use webdfs::peer::client::PeerClient;
use webdfs::peer::sign::Signer;
use webdfs::response::{ByteStream, FileSlice};
use webdfs::store::{BATCH_FILES_MAX, BatchCopy, Outcome};
use webdfs::version::Version;

use super::EVERYWHERE;
use crate::Result;
use crate::build::Tools;
use crate::cluster::{Cluster, SECRET};
use crate::contest::{Plan, Side, contest};
use crate::objects::bytes_of;
use crate::processes::run;

/// The size of the files, in bytes.
const SIZE: usize = 64 << 10;
/// How many there are, and in how many folders: 256 MiB, so that an end of disk caches shows.
const COUNT: usize = 4_096;
/// Folders they lie in.
const FOLDERS: usize = 64;
/// Files of each batch: as many as a pass would send together.
const TOGETHER: usize = {
    let by_bytes = BATCH_BYTES_MAX as usize / SIZE;
    if by_bytes < BATCH_FILES_MAX { by_bytes } else { BATCH_FILES_MAX }
};
/// Files that are compared after each turn.
const LOOKED_AT: usize = 64;
const LIMIT: f64 = 0.5;

pub fn row(plan: &Plan, scratch: &Path, _tools: &Tools) -> Result<()> {
    let folder = scratch.join("r");
    let cluster = Cluster::start(&folder, "cluster", EVERYWHERE)?;
    let source = Source::write(&folder.join("source"))?;
    let rebuild = Rebuild::new(&cluster, &source)?;
    let copied = folder.join("copied");
    contest(
        "r",
        plan,
        vec![Side::new("64 KiB files to an empty node", || rebuild.turn())],
        vec![Side::new("cp -r, then sync", || copy_and_sync(&source, &copied)).limit(LIMIT)],
    )
}

/// The files that are copied.
struct Source {
    folder: PathBuf,
    copies: Vec<BatchCopy>,
}

impl Source {
    fn write(folder: &Path) -> Result<Self> {
        let mut copies = Vec::new();
        for number in 0..COUNT {
            let path = format!("{:02}/{number:06}.jpg", number % FOLDERS);
            let bytes = bytes_of(&path, SIZE);
            let file = folder.join("rebuilt").join(&path);
            fs::create_dir_all(file.parent().ok_or("a file lies in a folder")?)?;
            fs::write(&file, &bytes)?;
            copies.push(BatchCopy {
                name: ObjectName::from_bytes(format!("rebuilt/{path}").as_bytes())?,
                version: Version::from_nanos(1_700_000_000_000_000_000 + number as u64),
                crc32: crc32fast::hash(&bytes),
                size: SIZE as u64,
            });
        }
        Ok(Self { folder: folder.to_owned(), copies })
    }

    fn file(&self, copy: &BatchCopy) -> PathBuf {
        self.folder.join(copy.name.to_string())
    }

    /// Some of the files must be the same elsewhere; then they are removed there.
    fn check_and_remove(&self, root: &Path) -> Result<()> {
        for copy in self.copies.iter().step_by(COUNT / LOOKED_AT) {
            let path = root.join(copy.name.to_string());
            if fs::read(&path)? != fs::read(self.file(copy))? {
                return Err(format!("{} is another file", path.display()).into());
            }
        }
        fs::remove_dir_all(root.join("rebuilt"))?;
        // Or the next turn would pay for it.
        run(&mut Command::new("sync"))?;
        Ok(())
    }
}

fn copy_and_sync(source: &Source, copied: &Path) -> Result<f64> {
    fs::create_dir_all(copied)?;
    let begun = Instant::now();
    run(Command::new("cp").arg("-r").arg(source.folder.join("rebuilt")).arg(copied))?;
    run(&mut Command::new("sync"))?;
    let rate = COUNT as f64 / begun.elapsed().as_secs_f64();
    source.check_and_remove(copied)?;
    Ok(rate)
}

/// One node sends everything to another.
struct Rebuild<'a> {
    source: &'a Source,
    root: PathBuf,
    map: Arc<ClusterMap>,
    to: NodeIndex,
    peers: PeerClient,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Rebuild<'a> {
    fn new(cluster: &Cluster, source: &'a Source) -> Result<Self> {
        let map = Arc::new(load_map(&cluster.map)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let _context = runtime.enter();
        Ok(Self {
            source,
            root: cluster.nodes[0].root.clone(),
            to: map.index_of(&"n0".parse()?).ok_or("n0 is in the map")?,
            peers: PeerClient::new("n1".parse()?, Signer::new(&Secrets::parse(SECRET.as_bytes())?)),
            map,
            runtime,
        })
    }

    fn turn(&self) -> Result<f64> {
        let begun = Instant::now();
        for copies in self.source.copies.chunks(TOGETHER) {
            let mut bodies: Vec<ByteStream> = Vec::new();
            for copy in copies {
                let file = fs::File::open(self.source.file(copy))?;
                bodies.push(file::stream(FileSlice { file: Arc::new(file), offset: 0, length: copy.size }));
            }
            let sending = self.peers.batch(&self.map, self.to, copies.to_vec(), bodies);
            let outcomes = self.runtime.block_on(sending)?;
            if let Some(other) = outcomes.iter().find(|outcome| **outcome != CopyOutcome::Held(Outcome::Done))
            {
                return Err(format!("a copy is not taken: {other:?}").into());
            }
        }
        let rate = COUNT as f64 / begun.elapsed().as_secs_f64();
        self.source.check_and_remove(&self.root)?;
        Ok(rate)
    }
}
