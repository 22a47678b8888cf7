//! The walks over the root: one at a time, and one for all who want to know what is there.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Mutex;

use crate::disk::on_thread;
use crate::name::Exclude;
use crate::store::inventory::Totals;
use crate::store::{Found, Store, StoreError, Unread};

/// What the last walk has found, and when it began.
#[derive(Debug, Clone)]
pub struct Walked {
    /// When it began: what was written before is in it.
    pub begun: Instant,
    /// What it adds up to.
    pub totals: Totals,
    /// What it could not read: of this nothing is known, and least of all that it is not there.
    pub unread: Arc<Unread>,
    /// Files that an original webDFS left in hashed folders, and whose names nobody knows.
    pub nameless: u64,
}

/// Walks over one root.
#[derive(Debug, Clone, Default)]
pub struct Walks {
    last: Arc<Mutex<Option<Walked>>>,
    /// Set when this process ends.
    stopped: Arc<AtomicBool>,
}

impl Walks {
    /// An inventory that was begun at `not_before` or later: the last one, or that of a walk which is held now.
    ///
    /// The walk goes on when nobody waits for it any more, and whoever asks next finds it done.
    ///
    /// # Errors
    /// When the root cannot be walked over at all, or the inventory cannot be written. Single files and folders that cannot
    /// be read are in what is returned.
    pub async fn since(
        &self,
        not_before: Instant,
        store: &Arc<Store>,
        exclude: &Exclude,
    ) -> Result<Walked, StoreError> {
        let (walks, store, exclude) = (self.clone(), Arc::clone(store), exclude.clone());
        let walk = tokio::spawn(async move {
            let mut last = walks.last.lock().await;
            if let Some(walked) = last.as_ref().filter(|walked| walked.begun >= not_before) {
                return Ok(walked.clone());
            }
            let begun = Instant::now();
            let stopped = Arc::clone(&walks.stopped);
            let (totals, unread, nameless) = on_thread(move || walk(&store, &exclude, &stopped)).await?;
            // Walks follow each other, and each would tell the same.
            if last.as_ref().is_none_or(|before| *before.unread != unread) {
                unread.lines().for_each(|line| log::error!("{line}"));
            }
            Ok(last.insert(Walked { begun, totals, unread: Arc::new(unread), nameless }).clone())
        });
        match walk.await {
            Ok(walked) => walked,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Ends the walk in progress, and those to come: this process ends, and nobody is to wait for them.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether this process ends.
    pub fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

fn walk(store: &Store, exclude: &Exclude, stopped: &AtomicBool) -> Result<(Totals, Unread, u64), StoreError> {
    let mut writer = store.new_inventory()?;
    let has_stopped = || stopped.load(Ordering::Relaxed);
    let mut nameless = 0;
    let add = &mut |found: Found| writer.add(&found.name, &found.held);
    let unread = store.walk_with_nameless(exclude, &has_stopped, &mut || nameless += 1, add)?;
    if has_stopped() {
        return Err(StoreError::io("walk over", store.root(), ErrorKind::Interrupted.into()));
    }
    Ok((writer.finish()?, unread, nameless))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    #[tokio::test]
    async fn one_walk_serves_all_who_ask_for_what_was_there_before_it_began() {
        let root = tempfile::tempdir().unwrap();
        let (store, walks) = (Arc::new(open(root.path())), Walks::default());
        std::fs::write(root.path().join("a.jpg"), "a").unwrap();
        let asked = Instant::now();
        let first = walks.since(asked, &store, &Exclude::default()).await.unwrap();
        assert_eq!(first.totals.objects, 1);
        std::fs::write(root.path().join("b.jpg"), "b").unwrap();
        assert_eq!(walks.since(asked, &store, &Exclude::default()).await.unwrap().begun, first.begun);
        let second = walks.since(Instant::now(), &store, &Exclude::default()).await.unwrap();
        assert_eq!(second.totals.objects, 2);
        walks.stop();
        assert!(walks.since(Instant::now(), &store, &Exclude::default()).await.is_err());
    }
}
