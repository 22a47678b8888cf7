//! Where files come from: each source names them one after the other, in a task of its own.

use std::path::PathBuf;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::{JoinHandle, spawn_blocking};

use super::mogilefs::{Keys, Tracker};
use super::summary::Failed;
use super::{folder, list};
use crate::name::ObjectName;

/// What is imported.
#[derive(Clone, Debug)]
pub enum Source {
    /// Every file below a folder, under its path there.
    Folder(PathBuf),
    /// The lines of a file: `/name<TAB>ORIGIN`, or an origin alone, which is a path or a URL.
    List(PathBuf),
    /// The same lines from standard input.
    Input,
    /// The files of a domain of MogileFS.
    MogileFs {
        /// Who knows where they are.
        tracker: Tracker,
        /// Which of them.
        keys: Keys,
    },
}

/// A file to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// What it will be called, below the prefix.
    pub(super) name: ObjectName,
    pub(super) origin: Origin,
}

/// Where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file of this machine. Below a folder that is imported, no link is followed.
    File { path: PathBuf, follow: bool },
    /// What a web server gives.
    Url(String),
    /// What the tracker calls so.
    Key(Vec<u8>),
}

/// What a source names: a file, or something that cannot be one.
pub(super) type Found = Result<Item, Failed>;

impl Source {
    /// Begins to name the files, in a task of its own; at most `ahead` more than were taken.
    pub(super) fn begin(&self, ahead: usize) -> (Receiver<Found>, JoinHandle<()>) {
        let (found, named) = channel(ahead);
        let take = {
            let found = found.clone();
            move |one| found.blocking_send(one).is_ok()
        };
        let task = match self.clone() {
            Self::Folder(folder) => spawn_blocking(move || folder::walk(&folder, &mut { take })),
            Self::List(file) => spawn_blocking(move || list::read_file(&file, &mut { take })),
            Self::Input => spawn_blocking(move || list::read_input(&mut { take })),
            Self::MogileFs { tracker, keys } => tokio::spawn(async move { tracker.name(keys, &found).await }),
        };
        (named, task)
    }

    /// How many files there are, where that can be known beforehand. May take long.
    pub fn count(&self) -> Option<u64> {
        let mut count = 0;
        let mut add = |_| {
            count += 1;
            true
        };
        match self {
            Self::Folder(folder) => folder::walk(folder, &mut add),
            Self::List(file) if file.is_file() => list::read_file(file, &mut add),
            // A pipe is read once.
            Self::List(_) | Self::Input | Self::MogileFs { .. } => return None,
        }
        Some(count)
    }
}
